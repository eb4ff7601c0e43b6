"""Problems: the list with its filters and two kinds of search, and one problem."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Count, Exists, OuterRef, QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse, QueryDict

from curation import access
from curation.models import (
    BenchmarkHit,
    Difficulty,
    DuplicateMember,
    Problem,
    ProblemOccurrence,
    Project,
    Source,
    Trace,
    Verdict,
)
from curation.views import search
from curation.views.blind import held_back
from curation.views.common import (
    PAGE,
    Filter,
    Slice,
    filtered,
    is_filtered,
    keyset,
    page,
)
from curation.views.verdicts import newest_verdicts, verdict_tallies

SNIPPET = 200
# Name in the query string -> (words, lowest and highest pass rate, both included).
BANDS: dict[str, tuple[str, float, float]] = {
    "never": ("never solved", 0.0, 0.0),
    "hard": ("0–25 %", 0.0, 0.25),
    "edge": ("25–75 %", 0.25, 0.75),
    "easy": ("75–100 %", 0.75, 1.0),
    "always": ("always solved", 1.0, 1.0),
}
MODES = [("text", "by words"), ("meaning", "by meaning")]


def by_difficulty(rows: QuerySet[Problem], value: str, model: str = "") -> QuerySet[Problem]:
    """Problems that such a model solves at a rate in the band, or that it was not graded on."""
    graded = Difficulty.objects.filter(problem=OuterRef("pk"), pass_rate__isnull=False)
    graded = graded.filter(model__icontains=model)
    if value == "ungraded":
        return rows.exclude(Exists(graded))
    _, low, high = BANDS[value]
    return rows.filter(Exists(graded.filter(pass_rate__gte=low, pass_rate__lte=high)))


def by_verdict(rows: QuerySet[Problem], value: str) -> QuerySet[Problem]:
    """Problems with a trace that has such a verdict, or with no verdict at all."""
    judged = Verdict.objects.filter(trace__problem=OuterRef("pk"))
    if value == "none":
        return rows.exclude(Exists(judged))
    return rows.filter(Exists(judged.filter(verdict=value)))


def problem_filters(project: Project) -> list[Filter]:
    """The filter bar of the list."""
    sources = Source.objects.filter(project=project).order_by("name").values_list("pk", "name")
    bands = [(name, words) for name, (words, _, _) in BANDS.items()]
    verdicts = [*Verdict.Value.choices, ("none", "no verdict yet")]
    yes_no = [("yes", "yes"), ("no", "no")]
    # Read before the pass rate, which is always of a model.
    model = Filter("model", "Graded model", lambda q, v: q, placeholder="any model")
    return [
        Filter("q", "Search", lambda q, v: q, placeholder="words, or a question by its meaning"),
        Filter("by", "Search by", lambda q, v: q, MODES, always="text"),
        Filter(
            "source",
            "Source",
            lambda q, v: q.filter(source_id=int(v)),
            [(str(pk), name) for pk, name in sources[:200]],
        ),
        model,
        Filter(
            "difficulty",
            "Pass rate",
            lambda q, v: by_difficulty(q, v, model.value),
            [*bands, ("ungraded", "not graded")],
        ),
        Filter("verdict", "Has verdict", by_verdict, verdicts),
        Filter("held", "Held back", lambda q, v: q.filter(held_back=v == "yes"), yes_no),
    ]


@dataclass(frozen=True, slots=True)
class Rates:
    """Pass rates of one problem: of one model with its interval, or the range over several."""

    rows: list[Difficulty]

    @property
    def graded(self) -> list[float]:
        return [row.pass_rate for row in self.rows if row.pass_rate is not None]

    @property
    def low(self) -> float | None:
        return min(self.graded, default=None)

    @property
    def high(self) -> float | None:
        return max(self.graded, default=None)

    @property
    def words(self) -> str:
        """Each model with its counts, for a tooltip."""
        return "\n".join(
            f"{row.model}: {row.correct} of {row.correct + row.incorrect}, "
            f"{row.unverifiable} unverifiable, {row.error} error"
            for row in self.rows
        )


def rates_of(ids: Sequence[int], model: str) -> dict[int, Rates]:
    """Problem id -> its pass rates by models whose name holds ``model``."""
    found: dict[int, list[Difficulty]] = {}
    rows = Difficulty.objects.filter(problem_id__in=ids, model__icontains=model).defer("detail")
    for row in rows.order_by("problem_id", "model"):
        found.setdefault(row.problem_id, []).append(row)
    return {problem: Rates(of_one) for problem, of_one in found.items()}


def trace_counts(ids: Sequence[int]) -> dict[int, int]:
    """Problem id -> number of its traces, derived ones left out."""
    rows = Trace.objects.filter(problem_id__in=ids, parent=None).values("problem_id")
    return dict(rows.annotate(n=Count("pk")).values_list("problem_id", "n"))


def find(project: Project, params: QueryDict, filters: list[Filter]) -> tuple[Slice[Problem], str]:
    """The page of problems that the filters ask for, and what to say about the search."""
    rows = Problem.objects.filter(project=project).select_related("source")
    light: QuerySet[Problem] = rows.defer(
        "text", "search_text", "embedding", "tests", "metadata"
    ).annotate(snippet=Left("text", SNIPPET))
    narrowed = filtered(light, params, filters)
    words, mode = filters[0].value, filters[1].value
    if words and mode == "meaning":
        nearest, note = search.by_meaning(narrowed, words, PAGE)
        return Slice(nearest), note
    if words:
        narrowed = search.by_words(narrowed, words)
    return keyset(narrowed, params, newest_first=False), ""


def columns(rows: Iterable[Problem], model: str) -> dict[str, Any]:
    """What the table shows beside each problem, each in one query."""
    ids = [row.pk for row in rows]
    return {
        "traces": trace_counts(ids),
        "rates": rates_of(ids, model),
        "tallies": verdict_tallies(ids),
        "verdict_values": list(Verdict.Value.values),
    }


@login_required
def problems(request: HttpRequest, slug: str) -> HttpResponse:
    """Problems by source, difficulty and verdict; searched by words or by meaning."""
    project = access.access_project(request.user, slug)
    filters = problem_filters(project)
    found, note = find(project, request.GET, filters)
    return page(
        request,
        project,
        "problems/list.html",
        slice=found,
        note=note,
        filters=filters,
        filtered=is_filtered(filters),
        **columns(found.rows, next(f.value for f in filters if f.name == "model")),
    )


@login_required
def problem(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One problem, all its traces and what is known of it."""
    project = access.access_project(request.user, slug)
    found = access.access_object(request.user, Problem, pk, project=project)
    if (instead := held_back(request, project, found.pk)) is not None:
        return instead
    traces = Trace.objects.filter(problem=found).select_related("endpoint")
    shown = keyset(
        traces.defer("text", "messages", "manifest", "upstream", "metadata"),
        request.GET,
        size=100,
        newest_first=False,
    )
    duplicates = DuplicateMember.objects.filter(problem=found).select_related("cluster")
    hits = BenchmarkHit.objects.filter(problem=found).select_related("item__benchmark")
    return page(
        request,
        project,
        "problems/detail.html",
        problem=found,
        slice=shown,
        verdicts=newest_verdicts(shown.rows),
        difficulties=Difficulty.objects.filter(problem=found).order_by("model"),
        occurrences=ProblemOccurrence.objects.filter(problem=found).select_related("source")[:20],
        duplicates=duplicates[:20],
        hits=hits[:20],
    )
