"""Which traces a queue asks for: an allow-list of filters, and how doubtful a trace is."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from curation.jobs import JobError
from curation.models import Difficulty, Project, Trace, Verdict
from reviews.models import Review


def _verdict(value: Any) -> Q:
    return Q(verdicts__verdict__in=value if isinstance(value, list) else [value])


def _verdicts_differ(value: Any) -> Q:
    """Verifiers that disagree on the trace (correct by one, incorrect by another)."""
    said = Verdict.objects.filter(trace=OuterRef("pk"))
    both = Q(Exists(said.filter(verdict="correct"))) & Q(Exists(said.filter(verdict="incorrect")))
    return both if value else ~both


def _reviews_differ(value: Any) -> Q:
    """People who disagree on the trace."""
    said = Review.objects.filter(trace=OuterRef("pk"))
    both = Q(Exists(said.filter(decision="sound"))) & Q(Exists(said.filter(decision="flawed")))
    return both if value else ~both


def _pass_rate(lookup: str) -> Any:
    def condition(value: Any) -> Q:
        rows = Difficulty.objects.filter(problem=OuterRef("problem"), **{lookup: float(value)})
        return Q(Exists(rows))

    return condition


def _reviewed(value: Any) -> Q:
    judged = Q(Exists(Review.objects.filter(trace=OuterRef("pk"))))
    return judged if value else ~judged


# Filter -> its condition. Only these keys are taken from a request.
FILTERS: dict[str, Any] = {
    "verdict": _verdict,
    "source": lambda value: Q(source__name=value),
    "model": lambda value: Q(model=value),
    "origin": lambda value: Q(origin=value),
    "problem_kind": lambda value: Q(problem__kind=value),
    "category": lambda value: Q(problem__category=value),
    "min_chars": lambda value: Q(char_count__gte=int(value)),
    "max_chars": lambda value: Q(char_count__lte=int(value)),
    "has_proposals": lambda value: Q(segmentations__proposals__isnull=not value),
    "min_pass_rate": _pass_rate("pass_rate__gte"),
    "max_pass_rate": _pass_rate("pass_rate__lte"),
    "verdicts_differ": _verdicts_differ,
    "reviews_differ": _reviews_differ,
    "reviewed": _reviewed,
    "truncated": lambda value: Q(truncated=bool(value)),
    "ids": lambda value: Q(pk__in=[int(v) for v in value]),
}


def matching(project: Project, filters: dict[str, Any]) -> QuerySet[Trace]:
    """Traces that a queue's filters ask for; JobError for an unknown filter or a bad value."""
    found = Trace.objects.filter(project=project).exclude(origin=Trace.Origin.DERIVED)
    for name, value in filters.items():
        if name not in FILTERS:
            raise JobError("unknown_filter", f"no such filter: {name}")
        try:
            found = found.filter(FILTERS[name](value))
        except (TypeError, ValueError) as error:
            raise JobError("bad_filter", f"{name}: {value!r} is not possible") from error
    return found.distinct()


def doubts(ids: list[int]) -> dict[int, float]:
    """Trace -> how much it is worth a person's look, 0 to 1.

    1 where verifiers disagree, or one judged against what the source said; 0.8 where none could
    judge; else twice the distance of the problem's pass rate from certainty: a verdict on a
    problem that is solved half of the time says least.
    """
    found = dict.fromkeys(ids, 0.0)
    said: dict[int, set[str]] = {}
    for pk, verdict in Verdict.objects.filter(trace__in=ids).values_list("trace_id", "verdict"):
        said.setdefault(pk, set()).add(verdict)
    traces = Trace.objects.filter(pk__in=ids).values_list("pk", "problem_id")
    problems = dict(traces)
    rates = dict(
        Difficulty.objects.filter(problem__in=set(problems.values()))
        .order_by("pk")
        .values_list("problem_id", "pass_rate")
    )
    for pk, problem in problems.items():
        verdicts = said.get(pk, set())
        if {"correct", "incorrect"} <= verdicts:
            found[pk] = 1.0
        elif not verdicts & {"correct", "incorrect"}:
            found[pk] = 0.8
        elif (rate := rates.get(problem)) is not None:
            found[pk] = round(2 * min(rate, 1 - rate) * 0.7, 3)
    return found
