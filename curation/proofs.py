"""Proof by continuation: a model goes on from prefixes of a trace, and its pass rates are compared.

Modes of the job: ``arms`` (original, pruned, random and empty prefixes of a policy), ``search``
(Efficient Long CoT: the shortest prefix from which the model answers right, by binary search),
``chunks`` (Long(x)Short's value of each turn; JET's truncation points) and ``switches``
(Retro-Search: go on at a change of approach without the change; a right and shorter continuation
becomes a derived trace, which is searched in turn). Every continuation is stored once
(``ContinuationProbe``); a run that was killed asks only for what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from curation.asking import closed_traces, in_pages, traces_left
from curation.endpoints import stop_teacher
from curation.jobs import JobContext
from curation.models import ContinuationProbe, Trace
from curation.proof_results import pass_rate, propose_prefix, propose_turns, revise, values_of
from curation.proof_work import Ask, Key, Probe, Subject, Work, prepare
from curation.sandbox.client import VerifierClient
from curation.segmentation import analyse
from curation.segmentation.chunks import decide
from curation.segmentation.prefixes import (
    Prefix,
    Search,
    arms_of,
    chunk_points,
    cut_points,
    switch_points,
)
from curation.teachers.client import ChatRequest
from curation.teachers.continuing import (
    TEXT,
    ContinueRequest,
    TextRequest,
    written_out,
)
from curation.teachers.outcome import Completion, Failure
from curation.teachers.pool import RequestPool, Result
from curation.teachers.sampling import request_seed
from curation.verification import VerifierAway, reference_hash, reference_of
from curation.verifiers import Verdict as Judgement

PAGE = 40
AWAY = ("verifier_unreachable", "overloaded")
Arm = ContinuationProbe.Arm


def run_prove(ctx: JobContext) -> None:
    """Job handler. Params: ``teacher``; optional ``mode``, ``policy``, ``k`` (samples per prefix),
    ``limit`` (traces), ``source``, ``ids``, ``sampling``, ``template``, ``manner`` (chat or text),
    ``format`` (of text), ``threshold`` (pass rate that is enough), ``seed``; of chunks ``gain``
    and ``efficiency`` (``segmentation.chunks.Thresholds``); of switches ``rounds``.

    Counts: traces, probes (stored now), correct, incorrect, unverifiable, error, failed, proposals,
    revisions. JobError ``bad_parameters``, ``unknown_policy`` and those of endpoints.
    """
    work = prepare(ctx)
    zero = ("traces", "probes", "correct", "incorrect", "unverifiable", "error", "failed")
    ctx.count(**dict.fromkeys((*zero, "proposals", "revisions"), 0))
    left = traces_left(ctx)
    ctx.set_total(ctx.job.done + left)
    with VerifierClient() as verifier:
        for page in _pages(ctx, work, left):
            MODE[work.mode](ctx, work, verifier, page)
            with ctx.chunk():
                ctx.checkpoint["after"] = page[-1].trace.pk
                ctx.advance(len(page), traces=len(page))


def _pages(ctx: JobContext, work: Work, limit: int) -> Iterator[list[Subject]]:
    """Traces that are complete, right and not derived, as many as wanted, with their analyses.

    In the mode ``arms`` only those in which the policy cuts something before the answer.
    """
    page: list[Subject] = []
    for found in in_pages(closed_traces(ctx), PAGE):
        for trace in found:
            ctx.check()
            if limit > 0 and (subject := _subject(work, trace)):
                page.append(subject)
                limit -= 1
            if len(page) == PAGE:
                yield page
                page = []
        if limit <= 0:
            break
    if page:
        yield page


def _subject(work: Work, trace: Trace) -> Subject | None:
    reference = trace.problem.reference_answer
    if not reference:
        return None
    analysis = analyse(trace.text, reference)
    last = [m for m in analysis.answers if m.strength in ("boxed", "stated")]
    if analysis.first_correct is None or not last or not last[-1].matches:
        return None
    if work.mode == "arms" and arms_of(analysis, work.policy, work.seed) is None:
        return None
    return Subject(trace, analysis)


def prove_arms(
    ctx: JobContext, work: Work, verifier: VerifierClient, page: Sequence[Subject]
) -> None:
    """Four prefixes of each trace."""
    probes = [
        Probe(subject.trace, arm, prefix)
        for subject in page
        for arm, prefix in (arms_of(subject.analysis, work.policy, work.seed) or {}).items()
    ]
    ask(ctx, work, verifier, probes)


def prove_search(
    ctx: JobContext, work: Work, verifier: VerifierClient, page: Sequence[Subject]
) -> None:
    """Binary search per trace, one round for all traces of the page at a time."""
    states = {s.trace.pk: (s, Search.over(cut_points(s.analysis))) for s in page}
    while True:
        asking = {pk: at for pk, (_, s) in states.items() if (at := s.asks) is not None}
        if not asking:
            break
        probes = [_at(states[pk][0], at) for pk, at in asking.items()]
        ask(ctx, work, verifier, probes)
        for probe in probes:
            subject, search = states[probe.trace.pk]
            same = {"endpoint": work.teacher, "sampling_hash": work.sampling.hash}
            rate = pass_rate(probe.trace, prefix_sha256=probe.sha256, arm=probe.arm, **same)
            enough = rate >= work.threshold
            states[probe.trace.pk] = (subject, search.told(enough))
    for subject, search in states.values():
        if search.best is not None:
            with ctx.chunk():
                ctx.count(proposals=propose_prefix(subject.trace, subject.analysis, search.best))


def prove_chunks(
    ctx: JobContext, work: Work, verifier: VerifierClient, page: Sequence[Subject]
) -> None:
    """A probe at the start of the reasoning and at the end of each turn; turns that can go are
    proposed."""
    points = {s.trace.pk: chunk_points(s.analysis) for s in page}
    ask(ctx, work, verifier, [_at(s, at) for s in page for at in points[s.trace.pk]])
    for s in page:
        values = values_of(s.trace, points[s.trace.pk], work.teacher)
        with ctx.chunk():
            decisions = decide(values, work.limits_of_turns)
            ctx.count(proposals=propose_turns(s.trace, s.analysis, decisions))


def prove_switches(
    ctx: JobContext, work: Work, verifier: VerifierClient, page: Sequence[Subject]
) -> None:
    """A probe at each change of approach; the shortest right continuation becomes a trace, and the
    search goes on behind its switch, ``rounds`` times in all."""
    subjects = list(page)
    for _ in range(work.rounds):
        probes = [
            _at(s, at, Arm.SWITCH)
            for s in subjects
            for at in switch_points(s.analysis)
            if at >= s.floor
        ]
        ask(ctx, work, verifier, probes)
        subjects = [found for s in subjects if (found := _revised(ctx, work, s))]
        if not subjects:
            return


def _revised(ctx: JobContext, work: Work, subject: Subject) -> Subject | None:
    """The accepted revision of a trace, to be searched on; None without one."""
    with ctx.chunk():
        made = revise(subject.trace, work.teacher, work.sampling.hash)
        ctx.count(revisions=int(made is not None))
    if made is None:
        return None
    found = _subject(work, made)
    ((_, switch),) = made.kept_ranges or [[0, 0]]
    return replace(found, floor=switch) if found else None


def _at(subject: Subject, position: int, arm: str = Arm.PREFIX) -> Probe:
    text = subject.trace.text[:position]
    return Probe(subject.trace, arm, Prefix(arm, text, position, ((0, position),)))


def ask(ctx: JobContext, work: Work, verifier: VerifierClient, probes: Sequence[Probe]) -> None:
    """Ask for the samples that are missing, judge and store them."""
    there = stored(work, probes)
    asks = [
        Ask(probe, no) for probe in probes for no in range(work.k) if probe.key(no) not in there
    ]
    with RequestPool[Ask](work.endpoint, work.limits) as pool:
        take = partial(store, ctx, work, verifier)
        pool.drain(asks, partial(request_of, work), take, ctx.check)
        closed = pool.closed_because
    if closed is not None:
        stop_teacher(work.teacher, closed)


def stored(work: Work, probes: Sequence[Probe]) -> set[Key]:
    """Keys of the samples of these probes that are in the table."""
    rows = ContinuationProbe.objects.filter(
        trace__in={probe.trace.pk for probe in probes},
        endpoint=work.teacher,
        policy=_policy(work),
        sampling_hash=work.sampling.hash,
    )
    return set(rows.values_list("trace", "arm", "prefix_sha256", "sample_no"))


def _policy(work: Work) -> str:
    return work.policy if work.mode == "arms" else ""


def request_of(work: Work, item: Ask) -> ChatRequest:
    """The request for one sample of a probe."""
    probe = item.probe
    problem = probe.trace.problem.text
    seed = request_seed(work.sampling.seed, probe.sha256, [item.sample_no])
    common: dict[str, Any] = {
        "messages": work.template.render(problem),
        "sampling": work.sampling,
        "seed": seed,
        "stream": False,
    }
    if work.manner == TEXT:
        prompt = written_out(work.form, problem, probe.prefix.text)
        return TextRequest(**common, prompt=prompt)
    return ContinueRequest(**common, prefix=probe.prefix.text)


def store(
    ctx: JobContext, work: Work, verifier: VerifierClient, results: Sequence[Result[Ask]]
) -> None:
    """Judge prefix and continuation together, and store what came."""
    got: list[tuple[Ask, Completion, int | None]] = []
    failed = 0
    for result in results:
        answer = result.outcome
        if isinstance(answer, Failure) or isinstance(choice := answer.choices[0], Failure):
            failed += 1
            continue
        got.append((result.tag, choice, answer.usage.completion_tokens))
    judged = judge(verifier, [(ask.probe, choice) for ask, choice, _ in got])
    rows = [_row(work, *item, verdict) for item, verdict in zip(got, judged, strict=True)]
    with ctx.chunk():
        ContinuationProbe.objects.bulk_create(rows, ignore_conflicts=True)
        ctx.count(probes=len(rows), failed=failed)
        ctx.count(**{name: sum(r.verdict == name for r in rows) for name in VERDICTS})


VERDICTS = ("correct", "incorrect", "unverifiable", "error")


def judge(verifier: VerifierClient, given: Sequence[tuple[Probe, Completion]]) -> list[Judgement]:
    """Verdicts of whole texts; VerifierAway when the service does not answer."""
    judged = verifier.verify_batch(
        [
            {
                "kind": probe.trace.problem.kind,
                "response": probe.prefix.text + choice.text,
                "reference": reference_of(probe.trace.problem),
                "options": {"finish_reason": choice.finish_reason},
            }
            for probe, choice in given
        ]
    )
    for verdict in judged:
        if verdict.verdict == "error" and verdict.reason in AWAY:
            raise VerifierAway(f"the verifier service does not answer: {verdict.reason}")
    return judged


def _row(
    work: Work, item: Ask, choice: Completion, tokens: int | None, verdict: Judgement
) -> ContinuationProbe:
    probe = item.probe
    return ContinuationProbe(
        trace=probe.trace,
        endpoint=work.teacher,
        arm=probe.arm,
        policy=_policy(work),
        position=probe.prefix.position,
        kept=[list(span) for span in probe.prefix.kept],
        prefix_sha256=probe.sha256,
        sampling_hash=work.sampling.hash,
        sampling=work.sampling.identity(),
        sample_no=item.sample_no,
        text=choice.text,
        finish_reason=choice.finish_reason,
        tokens=tokens,
        verdict=verdict.verdict,
        extracted=(verdict.extracted or "").replace("\x00", "")[:1000] or None,
        reference_sha256=reference_hash(reference_of(probe.trace.problem)),
    )


Mode = Callable[[JobContext, Work, VerifierClient, Sequence[Subject]], None]
MODE: dict[str, Mode] = {
    "arms": prove_arms,
    "search": prove_search,
    "chunks": prove_chunks,
    "switches": prove_switches,
}
