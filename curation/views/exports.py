"""Exports: the list, one export with its manifest, checking it, and downloading its files."""

from __future__ import annotations

from pathlib import PurePosixPath

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from curation import access
from curation.exports.formats import FORMATS
from curation.exports.manifest import verify_export
from curation.exports.reading import NoSuchFile, export_folder, open_export_file
from curation.models import Export, TrainingRun
from curation.models.project import Role
from curation.views.common import Filter, filtered, is_filtered, keyset, options, page
from curation.views.forms import TrainForm

SHOWN_PROBLEMS = 20


@login_required
def exports(request: HttpRequest, slug: str) -> HttpResponse:
    """All exports, newest first."""
    project = access.access_project(request.user, slug)
    filters = [Filter("format", "Format", lambda q, v: q.filter(format=v), options(list(FORMATS)))]
    rows = Export.objects.filter(project=project).select_related("selection__recipe")
    found = keyset(filtered(rows.defer("manifest"), request.GET, filters), request.GET)
    return page(
        request,
        project,
        "exports/list.html",
        slice=found,
        filters=filters,
        filtered=is_filtered(filters),
    )


@login_required
def export(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One export: files, counts, exclusions, licences, the runs trained on it."""
    project = access.access_project(request.user, slug)
    found = access.access_object(request.user, Export, pk, project=project)
    method = found.selection.recipe.spec.get("kind", "sft")
    initial = {"name": f"{found.selection.recipe.name}-{found.digest[:6]}", "method": method}
    return page(
        request,
        project,
        "exports/detail.html",
        export=found,
        manifest=found.manifest,
        runs=TrainingRun.objects.filter(export=found).order_by("-pk")[:20],
        form=TrainForm(initial=initial),
    )


@login_required
@require_POST
def export_verify(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Read every file of the export and compare it with the manifest."""
    project = access.access_project(request.user, slug)
    found = access.access_object(request.user, Export, pk, project=project)
    problems = verify_export(export_folder(found), found.digest)
    for problem in problems[:SHOWN_PROBLEMS]:
        messages.error(request, problem)
    if not problems:
        messages.success(request, "Whole and unchanged: each file matches the manifest.")
    return redirect("export", slug, pk)


@login_required
def export_file(request: HttpRequest, slug: str, pk: int, path: str) -> HttpResponseBase:
    """One file of an export, as it is on disk."""
    project = access.access_project(request.user, slug, Role.VIEWER)
    found = access.access_object(request.user, Export, pk, project=project)
    try:
        file = open_export_file(found, path)
    except NoSuchFile as error:
        raise Http404(str(error)) from error
    return FileResponse(
        file,
        as_attachment=True,
        filename=PurePosixPath(path).name,
        content_type="application/octet-stream",
    )
