"""Benchmark overlap: what was found, with the shared words marked; people decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import IntegrityError, transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from curation import access
from curation import decontamination as domain
from curation.models import (
    Benchmark,
    BenchmarkHit,
    BenchmarkItem,
    Job,
    OverlapDecision,
    Project,
    Source,
)
from curation.models.project import Role
from curation.views.common import Filter, Slice, filtered, is_filtered, keyset, page
from curation.views.jobs import cards, start
from curation.views.pieces import Piece, pieces

PAIRS = 20  # on one page
SHOWN = 4000  # characters of each text
MOST_ITEMS = 50_000  # of a benchmark made on the page
DECISIONS = [("open", "not decided"), *OverlapDecision.Decision.choices, ("any", "any")]
METHODS = [("cleaned", "equal but for digits and signs"), (f"{domain.N}-gram", "shared words")]


class RunForm(forms.Form):
    """Which benchmark to compare with, and from which share of a problem on."""

    benchmark = forms.ChoiceField()
    containment = forms.FloatField(
        required=False,
        min_value=0.01,
        max_value=1,
        label="Least share",
        help_text=f"Of the problem's {domain.N}-word runs; empty: {domain.CONTAINMENT}.",
    )

    def __init__(self, *args: Any, names: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["benchmark"].choices = [(n, n) for n in names]  # type: ignore[attr-defined]

    def params(self) -> dict[str, Any]:
        """Parameters of the job ``decontaminate``."""
        return {name: value for name, value in self.cleaned_data.items() if value is not None}


class BenchmarkForm(forms.ModelForm[Benchmark]):
    """A benchmark of the problems of a source, or of texts."""

    source = forms.ChoiceField(
        required=False, help_text="Its problems become the items; import the benchmark first."
    )
    texts = forms.CharField(
        required=False,
        strip=False,
        widget=forms.Textarea({"rows": 10}),
        help_text="Instead of a source: one problem a line.",
    )

    class Meta:
        model = Benchmark
        fields = ("name", "revision", "licence")

    def __init__(self, *args: Any, sources: QuerySet[Source], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sources = sources
        rows = sources.select_related("project").order_by("project__name", "name")[:500]
        named = [(str(s.pk), f"{s.project.name} / {s.name}") for s in rows]
        self.fields["source"].choices = [("", "–"), *named]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Exactly one of source and texts, and not too much of it."""
        data = super().clean() or {}
        lines = [line for line in data.get("texts", "").splitlines() if line.strip()]
        source = self.sources.filter(pk=data.get("source") or 0).first()
        if bool(lines) == bool(source):
            raise forms.ValidationError("Choose a source or give texts: one of them.")
        if max(len(lines), source.problems.count() if source else 0) > MOST_ITEMS:
            raise forms.ValidationError(f"At most {MOST_ITEMS:,} items.")
        return data | {"lines": lines, "chosen": source}

    def make(self, project: Project) -> Benchmark:
        """The benchmark with its items. Raises IntegrityError for a name that is taken."""
        self.instance.project = project
        with transaction.atomic():
            made = self.save()
            if source := self.cleaned_data["chosen"]:
                domain.add_source(made, source)
            else:
                domain.add_items(made, self.cleaned_data["lines"])
        return made


@dataclass(frozen=True, slots=True)
class Pair:
    """A problem and a benchmark item, with the words they share marked in both."""

    hit: BenchmarkHit
    methods: list[BenchmarkHit]
    problem: list[Piece]
    item: list[Piece]
    decision: str
    words: str


def one_per_pair(hits: QuerySet[BenchmarkHit]) -> QuerySet[BenchmarkHit]:
    """The first hit of each problem and item: two methods may have found the same pair."""
    earlier = BenchmarkHit.objects.filter(
        problem=OuterRef("problem"), item=OuterRef("item"), pk__lt=OuterRef("pk")
    )
    return hits.exclude(Exists(earlier))


def by_decision(hits: QuerySet[Any], value: str) -> QuerySet[Any]:
    """Hits on which people said this, nothing yet (``open``), or whatever (``any``)."""
    if value == "any":
        return hits
    return hits.filter(decision=None if value == "open" else value)


def by_method(hits: QuerySet[Any], value: str) -> QuerySet[Any]:
    found = BenchmarkHit.objects.filter(problem=OuterRef("problem"), item=OuterRef("item"))
    return hits.filter(Exists(found.filter(method=value)))


def hit_filters(benchmarks: Sequence[Benchmark]) -> list[Filter]:
    names = [(str(b.pk), b.name) for b in benchmarks]
    return [
        Filter("benchmark", "Benchmark", lambda q, v: q.filter(item__benchmark=int(v)), names),
        Filter("method", "Method", by_method, METHODS),
        Filter("decision", "Decision", by_decision, DECISIONS, always="open"),
    ]


