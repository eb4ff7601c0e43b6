"""Jobs: the list, one job with its log, starting, cancelling, trying again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from curation import access
from curation import jobs as domain
from curation.models import Export, Job, JobLog, Project
from curation.models.project import Role
from curation.views.common import Filter, filtered, is_filtered, keyset, options, page, signed_in
from curation.views.forms import WorkForm
from workers.dispatch import wake_after_commit
from workers.handlers import HANDLERS

CSS = {"running": "accent", "done": "ok", "failed": "bad", "cancelled": "warn"}
LOG_LINES = 500


@dataclass(frozen=True, slots=True)
class Card:
    """A job as pages show it: its progress, its rate (units/s) and what is left (s)."""

    pk: int
    kind: str
    state: str
    shown_state: str
    css: str
    final: bool
    done: int
    total: int | None
    rate: float | None
    eta: float | None
    seconds: float | None
    row: Job
    summary: str = ""


def summary_of(counts: dict[str, Any]) -> str:
    """The counts of a job in one line: what is nested or empty is left to the job's own page."""
    parts = []
    for name, value in counts.items():
        if value and not isinstance(value, dict | list):
            shown = f"{value:,}" if isinstance(value, int) else str(value)[:12]
            parts.append(f"{name.replace('_', ' ')} {shown}")
    return " · ".join(parts)


def card(job: Job) -> Card:
    """The numbers of one job as of now."""
    seconds = None
    if job.started_at:
        seconds = max(0.001, ((job.finished_at or timezone.now()) - job.started_at).total_seconds())
    rate = job.done / seconds if seconds and job.done else None
    running = job.state == Job.State.RUNNING
    left = (job.total - job.done) if job.total is not None else None
    return Card(
        pk=job.pk,
        kind=job.kind,
        state=job.state,
        shown_state="cancelling" if running and job.cancel_requested else job.state,
        css=CSS.get(job.state, ""),
        final=job.state in Job.FINAL,
        done=job.done,
        total=job.total,
        rate=rate,
        eta=left / rate if running and rate and left and left > 0 else None,
        seconds=seconds,
        row=job,
        summary=summary_of(job.counts),
    )


def cards(rows: Iterable[Job]) -> list[Card]:
    return [card(job) for job in rows]


class Refused(BadRequest):
    """A job that may not be; a view that can say why catches it, else it is a 400."""


def start(
    request: HttpRequest,
    project: Project,
    kind: str,
    params: dict[str, Any],
    right: domain.Right = domain.Right.AUTHOR,
) -> Job:
    """Make a job, wake the workers, and say so on the next page. Refused when it may not be."""
    try:
        job = domain.create_job(
            project=project, kind=kind, params=params, user=request.user, right=right
        )
    except domain.JobError as error:
        raise Refused(str(error)) from error
    wake_after_commit()
    messages.success(request, f"Job {job.pk} ({kind}) was started.")
    return job


def job_filters() -> list[Filter]:
    return [
        Filter("kind", "Kind", lambda q, v: q.filter(kind=v), options(sorted(HANDLERS))),
        Filter("state", "State", lambda q, v: q.filter(state=v), Job.State.choices),
    ]


@login_required
def jobs(request: HttpRequest, slug: str) -> HttpResponse:
    """The project's jobs, newest first."""
    project = access.access_project(request.user, slug)
    filters = job_filters()
    rows = filtered(Job.objects.filter(project=project), request.GET, filters)
    found = keyset(rows.select_related("created_by"), request.GET)
    return page(
        request,
        project,
        "jobs/list.html",
        slice=found,
        cards=cards(found.rows),
        filters=filters,
        filtered=is_filtered(filters),
        form=WorkForm(project=project),
    )


@signed_in
def job(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One job: progress, counts, parameters, log."""
    project = access.access_project(request.user, slug)
    found = access.access_object(request.user, Job, pk, project=project)
    lines = list(JobLog.objects.filter(job=found).order_by("-pk")[:LOG_LINES])
    template = "jobs/detail.html"
    if request.htmx and not request.htmx.boosted:  # type: ignore[attr-defined]
        template += "#live"
    made = Export.objects.filter(project=project, digest=found.counts.get("export", "")).first()
    return page(request, project, template, job=card(found), lines=lines, export=made)


@signed_in
@never_cache
def job_progress(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """The progress bar of one job; a finished one stops asking."""
    project = access.access_project(request.user, slug)
    found = access.access_object(request.user, Job, pk, project=project)
    context = {"project": project, "job": card(found)}
    return render(request, "components/_progress.html", context)


@login_required
@require_POST
def job_start(request: HttpRequest, slug: str) -> HttpResponse:
    """Start one of the plain kinds of work."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    form = WorkForm(request.POST, project=project)
    if not form.is_valid():
        return page(request, project, "jobs/start.html", status=400, form=form)
    made = start(request, project, form.cleaned_data["kind"], form.params())
    return redirect("job", slug, made.pk)


@login_required
@require_POST
def job_cancel(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Ask a job to stop."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    found = access.access_object(request.user, Job, pk, Role.CURATOR, project)
    domain.request_cancel(found)
    return redirect("job", slug, pk)


@login_required
@require_POST
def job_retry(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """The same work again: only gaps are filled."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    found = access.access_object(request.user, Job, pk, Role.CURATOR, project)
    try:
        again = domain.retry(found, request.user)
    except domain.JobError as error:
        messages.error(request, str(error))
        return redirect("job", slug, pk)
    wake_after_commit()
    return redirect("job", slug, again.pk)
