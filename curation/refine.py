"""The optional pass of a model over traces: split, label, or smooth the seams of cuts.

Rules do all of this without a model; a model is asked about one part at a time, and each answer is
checked for fidelity in order (``segmentation.llm``): nothing lost, nothing invented. Every answer
is stored (``RefineAnswer``) with the reason for which it was refused. ``split`` and ``label`` make
a segmentation beside that of the rules, ``smooth`` a derived trace whose bridges are insertions.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db.models import QuerySet

from curation.asking import Asked, asked_of, bad_parameters, closed_traces, traces_left
from curation.endpoints import stop_teacher
from curation.jobs import JobContext, JobError
from curation.models import RefineAnswer, Segmentation, Trace
from curation.refine_units import SMOOTH, TASKS, Key, Plan, Unit, bridged, plan_of, read_again
from curation.segmentation.llm import BadAnswer
from curation.segmentation.policies import AFTER_FIRST_CORRECT, POLICIES
from curation.segments import Found, Reader, quote_hash, reader_of, store_analyses
from curation.teachers.client import ChatRequest
from curation.teachers.outcome import Completion, Failure
from curation.teachers.pool import RequestPool, Result
from curation.teachers.sampling import request_seed
from curation.traces import store_derived

PAGE, DEFAULT_TRIES = 10, 2
TRUNCATED = "truncated"
ANSWER_LIMIT = 100_000
COUNTERS = ("traces", "asked", "accepted", "refused", "failed", "made", "kept_rules")


@dataclass(frozen=True)
class Work(Asked):
    """What one job does, resolved at its start."""

    task: str
    policy: str
    tries: int
    reader: Reader


@dataclass(frozen=True)
class Ask:
    """One try at one unit of one trace."""

    plan: Plan
    unit: Unit
    sample_no: int


def run_refine(ctx: JobContext) -> None:
    """Job handler. Params: ``teacher``, ``task`` (split, label, smooth); optional ``policy`` (whose
    cuts are smoothed), ``tries`` (answers asked for until one is accepted), ``limit`` (traces),
    ``source``, ``ids``, ``sampling``.

    Counts: traces, asked, accepted, refused (with ``refused_reasons``), failed (requests), made
    (segmentations or derived traces), kept_rules (traces where no answer could be used). JobError
    ``bad_parameters``, ``unknown_policy`` and those of endpoints.
    """
    work = prepare(ctx)
    ctx.count(**dict.fromkeys(COUNTERS, 0))
    traces, left = closed_traces(ctx), traces_left(ctx)
    ctx.set_total(ctx.job.done + min(left, traces.count()))
    with RequestPool[Ask](work.endpoint, work.limits) as pool:
        while left > 0 and (page := list(traces.order_by("pk")[: min(PAGE, left)])):
            plans = [plan for trace in page if (plan := _plan(ctx, work, trace))]
            _ask_all(ctx, work, pool, plans)
            _use(ctx, work, page, plans)
            left -= len(page)
            traces = traces.filter(pk__gt=page[-1].pk)


def prepare(ctx: JobContext) -> Work:
    """Resolve the job's parameters; JobError with a code for each thing that can be wrong."""
    params, asked = ctx.params, asked_of(ctx)
    task, policy = params.get("task"), str(params.get("policy") or AFTER_FIRST_CORRECT)
    if task not in TASKS:
        raise bad_parameters(f"task must be one of {', '.join(TASKS)}")
    if policy not in POLICIES:
        raise JobError("unknown_policy", f"policy must be among {', '.join(POLICIES)}")
    reader = reader_of(ctx.project, {})
    try:
        tries = int(params.get("tries") or DEFAULT_TRIES)
    except (ValueError, TypeError) as error:
        raise bad_parameters(error) from None
    by = f"{task}:{asked.teacher.name}"
    return Work(
        **vars(asked),
        task=task,
        policy=policy if task == SMOOTH else "",
        tries=tries,
        reader=Reader(reader.policies, reader.counter, by=by),
    )


