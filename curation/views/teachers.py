"""Teachers, students and judges: models behind OpenAI-compatible endpoints."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import IntegrityError, transaction
from django.db.models import Avg, Count, Q, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from curation import access, grants
from curation.jobs import JobError
from curation.models import FailedGeneration, Job, ModelEndpoint, Project, Trace
from curation.models.project import Role
from curation.views.common import Filter, filtered, is_filtered, keyset, page
from curation.views.forms import GenerateForm, GrantForm, TeacherForm
from curation.views.jobs import cards, start

GRANTS = 200  # granted addresses named beside the form
CAPABILITIES = (
    "serves_model",
    "completes",
    "n",
    "seed",
    "logprobs",
    "response_format",
    "streaming",
    "stream_usage",
    "usage",
)


def teacher_filters() -> list[Filter]:
    return [
        Filter("kind", "Kind", lambda q, v: q.filter(kind=v), ModelEndpoint.Kind.choices),
        Filter("q", "Name", lambda q, v: q.filter(name__icontains=v), placeholder="name"),
    ]


@login_required
def teachers(request: HttpRequest, slug: str) -> HttpResponse:
    """All endpoints with how many traces each wrote."""
    project = access.access_project(request.user, slug)
    filters = teacher_filters()
    rows = ModelEndpoint.objects.filter(project=project)
    found = keyset(filtered(rows, request.GET, filters), request.GET)
    ids = [row.pk for row in found.rows]
    counts = Trace.objects.filter(endpoint_id__in=ids).values("endpoint_id")
    return page(
        request,
        project,
        "teachers/list.html",
        slice=found,
        filters=filters,
        filtered=is_filtered(filters),
        review=grants.to_review(project) if request.user.is_superuser else 0,
        traces=dict(counts.annotate(n=Count("pk")).values_list("endpoint_id", "n")),
    )


def usage_of(teacher: ModelEndpoint) -> dict[str, float | int | None]:
    """What a teacher wrote: traces, tokens, mean latency, how many were cut off."""
    return Trace.objects.filter(endpoint=teacher).aggregate(
        traces=Count("pk"),
        truncated=Count("pk", filter=Q(truncated=True)),
        tokens=Sum("completion_tokens"),
        latency_ms=Avg("latency_ms"),
    )


def failures_of(teacher: ModelEndpoint) -> list[tuple[str, int]]:
    """Reasons of samples that are still missing, most frequent first."""
    open_rows = FailedGeneration.objects.filter(endpoint=teacher, resolved=False)
    return list(open_rows.values_list("reason").annotate(n=Count("pk")).order_by("-n", "reason"))


@login_required
def teacher(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One endpoint: what the probe found, its limits, what it wrote; generating with it."""
    project = access.access_project(request.user, slug)
    found = access.access_object(request.user, ModelEndpoint, pk, project=project)
    jobs = Job.objects.filter(project=project, params__teacher=found.name).order_by("-pk")
    form = GenerateForm(project=project, initial=found.sampling)
    return show(request, project, found, form, jobs=cards(jobs[:8]))


def show(
    request: HttpRequest,
    project: Project,
    found: ModelEndpoint,
    form: GenerateForm,
    **more: Any,
) -> HttpResponse:
    """The page of one endpoint."""
    return page(
        request,
        project,
        "teachers/detail.html",
        teacher=found,
        capabilities=[(name, found.capabilities.get(name, "unknown")) for name in CAPABILITIES],
        usage=usage_of(found),
        failures=failures_of(found),
        form=form,
        **more,
    )


@login_required
def teacher_add(request: HttpRequest, slug: str) -> HttpResponse:
    """Name a new endpoint, then find out what it can do."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    form = TeacherForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.instance.project = project
        try:
            with transaction.atomic():
                grants.approve_endpoint(project, form.cleaned_data, None, request.user)
                made = form.save()
        except JobError as error:
            form.add_error("base_url", str(error))
        except IntegrityError:
            form.add_error("name", "There is an endpoint of this name already.")
        else:
            start(request, project, "probe", {"teacher": made.name})
            return redirect("teacher", slug, made.pk)
    granted = grants.grants_for(project).order_by("host", "port", "key_variable")[:GRANTS]
    return page(request, project, "teachers/add.html", form=form, grants=granted)


@login_required
def teacher_grants(request: HttpRequest, slug: str) -> HttpResponse:
    """Addresses and keys that this project may use; administrators grant and revoke them."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    form = GrantForm(request.POST or None)
    if request.method == "POST":
        access.require_administrator(request.user)
        if form.is_valid():
            data = form.cleaned_data
            where = None if data["everywhere"] else project
            made = grants.grant(
                where, data["base_url"], data["api_key_env"], request.user, data["note"]
            )
            messages.success(request, f"{made} is granted.")
            return redirect("teacher_grants", slug)
    rows = grants.grants_for(project)
    return page(
        request,
        project,
        "teachers/grants.html",
        form=form,
        slice=keyset(rows.select_related("project", "granted_by"), request.GET),
        operator=settings.TEACHER_HOSTS,
        demo=grants.demo_address(),
        refused=grants.refused_endpoints(project),
    )


@login_required
@require_POST
def teacher_grant_revoke(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """End a grant of this project or of all."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    access.require_administrator(request.user)
    row = get_object_or_404(grants.grants_for(project), pk=pk)
    grants.revoke(row, request.user)
    messages.success(request, f"{row} is no longer granted.")
    return redirect("teacher_grants", slug)


@login_required
@require_POST
def teacher_probe(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Ask the endpoint again what it can do; a pause is lifted by a person doing this."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    found = access.access_object(request.user, ModelEndpoint, pk, Role.CURATOR, project)
    ModelEndpoint.objects.filter(pk=pk).update(paused_reason="")
    start(request, project, "probe", {"teacher": found.name})
    return redirect("teacher", slug, pk)


@login_required
@require_POST
def teacher_switch(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Switch an endpoint on or off."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    found = access.access_object(request.user, ModelEndpoint, pk, Role.CURATOR, project)
    ModelEndpoint.objects.filter(pk=pk).update(enabled=not found.enabled)
    messages.success(request, f"{found.name} is {'off' if found.enabled else 'on'}.")
    return redirect("teacher", slug, pk)


@login_required
@require_POST
def teacher_generate(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Start sampling: only what is missing is asked for."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    found = access.access_object(request.user, ModelEndpoint, pk, Role.CURATOR, project)
    form = GenerateForm(request.POST, project=project)
    if not form.is_valid():
        return show(request, project, found, form)
    return redirect("job", slug, start(request, project, "generate", form.params(found.name)).pk)
