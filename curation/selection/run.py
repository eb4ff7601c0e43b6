"""The job ``select``: a recipe over a project's traces, frozen as a selection."""

from __future__ import annotations

from curation.jobs import JobContext, JobError
from curation.models import Recipe as StoredRecipe
from curation.models import Selection, Source
from curation.selection.core import select
from curation.selection.queries import candidates_of, problem_blocks, problems_with_traces
from curation.selection.recipe import Recipe
from curation.selection.storage import Draft, find_recipe, freeze, recipe_of


def run_select(ctx: JobContext) -> None:
    """Params: ``recipe`` (name, ``name@version`` or specification), ``source`` (optional name).

    Counts: ``candidates``, ``selected`` (rows), ``excluded`` by reason, ``selection`` (id). Each
    candidate is in a row or among the excluded. Problems are read one block at a time: a
    problem's outcome depends on nothing outside it, so the blocks need no common snapshot.
    """
    with ctx.chunk():
        stored = find_recipe(ctx.project, ctx.params.get("recipe") or "sft-verified")
    select_with(ctx, stored)


def select_with(ctx: JobContext, stored: StoredRecipe) -> Selection:
    """Select by a stored recipe and freeze the result, read back as every later reader sees it.

    The counts go to the job.
    """
    recipe = recipe_of(stored)
    with Draft(recipe) as draft:
        _fill(ctx, draft, recipe)
        with ctx.chunk():
            selection, created = freeze(ctx.project, stored, draft)
            ctx.count(candidates=draft.candidates, selected=draft.selected)
            ctx.job.counts["excluded"] = dict(sorted(draft.excluded.items()))
            ctx.job.counts["selection"] = selection.pk
    ctx.log(f"{selection} {'frozen' if created else 'was there already'}: {selection.sha256}")
    return Selection.objects.select_related("recipe").get(pk=selection.pk)


def _fill(ctx: JobContext, draft: Draft, recipe: Recipe) -> None:
    problems = problems_with_traces(ctx.project, _source_id(ctx))
    ctx.restart_counts()
    ctx.set_total(problems.count())
    for ids in problem_blocks(problems):
        for outcome in select(candidates_of(ids, recipe), recipe):
            draft.add(outcome)
        with ctx.chunk():
            ctx.advance(len(ids))


def _source_id(ctx: JobContext) -> int | None:
    name = ctx.params.get("source")
    if not name:
        return None
    found = Source.objects.filter(project=ctx.project, name=name).values_list("pk", flat=True)
    if not found:
        raise JobError("unknown_source", f"no source {name}")
    return int(found[0])
