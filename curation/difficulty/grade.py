"""Grading: difficulty rows from stored verdicts, for each problem, model and sampling.

A row is always of one sampling hash, so pass rates at different token budgets are never added up.
Only attempts at the problem count: derived traces, which people made shorter, do not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from curation.difficulty.outcomes import Attempt, Grade, grade
from curation.jobs import JobContext, JobError
from curation.models import Difficulty, Problem, Trace, Verdict
from curation.policies import Evidence, policy_of

PAGE = 500  # problems graded in one transaction
DEFAULT_POLICY = "checked"
# Of a trace, in the order in which ``_attempt`` takes them.
ATTEMPT = (
    "truncated", "source__name", "sampling__max_tokens", "completion_tokens", "char_count",
    "problem__category", "problem__kind",
)  # fmt: skip
VALUES = (
    "correct",
    "incorrect",
    "unverifiable",
    "error",
    "pass_rate",
    "wilson_low",
    "wilson_high",
    "detail",
)


class Group(NamedTuple):
    """What a difficulty row is about."""

    problem_id: int
    model: str
    sampling_hash: str


def run_grade(ctx: JobContext) -> None:
    """Job handler. Optional params: ``model`` (only this one), ``policy`` (default ``checked``).

    Counts: graded (difficulty rows computed), changed, removed, traces, not_verified. Grading the
    same verdicts again changes no row.
    """
    policy = ctx.params.get("policy") or DEFAULT_POLICY
    try:
        policy_of(policy)
    except ValueError as problem:
        raise JobError("unknown_policy", str(problem)) from None
    model = ctx.params.get("model") or None
    # A killed attempt's pages stay counted: it is their rows that this job changed.
    problems = Problem.objects.filter(project=ctx.project, pk__gt=ctx.checkpoint.get("after", 0))
    ids = list(problems.order_by("pk").values_list("pk", flat=True))
    ctx.count(graded=0, changed=0, removed=0, traces=0, not_verified=0)
    ctx.set_total(ctx.job.done + len(ids))
    for at in range(0, len(ids), PAGE):
        page = ids[at : at + PAGE]
        with ctx.chunk():
            counts = grade_problems(page, policy, model)
            ctx.checkpoint["after"] = page[-1]
            ctx.advance(len(page), **counts)


def grade_problems(ids: Sequence[int], policy: str, model: str | None = None) -> dict[str, int]:
    """Compute and store the difficulties of these problems; returns what was counted."""
    groups = attempts_of(ids, model)
    grades = {group: found for group, tries in groups.items() if (found := grade(tries, policy))}
    changed = _write(grades, _stored(ids, policy, model), policy)
    removed = _remove_stale(grades, ids, policy, model)
    return {
        "graded": len(grades),
        "changed": changed,
        "removed": removed,
        "traces": sum(map(len, groups.values())),
        "not_verified": sum(found.detail["not_verified"] for found in grades.values())
        + sum(len(tries) for group, tries in groups.items() if group not in grades),
    }


def attempts_of(ids: Sequence[int], model: str | None = None) -> dict[Group, list[Attempt]]:
    """The attempts at these problems by model and sampling, in order of their sample number."""
    traces = Trace.objects.filter(problem_id__in=ids).exclude(origin=Trace.Origin.DERIVED)
    if model is not None:
        traces = traces.filter(model=model)
    rows = list(
        traces.order_by("problem_id", "sample_no", "pk").values_list("pk", *Group._fields, *ATTEMPT)
    )
    verdicts = _newest_verdicts(row[0] for row in rows)
    groups: dict[Group, list[Attempt]] = defaultdict(list)
    for pk, problem_id, name, sampling_hash, *facts in rows:
        attempt = _attempt(tuple(verdicts.get(pk, {}).values()), *facts)
        groups[Group(problem_id, name, sampling_hash)].append(attempt)
    return groups


def _attempt(
    verdicts: tuple[Evidence, ...], truncated: bool, source: str | None, budget: Any,
    tokens: int | None, chars: int, category: str, kind: str,
) -> Attempt:  # fmt: skip
    labels = tuple(filter(None, (category, kind)))
    return Attempt(verdicts, truncated, source or "", budget, labels, tokens, chars)


def _newest_verdicts(traces: Iterable[int]) -> dict[int, dict[str, Evidence]]:
    """trace id -> verifier -> its newest verdict: a new version or reference replaces the old."""
    found: dict[int, dict[str, Evidence]] = defaultdict(dict)
    rows = Verdict.objects.filter(trace_id__in=list(traces)).order_by("pk")
    named = rows.values_list("trace_id", "verifier", "verdict", "score")
    for trace_id, verifier, verdict, score in named:
        found[trace_id][verifier] = Evidence(verifier, verdict, score)
    return found


def _stored(ids: Sequence[int], policy: str, model: str | None) -> dict[Group, tuple[Any, ...]]:
    rows = _rows(ids, policy, model).values_list(*Group._fields, *VALUES)
    return {Group(*row[:3]): tuple(row[3:]) for row in rows}


def _rows(ids: Sequence[int], policy: str, model: str | None) -> Any:
    rows = Difficulty.objects.filter(problem_id__in=ids, policy=policy)
    return rows if model is None else rows.filter(model=model)


def _values(found: Grade) -> tuple[Any, ...]:
    tally, interval = found.tally, found.tally.interval
    low, high = interval or (None, None)
    counts = (tally.correct, tally.incorrect, tally.unverifiable, tally.error)
    return (*counts, tally.pass_rate, low, high, found.detail)


def _changed(
    grades: dict[Group, Grade], stored: dict[Group, tuple[Any, ...]], policy: str
) -> Iterator[Difficulty]:
    for group, found in grades.items():
        values = _values(found)
        if stored.get(group) != values:
            named = dict(zip(VALUES, values, strict=True))
            yield Difficulty(**group._asdict(), policy=policy, **named)


def _write(grades: dict[Group, Grade], stored: dict[Group, tuple[Any, ...]], policy: str) -> int:
    rows = list(_changed(grades, stored, policy))
    Difficulty.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=[*Group._fields, "policy"],
        update_fields=[*VALUES, "updated_at"],
    )
    return len(rows)


def _remove_stale(
    grades: dict[Group, Grade], ids: Sequence[int], policy: str, model: str | None
) -> int:
    """Rows whose attempts or verdicts are gone: a pass rate without evidence is no longer true."""
    stale = [
        pk
        for pk, *group in _rows(ids, policy, model).values_list("pk", *Group._fields)
        if Group(*group) not in grades
    ]
    if stale:
        Difficulty.objects.filter(pk__in=stale).delete()
    return len(stale)
