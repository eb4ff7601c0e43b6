"""Selections: what a recipe froze, what it left out and why."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from curation import access
from curation.exports.formats import FORMATS
from curation.models import Export, Selection, SelectionExclusion, SelectionRow
from curation.models.project import Role
from curation.views.common import Filter, filtered, is_filtered, keyset, options, page
from curation.views.forms import ExportForm
from curation.views.jobs import start


@login_required
def selections(request: HttpRequest, slug: str) -> HttpResponse:
    """All selections, newest first."""
    project = access.access_project(request.user, slug)
    filters = [
        Filter("q", "Recipe", lambda q, v: q.filter(recipe__name__icontains=v), placeholder="name")
    ]
    rows = Selection.objects.filter(project=project).select_related("recipe")
    found = keyset(filtered(rows, request.GET, filters), request.GET)
    return page(
        request,
        project,
        "selections/list.html",
        slice=found,
        filters=filters,
        filtered=is_filtered(filters),
    )


def formats_for(selection: Selection) -> list[tuple[str, str]]:
    """Formats that can hold this kind of selection."""
    kind = selection.recipe.spec.get("kind", "sft")
    return [(name, name) for name, form in FORMATS.items() if form.kind == kind]


@login_required
def selection(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One selection: its rows, or what was left out for one reason."""
    project = access.access_project(request.user, slug)
    found = access.access_object(request.user, Selection, pk, project=project)
    reasons = sorted(found.excluded.items(), key=lambda item: (-item[1], item[0]))
    left_out = Filter(
        "excluded", "Show", lambda q, v: q.filter(reason=v), options([r for r, _ in reasons])
    )
    excluded = SelectionExclusion.objects.filter(selection=found).annotate(
        question=Left("problem__text", 140)
    )
    excluded = filtered(excluded, request.GET, [left_out])
    rows = SelectionRow.objects.filter(selection=found).annotate(
        question=Left("problem__text", 140)
    )
    shown = excluded if left_out.value else rows
    form = ExportForm()
    form.fields["format"].choices = formats_for(found)  # type: ignore[attr-defined]
    return page(
        request,
        project,
        "selections/detail.html",
        selection=found,
        reasons=reasons,
        reason=left_out.value,
        slice=keyset(shown, request.GET, newest_first=False),
        exports=Export.objects.filter(selection=found).order_by("-pk")[:20],
        form=form,
    )


@login_required
@require_POST
def selection_export(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Start writing the selection in a format, into the project's export folder."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    found = access.access_object(request.user, Selection, pk, Role.CURATOR, project)
    form = ExportForm(request.POST)
    if not form.is_valid():
        return redirect("selection", slug, pk)
    params = {"selection": found.pk, "format": form.cleaned_data["format"]}
    return redirect("job", slug, start(request, project, "export", params).pk)
