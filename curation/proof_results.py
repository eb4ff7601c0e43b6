"""What probes led to: cut proposals, revised traces, and comparisons for pages and reports."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q

from curation.models import (
    ContinuationProbe,
    CutProposal,
    ModelEndpoint,
    Project,
    Segmentation,
    Trace,
)
from curation.segmentation import Analysis, Derived
from curation.segmentation.chunks import LONG_SHORT, Decision, Rate, decide, drop_cuts
from curation.segmentation.policies import SHORTEST
from curation.segmentation.prefixes import (
    ARMS,
    ChunkValue,
    Comparison,
    chunk_values,
    compare,
)
from curation.segmentation.proposals import propose_cuts
from curation.segmentation.tokens import tokens_in
from curation.segmentation.types import Cut, Evidence
from curation.segments import quote_hash, reader_of, store_segmentation
from curation.traces import store_form

Arm = ContinuationProbe.Arm
Results = dict[int, dict[str, tuple[int, int]]]
# A continuation that begins like this changes its approach after all.
_SWITCHES = re.compile(
    r"\s*(?:alternatively|another (?:way|approach|method|idea)|wait\b|let me try (?:a|an)other)",
    re.IGNORECASE,
)


def propose_prefix(trace: Trace, analysis: Analysis, position: int) -> int:
    """Store the cuts behind the shortest sufficient prefix as proposals; how many are new."""
    evidence = Evidence(sufficient=position)
    reference = trace.problem.reference_answer
    cuts = propose_cuts(trace.text, analysis.segments, reference, SHORTEST, evidence=evidence)
    return _propose(trace, SHORTEST, cuts)


def propose_turns(trace: Trace, analysis: Analysis, decisions: Sequence[Decision]) -> int:
    """Store the turns that probes say can go as proposals; how many are new."""
    return _propose(trace, LONG_SHORT, drop_cuts(analysis, decisions))


def _propose(trace: Trace, policy: str, cuts: Sequence[Cut]) -> int:
    """Proposals of one policy in the place of those that were there; how many are new."""
    segmentation = store_segmentation(trace, trace.problem.reference_answer)
    starts = token_starts(trace)
    rows = [
        CutProposal(
            segmentation=segmentation,
            policy=policy,
            start=cut.start,
            end=cut.end,
            reason=cut.reason[:200],
            quote_sha256=quote_hash(trace.text, cut.start, cut.end),
            tokens=tokens_in(starts, cut.start, cut.end),
        )
        for cut in cuts
    ]
    before = list(CutProposal.objects.filter(segmentation=segmentation, policy=policy))
    wanted = {(row.start, row.end) for row in rows}
    gone = [old.pk for old in before if (old.start, old.end) not in wanted]
    CutProposal.objects.filter(pk__in=gone).delete()
    CutProposal.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows) - (len(before) - len(gone))


def token_starts(trace: Trace) -> list[int]:
    """Starts of a trace's tokens by the project's tokenizer."""
    counter = reader_of(trace.project, {}).counter
    return counter.starts(trace.text) if counter else []


def pass_rate(trace: Trace, **same: Any) -> float:
    """Correct among the judged continuations of a trace with these fields; 0 without any."""
    rows = ContinuationProbe.objects.filter(trace=trace, verdict__in=("correct", "incorrect"))
    verdicts = list(rows.filter(**same).values_list("verdict", flat=True))
    return verdicts.count("correct") / len(verdicts) if verdicts else 0.0


def revise(trace: Trace, endpoint: ModelEndpoint, sampling_hash: str) -> Trace | None:
    """The shortest right continuation at a suppressed switch as a derived trace (Retro-Search).

    None unless one is right, shorter than what it replaces, and does not switch after all. The
    derived trace keeps its parent up to the switch; the continuation is its insertion.
    """
    rows = ContinuationProbe.objects.filter(
        trace=trace,
        endpoint=endpoint,
        arm=Arm.SWITCH,
        sampling_hash=sampling_hash,
        verdict="correct",
    ).order_by("position", "sample_no")
    fitting = [
        row
        for row in rows
        if not _SWITCHES.match(row.text) and row.position + len(row.text) < len(trace.text)
    ]
    if not fitting:
        return None
    best = min(fitting, key=lambda row: row.position + len(row.text))
    return _revised(trace, best)


def _revised(trace: Trace, probe: ContinuationProbe) -> Trace:
    said = {"revision": {"probe": probe.pk, "switch": probe.position}}
    return store_continued(trace, probe, "revised", said)[0]


def store_continued(
    trace: Trace, probe: ContinuationProbe, form: str, metadata: dict[str, Any]
) -> tuple[Trace, bool]:
    """The trace up to a probe's position with its continuation as an insertion, as a derived trace;
    with whether it is new. ``form`` is part of its identity."""
    at, said = probe.position, probe.text
    key = [form, trace.pk, probe.endpoint_id, at, said]
    return store_form(
        trace,
        Derived(trace.text[:at] + said, ((0, at),), ((at, said),)),
        hashlib.sha256(repr(key).encode()).hexdigest(),
        endpoint_id=probe.endpoint_id,
        finish_reason=probe.finish_reason,
        truncated=False,
        metadata=metadata,
    )


def comparisons(
    project: Project, endpoint: ModelEndpoint | None = None, policy: str = ""
) -> list[Comparison]:
    """Pass rates of the four arms over all traces that have them, with 95 % intervals.

    Without an endpoint and a policy the project must have probes of one pair of them only.
    """
    found = arms_by_judge(project)
    wanted = [
        arms
        for (name, judge), arms in found.items()
        if (endpoint is None or judge == endpoint.name) and policy in ("", name)
    ]
    if len(wanted) > 1:
        raise ValueError("probes of several policies or models: name one")
    return wanted[0] if wanted else []


def arms_by_judge(project: Project) -> dict[tuple[str, str], list[Comparison]]:
    """(policy, name of the model) -> its arms; probes of two policies are never mixed."""
    rows = ContinuationProbe.objects.filter(trace__project=project, arm__in=ARMS)
    counted = rows.values_list("policy", "endpoint__name", "trace", "arm").annotate(
        right=Count("pk", filter=Q(verdict="correct")),
        judged=Count("pk", filter=Q(verdict__in=("correct", "incorrect"))),
    )
    results: dict[tuple[str, str], Results] = {}
    for policy, judge, trace, arm, right, judged in counted.order_by("policy", "endpoint__name"):
        of_trace = results.setdefault((policy, judge), {}).setdefault(trace, {})
        of_trace[arm] = (right, judged)
    return {key: compare(found) for key, found in results.items()}


def rates_of(traces: Iterable[int], endpoint: ModelEndpoint) -> dict[int, dict[int, Rate]]:
    """Trace -> position -> (correct, judged) continuations of its prefixes by this model."""
    rows = ContinuationProbe.objects.filter(
        trace__in=list(traces), endpoint=endpoint, arm=Arm.PREFIX
    )
    counted = rows.values_list("trace", "position").annotate(
        right=Count("pk", filter=Q(verdict="correct")),
        judged=Count("pk", filter=Q(verdict__in=("correct", "incorrect"))),
    )
    found: dict[int, dict[int, Rate]] = {}
    for trace, position, right, judged in counted:
        if judged:
            found.setdefault(trace, {})[position] = (right, judged)
    return found


def values_of(trace: Trace, points: Sequence[int], endpoint: ModelEndpoint) -> list[ChunkValue]:
    """Long(x)Short's table of one trace: what each turn does to the pass rate, and its tokens.

    ``points`` are the start of the first turn and the ends of all (``chunk_points``).
    """
    found = rates_of([trace.pk], endpoint).get(trace.pk, {})
    rates = {position: right / judged for position, (right, judged) in found.items()}
    starts = token_starts(trace)
    return chunk_values(points, rates, lambda start, end: tokens_in(starts, start, end))


@dataclass(frozen=True, slots=True)
class TurnTable:
    """The valued turns of one trace by one model, each with what to do with it.

    ``rows`` are (number of the turn from 1, its stated answer, decision).
    """

    judge: str
    rows: list[tuple[int, str, Decision]]


def turn_tables(trace: Trace, segmentation: Segmentation | None) -> list[TurnTable]:
    """One table per model that was asked at the ends of the turns; [] before any was."""
    turns: list[dict[str, Any]] = segmentation.summary.get("turns", []) if segmentation else []
    asked = ContinuationProbe.objects.filter(trace=trace, arm=Arm.PREFIX).values("endpoint")
    judges = ModelEndpoint.objects.filter(pk__in=asked).order_by("name") if turns else []
    points = [turns[0]["start"], *(turn["end"] for turn in turns)] if turns else []
    tables = []
    for judge in judges:
        numbers = {turn["start"]: n for n, turn in enumerate(turns, 1)}
        rows = [
            (number, str(turns[number - 1]["answer"]), decision)
            for decision in decide(values_of(trace, points, judge))
            if (number := numbers.get(decision.chunk.start))
        ]
        tables += [TurnTable(judge.name, rows)] if rows else []
    return tables
