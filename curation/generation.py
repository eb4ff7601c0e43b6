"""Generation: ask a teacher for ``n`` traces per problem, and only for those that are missing.

A sample is named by (problem, teacher, prompt hash, sampling hash, sample number). What is stored
is never asked for again, so a run that was killed goes on where it stood, and a second run with a
larger ``n`` fills the difference. Requests run in a thread of their own (``RequestPool``); this
side alone touches the database, in one short fenced transaction per handful of answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Any

from django.db import connection
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from curation.endpoints import (
    endpoint_of,
    find_teacher,
    probe_teacher,
    run_probe,
    split_limits,
    stop_teacher,
)
from curation.jobs import JobContext, JobError
from curation.models import FailedGeneration, ModelEndpoint, Problem, Trace
from curation.segmentation.tags import split_reasoning
from curation.teachers.canonical import digest
from curation.teachers.client import ChatRequest, Endpoint
from curation.teachers.manifest import TeacherFacts, generation_manifest
from curation.teachers.outcome import DEFERRED, Answer, Completion, Failure
from curation.teachers.pacing import Limits
from curation.teachers.pool import RequestPool, Result
from curation.teachers.probe import NO, YES, Capabilities
from curation.teachers.sampling import (
    PromptTemplate,
    Sampling,
    messages_hash,
    request_seed,
    template_of,
)

__all__ = ["endpoint_of", "probe_teacher", "run_generate", "run_probe"]
PAGE = 200  # problems looked at together


@dataclass(frozen=True)
class Work:
    """What one generate job does, resolved once at its start."""

    teacher: ModelEndpoint
    endpoint: Endpoint
    limits: Limits
    per_request: int
    stream_above: int
    facts: TeacherFacts
    capabilities: Capabilities
    template: PromptTemplate
    sampling: Sampling

    @property
    def stream(self) -> bool:
        """Whether answers may be long enough that silence should be told from work.

        An event for each token costs a server far more than one body: the demo teacher makes a
        third fewer tokens when it streams (benchmarks/generate_demo.py).
        """
        longest = self.sampling.max_tokens
        long = longest is None or longest > self.stream_above
        return long and self.capabilities.streaming != NO

    @property
    def base_seed(self) -> int | None:
        """None also where seeds are known to fail: one for the whole process would tie the
        requests that run side by side to each other."""
        return None if self.capabilities.seed == NO else self.sampling.seed

    def identity(self, sample_no: int) -> str:
        """``Trace.identity`` of a generation, unique inside its problem."""
        return digest([self.teacher.pk, self.template.hash, self.sampling.hash, sample_no])


@dataclass(frozen=True)
class Ask:
    """One request: these samples of this problem."""

    problem_id: int
    source_id: int
    sample_nos: tuple[int, ...]
    messages: list[dict[str, Any]] = field(repr=False)
    prompt_hash: str
    seed: int | None


def run_generate(ctx: JobContext) -> None:
    """Job handler. Params: ``teacher``, ``n``; optional ``source``, ``sampling``, ``template``,
    ``limit`` (problems), ``held_back`` (true or false: only those problems).

    Counts: wanted = existing + generated + failed + deferred; truncated is part of generated.
    JobError ``teacher_paused`` or ``teacher_unavailable`` when the endpoint closes under way; what
    was stored until then stays.
    """
    work = prepare(ctx)
    problems = problems_of(ctx)
    _begin_counts(ctx, work, problems)
    ctx.log(_opening(work))
    asks = plan(work, problems)
    with RequestPool[Ask](work.endpoint, work.limits) as pool:
        pool.drain(asks, partial(_request, work), partial(store, ctx, work), ctx.check)
        closed = pool.closed_because
    _end_counts(ctx)
    if closed is not None:
        stop_teacher(work.teacher, closed)


def _opening(work: Work) -> str:
    together = f"{work.per_request} samples" if work.per_request > 1 else "one sample"
    return (
        f"{work.endpoint.model} at {work.endpoint.host}: {together} per request, "
        f"{int(work.limits.concurrency)} requests at once, "
        f"{'streamed' if work.stream else 'whole answers'}, seeds {work.capabilities.seed}"
    )


def prepare(ctx: JobContext) -> Work:
    """Resolve the job's parameters; JobError with a code for each thing that can be wrong."""
    params, teacher = ctx.params, find_teacher(ctx)
    if not teacher.enabled:
        raise JobError("teacher_disabled", f"the teacher {teacher.name} is switched off")
    if teacher.paused_reason:
        raise JobError("teacher_paused", teacher.paused_reason)
    try:
        sampling = _sampling(teacher, params)
        template = _template(teacher, params)
        limits, own = split_limits(teacher.limits)
    except (ValueError, TypeError) as error:
        raise JobError("bad_parameters", str(error)) from None
    endpoint = endpoint_of(teacher)
    capabilities = Capabilities.from_dict(teacher.capabilities)
    if teacher.probed_at is None:
        capabilities = probe_teacher(teacher, ctx)
    return Work(
        teacher=teacher,
        endpoint=endpoint,
        limits=limits,
        per_request=int(own["samples_per_request"]) if capabilities.n == YES else 1,
        stream_above=int(own["stream_above"]),
        facts=TeacherFacts(
            revision=teacher.revision,
            dtype=str(teacher.capabilities.get("dtype", "")),
            output_licence=teacher.output_licence,
        ),
        capabilities=capabilities,
        template=template,
        sampling=sampling,
    )


