"""Which traces a queue asks for: an allow-list of filters, and how doubtful a trace is."""

from __future__ import annotations

from typing import Any

from django.db.models import (
    Exists,
    F,
    FloatField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
)
from django.db.models.functions import Cast, Coalesce
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual

from curation.jobs import JobError
from curation.models import CutProposal, Difficulty, Project, Trace, Verdict
from reviews.models import Review

# Doubt about a trace that no verifier could judge, and where a problem is solved half of the time.
UNJUDGED, HALF_SOLVED = 0.8, 0.7


def _words(path: str) -> Any:
    """One word, or a list of which any will do."""

    def condition(value: Any) -> Q:
        words = value if isinstance(value, list) else [value]
        if not all(isinstance(word, str) and "\x00" not in word for word in words):
            raise TypeError("words are needed")
        return Q(**{f"{path}__in": words})

    return condition


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
        rows = Difficulty.objects.filter(problem=OuterRef("problem"), **{lookup: _share(value)})
        return Q(Exists(rows))

    return condition


def _share(value: Any) -> float:
    if not 0 <= float(value) <= 1:
        raise ValueError("a share from 0 to 1")
    return float(value)


def _min_waste(value: Any) -> Any:
    """Traces of whose characters some policy would cut at least this share (0 to 1)."""
    saved = (
        CutProposal.objects.filter(segmentation__trace=OuterRef("pk"))
        .values("segmentation", "policy")
        .annotate(saved=Sum(F("end") - F("start")))
        .order_by("-saved")
        .values("saved")[:1]
    )
    least = F("char_count") * Value(_share(value))
    return GreaterThanOrEqual(Cast(Coalesce(Subquery(saved), 0), FloatField()), least)


def _min_doubt(value: Any) -> Q:
    """Traces that ``doubts`` gives at least this much (0 to 1)."""
    least = _share(value)
    said = Verdict.objects.filter(trace=OuterRef("pk"))
    found = _verdicts_differ(True)
    if least <= UNJUDGED:
        found |= ~Q(Exists(said.filter(verdict__in=("correct", "incorrect"))))
    if 0 < least <= HALF_SOLVED:
        edge = least / (2 * HALF_SOLVED)
        newest = Difficulty.objects.filter(problem=OuterRef("problem")).order_by("-pk")
        rate = Subquery(newest.values("pass_rate")[:1])
        found |= Q(GreaterThanOrEqual(rate, edge)) & Q(LessThanOrEqual(rate, 1 - edge))
    return found if least > 0 else Q()


def _reviewed(value: Any) -> Q:
    judged = Q(Exists(Review.objects.filter(trace=OuterRef("pk"))))
    return judged if value else ~judged


# Filter -> its condition. Only these keys are taken from a request.
FILTERS: dict[str, Any] = {
    "verdict": _words("verdicts__verdict"),
    "source": _words("source__name"),
    "model": _words("model"),
    "origin": _words("origin"),
    "problem_kind": _words("problem__kind"),
    "category": _words("problem__category"),
    "min_chars": lambda value: Q(char_count__gte=int(value)),
    "max_chars": lambda value: Q(char_count__lte=int(value)),
    "has_proposals": lambda value: Q(segmentations__proposals__isnull=not value),
    "min_pass_rate": _pass_rate("pass_rate__gte"),
    "max_pass_rate": _pass_rate("pass_rate__lte"),
    "min_waste": _min_waste,
    "min_doubt": _min_doubt,
    "verdicts_differ": _verdicts_differ,
    "reviews_differ": _reviews_differ,
    "reviewed": _reviewed,
    "truncated": lambda value: Q(truncated=bool(value)),
    "ids": lambda value: Q(pk__in=[int(v) for v in value]),
}


def matching(project: Project, filters: Any) -> QuerySet[Trace]:
    """Traces that a queue's filters ask for; JobError for an unknown filter or a bad value."""
    if not isinstance(filters, dict):
        raise JobError("bad_filter", "filters: an object is needed")
    found = Trace.objects.filter(project=project).exclude(origin=Trace.Origin.DERIVED)
    for name, value in filters.items():
        if name not in FILTERS:
            raise JobError("unknown_filter", f"no such filter: {name}")
        try:
            found = found.filter(FILTERS[name](value))
        except (TypeError, ValueError, OverflowError) as error:
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
            found[pk] = UNJUDGED
        elif (rate := rates.get(problem)) is not None:
            found[pk] = round(2 * min(rate, 1 - rate) * HALF_SOLVED, 3)
    return found
