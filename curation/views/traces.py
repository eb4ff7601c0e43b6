"""Traces: the list, which never loads their text, and one trace to read."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse

from curation import access
from curation.models import (
    CutProposal,
    ModelEndpoint,
    Project,
    ReviewOutcome,
    Segmentation,
    Source,
    Trace,
    Verdict,
)
from curation.proof_results import turn_tables
from curation.views import reader
from curation.views.blind import held_back
from curation.views.common import Filter, filtered, is_filtered, keyset, page
from curation.views.verdicts import newest_verdicts

HEAVY = ("text", "messages", "manifest", "upstream", "metadata", "kept_ranges", "insertions")


def by_verdict(rows: QuerySet[Trace], value: str) -> QuerySet[Trace]:
    """Traces that have such a verdict from some verifier, or none at all."""
    judged = Verdict.objects.filter(trace=OuterRef("pk"))
    if value == "none":
        return rows.exclude(Exists(judged))
    return rows.filter(Exists(judged.filter(verdict=value)))


def by_state(rows: QuerySet[Trace], value: str) -> QuerySet[Trace]:
    """Traces that were cut off, have proposals, or were reviewed."""
    if value == "truncated":
        return rows.filter(truncated=True)
    if value == "reviewed":
        return rows.filter(Exists(ReviewOutcome.objects.filter(trace=OuterRef("pk"))))
    proposals = CutProposal.objects.filter(segmentation__trace=OuterRef("pk"))
    return rows.filter(Exists(proposals))


def trace_filters(project: Project) -> list[Filter]:
    """The filter bar of the list."""
    sources = Source.objects.filter(project=project).order_by("name").values_list("pk", "name")
    teachers = ModelEndpoint.objects.filter(project=project).order_by("name")
    states = [("truncated", "truncated"), ("proposals", "has proposals"), ("reviewed", "reviewed")]
    return [
        Filter("model", "Model", lambda q, v: q.filter(model__icontains=v), placeholder="model"),
        Filter(
            "source",
            "Source",
            lambda q, v: q.filter(source_id=int(v)),
            [(str(pk), name) for pk, name in sources[:200]],
        ),
        Filter(
            "teacher",
            "Teacher",
            lambda q, v: q.filter(endpoint_id=int(v)),
            [(str(pk), name) for pk, name in teachers.values_list("pk", "name")[:200]],
        ),
        Filter("origin", "Origin", lambda q, v: q.filter(origin=v), Trace.Origin.choices),
        Filter(
            "verdict", "Verdict", by_verdict, [*Verdict.Value.choices, ("none", "no verdict yet")]
        ),
        Filter("state", "State", by_state, states),
    ]


@login_required
def traces(request: HttpRequest, slug: str) -> HttpResponse:
    """All traces, newest first."""
    project = access.access_project(request.user, slug)
    filters = trace_filters(project)
    rows = Trace.objects.filter(project=project).defer(*HEAVY)
    rows = rows.annotate(question=Left("problem__text", 140))
    found = keyset(filtered(rows, request.GET, filters), request.GET)
    return page(
        request,
        project,
        "traces/list.html",
        slice=found,
        verdicts=newest_verdicts(found.rows),
        filters=filters,
        filtered=is_filtered(filters),
    )


def proposals_of(
    segmentation: Segmentation | None, wanted: str
) -> tuple[list[str], str, list[CutProposal]]:
    """The policies that proposed something, the one shown, and its proposals in order."""
    if segmentation is None:
        return [], "", []
    rows = list(CutProposal.objects.filter(segmentation=segmentation).order_by("start", "pk"))
    policies = sorted({row.policy for row in rows})
    policy = wanted if wanted in policies else next(iter(policies), "")
    return policies, policy, [row for row in rows if row.policy == policy]


def saved(trace: Trace, cuts: list[CutProposal]) -> dict[str, Any]:
    """Characters that the shown proposals keep and drop; overlaps count once."""
    dropped, reach = 0, 0
    for cut in cuts:
        dropped += max(0, cut.end - max(cut.start, reach))
        reach = max(reach, cut.end)
    tokens = [cut.tokens for cut in cuts if cut.tokens is not None]
    return {
        "dropped": dropped,
        "kept": trace.char_count - dropped,
        "share": dropped / trace.char_count if trace.char_count else 0.0,
        "tokens": sum(tokens) if tokens else None,
    }


def number_in(request: HttpRequest, name: str) -> int:
    """A small positive number from the query string; 1 when it is none."""
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 1


@login_required
def trace(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One trace with its leaves, proposals, verdicts, origin and what was derived from it."""
    project = access.access_project(request.user, slug)
    found = access.access_object(request.user, Trace, pk, project=project)
    if (instead := held_back(request, project, found.problem_id, found)) is not None:
        return instead
    segmentation = Segmentation.objects.filter(trace=found).order_by("-pk").first()
    policies, policy, cuts = proposals_of(segmentation, request.GET.get("policy", ""))
    others = Trace.objects.filter(problem_id=found.problem_id).exclude(pk=pk).defer(*HEAVY)
    siblings = list(others.order_by("pk")[:24])
    return page(
        request,
        project,
        "traces/detail.html",
        trace=found,
        problem=found.problem,
        segmentation=segmentation,
        reading=reader.read(found, segmentation, cuts, number_in(request, "page")),
        policies=policies,
        policy=policy,
        cuts=cuts,
        saved=saved(found, cuts),
        verdicts=Verdict.objects.filter(trace=found).order_by("verifier", "-pk"),
        turn_tables=turn_tables(found, segmentation),
        outcomes=ReviewOutcome.objects.filter(trace=found).order_by("-pk")[:10],
        siblings=siblings,
        sibling_verdicts=newest_verdicts(siblings),
    )


@login_required
def trace_text(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """The stored text, byte for byte, as a file."""
    project = access.access_project(request.user, slug)
    found = access.access_object(request.user, Trace, pk, project=project)
    response = HttpResponse(found.text.encode(), content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="trace-{found.pk}.txt"'
    response["X-Content-Type-Options"] = "nosniff"
    return response
