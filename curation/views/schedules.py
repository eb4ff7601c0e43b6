"""Schedules: work that starts by itself."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from curation import access
from curation.models import Job, Project, Schedule
from curation.models.project import Role
from curation.views.common import Slice, keyset, page
from curation.views.forms import ScheduleForm


def last_jobs(slice_: Slice[Schedule]) -> dict[int, Job]:
    """Schedule id -> the newest job it made."""
    rows = (
        Job.objects.filter(schedule_run__schedule__in=slice_.rows)
        .select_related("schedule_run")
        .order_by("schedule_run__schedule_id", "-pk")
        .distinct("schedule_run__schedule_id")
    )
    return {job.schedule_run.schedule_id: job for job in rows if job.schedule_run}


def show(request: HttpRequest, project: Project, form: ScheduleForm) -> HttpResponse:
    """The page of schedules."""
    found = keyset(Schedule.objects.filter(project=project), request.GET)
    return page(
        request, project, "schedules/list.html", slice=found, last=last_jobs(found), form=form
    )


@login_required
def schedules(request: HttpRequest, slug: str) -> HttpResponse:
    """All schedules with the last job of each."""
    project = access.access_project(request.user, slug)
    return show(request, project, ScheduleForm())


@login_required
@require_POST
def schedule_add(request: HttpRequest, slug: str) -> HttpResponse:
    """Add a schedule."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    form = ScheduleForm(request.POST)
    if form.is_valid():
        form.instance.project = project
        try:
            with transaction.atomic():
                form.save()
            return redirect("schedules", slug)
        except IntegrityError:
            form.add_error("name", "There is a schedule of this name already.")
    return show(request, project, form)


@login_required
@require_POST
def schedule_switch(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Switch a schedule on or off."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    found = access.access_object(request.user, Schedule, pk, Role.CURATOR, project)
    Schedule.objects.filter(pk=pk).update(enabled=not found.enabled)
    return redirect("schedules", slug)


@login_required
@require_POST
def schedule_delete(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Delete a schedule; the jobs it made stay."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    found = access.access_object(request.user, Schedule, pk, Role.CURATOR, project)
    found.delete()
    messages.success(request, f"Schedule {found.name} was deleted.")
    return redirect("schedules", slug)
