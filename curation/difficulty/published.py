"""Published rules over the stored difficulties of a project: stages, bands, tiers, teachability.

Models stand beside one another here and are never added up: each has a role, and keeps the
sampling under which it was measured.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from curation.difficulty.measures import NOT_CHECKS, Group, rows_of
from curation.difficulty.tiers import (
    BANDS,
    Stage,
    Teachability,
    in_band,
    stage_of,
    staged_tier,
    teachability,
)
from curation.models import Problem, Project, Trace, Verdict
from curation.verifiers.math import quick_equal

# DeepDistill's threshold for mathematics, code and instruction following; 0.7 for conversations.
THRESHOLD = 0.99
STAGES: tuple[Stage, ...] = ("drop", "keep_passing", "sample")
TIERS = ("dropped", "easy", "L1", "L2", "L3")
ROLES = ("small", "middle", "large", "teacher")
# Problems of the strong model whose answers are compared at once.
MOST_ANSWERED = 2_000


@dataclass(frozen=True, slots=True)
class Scored:
    """A problem's best score and the variation of all of them, by which denominator."""

    problem: int
    best: float
    variation: dict[str, float | None]


def scored(project: Project, group: Group) -> list[Scored]:
    """The scores of a group's attempts; rows without one are left out."""
    rows = rows_of(project, group).order_by("problem_id").values_list("problem_id", "detail")
    return [
        Scored(problem, float(detail["best_score"]), detail.get("score_cv") or {})
        for problem, detail in rows
        if detail.get("best_score") is not None
    ]


def stages(
    found: Sequence[Scored], threshold: float, limit: float, ddof: str
) -> dict[Stage, list[int]]:
    """DeepDistill's stage I: problem ids by what happens to them."""
    sorted_in: dict[Stage, list[int]] = {stage: [] for stage in STAGES}
    for one in found:
        stage = stage_of(one.best, one.variation.get(ddof), threshold, limit)
        sorted_in[stage].append(one.problem)
    return sorted_in


def kept_by_limit(
    found: Sequence[Scored], threshold: float, ddof: str, points: int = 20
) -> list[tuple[float, int]]:
    """(bound on the variation, problems of which the passing responses are kept)."""
    passing = [one.variation.get(ddof) or 0.0 for one in found if one.best > threshold]
    top = max(passing, default=0.0)
    bounds = [top * step / points for step in range(points + 1)]
    return [(bound, sum(value > bound for value in passing)) for bound in bounds]


@dataclass(frozen=True, slots=True)
class Band:
    """A published band of pass rates and how many problems lie below, in and above it."""

    name: str
    low: float
    high: float
    below: int
    inside: int
    above: int


def bands_of(rates: Sequence[float]) -> list[Band]:
    """Every named band over these pass rates."""
    found = []
    for name, (low, high) in BANDS.items():
        inside = sum(in_band(rate, low, high) is True for rate in rates)
        below = sum(rate < low for rate in rates)
        found.append(Band(name, low, high, below, inside, len(rates) - inside - below))
    return found


@dataclass
class Staged:
    """Problem ids by tier of staged RL; ``open`` lack a rate that decides."""

    tiers: dict[str, list[int]] = field(default_factory=dict)
    open: int = 0


def staged(project: Project, roles: dict[str, Group]) -> Staged:
    """Tiers of all problems that one of these models was graded on; see ``staged_tier``."""
    rates = {role: _rates(project, group) for role, group in roles.items()}
    found = Staged({tier: [] for tier in TIERS})
    for problem in sorted(set().union(*rates.values()) if rates else set()):
        given = [rates.get(role, {}).get(problem) for role in ROLES]
        tier = staged_tier(*given)
        if tier is None:
            found.open += 1
        else:
            found.tiers[tier].append(problem)
    return found


def _rates(project: Project, group: Group) -> dict[int, float]:
    rows = rows_of(project, group).exclude(pass_rate=None)
    pairs = rows.values_list("problem_id", "pass_rate")
    return {problem: rate for problem, rate in pairs if rate is not None}


@dataclass
class Teachable:
    """Phi-4-reasoning's measure for the problems where the strong model has a plurality.

    ``disputed`` are those whose plurality is not the problem's reference; ``none`` had no
    plurality; ``left`` were not looked at.
    """

    found: dict[int, Teachability] = field(default_factory=dict)
    disputed: set[int] = field(default_factory=set)
    none: int = 0
    left: int = 0


def teachable(
    project: Project, strong: Group, weak: Sequence[Group], min_votes: int, min_share: float
) -> Teachable:
    """Agreement of weaker models with the strong one's mostly given answer.

    Answers are those that verifiers extracted, equal where exact arithmetic says so or where they
    are written alike: a formula in another form counts as another answer.
    """
    graded = rows_of(project, strong).order_by("problem_id").values_list("problem_id", flat=True)
    ids, more = list(graded[:MOST_ANSWERED]), graded.count()
    result = Teachable(left=max(0, more - len(ids)))
    mine = answers(project, strong, ids)
    theirs = {group.key: answers(project, group, ids) for group in weak}
    references = dict(Problem.objects.filter(pk__in=ids).values_list("pk", "reference_answer"))
    for problem in ids:
        given = {key: rows.get(problem, []) for key, rows in theirs.items()}
        one = teachability(mine.get(problem, []), given, min_votes, min_share, alike)
        if one is None:
            result.none += 1
            continue
        result.found[problem] = one
        reference = references.get(problem)
        if reference and not alike(reference, one.proxy):
            result.disputed.add(problem)
    return result


def answers(project: Project, group: Group, ids: Sequence[int]) -> dict[int, list[str]]:
    """problem -> the answers that the newest rule verdicts extracted from a model's attempts."""
    traces = Trace.objects.filter(
        project=project, model=group.model, sampling_hash=group.sampling_hash, problem__in=ids
    ).exclude(origin=Trace.Origin.DERIVED)
    rows = Verdict.objects.filter(trace__in=traces).exclude(verifier__regex=NOT_CHECKS)
    newest = rows.exclude(extracted=None).order_by("trace_id", "-pk").distinct("trace_id")
    found: dict[int, list[str]] = defaultdict(list)
    for problem, answer in newest.values_list("trace__problem_id", "extracted"):
        found[problem].append(answer or "")
    return found


def alike(one: str, other: str) -> bool:
    """Whether two answers are the same by exact arithmetic, or as they are written."""
    return one.strip() == other.strip() or quick_equal(one, other) is True


def agreement_rates(found: Iterable[Teachability], key: str) -> list[float]:
    """The agreement of one weak model, problem by problem."""
    return [one.agreement[key] for one in found if key in one.agreement]


def matrix(found: Iterable[Teachability]) -> Counter[tuple[float, float]]:
    """(share of the strong model's plurality, mean agreement), rounded, and how often."""
    return Counter(
        (round(one.share, 2), round(one.mean, 2)) for one in found if one.mean is not None
    )
