"""The candidates of a project, read in blocks of problems and without their texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

from django.db.models import F, QuerySet

from curation.decontamination import standing
from curation.models import (
    BenchmarkHit,
    Difficulty,
    DuplicateMember,
    Problem,
    Project,
    ReviewOutcome,
    Trace,
    Verdict,
)
from curation.selection.candidates import Candidate, CandidateVerdict
from curation.selection.policies import family_of
from curation.selection.recipe import Recipe

BLOCK = 200  # problems at a time
Values = Mapping[str, Any]
_PROBLEM = (
    "id", "text_sha256", "char_count", "held_back", "category", "kind", "source__name",
    "source__licence",
)  # fmt: skip
_TRACE = (
    "id",
    "problem_id",
    "text_sha256",
    "char_count",
    "token_count",
    "completion_tokens",
    "model",
    "sample_no",
    "sampling_hash",
    "parent_id",
    "metadata__derivation__form",
    "truncated",
    "finish_reason",
    "source__name",
    "source__licence",
    "endpoint__output_licence",
)


@dataclass(frozen=True)
class _Block:
    """What is known about the traces and problems of one block of problems."""

    problems: dict[int, Values]
    verdicts: dict[int, tuple[CandidateVerdict, ...]]
    outcomes: dict[int, Values]
    rates: dict[int, list[Values]]
    contaminated: set[int]
    duplicates: set[int]


@dataclass(frozen=True)
class Supposed:
    """What is not stored, taken as if it were: to see what it would do to a selection.

    ``outcomes`` by trace id have the fields of ``outcome_values``; ``traces`` are unsaved rows that
    were given an id, ``verdicts`` what their verifiers would say.
    """

    outcomes: Mapping[int, Values] = field(default_factory=dict)
    traces: Sequence[Trace] = ()
    verdicts: Mapping[int, tuple[CandidateVerdict, ...]] = field(default_factory=dict)


def problems_with_traces(project: Project, source_id: int | None = None) -> QuerySet[Problem]:
    """The problems that selection looks at; ``source_id`` keeps to one source of problems."""
    found = Problem.objects.filter(project=project).filter(
        pk__in=Trace.objects.filter(project=project).values("problem_id")
    )
    return found if source_id is None else found.filter(source_id=source_id)


def problem_blocks(problems: QuerySet[Problem], size: int = BLOCK) -> Iterator[list[int]]:
    """Ids of ``problems``, ascending, ``size`` at a time; no cursor stays open between blocks."""
    last = 0
    while True:
        after = problems.filter(pk__gt=last).order_by("pk")
        ids = list(after.values_list("pk", flat=True)[:size])
        if not ids:
            return
        yield ids
        last = ids[-1]


def candidates_of(
    problem_ids: list[int], recipe: Recipe, supposed: Supposed | None = None
) -> list[Candidate]:
    """The candidates of these problems, ordered by problem, in a fixed number of queries."""
    block = _read_block(problem_ids)
    traces = Trace.objects.filter(problem_id__in=problem_ids).order_by("problem_id", "id")
    rows: list[Values] = list(traces.values(*_TRACE))
    if supposed is not None:
        block = replace(
            block,
            outcomes={**block.outcomes, **supposed.outcomes},
            verdicts={**block.verdicts, **supposed.verdicts},
        )
        rows += [{name: _value(trace, name) for name in _TRACE} for trace in supposed.traces]
        rows.sort(key=lambda row: (row["problem_id"], row["id"]))
    return [_candidate(trace, block, recipe) for trace in rows]


def _value(row: Any, path: str) -> Any:
    """What a query's ``a__b`` would give of a row at hand."""
    return reduce(lambda at, name: getattr(at, name, None), path.split("__"), row)


def _read_block(ids: list[int]) -> _Block:
    hits = standing(BenchmarkHit.objects.filter(problem_id__in=ids))
    copies = DuplicateMember.objects.filter(problem_id__in=ids)
    copies = copies.exclude(cluster__kept=F("problem_id"))
    return _Block(
        problems={row["id"]: row for row in Problem.objects.filter(pk__in=ids).values(*_PROBLEM)},
        verdicts=_verdicts(ids),
        outcomes=_outcomes(ids),
        rates=_rates(ids),
        contaminated=set(hits.values_list("problem_id", flat=True)),
        duplicates=set(copies.values_list("problem_id", flat=True)),
    )