def _plan(ctx: JobContext, work: Work, trace: Trace) -> Plan | None:
    ctx.check()
    return plan_of(trace, work.task, work.policy)


def _ask_all(ctx: JobContext, work: Work, pool: RequestPool[Ask], plans: Sequence[Plan]) -> None:
    """Ask about every unit until an answer is accepted or the tries are used up."""
    for sample_no in range(work.tries):
        asks = list(_missing(work, plans, sample_no))
        pool.drain(asks, partial(request_of, work), partial(_store, ctx, work), ctx.check)
        if pool.closed_because is not None:
            stop_teacher(work.teacher, pool.closed_because)


def _missing(work: Work, plans: Sequence[Plan], sample_no: int) -> Iterator[Ask]:
    stored: dict[tuple[int, Key], tuple[int, bool]] = {}
    rows = _rows(work, plans).values_list(
        "trace", "start", "prompt_sha256", "sample_no", "accepted"
    )
    for trace, start, sha256, number, accepted in rows:
        tried, good = stored.get((trace, (start, sha256)), (0, False))
        stored[trace, (start, sha256)] = (max(tried, number + 1), good or accepted)
    for plan in plans:
        for unit in plan.units:
            tried, good = stored.get((plan.trace.pk, unit.key), (0, False))
            if not good and tried <= sample_no:
                yield Ask(plan, unit, sample_no)


def _rows(work: Work, plans: Sequence[Plan]) -> QuerySet[RefineAnswer]:
    return RefineAnswer.objects.filter(
        trace__in=[plan.trace.pk for plan in plans],
        endpoint=work.teacher,
        task=work.task,
        sampling_hash=work.sampling.hash,
    ).order_by("pk")


def request_of(work: Work, ask: Ask) -> ChatRequest:
    """The request for one try at a unit."""
    seed = request_seed(work.sampling.seed, ask.unit.prompt_sha256, [ask.unit.start, ask.sample_no])
    return ChatRequest(
        messages=[{"role": "user", "content": ask.unit.prompt}],
        sampling=work.sampling,
        seed=seed,
        stream=False,
    )


def _store(ctx: JobContext, work: Work, results: Sequence[Result[Ask]]) -> None:
    rows: list[RefineAnswer] = []
    for result in results:
        answer = result.outcome
        choice = None if isinstance(answer, Failure) else answer.choices[0]
        if isinstance(answer, Failure) or not isinstance(choice, Completion):
            continue
        rows.append(_row(work, result.tag, choice, answer.usage.completion_tokens))
    with ctx.chunk():
        RefineAnswer.objects.bulk_create(rows, ignore_conflicts=True)
        good = sum(row.accepted for row in rows)
        ctx.count(
            asked=len(results),
            accepted=good,
            refused=len(rows) - good,
            failed=len(results) - len(rows),
        )
        for reason, n in sorted(Counter(row.reason for row in rows if row.reason).items()):
            ctx.count_reason("refused_reasons", reason, n)


def _row(work: Work, ask: Ask, choice: Completion, tokens: int | None) -> RefineAnswer:
    reason, detail = judge(ask.unit, choice)
    return RefineAnswer(
        trace=ask.plan.trace,
        endpoint=work.teacher,
        task=work.task,
        policy=work.policy,
        start=ask.unit.start,
        end=ask.unit.end,
        prompt_sha256=ask.unit.prompt_sha256,
        sampling_hash=work.sampling.hash,
        sample_no=ask.sample_no,
        text=choice.text[:ANSWER_LIMIT].replace("\x00", "\ufffd"),
        finish_reason=choice.finish_reason,
        tokens=tokens,
        accepted=not reason,
        reason=reason,
        detail=detail[:200].replace("\x00", "\ufffd"),
    )


