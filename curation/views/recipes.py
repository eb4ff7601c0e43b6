"""Recipes: the list, one version, writing a new one, and running it."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from curation import access
from curation.jobs import JobError
from curation.models import Recipe, Selection
from curation.models.project import Role
from curation.selection.presets import PRESETS
from curation.selection.storage import find_recipe
from curation.views.common import Filter, filtered, is_filtered, keyset, page
from curation.views.forms import RecipeForm
from curation.views.jobs import start


@login_required
def recipes(request: HttpRequest, slug: str) -> HttpResponse:
    """All stored recipes, and the presets to start from."""
    project = access.access_project(request.user, slug)
    filters = [Filter("q", "Name", lambda q, v: q.filter(name__icontains=v), placeholder="name")]
    rows = filtered(Recipe.objects.filter(project=project), request.GET, filters)
    found = keyset(rows.annotate(selection_count=Count("selections")), request.GET)
    return page(
        request,
        project,
        "recipes/list.html",
        slice=found,
        filters=filters,
        filtered=is_filtered(filters),
        presets=PRESETS.values(),
    )


@login_required
def recipe(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One version of a recipe and the selections it made."""
    project = access.access_project(request.user, slug)
    found = access.access_object(request.user, Recipe, pk, project=project)
    versions = Recipe.objects.filter(project=project, name=found.name).order_by("-version")
    return page(
        request,
        project,
        "recipes/detail.html",
        recipe=found,
        fields=sorted(found.spec.items()),
        versions=versions[:50],
        selections=Selection.objects.filter(recipe=found).order_by("-pk")[:50],
    )


def starting_spec(given: str) -> dict[str, Any]:
    """The specification that a new recipe starts from: a preset of that name, or the first."""
    preset = PRESETS.get(given) or next(iter(PRESETS.values()))
    return {k: v for k, v in preset.to_dict().items() if k != "version"}


@login_required
def recipe_add(request: HttpRequest, slug: str) -> HttpResponse:
    """Write a recipe as JSON; a name that exists gets a new version."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    spec = starting_spec(request.GET.get("preset", ""))
    if request.GET.get("from", "").isdigit():
        old = access.access_object(request.user, Recipe, request.GET["from"], project=project)
        spec = {k: v for k, v in old.spec.items() if k != "version"}
    form = RecipeForm(
        request.POST or None, initial={"spec": json.dumps(spec, indent=2, ensure_ascii=False)}
    )
    if request.method == "POST" and form.is_valid():
        try:
            return redirect("recipe", slug, find_recipe(project, form.cleaned_data["spec"]).pk)
        except JobError as error:
            form.add_error("spec", str(error))
    return page(request, project, "recipes/add.html", form=form, presets=PRESETS)


@login_required
@require_POST
def recipe_run(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Start a selection by this version."""
    project = access.access_project(request.user, slug, Role.CURATOR)
    found = access.access_object(request.user, Recipe, pk, Role.CURATOR, project)
    params = {"recipe": f"{found.name}@{found.version}"}
    return redirect("job", slug, start(request, project, "select", params).pk)
