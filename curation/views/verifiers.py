"""Verifiers: what each version said, with whom it agrees, and where it does not."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from curation import access, agreement
from curation.models import Verdict
from curation.models.project import Role
from curation.verifiers import VERIFIERS
from curation.views.common import page
from curation.views.jobs import start

SHOWN = 50


def running_version(name: str) -> str:
    """The version that this installation would judge with; "" for a verifier it does not have."""
    return VERIFIERS[name].version if name in VERIFIERS else ""


@login_required
def verifiers(request: HttpRequest, slug: str) -> HttpResponse:
    """Every verifier and version that judged a trace of the project, and those that could."""
    project = access.access_project(request.user, slug)
    rows = agreement.verdict_counts(project.pk)
    for row in rows:
        row["current"] = row["version"] == running_version(row["verifier"])
    used = {row["verifier"] for row in rows}
    idle = [(name, v.version) for name, v in VERIFIERS.items() if name not in used]
    return page(request, project, "verifiers/list.html", rows=rows, idle=idle)


def disputed(project: int, name: str, version: str, params: Any) -> dict[str, Any]:
    """The disagreements that the query string asks for, a page of them."""
    voice, way = params.get("with", ""), params.get("way", "")
    if way not in agreement.WAYS or not voice:
        return {"disputes": None}
    given = params.get("after", "")
    after = int(given) if given.isascii() and given.isdigit() and len(given) < 19 else 0
    key = (project, name, version)
    ids = agreement.disagreements(key, voice, way, after=after, limit=SHOWN + 1)
    rows = Verdict.objects.filter(pk__in=ids[:SHOWN]).select_related("trace", "trace__problem")
    light = rows.defer("trace__text", "trace__messages", "trace__problem__embedding")
    return {
        "disputes": list(light.order_by("pk")),
        "voice": voice,
        "way": way,
        "next": ids[SHOWN - 1] if len(ids) > SHOWN else None,
    }


@login_required
def verifier(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """One verifier: its versions, agreement with everyone else, and the disagreements."""
    project = access.access_project(request.user, slug)
    rows = [row for row in agreement.verdict_counts(project.pk) if row["verifier"] == name]
    if not rows and name not in VERIFIERS:
        raise Http404
    wanted = request.GET.get("version", "")
    versions = [row["version"] for row in rows]
    version = wanted if wanted in versions else next(iter(versions), "")
    return page(
        request,
        project,
        "verifiers/detail.html",
        name=name,
        rows=rows,
        version=version,
        current=running_version(name),
        voices=agreement.voices(project.pk, name, version) if version else [],
        **disputed(project.pk, name, version, request.GET),
    )


@login_required
@require_POST
def verify_again(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Judge the traces that the running version has not judged yet; older verdicts stay."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    if name not in VERIFIERS:
        raise Http404
    messages.info(request, "Older verdicts stay; compare the versions when the job has ended.")
    used = Verdict.objects.filter(trace__project=project, verifier=name)
    ids = list(used.values_list("trace", flat=True).distinct())
    job = start(request, project, "verify", {"verifier": name, "ids": ids})
    return redirect("job", project.slug, job.pk)
