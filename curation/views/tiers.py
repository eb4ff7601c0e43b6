"""Published tiers: what other people's rules would do with this project's pass rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, QueryDict

from curation import access, charts
from curation.charts import Point, Series, Stage
from curation.difficulty import measures
from curation.difficulty import published as domain
from curation.difficulty.measures import Group
from curation.models import Project
from curation.views.common import Filter, page
from curation.views.difficulty import label
from curation.voting import MIN_SHARE, MIN_VOTES

NONE = "-"
SHOWN = 100
NAMES = {"small": "Small", "middle": "Middle", "large": "Large", "teacher": "Teacher, strong"}
DENOMINATORS = [("population", "n"), ("sample", "n − 1")]
TIERS = {
    "dropped": "the teacher never solves it",
    "easy": "the small model always solves it",
    "L1": "the small model solves some",
    "L2": "the middle model solves some",
    "L3": "only the teacher, or the large model, does",
}
STAGES = {
    "drop": "no response above the threshold: dropped",
    "keep_passing": "varied: the passing responses are kept",
    "sample": "even: half of the conversations are kept, nothing of the rest",
}


def filters_of(found: Sequence[Group], params: QueryDict) -> list[Filter]:
    """The model of the rules for one, what those rules leave open, and a model for each role."""
    named = [(group.key, label(group)) for group in found]
    roles = [(NONE, "none"), *named]
    filters = [
        Filter("group", "Model, sampling, policy", _same, named, always=named[0][0]),
        Filter("threshold", "Score above", _same, placeholder=str(domain.THRESHOLD)),
        Filter("cv", "Variation above", _same, placeholder="not published"),
        Filter("ddof", "Divided by", _same, DENOMINATORS, always=DENOMINATORS[0][0]),
        *(Filter(role, NAMES[role], _same, roles, always=NONE) for role in domain.ROLES),
        Filter("votes", "Least votes", _same, placeholder=str(MIN_VOTES)),
        Filter("share", "Least share", _same, placeholder=str(MIN_SHARE)),
    ]
    for one in filters:
        one.read(params)
    return filters


def _same(rows: Any, value: str) -> Any:
    return rows


def decimal(given: str, default: float | None) -> float | None:
    """A number from 0 to 1000 as typed; the default for anything else."""
    try:
        value = float(given[:20])
    except ValueError:
        return default
    return value if 0 <= value <= 1000 else default


@login_required
def tiers(request: HttpRequest, slug: str) -> HttpResponse:
    """DeepDistill's stages and published bands of one model, tiers and teachability of several."""
    project = access.access_project(request.user, slug)
    found = measures.groups(project)
    if not found:
        return page(request, project, "difficulty/tiers.html", group=None)
    filters = filters_of(found, request.GET)
    values = {one.name: one.value for one in filters}
    by_key = {group.key: group for group in found}
    roles = {role: by_key[values[role]] for role in domain.ROLES if values[role] in by_key}
    group = by_key[values["group"]]
    return page(
        request,
        project,
        "difficulty/tiers.html",
        group=group,
        filters=filters,
        filtered=False,
        **stages_context(domain.scored(project, group), values),
        **bands_context(measures.rates(project, group)),
        **staged_context(project, roles),
        **teachable_context(project, roles, values),
    )


def stages_context(found: Sequence[domain.Scored], values: dict[str, str]) -> dict[str, Any]:
    """DeepDistill's first stage; without a bound, what each bound would keep."""
    threshold = decimal(values["threshold"], domain.THRESHOLD) or 0.0
    limit = decimal(values["cv"], None)
    curve = [
        (bound, float(n)) for bound, n in domain.kept_by_limit(found, threshold, values["ddof"])
    ]
    title = "Problems kept by the bound on the variation"
    context: dict[str, Any] = {
        "scored": len(found),
        "threshold": threshold,
        "limit": limit,
        "kept": charts.line([Series("kept", curve)], title, x_label="σ / μ above", y_label="kept")
        if found
        else charts.empty(title),
    }
    if limit is not None:
        sorted_in = domain.stages(found, threshold, limit, values["ddof"])
        context["stages"] = [
            (stage, STAGES[stage], len(ids), ids[:SHOWN]) for stage, ids in sorted_in.items()
        ]
    return context


def bands_context(rates: list[float]) -> dict[str, Any]:
    """Named bands over the pass rates of one model."""
    return {
        "bands": [
            (band, charts.stacked(
                [("harder", band.below, "incorrect"), ("in the band", band.inside, "correct"),
                 ("easier", band.above, "unverifiable")], band.name))
            for band in domain.bands_of(rates)
        ]
    }  # fmt: skip


def staged_context(project: Project, roles: dict[str, Group]) -> dict[str, Any]:
    """Tiers of staged RL, once small, large and teacher are named."""
    if not {"small", "large", "teacher"} <= set(roles):
        return {"staged": None}
    found = domain.staged(project, roles)
    bars = [Stage(tier, len(found.tiers[tier])) for tier in domain.TIERS]
    rows = [
        (tier, TIERS[tier], len(found.tiers[tier]), found.tiers[tier][:SHOWN])
        for tier in domain.TIERS
    ]
    plot = charts.funnel(bars, "Problems by tier")
    return {"staged": rows, "staged_plot": plot, "staged_open": found.open}


def teachable_context(
    project: Project, roles: dict[str, Group], values: dict[str, str]
) -> dict[str, Any]:
    """Phi-4-reasoning's teachability, once a strong model and a weaker one are named."""
    weak = {role: group for role, group in roles.items() if role != "teacher"}
    if "teacher" not in roles or not weak:
        return {"teachable": None}
    votes = int(decimal(values["votes"], MIN_VOTES) or MIN_VOTES)
    share = decimal(values["share"], MIN_SHARE) or 0.0
    found = domain.teachable(project, roles["teacher"], [*weak.values()], votes, share)
    every = list(found.found.values())
    plots = [
        (role, group, charts.histogram(
            charts.bins(domain.agreement_rates(every, group.key), 0.0, 1.0, 10),
            f"Agreement of {group.model or 'no model'}", x_label="agreement"))
        for role, group in weak.items()
    ]  # fmt: skip
    dots = [
        Point(one, mean, f"{count} problems: plurality {one:g}, agreement {mean:g}")
        for (one, mean), count in domain.matrix(every).items()
    ]
    return {
        "teachable": found,
        "votes": votes,
        "share": share,
        "agreements": plots,
        "proxies": charts.scatter(
            dots, "Plurality and agreement", x_label="plurality of the strong model",
            y_label="mean agreement",
        ),
        "disputed": sorted(found.disputed)[:SHOWN],
        "edge": hardest(found),
    }  # fmt: skip


def hardest(found: domain.Teachable) -> list[tuple[int, str, float, list[float]]]:
    """Problems on which weaker models agree least but sometimes: where there is most to learn."""
    rows = [
        (pk, one.proxy, one.mean, [round(rate, 2) for rate in one.agreement.values()])
        for pk, one in found.found.items()
        if one.mean
    ]
    return sorted(rows, key=lambda row: (row[2], row[0]))[:SHOWN]
