"""The dashboard of a project: the funnel, plots, and what is running."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from curation import access, charts
from curation.charts import Stage, Svg
from curation.models import Job, Project
from curation.views import dashboard_queries as queries
from curation.views.common import page
from curation.views.jobs import cards

STAGES = (
    ("rows", "rows in sources", "sources", ""),
    ("problems", "problems", "problems", ""),
    ("traces", "traces", "traces", ""),
    ("judged", "with a verdict", "traces", "traces"),
    ("correct", "correct", "traces", "judged"),
    ("segmented", "segmented", "traces", "traces"),
    ("reviewed", "reviewed", "traces", "traces"),
    ("selected", "in largest selection", "selections", "traces"),
    ("exported", "in largest export", "exports", "traces"),
)
VALUES = ("correct", "incorrect", "unverifiable", "error")


def funnel(project: Project, counts: dict[str, int]) -> Svg:
    """The stages as bars; from the verdicts on, with their share of the stage they come from."""
    stages = []
    for name, label, route, of in STAGES:
        share = f"{counts[name] / counts[of]:.0%} of {of}" if of and counts[of] else ""
        stages.append(Stage(label, counts[name], share, reverse(route, args=[project.slug])))
    return charts.funnel(stages)


def plots(facts: queries.Facts, wanted_model: str) -> dict[str, Any]:
    """Charts of difficulty, length and savings; ``wanted_model`` picks whose difficulty."""
    rates, saved = facts.rates, facts.savings
    model = wanted_model if wanted_model in rates else next(iter(rates), "")
    return {
        "models": list(rates),
        "model": model,
        "difficulty": charts.histogram(
            rates.get(model, []), "Problems by pass rate", x_label="pass rate", y_label="problems"
        ),
        "lengths": charts.histogram(
            facts.lengths, "Traces by length", x_label=facts.unit, y_label="traces"
        ),
        "savings": saved,
        "savings_chart": charts.histogram(
            saved.bins,
            "Traces by share proposed for cutting",
            x_label="share of the trace that proposals would drop",
            y_label="traces",
        ),
    }


@login_required
def dashboard(request: HttpRequest, slug: str) -> HttpResponse:
    """Where the project stands."""
    project = access.access_project(request.user, slug)
    facts = queries.facts(project.pk)
    verdicts = facts.verdicts
    bar = charts.stacked([(v, verdicts.get(v, 0), v) for v in VALUES], "Verdicts")
    recent = Job.objects.filter(project=project).order_by("-pk")[:8]
    return page(
        request,
        project,
        "projects/dashboard.html",
        facts=facts,
        counts=facts.funnel,
        funnel=funnel(project, facts.funnel),
        verdicts=[(v, verdicts.get(v, 0)) for v in VALUES],
        verdict_bar=bar,
        jobs=cards(recent),
        **plots(facts, request.GET.get("model", "")),
    )
