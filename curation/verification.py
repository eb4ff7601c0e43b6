"""The job that judges traces and stores verdicts.

One verdict row exists per (trace, verifier, version, reference hash). A run takes the traces that
have none yet, in order of their ids, so a second run, a retry or a message delivered three times
adds nothing. Two rules about our own failures:

- A *stored* ``error`` (timeout, crash of one pair) is no judgement: a later run takes such a trace
  again and, when an answer comes, the error row is deleted and the new row inserted in one
  transaction. Rows with any other verdict are never touched.
- If the *service* is away or overloaded nothing is known about any trace, so nothing is stored:
  the job goes back to the queue (``VerifierAway``) and continues where it stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Func, TextField
from django.db.models.functions import Cast, Length

from curation.jobs import JobContext, JobError
from curation.models import Problem, Trace, Verdict
from curation.sandbox.client import VerifierClient
from curation.verifiers import VERIFIERS
from curation.verifiers import Verdict as Judgement

PAGE = 1_000  # traces looked at in one query, without their text
BATCH_ITEMS = 100
BATCH_CHARS = 4_000_000
# Reasons that say something about the service and nothing about a trace.
AWAY = ("verifier_unreachable", "overloaded")
# What a verdict of a kind of problem that no verifier knows is stored under.
NO_VERSION = "none"

Key = tuple[int, str, str, str]


class VerifierAway(RuntimeError):
    """The verifier service did not answer; the job will be taken up again."""


@dataclass(frozen=True, slots=True)
class Task:
    """One trace to judge, without its text."""

    trace: int
    chars: int
    kind: str
    version: str
    reference: str | None
    reference_sha256: str
    options: dict[str, Any]

    @property
    def key(self) -> Key:
        """The unique key of its verdict."""
        return self.trace, self.kind, self.version, self.reference_sha256


def run_verify(ctx: JobContext) -> None:
    """Job handler. Optional params: ``source`` (name), ``verifier`` (instead of each problem's
    own kind), ``ids`` (trace ids).

    Counts: correct, incorrect, unverifiable, error (of this job), and ``present`` for traces that
    had their verdict already. JobError ``unknown_source`` or ``unknown_verifier``.
    """
    traces = _traces(ctx)
    override = _verifier(ctx.params)
    counts = {name: 0 for name in (*Verdict.Value.values, "present")}
    ctx.count(**counts)
    with VerifierClient() as client:
        versions = _versions(client)
        ctx.set_total(traces.count())
        for page in _pages(traces, int(ctx.checkpoint.get("after", 0))):
            _verify_page(ctx, client, [_task(row, override, versions) for row in page])


def reference_of(problem: Problem) -> str | None:
    """What a problem's traces are compared with; None where it has nothing."""
    return _reference(problem.reference_answer, problem.reference_solution)


