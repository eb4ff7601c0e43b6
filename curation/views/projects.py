"""The list of projects, and making one."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from curation import access
from curation.models import Job, Membership, Problem, Project, Trace
from curation.models.project import Role
from curation.views.forms import ProjectForm

OPEN = (Job.State.QUEUED, Job.State.RUNNING)


def _count(rows: QuerySet[Problem] | QuerySet[Trace] | QuerySet[Job]) -> Coalesce:
    counted = rows.filter(project=OuterRef("pk")).order_by().values("project")
    number = counted.annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(number, output_field=IntegerField()), 0)


def overview(projects: QuerySet[Project]) -> QuerySet[Project]:
    """Projects with their counts of problems, traces and open jobs."""
    return projects.annotate(
        problem_count=_count(Problem.objects.all()),
        trace_count=_count(Trace.objects.all()),
        open_jobs=_count(Job.objects.filter(Q(state__in=OPEN))),
    ).order_by("name")


@login_required
def projects(request: HttpRequest) -> HttpResponse:
    """All projects of this user."""
    mine = access.projects_of(request.user)
    form = ProjectForm(request.POST or None)
    if request.method == "POST":
        access.require_project_creation(request.user)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            project = form.save()
            Membership.objects.create(
                project=project, user=cast(Any, request.user), role=Role.OWNER
            )
        return redirect("dashboard", project.slug)
    can_create = access.may_create_project(request.user)
    context = {"projects": overview(mine)[:200], "form": form, "can_create": can_create}
    return render(request, "projects/list.html", context)
