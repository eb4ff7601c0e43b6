"""Duplicates: clusters of problems side by side; people name the one to use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.db.models import Count, F, QuerySet, Window
from django.db.models.functions import Left, RowNumber
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from curation import access
from curation import dedup as domain
from curation.models import (
    DuplicateChoice,
    DuplicateCluster,
    DuplicateMember,
    Job,
    Problem,
    Project,
)
from curation.models.project import Role
from curation.views.common import Filter, Slice, filtered, is_filtered, keyset, page
from curation.views.jobs import cards, start
from curation.views.pieces import Piece, differences, pieces
from curation.views.problems import trace_counts

METHODS = [
    ("near", "near: word 3-grams"),
    ("exact", "exact: but for case and punctuation"),
    ("semantic", "semantic: embeddings"),
]
CLUSTERS = 20  # on one page
COPIES = 3  # shown of each cluster on the list
ALL_COPIES = 100  # shown of one cluster on its own page
SHOWN = 2000  # characters of each text


class DedupForm(forms.Form):
    """Method and threshold of a run."""

    method = forms.ChoiceField(choices=METHODS)
    threshold = forms.FloatField(
        required=False,
        min_value=0.05,
        max_value=1,
        help_text="Least similarity; empty: 0.6 for near, 0.9 for semantic.",
    )

    def params(self) -> dict[str, Any]:
        """Parameters of the job ``dedup``."""
        return {name: value for name, value in self.cleaned_data.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Side:
    """One problem of a cluster; words that the one to use lacks are marked."""

    problem: Problem
    pieces: list[Piece]
    kept: bool
    cut: bool
    score: float | None
    traces: int


@dataclass(frozen=True, slots=True)
class Group:
    """A cluster with the problem to use first, and how many copies are not shown."""

    cluster: DuplicateCluster
    sides: list[Side]
    more: int


def problems_by_id(ids: set[int]) -> dict[int, Any]:
    """Problems with ``snippet``, the beginning of their text, and without the rest of it."""
    rows = Problem.objects.filter(pk__in=ids).select_related("source")
    light = rows.defer("text", "search_text", "embedding", "tests", "metadata")
    return {row.pk: row for row in light.annotate(snippet=Left("text", SHOWN))}


def first_members(clusters: Sequence[DuplicateCluster], copies: int) -> list[DuplicateMember]:
    """The ``copies`` most similar members of each cluster, in one query."""
    order = [F("score").desc(nulls_last=True), F("problem_id").asc()]
    place = Window(RowNumber(), partition_by="cluster_id", order_by=order)
    rows = DuplicateMember.objects.filter(cluster__in=clusters).annotate(place=place)
    return list(rows.filter(place__lte=copies).order_by("cluster_id", "place"))


def groups_of(clusters: Sequence[DuplicateCluster], copies: int) -> list[Group]:
    """Clusters with the texts of their problems, in a fixed number of queries."""
    members = first_members(clusters, copies)
    sizes = DuplicateMember.objects.filter(cluster__in=clusters).values("cluster")
    size = dict(sizes.annotate(n=Count("pk")).values_list("cluster", "n"))
    ids = {c.kept_id for c in clusters} | {m.problem_id for m in members}
    problems, traces = problems_by_id(ids), trace_counts([*ids])
    found = []
    for cluster in clusters:
        own = [m for m in members if m.cluster_id == cluster.pk and m.problem_id != cluster.kept_id]
        kept = problems[cluster.kept_id]
        sides = [side(kept, None, None, traces)]
        sides += [side(problems[m.problem_id], kept, m.score, traces) for m in own]
        found.append(Group(cluster, sides, size.get(cluster.pk, 0) - len(own)))
    return found


def side(problem: Any, kept: Any, score: float | None, traces: dict[int, int]) -> Side:
    """A problem beside the one to use; ``kept`` is None for that one itself."""
    text = problem.snippet
    marks = differences(text, kept.snippet) if kept else []
    return Side(
        problem=problem,
        pieces=pieces(text, marks),
        kept=kept is None,
        cut=len(text) == SHOWN,
        score=score,
        traces=traces.get(problem.pk, 0),
    )


def dedup_filters() -> list[Filter]:
    return [Filter("method", "Method", lambda q, v: q.filter(method=v), METHODS)]


def totals(project: Project) -> list[dict[str, Any]]:
    """Clusters and copies by method."""
    rows: QuerySet[Any] = DuplicateCluster.objects.filter(project=project).values("method")
    counted = rows.annotate(clusters=Count("pk", distinct=True), copies=Count("members"))
    return list(counted.order_by("method"))


def show(
    request: HttpRequest, project: Project, form: DedupForm, status: int = 200
) -> HttpResponse:
    """The page of clusters."""
    filters = dedup_filters()
    rows = filtered(DuplicateCluster.objects.filter(project=project), request.GET, filters)
    found: Slice[DuplicateCluster] = keyset(rows, request.GET, size=CLUSTERS, newest_first=False)
    jobs = Job.objects.filter(project=project, kind="dedup").order_by("-pk")[:3]
    return page(
        request,
        project,
        "dedup/list.html",
        status=status,
        slice=found,
        groups=groups_of(found.rows, COPIES),
        totals=totals(project),
        filters=filters,
        filtered=is_filtered(filters),
        jobs=cards(jobs),
        form=form,
    )


@login_required
def duplicates(request: HttpRequest, slug: str) -> HttpResponse:
    """All clusters of copies, with the problem to use first."""
    project = access.access_project(request.user, slug)
    return show(request, project, DedupForm())


@login_required
def duplicate(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One cluster with all its copies."""
    project = access.access_project(request.user, slug)
    found = access.access_object(request.user, DuplicateCluster, pk, project=project)
    (group,) = groups_of([found], ALL_COPIES)
    said = DuplicateChoice.objects.filter(problem__in=[s.problem.pk for s in group.sides])
    return page(
        request,
        project,
        "dedup/detail.html",
        group=group,
        choices=said.select_related("user").order_by("-pk")[:50],
    )


@login_required
@require_POST
def dedup_run(request: HttpRequest, slug: str) -> HttpResponse:
    """Look for copies in the whole project."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    form = DedupForm(request.POST)
    if not form.is_valid():
        return show(request, project, form, status=400)
    return redirect("job", slug, start(request, project, "dedup", form.params()).pk)


@login_required
@require_POST
def duplicate_decide(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Name the problem to use, or say that one is no copy."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    decision = request.POST.get("decision", "")
    if decision not in DuplicateChoice.Decision.values:
        return HttpResponse("no such decision", status=400)
    domain.decide(get_object_or_404(Problem, project=project, pk=pk), decision, request.user)
    return back(request, project)


def back(request: HttpRequest, project: Project) -> HttpResponse:
    """To the cluster that was looked at, while there is one, else to the list as it was."""
    given = request.POST.get("cluster", "")
    cluster = int(given) if given.isdecimal() and len(given) < 19 else 0
    if DuplicateCluster.objects.filter(project=project, pk=cluster).exists():
        return redirect("duplicate", project.slug, cluster)
    return redirect(f"{reverse('duplicates', args=[project.slug])}?{request.GET.urlencode()}")