def _sampling(teacher: ModelEndpoint, params: dict[str, Any]) -> Sampling:
    given = dict(teacher.sampling) | dict(params.get("sampling") or {})
    if params.get("n") is not None:
        given["n"] = params["n"]
    return Sampling.from_dict(given)


def _template(teacher: ModelEndpoint, params: dict[str, Any]) -> PromptTemplate:
    template = template_of(params.get("template"))
    if teacher.system_prompt and not template.system:
        return replace(template, name=f"{template.name}+system", system=teacher.system_prompt)
    return template


def problems_of(ctx: JobContext) -> QuerySet[Problem]:
    """The problems the job is about, oldest first."""
    params = ctx.params
    found = Problem.objects.filter(project=ctx.project).order_by("pk")
    if params.get("source"):
        found = found.filter(source__name=params["source"])
        if not ctx.project.sources.filter(name=params["source"]).exists():
            raise JobError("unknown_source", f"this project has no source {params['source']!r}")
    if params.get("held_back") is not None:
        found = found.filter(held_back=bool(params["held_back"]))
    if params.get("limit") is not None:
        found = found[: _whole(params["limit"], "limit")]
    return found


def _whole(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise JobError("bad_parameters", f"{name} must be a whole number above 0, not {value!r}")
    return value


def _begin_counts(ctx: JobContext, work: Work, problems: QuerySet[Problem]) -> None:
    """Counters at the start of an attempt; what an earlier attempt generated stays generated."""
    counts = ctx.job.counts
    kept = {name: counts.get(name, 0) for name in KEPT_COUNTS}
    wanted = problems.count() * work.sampling.n
    existing = stored_samples(work, problems.values("pk")).count() - kept["generated"]
    fresh = {"wanted": wanted, "existing": max(0, existing), "failed": 0, "deferred": 0}
    with ctx.chunk():
        ctx.restart_counts(**fresh, **kept)
        ctx.set_total(wanted)
        ctx.advance(fresh["existing"] + kept["generated"])


KEPT_COUNTS = ("generated", "truncated", "prompt_tokens", "completion_tokens")


def _end_counts(ctx: JobContext) -> None:
    """What was neither there, made nor refused was not asked any more: deferred."""
    counts = ctx.job.counts
    known = counts["existing"] + counts["generated"] + counts["failed"]
    with ctx.chunk():
        counts["deferred"] = max(0, counts["wanted"] - known)


def stored_samples(work: Work, problems: Any) -> QuerySet[Trace]:
    """Traces that this work would make, for problems given by ids or a subquery."""
    return Trace.objects.filter(
        problem__in=problems,
        origin=Trace.Origin.GENERATED,
        endpoint=work.teacher,
        prompt_hash=work.template.hash,
        sampling_hash=work.sampling.hash,
        sample_no__lt=work.sampling.n,
    )


def plan(work: Work, problems: QuerySet[Problem]) -> Iterator[Ask]:
    """The requests still to make, page by page, so that memory does not grow with the project."""
    ids = list(problems.values_list("pk", flat=True))
    for at in range(0, len(ids), PAGE):
        page = ids[at : at + PAGE]
        there = set(stored_samples(work, page).values_list("problem_id", "sample_no"))
        rows = Problem.objects.filter(pk__in=page).order_by("pk")
        for pk, source_id, text in rows.values_list("pk", "source_id", "text"):
            missing = [no for no in range(work.sampling.n) if (pk, no) not in there]
            yield from asks_for(work, pk, source_id, text, missing)


def asks_for(
    work: Work, problem_id: int, source_id: int, text: str, missing: Sequence[int]
) -> Iterator[Ask]:
    """Requests for the missing samples of one problem, as many per request as the server takes."""
    if not missing:
        return
    messages = work.template.render(text)
    prompt_hash = messages_hash(messages)
    for at in range(0, len(missing), work.per_request):
        nos = tuple(missing[at : at + work.per_request])
        seed = request_seed(work.base_seed, prompt_hash, nos)
        yield Ask(problem_id, source_id, nos, messages, prompt_hash, seed)


def _request(work: Work, ask: Ask) -> ChatRequest:
    return ChatRequest(
        messages=ask.messages,
        sampling=work.sampling,
        n=len(ask.sample_nos),
        seed=ask.seed,
        stream=work.stream,
        stream_usage=work.capabilities.stream_usage != NO,
    )


@dataclass
class _Sorted:
    """Results of a batch, split into what can be stored and what failed."""

    traces: list[Trace] = field(default_factory=list)
    failures: list[tuple[Ask, int, Failure]] = field(default_factory=list)
    prompt_tokens: int = 0
    completion_tokens: int = 0


def store(ctx: JobContext, work: Work, results: Sequence[Result[Ask]]) -> None:
    """Store a batch of finished requests in one fenced transaction and count them."""
    batch = _Sorted()
    for result in results:
        _sort(work, result, batch)
    with ctx.chunk():
        _lock(work)
        new = _insert_new(batch.traces)
        _resolve(work, new)
        for ask, sample_no, failure in batch.failures:
            record_failure(ctx, work, ask, sample_no, failure)
        _count(ctx, batch, new)


def _count(ctx: JobContext, batch: _Sorted, new: list[Trace]) -> None:
    failed = sum(failure.code != DEFERRED for _, _, failure in batch.failures)
    ctx.advance(
        len(batch.traces) + len(batch.failures),
        generated=len(new),
        existing=len(batch.traces) - len(new),
        truncated=sum(trace.truncated for trace in new),
        failed=failed,
        deferred=len(batch.failures) - failed,
        prompt_tokens=batch.prompt_tokens,
        completion_tokens=batch.completion_tokens,
    )


def _sort(work: Work, result: Result[Ask], batch: _Sorted) -> None:
    ask, got = result.tag, result.outcome
    if isinstance(got, Failure):
        if got.attempts:  # else the breaker was open and nothing was sent: asked by a later run
            batch.failures += [(ask, no, got) for no in ask.sample_nos]
        return
    batch.prompt_tokens += got.usage.prompt_tokens or 0
    batch.completion_tokens += got.usage.completion_tokens or 0
    shares = share_tokens(got)
    for sample_no, choice, tokens in zip(ask.sample_nos, got.choices, shares, strict=True):
        if isinstance(choice, Failure):
            batch.failures.append((ask, sample_no, choice))
        else:
            trace = make_trace(work, ask, got, choice=choice, sample_no=sample_no, tokens=tokens)
            batch.traces.append(trace)


def share_tokens(answer: Answer) -> list[int | None]:
    """Completion tokens of each choice. Servers count a whole request, so several choices share
    its tokens by their length in characters, rounded so that the sum is exact."""
    total = answer.usage.completion_tokens
    sizes = [len(c.text) if isinstance(c, Completion) else 0 for c in answer.choices]
    if total is None or not sum(sizes):
        return [total if len(sizes) == 1 else None for _ in sizes]
    ends = [0]
    for size in sizes:
        ends.append(ends[-1] + size)
    marks = [total * end // ends[-1] for end in ends]
    return [after - before for before, after in pairwise(marks)]


def make_trace(
    work: Work,
    ask: Ask,
    answer: Answer,
    *,
    choice: Completion,
    sample_no: int,
    tokens: int | None,
) -> Trace:
    """An unsaved generated trace with its ranges and manifest."""
    split = split_reasoning(choice.text)
    reasons, answers = split.style != "none", split.closed
    return Trace(
        project_id=work.teacher.project_id,
        problem_id=ask.problem_id,
        source_id=ask.source_id,
        endpoint=work.teacher,
        origin=Trace.Origin.GENERATED,
        identity=work.identity(sample_no),
        model=work.teacher.model,
        messages=ask.messages,
        text=choice.text,
        text_sha256=hashlib.sha256(choice.text.encode()).hexdigest(),
        char_count=len(choice.text),
        token_count=tokens,
        reasoning_start=split.reasoning_start if reasons else None,
        reasoning_end=split.reasoning_end if reasons else None,
        answer_start=split.answer_start if answers else None,
        answer_end=split.answer_end if answers else None,
        tag_style=split.style,
        reasoning_closed=split.closed,
        sample_no=sample_no,
        prompt_hash=work.template.hash,
        sampling_hash=work.sampling.hash,
        sampling=work.sampling.identity(),
        finish_reason=choice.finish_reason,
        truncated=choice.truncated,
        prompt_tokens=answer.usage.prompt_tokens,
        completion_tokens=tokens,
        latency_ms=round(answer.latency * 1000),
        manifest=_manifest(work, ask, answer, choice),
        metadata=choice.metadata,
    )


def _manifest(work: Work, ask: Ask, answer: Answer, choice: Completion) -> dict[str, Any]:
    return generation_manifest(
        endpoint=work.endpoint,
        facts=work.facts,
        capabilities=work.capabilities,
        template=work.template,
        prompt_hash=ask.prompt_hash,
        sampling=work.sampling,
        seed=ask.seed,
        sample_nos=ask.sample_nos,
        answer=answer,
        choice=choice,
    )


def _lock(work: Work) -> None:
    """Let only one transaction at a time store samples of this teacher, for a true count."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [0x6765, work.teacher.pk % 2**31])


def _insert_new(traces: list[Trace]) -> list[Trace]:
    """Insert those that are not there yet (an answer may come twice); returns the inserted."""
    there = set(
        Trace.objects.filter(
            problem_id__in={trace.problem_id for trace in traces},
            identity__in={trace.identity for trace in traces},
        ).values_list("problem_id", "identity")
    )
    fresh = {(t.problem_id, t.identity): t for t in traces}
    new = [trace for key, trace in fresh.items() if key not in there]
    Trace.objects.bulk_create(new)
    return new


def _samples(work: Work) -> dict[str, Any]:
    return {
        "endpoint": work.teacher,
        "prompt_hash": work.template.hash,
        "sampling_hash": work.sampling.hash,
    }


def _resolve(work: Work, traces: list[Trace]) -> None:
    """Earlier failures of samples that are there now are settled."""
    had = {(trace.problem_id, trace.sample_no) for trace in traces}
    open_ones = FailedGeneration.objects.filter(
        problem_id__in={problem for problem, _ in had}, resolved=False, **_samples(work)
    ).values_list("pk", "problem_id", "sample_no")
    settled = [pk for pk, problem_id, sample_no in open_ones if (problem_id, sample_no) in had]
    if settled:
        FailedGeneration.objects.filter(pk__in=settled).update(resolved=True, updated_at=Now())


def record_failure(ctx: JobContext, work: Work, ask: Ask, sample_no: int, failure: Failure) -> None:
    """Keep a sample that could not be had; a later failure of it adds its attempts."""
    said = {
        "reason": failure.code,
        "detail": f"{failure.cause}: {failure.message}" if failure.cause else failure.message,
        "resolved": False,
    }
    FailedGeneration.objects.update_or_create(
        problem_id=ask.problem_id,
        sample_no=sample_no,
        **_samples(work),
        defaults=said | {"attempts": F("attempts") + failure.attempts},
        create_defaults=said | {"attempts": failure.attempts, "project": ctx.project},
    )
