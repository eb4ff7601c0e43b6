"""What difficulty rows say together: always of one model, one sampling and one policy.

Two models, two samplings (and so two token budgets) or two policies are never put into one figure;
where a comparison is the point, each keeps its own column.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Avg, Count, QuerySet

from curation.difficulty.levels import CUTS, Level, level_of
from curation.difficulty.outcomes import PASS_AT
from curation.difficulty.series import historical_variance, is_weakness, lim_scores
from curation.models import Difficulty, Problem, Project, RewardSeries, Trace, Verdict


@dataclass(frozen=True, slots=True)
class Group:
    """What one difficulty row is about, beside its problem."""

    model: str
    sampling_hash: str
    policy: str
    problems: int = 0

    @property
    def key(self) -> str:
        """Its name in a query string: browsers change line breaks and spaces of names."""
        parts = "\n".join((self.model, self.sampling_hash, self.policy))
        return hashlib.sha256(parts.encode()).hexdigest()[:16]


def groups(project: Project) -> list[Group]:
    """The groups of a project, the one with most problems first."""
    rows = Difficulty.objects.filter(problem__project=project)
    found = rows.values("model", "sampling_hash", "policy").annotate(n=Count("pk"))
    return [
        Group(row["model"], row["sampling_hash"], row["policy"], row["n"])
        for row in found.order_by("-n", "model", "sampling_hash", "policy")
    ]


def rows_of(project: Project, group: Group) -> QuerySet[Difficulty]:
    return Difficulty.objects.filter(
        problem__project=project, model=group.model, sampling_hash=group.sampling_hash,
        policy=group.policy,
    )  # fmt: skip


def rates(project: Project, group: Group) -> list[float]:
    """The known pass rates of a group."""
    known = rows_of(project, group).exclude(pass_rate=None).order_by("problem_id")
    return [rate for rate in known.values_list("pass_rate", flat=True) if rate is not None]


@dataclass
class Summary:
    """One group in figures. Counts are of problems unless they say otherwise.

    ``bands`` has KodCode's in both variants; ``skywork`` maps failures to problems, with ``of``
    attempts each (problems with another number of attempts stand in ``uneven``). ``pass_at`` is
    the mean over the problems that have k attempts, with their number.
    """

    rates: list[float]
    not_graded: int
    bands: dict[str, dict[str, int]]
    skywork: dict[int, int]
    of: int
    uneven: int
    pass_at: dict[int, tuple[float, int]]
    mixed_budgets: int
    budgets: list[int]
    budget_known: bool
    history: list[tuple[int, list[int]]]
    unit: str
    never: int
    cv: dict[str, list[float]]


def summary(project: Project, group: Group) -> Summary:
    """Read a group's rows once and count them."""
    names = ("problem_id", "correct", "incorrect", "pass_rate", "detail")
    stored = rows_of(project, group).order_by("problem_id").values_list(*names)
    rows = [dict(zip(names, row, strict=True)) for row in stored]
    details = [row["detail"] for row in rows]
    sizes = Counter(
        row["correct"] + row["incorrect"] for row in rows if row["pass_rate"] is not None
    )
    of = max(sizes, key=lambda size: (sizes[size], size), default=0)
    units = Counter(d["lengths"]["unit"] for d in details if d.get("lengths"))
    unit = units.most_common(1)[0][0] if units else ""
    return Summary(
        rates=[row["pass_rate"] for row in rows if row["pass_rate"] is not None],
        not_graded=sum(row["pass_rate"] is None for row in rows),
        bands={v: dict(Counter(_band(d, v) for d in details)) for v in ("code", "paper")},
        skywork=_skywork(rows, of),
        of=of,
        uneven=sum(count for size, count in sizes.items() if size != of),
        pass_at=_pass_at(details),
        mixed_budgets=sum(bool(d.get("mixed_budgets")) for d in details),
        budgets=sorted({budget for d in details for budget in d.get("token_budgets", [])}),
        budget_known=all(d.get("token_budget_known", False) for d in details),
        history=_history(rows, unit),
        unit=unit,
        never=sum(row["pass_rate"] == 0 for row in rows),
        cv={name: _known(d.get("cv", {}).get(name) for d in details) for name in CV_NAMES},
    )


CV_NAMES = ("population", "sample")


def _known(values: Any) -> list[float]:
    return [value for value in values if value is not None]


def _band(detail: dict[str, Any], variant: str) -> str:
    return (detail.get("band") or {}).get(variant) or "not graded"


def _skywork(rows: Sequence[dict[str, Any]], of: int) -> dict[int, int]:
    counts = Counter(
        row["incorrect"] for row in rows if row["correct"] + row["incorrect"] == of and of
    )
    return {failed: counts.get(failed, 0) for failed in range(of + 1)} if of else {}


