"""Disputed references: majorities against one, problems that nobody solves; people decide."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from curation import access
from curation.disputes import decide_dispute, open_disputes
from curation.models import DisputeDecision, Project, PseudoReference, ReferenceDispute, Trace
from curation.models.project import Role
from curation.views.common import Filter, filtered, is_filtered, keyset, page
from curation.views.verdicts import newest_verdicts

SUGGESTIONS = [("replace", "replace"), ("keep", "keep"), ("look", "look")]


def dispute_filters() -> list[Filter]:
    """The filter bar of the list."""
    return [
        Filter("state", "State", lambda q, v: q, [("open", "open"), ("all", "all")], always="open"),
        Filter(
            "reason", "Reason", lambda q, v: q.filter(reason=v), ReferenceDispute.Reason.choices
        ),
        Filter("suggestion", "Suggested", lambda q, v: q.filter(suggestion=v), SUGGESTIONS),
    ]


def listed(project: Project, state: str) -> QuerySet[ReferenceDispute]:
    """Open disputes, or all with the decision that holds."""
    if state == "open":
        return open_disputes(project)
    newest = DisputeDecision.objects.filter(dispute=OuterRef("pk")).order_by("-pk")
    found = ReferenceDispute.objects.filter(problem__project=project)
    return found.annotate(current=Subquery(newest.values("decision")[:1]))


@login_required
def disputes(request: HttpRequest, slug: str) -> HttpResponse:
    """The queue."""
    project = access.access_project(request.user, slug)
    filters = dispute_filters()
    for one in filters:
        one.read(request.GET)
    rows = filtered(listed(project, filters[0].value), request.GET, filters).defer("table")
    found = keyset(rows.select_related("problem__source"), request.GET)
    return page(
        request,
        project,
        "disputes/list.html",
        slice=found,
        filters=filters,
        filtered=is_filtered(filters),
        pseudo=PseudoReference.objects.filter(problem__project=project, answer__isnull=False)
        .filter(problem__reference_answer=None)
        .count(),
    )


@login_required
def dispute(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One dispute: every answer with its votes, the attempts, the decisions so far."""
    project = access.access_project(request.user, slug)
    found = access.access_object(request.user, ReferenceDispute, pk, project=project)
    traces = Trace.objects.filter(problem=found.problem_id, parent=None).order_by("pk")
    shown = list(traces.defer("text", "messages", "manifest", "upstream", "metadata")[:50])
    return page(
        request,
        project,
        "disputes/detail.html",
        dispute=found,
        problem=found.problem,
        decisions=found.decisions.select_related("author").order_by("-pk"),
        choices=DisputeDecision.Decision.choices,
        traces=shown,
        verdicts=newest_verdicts(shown),
        may_replace=may(request, project, Role.CURATOR),
        may_decide=may(request, project, Role.REVIEWER),
    )


def may(request: HttpRequest, project: Project, role: Role) -> bool:
    have = access.role_in(request.user, project)
    return have is not None and access.RANK[have] >= access.RANK[role]


@login_required
@require_POST
def dispute_decide(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Append a decision; a reference is replaced by curators only."""
    given: Any = request.POST
    replaces = given.get("decision") == DisputeDecision.Decision.REPLACE
    role = Role.CURATOR if replaces else Role.REVIEWER
    project = access.access_project(request.user, slug, role)
    found = access.access_object(request.user, ReferenceDispute, pk, role, project)
    try:
        decide_dispute(
            found,
            request.user,
            str(given.get("decision", "")),
            new_reference=str(given.get("new_reference", ""))[:20_000].replace("\x00", ""),
            note=str(given.get("note", "")).replace("\x00", ""),
        )
    except ValueError as problem:
        messages.error(request, str(problem))
        return redirect("dispute", slug, pk)
    following = open_disputes(project).filter(pk__gt=pk).order_by("pk").first()
    return redirect("dispute", slug, following.pk) if following else redirect("disputes", slug)