def _verdicts(ids: list[int]) -> dict[int, tuple[CandidateVerdict, ...]]:
    """The newest verdict of each verifier on each trace: a new version or reference is newer."""
    rows = (
        Verdict.objects.filter(trace__problem_id__in=ids)
        .order_by("trace_id", "verifier", "-id")
        .distinct("trace_id", "verifier")
        .values_list("trace_id", "verdict", "verifier", "score", "version")
    )
    found: dict[int, list[CandidateVerdict]] = defaultdict(list)
    for trace_id, verdict, verifier, score, version in rows:
        entry = CandidateVerdict(verdict, family_of(verifier), score, verifier, version)
        found[trace_id].append(entry)
    return {trace_id: tuple(verdicts) for trace_id, verdicts in found.items()}


_OUTCOME = ("trace_id", "decision", "derived_id", "coverage", "seconds", "trace__char_count")


def _outcomes(ids: list[int]) -> dict[int, Values]:
    """The newest decision of people on each trace."""
    rows = (
        ReviewOutcome.objects.filter(trace__problem_id__in=ids)
        .order_by("trace_id", "-id")
        .distinct("trace_id")
        .values(*_OUTCOME)
    )
    return {row["trace_id"]: row for row in rows}


def outcome_values(outcome: ReviewOutcome) -> Values:
    """An outcome at hand, stored or not, as selection reads it."""
    return {name: _value(outcome, name) for name in _OUTCOME}


def _rates(ids: list[int]) -> dict[int, list[Values]]:
    found: dict[int, list[Values]] = defaultdict(list)
    for row in Difficulty.objects.filter(problem_id__in=ids).order_by("id").values():
        found[row["problem_id"]].append(row)
    return found


def _candidate(trace: Values, block: _Block, recipe: Recipe) -> Candidate:
    problem = block.problems[trace["problem_id"]]
    tokens = trace["token_count"]
    outcome = _outcome(trace, block.outcomes)
    return Candidate(
        trace_id=trace["id"],
        text_sha256=trace["text_sha256"],
        problem_id=problem["id"],
        problem_sha256=problem["text_sha256"],
        chars=trace["char_count"],
        tokens=trace["completion_tokens"] if tokens is None else tokens,
        prompt_chars=problem["char_count"],
        model=trace["model"],
        sample_no=trace["sample_no"],
        verdicts=block.verdicts.get(trace["id"], ()),
        pass_rate=_pass_rate(trace, block.rates.get(problem["id"], []), recipe),
        derived_from=trace["parent_id"],
        derivation=str(trace["metadata__derivation__form"] or ""),
        review=str(outcome["decision"]) if outcome else "",
        review_coverage=outcome["coverage"] if outcome else None,
        review_speed=_speed(outcome),
        truncated=trace["truncated"] or trace["finish_reason"] == "length",
        contaminated=problem["id"] in block.contaminated,
        duplicate=problem["id"] in block.duplicates,
        held_back=problem["held_back"],
        source=problem["source__name"],
        licence=_licence(problem, trace),
        labels=tuple(filter(None, (problem["category"], problem["kind"]))),
    )


def _outcome(trace: Values, outcomes: dict[int, Values]) -> Values | None:
    """The current outcome; a pruned trace inherits the one on its parent that made it."""
    own = outcomes.get(trace["id"])
    if own is not None:
        return own
    parent = outcomes.get(trace["parent_id"])
    return parent if parent is not None and parent["derived_id"] == trace["id"] else None


def _speed(outcome: Values | None) -> float | None:
    """Characters of the trace that was read, by the least seconds that a reviewer took."""
    if outcome is None or not outcome["seconds"]:
        return None
    return float(outcome["trace__char_count"] / outcome["seconds"])


def _pass_rate(trace: Values, rates: list[Values], recipe: Recipe) -> float | None:
    """Pass rate for the recipe's model, else the trace's own.

    Of several gradings one by the recipe's policy comes first, then one of the trace's own
    sampling, then the one with the most samples: different gradings are never averaged.
    """
    model = recipe.pass_rate_model or trace["model"]
    fitting = [r for r in rates if r["model"] == model and r["pass_rate"] is not None]
    if not fitting:
        return None
    best = max(
        fitting,
        key=lambda r: (
            r["policy"] == recipe.policy,
            r["sampling_hash"] == trace["sampling_hash"],
            r["correct"] + r["incorrect"],
            -r["id"],
        ),
    )
    return float(best["pass_rate"])


def _licence(problem: Values, trace: Values) -> str:
    """The licences of the problem's source and of the trace's origin, joined where they differ."""
    names = (
        problem["source__licence"],
        trace["source__licence"],
        trace["endpoint__output_licence"],
    )
    return " + ".join(sorted({name for name in names if name})) or "unknown"