def reference_hash(reference: str | None, choices: Any = None) -> str:
    """SHA-256 of a reference; with the choices that letters depend on, or with the problem's own
    options for its verifier (a puzzle, the flags of a pattern)."""
    text = reference or ""
    if choices:
        text = json.dumps([text, choices], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _traces(ctx: JobContext) -> Any:
    traces = Trace.objects.filter(project=ctx.project)
    if source := ctx.params.get("source"):
        if not ctx.project.sources.filter(name=source).exists():
            raise JobError("unknown_source", f"this project has no source {source!r}")
        traces = traces.filter(source__name=source)
    if (ids := ctx.params.get("ids")) is not None:
        traces = traces.filter(pk__in=[int(pk) for pk in ids])
    return traces


def _verifier(params: dict[str, Any]) -> str | None:
    name = params.get("verifier") or None
    if name is not None and name not in VERIFIERS:
        known = ", ".join(VERIFIERS)
        raise JobError("unknown_verifier", f"{name!r} is none of the verifiers: {known}")
    return name


def _versions(client: VerifierClient) -> dict[str, str]:
    """Version of each verifier as the service has it: its verdicts are stored under that."""
    health = client.health() or {}
    served = health.get("versions")
    local = {name: verifier.version for name, verifier in VERIFIERS.items()}
    return local | served if isinstance(served, dict) else local


ROW = ("pk", "char_count", "finish_reason", "truncated", "problem__kind")
PROBLEM = (
    "problem__reference_answer", "problem__reference_solution", "problem__choices",
    "problem__metadata__verifier_options", "tests_sha256", "tests_chars",
)  # fmt: skip
# Code takes seconds where an answer takes milliseconds: so many candidates in one request at most.
CODE_ITEMS = 4


def _pages(traces: Any, after: int) -> Iterator[list[dict[str, Any]]]:
    """Rows without text in order of their ids, a page at a time."""
    tests = Cast("problem__tests", TextField())
    template = "encode(sha256(convert_to(%(expressions)s, 'UTF8')), 'hex')"
    digest = Func(tests, template=template, output_field=TextField())
    traces = traces.annotate(tests_chars=Length(tests), tests_sha256=digest)
    while True:
        page = list(traces.filter(pk__gt=after).order_by("pk").values(*ROW, *PROBLEM)[:PAGE])
        if not page:
            return
        yield page
        after = page[-1]["pk"]


def _task(row: dict[str, Any], override: str | None, versions: dict[str, str]) -> Task:
    kind = override or row["problem__kind"]
    reference = _reference(row["problem__reference_answer"], row["problem__reference_solution"])
    own = row["problem__metadata__verifier_options"] if kind == row["problem__kind"] else None
    own = own if isinstance(own, dict) else {}
    options: dict[str, Any] = own | {"finish_reason": row["finish_reason"]}
    if row["truncated"]:
        options["finish_reason"] = "length"
    choices = row["problem__choices"] if kind == "choice" else None
    if choices:
        options["choices"] = choices
    version = versions.get(kind, NO_VERSION)
    if kind == "code":
        reference, own = row["problem__reference_solution"], own | {"tests": row["tests_sha256"]}
    sha256 = reference_hash(reference, choices or own)
    return Task(row["pk"], _weight(row, kind), kind, version, reference, sha256, options)


def _weight(row: dict[str, Any], kind: str) -> int:
    """Characters to send; for code at least its share of a request."""
    if kind != "code":
        return int(row["char_count"])
    chars = int(row["char_count"] + (row["tests_chars"] or 0))
    return max(chars, BATCH_CHARS // CODE_ITEMS)


def _reference(answer: str | None, solution: str | None) -> str | None:
    r"""The reference answer, else a worked solution that marks its answer (``####``, a box)."""
    if answer is not None and answer.strip():
        return answer
    if solution and ("####" in solution or "boxed" in solution):
        return solution
    return None


def _verify_page(ctx: JobContext, client: VerifierClient, tasks: list[Task]) -> None:
    """Judge a page in batches; each chunk also counts the traces before it that had a verdict."""
    present = _present(tasks)
    passed = [task for task in tasks if task.key in present]
    missing = [task for task in tasks if task.key not in present]
    for batch in _batches(missing):
        ctx.check()
        judged = _judge(client, batch)
        last = batch[-1].trace
        _store(ctx, batch, judged, present=sum(task.trace < last for task in passed))
        passed = [task for task in passed if task.trace > last]
    with ctx.chunk():
        _proceed(ctx, tasks[-1], present=len(passed))


def _proceed(ctx: JobContext, last: Task, **counts: int) -> None:
    """Inside a chunk: remember how far this job came, and count."""
    ctx.checkpoint["after"] = last.trace
    ctx.advance(sum(counts.values()), **counts)


def _present(tasks: list[Task]) -> set[Key]:
    """Keys that have a verdict that is a judgement."""
    rows = Verdict.objects.filter(trace_id__in=[task.trace for task in tasks])
    rows = rows.exclude(verdict=Verdict.Value.ERROR)
    return set(rows.values_list("trace_id", "verifier", "version", "reference_sha256"))


def _batches(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    """Consecutive tasks within BATCH_ITEMS and, where one trace allows, BATCH_CHARS."""
    batch: list[Task] = []
    chars = 0
    for task in tasks:
        if batch and (len(batch) == BATCH_ITEMS or chars + task.chars > BATCH_CHARS):
            yield batch
            batch, chars = [], 0
        batch.append(task)
        chars += task.chars
    if batch:
        yield batch


def _judge(client: VerifierClient, batch: list[Task]) -> list[Judgement]:
    texts = dict(Trace.objects.filter(pk__in=[t.trace for t in batch]).values_list("pk", "text"))
    known = [task for task in batch if task.version != NO_VERSION]
    tests = _tests([task.trace for task in known if task.kind == "code"])
    judged = client.verify_batch(
        [_item(task, texts.get(task.trace, ""), tests.get(task.trace, {})) for task in known]
    )
    away = next((v for v in judged if v.verdict == "error" and v.reason in AWAY), None)
    if away is not None:
        raise VerifierAway(f"the verifier service does not answer: {away.reason} {away.detail}")
    found = dict(zip((task.trace for task in known), judged, strict=True))
    none = Judgement("unverifiable", reason="no_verifier")
    return [found.get(task.trace, none) for task in batch]


def _tests(traces: list[int]) -> dict[int, dict[str, Any]]:
    """What code is run with, by trace: the tests, and the text that a completion continues."""
    if not traces:
        return {}
    rows = Trace.objects.filter(pk__in=traces).values_list("pk", "problem__tests", "problem__text")
    return {pk: {"tests": tests, "prompt": text} for pk, tests, text in rows}


def _item(task: Task, text: str, more: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": task.kind,
        "response": text,
        "reference": task.reference,
        "options": task.options | more,
    }


def _store(ctx: JobContext, batch: list[Task], judged: list[Judgement], *, present: int) -> None:
    """Insert the verdicts of a batch in one chunk, in place of any earlier error rows."""
    rows = [_row(task, verdict) for task, verdict in zip(batch, judged, strict=True)]
    with ctx.chunk():
        _supersede_errors(batch)
        Verdict.objects.bulk_create(rows, ignore_conflicts=True)
        counts = Counter(row.verdict for row in rows)
        _proceed(ctx, batch[-1], present=present, **counts)


def _supersede_errors(batch: list[Task]) -> None:
    keys = {task.key for task in batch}
    rows = Verdict.objects.filter(
        trace_id__in=[task.trace for task in batch], verdict=Verdict.Value.ERROR
    )
    named = rows.values_list("pk", "trace_id", "verifier", "version", "reference_sha256")
    Verdict.objects.filter(pk__in=[pk for pk, *key in named if tuple(key) in keys]).delete()


def _row(task: Task, judgement: Judgement) -> Verdict:
    return Verdict(
        trace_id=task.trace,
        verifier=task.kind,
        version=task.version,
        reference_sha256=task.reference_sha256,
        verdict=judgement.verdict,
        score=judgement.score,
        method=judgement.method[:64],
        reason=judgement.reason[:64],
        extracted=_storable(judgement.extracted),
        detail=judgement.detail,
    )


def _storable(text: str | None) -> str | None:
    """PostgreSQL holds no NUL in text."""
    return None if text is None else text.replace("\x00", "\ufffd")
