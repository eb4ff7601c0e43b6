"""Training runs: the list, one run with its curves and pass rates, queueing one."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from curation import access, charts
from curation import training as domain
from curation.charts import Estimate, Series, Svg
from curation.difficulty.stats import wilson
from curation.jobs import JobError
from curation.models import Export, TrainingMetric, TrainingResult, TrainingRun
from curation.models.project import Role
from curation.views.common import Filter, filtered, is_filtered, keyset, page, signed_in
from curation.views.forms import TrainForm

OPEN = (TrainingRun.State.QUEUED, TrainingRun.State.RUNNING)
SUBJECTS = ("start", "student", "teacher")
SHOWN = ("loss", "rewards/margins", "rewards/accuracies", "mean_token_accuracy")


@login_required
def training(request: HttpRequest, slug: str) -> HttpResponse:
    """All runs with the pass rates of their students."""
    project = access.access_project(request.user, slug)
    filters = [Filter("state", "State", lambda q, v: q.filter(state=v), TrainingRun.State.choices)]
    rows = TrainingRun.objects.filter(project=project).select_related("export")
    found = keyset(filtered(rows.defer("export__manifest"), request.GET, filters), request.GET)
    results = TrainingResult.objects.filter(run__in=found.rows).defer("detail")
    rates: dict[int, dict[str, float]] = {}
    for result in results:
        judged = result.correct + result.incorrect
        if judged:
            rates.setdefault(result.run_id, {})[result.subject] = result.correct / judged
    return page(
        request,
        project,
        "training/list.html",
        slice=found,
        rates=rates,
        filters=filters,
        filtered=is_filtered(filters),
    )


def curves(run: TrainingRun) -> list[tuple[str, Svg]]:
    """A chart for each metric worth looking at."""
    points: dict[str, list[tuple[float, float]]] = {}
    rows = TrainingMetric.objects.filter(run=run, name__in=SHOWN).order_by("step")
    for name, step, value in rows.values_list("name", "step", "value"):
        points.setdefault(name, []).append((step, value))
    return [
        (name, charts.line([Series(name, points[name])], name, x_label="step", y_label=name))
        for name in SHOWN
        if name in points
    ]


def estimates(run: TrainingRun) -> list[Estimate]:
    """Held-back pass rates with Wilson's 95 % intervals; the other verdicts in the note."""
    found = {row.subject: row for row in TrainingResult.objects.filter(run=run).defer("detail")}
    rows = []
    for subject in SUBJECTS:
        result = found.get(subject)
        judged = result.correct + result.incorrect if result else 0
        interval = wilson(result.correct, judged) if result else None
        if result is None or interval is None:
            continue
        low, high = interval
        note = f"{result.correct} of {judged}"
        if result.unverifiable or result.error:
            note += f" · {result.unverifiable} unverifiable, {result.error} error"
        rows.append(Estimate(subject, result.correct / judged, low, high, note))
    return rows


@signed_in
def training_run(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One run: state, curves, and start, student and teacher on held-back problems."""
    project = access.access_project(request.user, slug)
    found = access.access_object(request.user, TrainingRun, pk, project=project)
    template = "training/detail.html"
    if request.htmx and not request.htmx.boosted:  # type: ignore[attr-defined]
        template += "#live"
    return page(
        request,
        project,
        template,
        run=found,
        open=found.state in OPEN,
        curves=curves(found),
        rates=charts.intervals(estimates(found), "Pass rates on held-back problems"),
        origin=request.build_absolute_uri("/").rstrip("/"),
    )


@login_required
@require_POST
def training_start(request: HttpRequest, slug: str, export_pk: int) -> HttpResponse:
    """Queue a run over an export; a trainer takes it over REST."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    export = access.access_object(request.user, Export, export_pk, Role.CURATOR, project)
    form = TrainForm(request.POST)
    if not form.is_valid():
        for name, errors in form.errors.items():
            messages.error(request, f"{name}: {' '.join(map(str, errors))}")
        return redirect("export", slug, export_pk)
    data = form.cleaned_data
    try:
        run = domain.create_run(
            project=project,
            export=export,
            config=data["config"] | {"base_model": data["base_model"]},
            name=data["name"],
            method=data["method"],
        )
    except JobError as error:
        messages.error(request, str(error))
        return redirect("export", slug, export_pk)
    return redirect("training_run", slug, run.pk)


@login_required
@require_POST
def training_cancel(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Stop a run: its trainer learns of it with its next report."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    found = access.access_object(request.user, TrainingRun, pk, Role.CURATOR, project)
    domain.cancel(found)
    return redirect("training_run", slug, pk)