def _pass_at(details: Sequence[dict[str, Any]]) -> dict[int, tuple[float, int]]:
    found: dict[int, tuple[float, int]] = {}
    for k in PASS_AT:
        values = _known(d.get("pass_at", {}).get(str(k)) for d in details)
        if values:
            found[k] = (sum(values) / len(values), len(values))
    return found


def _history(rows: Sequence[dict[str, Any]], unit: str) -> list[tuple[int, list[int]]]:
    """Problems whose shortest correct length fell the most, with its history; one unit only."""
    found = []
    for row in rows:
        lengths = row["detail"].get("lengths") or {}
        history = lengths.get("history") or []
        if lengths.get("unit") == unit and len(history) > 1:
            found.append((row["problem_id"], history))
    return sorted(found, key=lambda item: item[1][-1] / item[1][0] if item[1][0] else 1)


def levels(project: Project, group: Group, cuts: Sequence[float] = CUTS) -> dict[int, Level]:
    """LLM-adaptive levels for the group's model as the student: problem id -> level.

    The process score of a wrong attempt is what a reward model said of it; without one, the pass
    rate stands in and the level says so.
    """
    process = process_scores(project, group)
    found: dict[int, Level] = {}
    rows = rows_of(project, group).values_list("problem_id", "correct", "incorrect")
    for problem, correct, incorrect in rows:
        level = level_of(correct, correct + incorrect, process.get(problem), cuts)
        if level is not None:
            found[problem] = level
    return found


NOT_CHECKS = "^(judge|reward|format|consensus)"


def process_scores(project: Project, group: Group) -> dict[int, float]:
    """problem id -> mean score that reward models gave to the student's wrong attempts."""
    traces = Trace.objects.filter(
        project=project, model=group.model, sampling_hash=group.sampling_hash
    )
    checked = Verdict.objects.filter(trace__in=traces, verdict=Verdict.Value.INCORRECT)
    wrong = checked.exclude(verifier__regex=NOT_CHECKS).values("trace_id")
    rows = Verdict.objects.filter(trace__in=wrong, verifier__startswith="reward-")
    scored = rows.exclude(score=None).values("trace__problem_id").annotate(mean=Avg("score"))
    return {row["trace__problem_id"]: row["mean"] for row in scored}


@dataclass(frozen=True, slots=True)
class RewardRow:
    """One problem's place in a training run's rewards. ``lim`` is None where it is undefined."""

    problem: int
    values: list[float | None]
    lim: float | None
    variance: float | None
    weakness: bool | None


def reward_rows(project: Project, run: str, ddof: int = 0) -> list[RewardRow]:
    """LIM score and historical variance of each problem in a run, the most aligned first."""
    rows = RewardSeries.objects.filter(problem__project=project, run=run)
    series = dict(rows.values_list("problem_id", "values"))
    scores = lim_scores({str(problem): values for problem, values in series.items()})
    found = [
        RewardRow(
            problem, values, scores.get(str(problem)), historical_variance(values, ddof),
            is_weakness(values),
        )
        for problem, values in series.items()
    ]  # fmt: skip
    return sorted(found, key=lambda row: (-(row.lim if row.lim is not None else -1e9), row.problem))


def runs(project: Project) -> list[str]:
    """Names of the runs that rewards were imported from."""
    rows = RewardSeries.objects.filter(problem__project=project).order_by("run")
    return list(rows.values_list("run", flat=True).distinct())


MAX_EPOCHS = 1_000


def import_rewards(
    project: Project, run: str, model: str, series: Sequence[dict[str, Any]]
) -> dict[str, int]:
    """Store ``{"problem": id, "values": [..]}`` rows of one run; a problem's row is replaced.

    Returns counts: stored, refused (not a problem of this project, or no list of numbers in
    [0, 1] and nulls). ValueError for a run without a name.
    """
    if not run.strip() or len(run) > 100:
        raise ValueError("a run needs a name of at most 100 characters")
    ids = [int(item["problem"]) for item in series if type(item.get("problem")) is int]
    known = set(Problem.objects.filter(project=project, pk__in=ids).values_list("pk", flat=True))
    good: dict[int, RewardSeries] = {}
    for item in series:
        problem, values = item.get("problem"), item.get("values")
        if problem in known and _is_series(values):
            assert isinstance(problem, int)
            good[problem] = RewardSeries(problem_id=problem, run=run, model=model, values=values)
    RewardSeries.objects.bulk_create(
        good.values(), update_conflicts=True, unique_fields=["problem", "run"],
        update_fields=["values", "model"],
    )  # fmt: skip
    return {"stored": len(good), "refused": len(series) - len(good)}


def _is_series(values: Any) -> bool:
    if not isinstance(values, list) or not 1 <= len(values) <= MAX_EPOCHS:
        return False
    numbers = (v for v in values if v is not None)
    return all(
        isinstance(v, int | float) and not isinstance(v, bool) and 0 <= v <= 1 for v in numbers
    )