def pairs_of(hits: Sequence[Any]) -> list[Pair]:
    """What the page shows of these hits, in one more query."""
    among = Q(problem__in={h.problem_id for h in hits}, item__in={h.item_id for h in hits})
    methods: dict[tuple[int, int], list[BenchmarkHit]] = {}
    for row in BenchmarkHit.objects.filter(among).order_by("pk") if hits else []:
        methods.setdefault((row.problem_id, row.item_id), []).append(row)
    return [pair_of(hit, methods.get((hit.problem_id, hit.item_id), [])) for hit in hits]


def pair_of(hit: Any, methods: list[BenchmarkHit]) -> Pair:
    own, theirs = hit.problem.text[:SHOWN], hit.item.text[:SHOWN]
    words = dict(OverlapDecision.Decision.choices)
    return Pair(
        hit=hit,
        methods=methods,
        problem=pieces(own, domain.shared_ranges(own, theirs)),
        item=pieces(theirs, domain.shared_ranges(theirs, own)),
        decision=hit.decision or "",
        words=str(words.get(hit.decision, "")),
    )


def benchmarks_of(project: Project) -> list[Any]:
    """Benchmarks with ``size``, how many problems overlap with each, and how many pairs stand."""
    rows = list(Benchmark.objects.filter(project=project).order_by("name")[:200])
    items = BenchmarkItem.objects.filter(benchmark__in=rows).values("benchmark")
    sizes = dict(items.annotate(n=Count("pk")).values_list("benchmark", "n"))
    hits = domain.standing(BenchmarkHit.objects.filter(item__benchmark__in=rows))
    found = hits.values("item__benchmark").annotate(n=Count("problem", distinct=True))
    problems = dict(found.values_list("item__benchmark", "n"))
    for row in rows:
        row.size, row.overlap = sizes.get(row.pk, 0), problems.get(row.pk, 0)  # type: ignore[attr-defined]
    return rows


def show(request: HttpRequest, project: Project, form: RunForm | None = None) -> HttpResponse:
    """The page of benchmarks and of what overlaps with them."""
    rows = benchmarks_of(project)
    filters = hit_filters(rows)
    hits = BenchmarkHit.objects.filter(problem__project=project).select_related("problem", "item")
    light = domain.decided(hits.select_related("item__benchmark")).defer(
        "problem__search_text", "problem__embedding", "problem__tests"
    )
    found: Slice[Any] = keyset(
        one_per_pair(filtered(light, request.GET, filters)), request.GET, size=PAIRS
    )
    jobs = Job.objects.filter(project=project, kind="decontaminate").order_by("-pk")[:3]
    return page(
        request,
        project,
        "decontamination/list.html",
        status=400 if form else 200,
        benchmarks=rows,
        slice=found,
        pairs=pairs_of(found.rows),
        filters=filters,
        filtered=is_filtered(filters),
        jobs=cards(jobs),
        form=form or RunForm(names=[b.name for b in rows]),
    )


@login_required
def decontamination(request: HttpRequest, slug: str) -> HttpResponse:
    """Benchmarks, and the problems that overlap with their items."""
    return show(request, access.access_project(request.user, slug))


@login_required
@require_POST
def decontaminate_run(request: HttpRequest, slug: str) -> HttpResponse:
    """Compare all problems with one benchmark."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    names = Benchmark.objects.filter(project=project).values_list("name", flat=True)
    form = RunForm(request.POST, names=[*names])
    if not form.is_valid():
        return show(request, project, form)
    return redirect("job", slug, start(request, project, "decontaminate", form.params()).pk)


@login_required
def benchmark_add(request: HttpRequest, slug: str) -> HttpResponse:
    """Make a benchmark from a source or from texts, and compare the problems with it."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    form = BenchmarkForm(request.POST or None, sources=access.scoped(request.user, Source))
    if request.method == "POST" and form.is_valid():
        try:
            made = form.make(project)
        except IntegrityError:
            form.add_error("name", "There is a benchmark of this name already.")
        else:
            start(request, project, "decontaminate", {"benchmark": made.name})
            return redirect("decontamination", slug)
    return page(request, project, "decontamination/add.html", form=form)


@login_required
@require_POST
def overlap_decide(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Say whether the problem is the benchmark's question; the newest word holds."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    hit = access.access_object(request.user, BenchmarkHit, pk, Role.CURATOR, project)
    decision = request.POST.get("decision", "")
    if decision not in OverlapDecision.Decision.values:
        return HttpResponse("no such decision", status=400)
    OverlapDecision.objects.create(
        problem_id=hit.problem_id,
        item_id=hit.item_id,
        decision=decision,
        user=request.user,  # type: ignore[misc]
    )
    said = OverlapDecision.Decision(decision).label
    messages.success(request, f"Problem {hit.problem_id}: {said}.")
    return redirect(f"{reverse('decontamination', args=[slug])}?{request.GET.urlencode()}")
