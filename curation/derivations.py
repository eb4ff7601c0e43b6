"""Derivation jobs: other forms of right traces, stored as derived traces with their parent.

Forms: ``policy`` (the cuts of a policy, joined), ``turns`` (MinD's (unit, answer) pairs),
``truncated`` (JET: cut where a model was found to answer right). Every text is checked by machine
before it is stored, and what is refused is counted by its reason. A derived trace has no verdict
until the next ``verify`` job.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from curation.asking import bad_parameters, closed_traces, in_pages
from curation.endpoints import find_teacher
from curation.jobs import JobContext, JobError
from curation.models import ContinuationProbe, ModelEndpoint, Trace
from curation.proof_results import rates_of, store_continued
from curation.segmentation import Analysis, Cut, Derived, analyse, apply_cuts, check_derived
from curation.segmentation.chunks import (
    TRUNCATED,
    Rate,
    Thresholds,
    check_continued,
    check_truncated,
    continued,
    truncate,
    truncation_point,
)
from curation.segmentation.joins import Problem
from curation.segmentation.multiturn import (
    TURNS,
    NotDerived,
    TurnForm,
    check_turns,
    multi_turn,
)
from curation.segmentation.policies import AFTER_FIRST_CORRECT, POLICIES
from curation.segments import quote_hash
from curation.traces import store_derived, store_form

POLICY = "policy"
CONTINUATION, ANSWER = "continuation", "answer"
PAGE = 50
COUNTERS = ("traces", "made", "existing", "refused")


@dataclass(frozen=True)
class Work:
    """What one job derives, resolved at its start."""

    form: str
    policy: str
    judge: ModelEndpoint | None
    turns: TurnForm
    ending: str
    enough: float
    least: int


@dataclass(frozen=True)
class Probed:
    """What a model was found to do from the prefixes of one trace."""

    rates: Mapping[int, Rate] = field(default_factory=dict)
    answers: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """One derived text that passed its checks; ``probe`` wrote its end, where a model did."""

    trace: Trace
    derived: Derived
    cuts: tuple[Cut, ...]
    said: dict[str, Any]
    probe: ContinuationProbe | None = None


def run_derive(ctx: JobContext) -> None:
    """Job handler. Params: ``form`` (policy, turns, truncated); optional ``source``, ``ids``,
    ``limit`` (traces); of ``policy``: ``policy``; of ``turns``: ``upto`` (all, first-correct),
    ``answer`` (the sentence behind a unit), ``teacher`` (whose answers at the ends of turns are
    taken where probes hold any); of ``truncated``: ``teacher`` (whose probes), ``ending``
    (continuation, answer), ``enough`` (pass rate), ``least`` (judged continuations of a point).

    Counts: traces, made, existing, refused with ``refused_reasons``. JobError ``bad_parameters``,
    ``unknown_policy``, ``unknown_teacher``.
    """
    work = prepare(ctx)
    ctx.count(**dict.fromkeys(COUNTERS, 0))
    traces = closed_traces(ctx)
    left = max(0, int(ctx.params.get("limit") or 2**31) - ctx.job.done)
    ctx.set_total(ctx.job.done + min(left, traces.count()))
    for found in in_pages(traces, PAGE):
        page = found[:left]
        left -= len(page)
        if page:
            _derive_page(ctx, work, page)


def prepare(ctx: JobContext) -> Work:
    """Resolve the job's parameters; JobError with a code for each thing that can be wrong."""
    params = ctx.params
    form, policy = params.get("form"), str(params.get("policy") or AFTER_FIRST_CORRECT)
    if form not in FORMS:
        raise bad_parameters(f"form must be one of {', '.join(FORMS)}")
    if policy not in POLICIES:
        raise JobError("unknown_policy", f"policy must be among {', '.join(POLICIES)}")
    if (ending := params.get("ending") or CONTINUATION) not in (CONTINUATION, ANSWER):
        raise bad_parameters(f"ending must be {CONTINUATION} or {ANSWER}")
    judge = find_teacher(ctx) if form == TRUNCATED or params.get("teacher") else None
    given = {name: str(params[name]) for name in ("upto", "answer") if params.get(name)}
    try:
        int(params.get("limit") or 0)
        return Work(
            form,
            policy,
            judge,
            TurnForm(**given),
            ending,
            Thresholds(enough=float(params.get("enough") or 0.5)).enough,
            int(params.get("least") or 1),
        )
    except (ValueError, TypeError) as error:
        raise bad_parameters(error) from None


def _derive_page(ctx: JobContext, work: Work, page: Sequence[Trace]) -> None:
    probed = _probed(work, page)
    made: list[Made] = []
    refused: Counter[str] = Counter()
    for trace in page:
        ctx.check()
        try:
            made.append(_derive(work, trace, probed.get(trace.pk, Probed())))
        except NotDerived as error:
            refused[error.code] += 1
    with ctx.chunk():
        new = sum(_store(item) for item in made)
        for reason, n in sorted(refused.items()):
            ctx.count_reason("refused_reasons", reason, n)
        counts = {"made": new, "existing": len(made) - new, "refused": refused.total()}
        ctx.checkpoint["after"] = page[-1].pk
        ctx.advance(len(page), traces=len(page), **counts)