def judge(unit: Unit, choice: Completion) -> tuple[str, str]:
    """Reason and detail of a refusal; empty where the answer may be used."""
    if choice.truncated:
        return TRUNCATED, "the answer was cut off by its token limit"
    if len(choice.text) > ANSWER_LIMIT or "\x00" in choice.text:
        return "unreadable", "the answer is too long or holds a NUL"
    try:
        unit.read(choice.text)
    except BadAnswer as error:
        return error.code, str(error)
    return "", ""


def _use(ctx: JobContext, work: Work, page: Sequence[Trace], plans: Sequence[Plan]) -> None:
    """Make what the accepted answers allow; the page is done with it."""
    accepted: dict[int, dict[Key, str]] = defaultdict(dict)
    for row in _rows(work, plans).filter(accepted=True):
        accepted[row.trace_id].setdefault((row.start, row.prompt_sha256), row.text)
    finish = _smoothed if work.task == SMOOTH else _segmented
    ready = [finish(work, plan, accepted[plan.trace.pk]) for plan in plans]
    with ctx.chunk():
        made = sum(done.write(ctx) for done in ready)
        ctx.checkpoint["after"] = page[-1].pk
        ctx.advance(len(page), traces=len(page), made=made, kept_rules=len(page) - made)


@dataclass(frozen=True)
class Done:
    """What is to be written of one trace, worked out before the transaction."""

    work: Work
    plan: Plan
    answers: dict[Key, str]
    found: Found | None = None
    bridges: dict[int, str] | None = None
    derived: Any = None
    refused: BadAnswer | None = None

    def write(self, ctx: JobContext) -> bool:
        """Whether the model's answers changed something."""
        if self.refused is not None:
            ctx.count_reason("refused_reasons", self.refused.code)
            pk = self.plan.trace.pk
            ctx.log(f"trace {pk}: bridged text refused, {self.refused.code} {self.refused}")
        if self.found is not None:
            _store_reading(self.work, self.found, self.plan, len(self.answers))
        elif self.bridges:
            _store_bridged(self.work, self.plan, self.derived, self.bridges)
        return self.found is not None or bool(self.bridges)


def _segmented(work: Work, plan: Plan, answers: dict[Key, str]) -> Done:
    if not answers:
        return Done(work, plan, answers)
    counter = work.reader.counter
    starts = counter.starts(plan.trace.text) if counter else None
    analysis = read_again(plan, work.task, answers)
    return Done(work, plan, answers, found=Found(plan.trace, analysis, starts))


def _smoothed(work: Work, plan: Plan, answers: dict[Key, str]) -> Done:
    try:
        derived, bridges = bridged(plan, answers)
    except BadAnswer as error:
        return Done(work, plan, answers, refused=error)
    return Done(work, plan, answers, derived=derived, bridges=bridges)


def _store_reading(work: Work, found: Found, plan: Plan, accepted: int) -> None:
    """A segmentation of this model; one made of fewer or other answers is replaced."""
    said = {"endpoint": work.teacher.name, "parts": len(plan.units), "accepted": accepted}
    rows = Segmentation.objects.filter(trace=found.trace, segmenter=work.reader.segmenter)
    rows.exclude(summary__model=said).delete()
    store_analyses([found], work.reader)
    for row in rows:
        row.summary["model"] = said
        row.save(update_fields=["summary"])


def _store_bridged(work: Work, plan: Plan, derived: Any, bridges: dict[int, str]) -> None:
    cuts: list[dict[str, Any]] = []
    for cut in plan.cuts:
        quote = quote_hash(plan.trace.text, cut.start, cut.end)
        given = {"start": cut.start, "end": cut.end, "reason": cut.reason, "quote_sha256": quote}
        cuts.append(given)
    for number, sentence in bridges.items():
        last = max(i for i, cut in enumerate(plan.cuts) if cut.end <= derived.kept[number][0])
        cuts[last] |= {"action": "condense", "text": sentence}
    stored = store_derived(plan.trace, derived, cuts)
    stored.metadata["bridges"] = {"endpoint": work.teacher.name, "model": work.teacher.model}
    stored.save(update_fields=["metadata"])
