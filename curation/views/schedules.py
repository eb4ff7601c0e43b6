"""Schedules: work that starts by itself."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from curation import access
from curation import schedules as domain
from curation.jobs import Right
from curation.models import Job, Project, Schedule
from curation.models.project import Role
from curation.views.common import Slice, keyset, page
from curation.views.forms import ScheduleForm
from curation.views.jobs import Refused, cards, start

RUNS = 30  # jobs shown of one schedule


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
    now = timezone.now()
    return page(
        request,
        project,
        "schedules/list.html",
        slice=found,
        last=last_jobs(found),
        next={row.pk: domain.next_fire_time(row, now) for row in found.rows},
        form=form,
    )


def schedule_form(request: HttpRequest, project: Project, **more: Any) -> ScheduleForm:
    """The posted form, on the word of the user who sent it."""
    return ScheduleForm(request.POST, project=project, user=request.user, **more)


@login_required
def schedules(request: HttpRequest, slug: str) -> HttpResponse:
    """All schedules with the last job of each."""
    project = access.access_project(request.user, slug)
    return show(request, project, ScheduleForm(project=project, user=request.user))


@login_required
@require_POST
def schedule_add(request: HttpRequest, slug: str) -> HttpResponse:
    """Add a schedule."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    form = schedule_form(request, project)
    if form.is_valid():
        form.instance.project = project
        if save(form):
            return redirect("schedules", slug)
    return show(request, project, form)


@login_required
def schedule(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One schedule: when it fires next, the jobs it made, and changing it."""
    project = access.access_project(request.user, slug)
    role = Role.VIEWER if request.method == "GET" else Role.CURATOR
    found = access.access_object(request.user, Schedule, pk, role, project)
    initial = {"params": json.dumps(found.params)}
    form = ScheduleForm(project=project, user=request.user, instance=found, initial=initial)
    if request.method == "POST":
        form = schedule_form(request, project, instance=found)
        if form.is_valid() and save(form):
            messages.success(request, "The schedule was changed.")
            return redirect("schedule", slug, pk)
        found = Schedule.objects.get(pk=pk)  # the form has put what was refused into the old one
    made = Job.objects.filter(schedule_run__schedule=found).select_related("schedule_run")
    return page(
        request,
        project,
        "schedules/detail.html",
        schedule=found,
        next=domain.next_fire_time(found, timezone.now()),
        cards=cards(made.order_by("-pk")[:RUNS]),
        form=form,
    )


def save(form: ScheduleForm) -> bool:
    """Whether the schedule could be stored; a name that is taken is an error of the form."""
    try:
        with transaction.atomic():
            form.save()
    except IntegrityError:
        form.add_error("name", "There is a schedule of this name already.")
        return False
    return True


@login_required
@require_POST
def schedule_run(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Do the work of a schedule now, whether it is on or off."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    found = access.access_object(request.user, Schedule, pk, Role.CURATOR, project)
    try:
        job = start(request, project, found.kind, found.params, Right.STORED)
    except Refused as error:
        messages.error(request, str(error))
        return redirect("schedule", slug, pk)
    return redirect("job", slug, job.pk)


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