def _probed(work: Work, page: Sequence[Trace]) -> dict[int, Probed]:
    """What probes of the judge say of the traces of a page, in two queries."""
    if work.judge is None:
        return {}
    ids = [trace.pk for trace in page]
    rates = rates_of(ids, work.judge)
    said: dict[int, dict[int, Counter[str]]] = {}
    rows = ContinuationProbe.objects.filter(
        trace__in=ids, endpoint=work.judge, arm=ContinuationProbe.Arm.PREFIX
    ).order_by("sample_no", "pk")
    for trace, position, value in rows.values_list("trace", "position", "extracted"):
        if value:
            said.setdefault(trace, {}).setdefault(position, Counter())[value] += 1
    return {
        pk: Probed(
            rates.get(pk, {}),
            {at: votes.most_common(1)[0][0] for at, votes in said.get(pk, {}).items()},
        )
        for pk in ids
    }


def _derive(work: Work, trace: Trace, probed: Probed) -> Made:
    """One trace in the form of the job; NotDerived with the reason where it cannot be used."""
    analysis = analyse(trace.text, trace.problem.reference_answer)
    made, problems = FORMS[work.form](work, trace, analysis, probed)
    if problems:
        raise NotDerived(f"check_{problems[0].code}")
    return made


def _by_policy(
    work: Work, trace: Trace, analysis: Analysis, _: Probed
) -> tuple[Made, list[Problem]]:
    cuts = POLICIES[work.policy](analysis)
    if not cuts:
        raise NotDerived("nothing_to_cut")
    derived = apply_cuts(trace.text, cuts)
    made = Made(trace, derived, tuple(cuts), {"form": POLICY, "policy": work.policy})
    return made, check_derived(trace.text, derived, trace.problem.reference_answer)


def _in_turns(
    work: Work, trace: Trace, analysis: Analysis, probed: Probed
) -> tuple[Made, list[Problem]]:
    found = multi_turn(analysis, work.turns, probed.answers)
    turns = [
        {"start": turn.start, "end": turn.end, "answer": answer[:200], "matches": turn.matches}
        for turn, answer in zip(found.turns, found.answers, strict=True)
    ]
    said = {"form": TURNS, **asdict(work.turns), "turns": turns, "answers_by": _name(work)}
    made = Made(trace, found.derived, found.cuts, said)
    return made, check_turns(trace.text, found, trace.problem.reference_answer)


def _truncated(
    work: Work, trace: Trace, analysis: Analysis, probed: Probed
) -> tuple[Made, list[Problem]]:
    at = truncation_point(analysis, probed.rates, work.enough, work.least)
    right, judged = probed.rates[at]
    said = {"form": TRUNCATED, "ending": work.ending, "position": at, "judge": _name(work)}
    said |= {"correct": right, "judged": judged, "enough": work.enough}
    reference = trace.problem.reference_answer
    if work.ending == ANSWER:
        derived, cut = truncate(analysis, at)
        return Made(trace, derived, (cut,), said), check_truncated(trace.text, derived, reference)
    probe = _shortest_right(work, trace, at)
    if at + len(probe.text) >= len(trace.text):
        raise NotDerived("not_shorter")
    derived = continued(analysis, at, probe.text)
    made = Made(trace, derived, (), said | {"probe": probe.pk}, probe)
    return made, check_continued(trace.text, derived, reference)


def _shortest_right(work: Work, trace: Trace, position: int) -> ContinuationProbe:
    rows = ContinuationProbe.objects.filter(
        trace=trace,
        endpoint=work.judge,
        arm=ContinuationProbe.Arm.PREFIX,
        position=position,
        verdict="correct",
    ).order_by("sample_no", "pk")
    return min(rows, key=lambda row: len(row.text))


def _name(work: Work) -> str:
    return work.judge.name if work.judge else ""


def _store(made: Made) -> bool:
    """Whether the derived trace is new."""
    trace, text = made.trace, made.trace.text
    cuts = [asdict(cut) | {"quote_sha256": quote_hash(text, cut.start, cut.end)}
            for cut in made.cuts]  # fmt: skip
    said = {"derivation": made.said, "cuts": cuts}
    if made.probe is not None:
        return store_continued(trace, made.probe, TRUNCATED, said)[1]
    if made.said["form"] == POLICY:
        stored = store_derived(trace, made.derived, cuts)
        new = "derivation" not in stored.metadata
        if new:
            stored.metadata["derivation"] = made.said
            stored.save(update_fields=["metadata"])
        return new
    key = [made.said["form"], trace.pk, made.derived.kept, made.derived.insertions]
    identity = hashlib.sha256(repr(key).encode()).hexdigest()
    return store_form(trace, made.derived, identity, metadata=said)[1]


Form = Callable[[Work, Trace, Analysis, Probed], tuple[Made, list[Problem]]]
FORMS: dict[str, Form] = {POLICY: _by_policy, TURNS: _in_turns, TRUNCATED: _truncated}
