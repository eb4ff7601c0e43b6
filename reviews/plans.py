"""What a project exports next: its enabled schedules, or else its recipes; read, never run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from curation.exports.formats import DEFAULT_FORMAT
from curation.jobs import JobError
from curation.models import Project, Schedule
from curation.models import Recipe as StoredRecipe
from curation.schedules import database_now, next_fire_time
from curation.selection.recipe import Recipe, RecipeError, recipe_from_dict
from curation.selection.storage import named_recipe, recipe_of

MOST = 8  # plans that a preview looks at; how many more there are is said
DEFAULT = "sft-verified"  # what ``select`` takes when nothing is named


@dataclass(frozen=True)
class Plan:
    """One export to come. Without a ``recipe`` nothing can be foreseen, and ``why`` says so."""

    name: str
    by: str  # "schedule", "recipe" or "preset"
    recipe: Recipe | None = None
    format: str = ""
    source: str = ""  # only problems of this source are looked at
    next_at: dt.datetime | None = None
    why: str = ""


def plans_of(project: Project) -> tuple[list[Plan], int]:
    """The first ``MOST`` plans and how many there are in all."""
    scheduled = list(_scheduled(project))
    found = scheduled or list(_recipes(project)) or [_default(project)]
    return found[:MOST], len(found)


def _scheduled(project: Project) -> Iterator[Plan]:
    """A plan for each export or selection in a schedule, also where it follows other work."""
    now = database_now()
    for schedule in Schedule.objects.filter(project=project, enabled=True).order_by("pk"):
        for kind, params in chain_of(schedule.kind, schedule.params):
            if kind in ("export", "select"):
                yield _plan(project, schedule, kind, params, next_fire_time(schedule, now))


def chain_of(kind: str, params: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """A job's kind and parameters, and those of the jobs that are to follow it (``then``)."""
    given = params if isinstance(params, dict) else {}
    yield kind, given
    then = given.get("then")
    for step in then if isinstance(then, list) else []:
        if isinstance(step, dict):
            yield from chain_of(str(step.get("kind")), step.get("params"))


def _plan(
    project: Project, schedule: Schedule, kind: str, params: dict[str, Any], at: dt.datetime | None
) -> Plan:
    frozen = params.get("selection") or params.get("selection_or_recipe")
    given = params.get("recipe") or params.get("selection_or_recipe")
    if kind == "select":
        frozen, given = None, params.get("recipe") or DEFAULT
    if isinstance(frozen, int) or (isinstance(frozen, str) and frozen.isdecimal()):
        why = f"exports selection {frozen}, which is frozen: no decision changes it"
        return Plan(schedule.name, "schedule", next_at=at, why=why)
    try:
        recipe = _read(project, given)
    except (JobError, RecipeError) as error:
        return Plan(schedule.name, "schedule", next_at=at, why=f"cannot run: {error}")
    form = str(params.get("format") or DEFAULT_FORMAT[recipe.kind]) if kind == "export" else ""
    source = str(params.get("source") or "")
    return Plan(schedule.name, "schedule", recipe, form, source, at)


def _read(project: Project, given: Any) -> Recipe:
    """The recipe that a job's parameter means. Unlike ``find_recipe`` this stores nothing."""
    if isinstance(given, dict):
        return recipe_from_dict(given)
    if not given:
        raise RecipeError("it names no recipe")
    found = named_recipe(project, str(given))
    return found if isinstance(found, Recipe) else recipe_of(found)


def _recipes(project: Project) -> Iterator[Plan]:
    """The newest version of each stored recipe, the newest recipe first."""
    rows = StoredRecipe.objects.filter(project=project).order_by("name", "-version")
    newest = sorted(rows.distinct("name"), key=lambda row: row.pk, reverse=True)
    for row in newest:
        try:
            recipe = recipe_of(row)
        except JobError as error:
            yield Plan(row.name, "recipe", why=f"cannot run: {error}")
            continue
        yield Plan(row.name, "recipe", recipe, DEFAULT_FORMAT[recipe.kind])


def _default(project: Project) -> Plan:
    recipe = _read(project, DEFAULT)
    return Plan(DEFAULT, "preset", recipe, DEFAULT_FORMAT[recipe.kind])
