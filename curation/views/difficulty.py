"""Difficulty: how hard problems are for one named model, and what the makers of puzzles learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, QueryDict

from curation import access, charts, puzzles
from curation.charts import Bin, Point, Series, Svg
from curation.difficulty import measures
from curation.difficulty.levels import LEVELS, WEIGHTS, sample_to
from curation.difficulty.measures import Group, Summary
from curation.difficulty.stats import linear_fit
from curation.models import Problem, Project
from curation.views.common import Filter, page

BAND_ORDER = ("easy", "medium", "hard", "fail", "not graded")
MAX_LINES = 6
MAX_ROWS = 100


def filters_of(found: Sequence[Group], runs: Sequence[str], params: QueryDict) -> list[Filter]:
    """Which group is shown; the first is the one with most problems."""
    names = [(group.key, label(group)) for group in found]
    group = Filter("group", "Model, sampling, policy", _same, names, always=names[0][0])
    total = Filter("total", "Sample for it", _same, placeholder="problems")
    run = Filter("run", "Rewards of run", _same, [(r, r) for r in runs])
    for one in (group, total, run):
        one.read(params)
    return [group, total, run]


def _same(rows: Any, value: str) -> Any:
    return rows


def label(group: Group) -> str:
    """A group by its parts; imports without a sampling say so."""
    sampling = group.sampling_hash[:8] or "sampling not known"
    return f"{group.model or 'no model'} · {sampling} · {group.policy} ({group.problems})"


@login_required
def difficulty(request: HttpRequest, slug: str) -> HttpResponse:
    """One model with one sampling at a time: pass rates, bands, levels, lengths, rewards."""
    project = access.access_project(request.user, slug)
    found = measures.groups(project)
    record = puzzles.calibration(project)
    made: dict[str, Any] = {"record": record, "formula": formula_plot(record)}
    if not found:
        return page(request, project, "difficulty/show.html", group=None, **made)
    filters = filters_of(found, measures.runs(project), request.GET)
    group = next(one for one in found if one.key == filters[0].value)
    return page(
        request,
        project,
        "difficulty/show.html",
        group=group,
        filters=filters,
        filtered=False,
        **figures(measures.summary(project, group)),
        **levels_context(project, group, filters[1].value),
        **rewards_context(project, filters[2].value),
        **made,
    )


def figures(found: Summary) -> dict[str, Any]:
    """The plots of one group."""
    return {
        "summary": found,
        "rates": rates_plot(found),
        "skywork": skywork_plot(found),
        "pass_at": pass_at_plot(found),
        "cv": cv_plot(found),
        "histories": history_plot(found),
        "bands": [
            (name, found.bands["paper"].get(name, 0), found.bands["code"].get(name, 0))
            for name in BAND_ORDER
        ],
    }


def rates_plot(found: Summary) -> Svg:
    return charts.histogram(
        charts.bins(found.rates, 0.0, 1.0, 10), "Problems by pass rate", x_label="pass rate"
    )


def skywork_plot(found: Summary) -> Svg:
    bars = [
        Bin(failed, failed + 1, count, f"{failed} of {found.of} failed")
        for failed, count in found.skywork.items()
    ]
    title = f"Failed attempts of {found.of}"
    return charts.histogram(bars, title, x_label="failed") if bars else charts.empty(title)


def pass_at_plot(found: Summary) -> Svg:
    points = [(float(k), value) for k, (value, _) in found.pass_at.items()]
    return charts.line([Series("pass@k", points)], "pass@k, unbiased", x_label="k", y_label="")


def cv_plot(found: Summary) -> Svg:
    """The coefficient of variation with both denominators, as two estimates of one spread."""
    values = found.cv["population"]
    top = max(values, default=0.0)
    bars = charts.bins(values, 0.0, top or 1.0, 10)
    return charts.histogram(bars, "Coefficient of variation, n below", x_label="σ / μ")


def history_plot(found: Summary) -> Svg:
    lines = [
        Series(f"#{problem}", [(float(at + 1), float(size)) for at, size in enumerate(history)])
        for problem, history in found.history[:MAX_LINES]
    ]
    title = "Shortest correct attempt so far"
    if not lines:
        return charts.empty(title)
    return charts.line(lines, title, x_label="correct attempt", y_label=found.unit)


def levels_context(project: Project, group: Group, total: str) -> dict[str, Any]:
    """Levels for the model as a student, and a sample to the target histogram."""
    levels = measures.levels(project, group)
    counts = {n: sum(level.level == n for level in levels.values()) for n in LEVELS}
    by = {level.by for level in levels.values()}
    wanted = int(total) if total.isascii() and total.isdigit() and len(total) < 8 else 0
    drawn = sample_to({pk: found.level for pk, found in levels.items()}, wanted)
    table = [
        (n, counts[n], weight, drawn.wanted[n], len(drawn.chosen[n]), drawn.shortage.get(n, 0))
        for n, weight in zip(LEVELS, WEIGHTS, strict=True)
    ]
    bars = [Bin(n, n + 1, counts[n], f"level {n}") for n in LEVELS]
    return {
        "levels": table,
        "levels_plot": charts.histogram(bars, "Problems by level", x_label="level"),
        "levels_by": sorted(by),
        "drawn": drawn.ids[:MAX_ROWS] if wanted else [],
        "wanted": wanted,
        "short": sum(drawn.shortage.values()),
    }


def rewards_context(project: Project, run: str) -> dict[str, Any]:
    """LIM and historical variance of one training run's rewards."""
    rows = measures.reward_rows(project, run) if run else []
    points = [
        Point(row.lim, row.variance, f"problem {row.problem}", "incorrect" if row.weakness else "")
        for row in rows
        if row.lim is not None and row.variance is not None
    ]
    plot = charts.scatter(points, "Alignment and variance", x_label="LIM", y_label="variance")
    known = Problem.objects.filter(pk__in=[row.problem for row in rows[:MAX_ROWS]])
    return {
        "run": run,
        "rewards": rows[:MAX_ROWS],
        "rewards_total": len(rows),
        "rewards_plot": plot,
        "rewarded": set(known.values_list("pk", flat=True)),
    }


def formula_plot(record: Sequence[puzzles.Calibrated]) -> list[tuple[str, Svg, float | None]]:
    """For each model: settings by formula difficulty, their pass rates, and R² of the line."""
    models: dict[str, list[tuple[float, float]]] = {}
    for model, formula, rate in puzzles.formula_points(record):
        models.setdefault(model, []).append((formula, rate))
    found = []
    for model, points in list(models.items())[:MAX_LINES]:
        fit = linear_fit(points)
        dots = [Point(x, y, f"D {x:g}: {y:.2f}") for x, y in points]
        plot = charts.scatter(dots, model, x_label="formula difficulty D", y_label="pass rate")
        found.append((model, plot, fit.r2 if fit else None))
    return found
