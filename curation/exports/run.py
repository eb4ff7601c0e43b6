"""The job ``export``: a frozen selection as files that verify by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from django.conf import settings

from curation.exports import writers
from curation.exports.formats import DEFAULT_FORMAT, FORMATS
from curation.exports.formats.common import Format
from curation.exports.manifest import MANIFEST
from curation.exports.records import ExportError
from curation.exports.rows import expected_bytes, export_records
from curation.exports.writers import Written, write_export
from curation.jobs import JobContext, JobError
from curation.models import Export, Selection
from curation.regularfiles import make_folder
from curation.selection.run import select_with
from curation.selection.storage import find_recipe
from curation.server_paths import Use


def run_export(ctx: JobContext) -> None:
    """Params: ``selection`` (id), or ``recipe``, or ``selection_or_recipe``; ``format``, ``out``.

    A recipe is selected by first. ``out`` is the folder in which the export's own folder is made
    (default EXPORT_ROOT, one folder a project). Counts: ``rows``, ``files``, ``bytes``,
    ``export`` (id), ``selection``. The same selection in the same format gives the same id; one
    that is there whole is left alone.
    """
    selection = _selection(ctx)
    form = _format(ctx, selection)
    parent = _parent(ctx)
    ctx.restart_counts()
    ctx.set_total(selection.selected)
    sweep_exports(parent)
    try:
        written = write_export(
            parent,
            export_records(selection, ctx),
            form,
            facts_of(selection),
            expected_bytes=expected_bytes(selection),
        )
    except ExportError as error:
        raise JobError("export_failed", str(error)) from error
    with ctx.chunk():
        export = _record(ctx, selection, form, written)
        ctx.count(rows=export.rows, files=len(written.files) + 1, bytes=export.bytes)
        ctx.job.counts |= {"export": written.id, "selection": selection.pk}
    ctx.log(f"export {written.id} {'written' if written.created else 'was there already'}")


def _parent(ctx: JobContext) -> Path:
    """The folder to export into, made if it is missing; JobError when it may not be that one.

    The default is asked about too: EXPORT_ROOT may have been set to a folder of the home.
    """
    given = ctx.params.get("out") or str((settings.EXPORT_ROOT / ctx.project.slug).absolute())
    parent = ctx.allowed_path(given, Use.WRITE)
    try:
        make_folder(parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise JobError("export_failed", f"cannot write to {parent}: {reason}") from error
    return parent


def sweep_exports(parent: Path | None = None, max_age_s: float = 3600) -> list[Path]:
    """Remove what killed exporters left hidden in ``parent``; returns what was removed.

    Without ``parent``: in EXPORT_ROOT and in each project's folder below it.
    """
    root = settings.EXPORT_ROOT
    parents = [root, *root.glob("[!.]*")] if parent is None else [parent]
    return [gone for p in parents if p.is_dir() for gone in writers.sweep(p, max_age_s)]


def facts_of(selection: Selection) -> dict[str, Any]:
    """What the manifest says of a selection; all of it was frozen with the selection."""
    summary = selection.summary
    return {
        "recipe": selection.recipe.spec,
        "selection_sha256": selection.sha256,
        "counts": {
            "candidates": selection.candidates,
            "selected": selection.selected,
            "excluded": sum(selection.excluded.values()),
            "problems": summary["problems"],
            "rows": selection.selected,
        },
        "exclusions": selection.excluded,
        "verifiers": summary["verifiers"],
        "licences": summary["licences"],
    }


def _selection(ctx: JobContext) -> Selection:
    """The selection that the params name; by a recipe, one that is frozen now."""
    given = ctx.params.get("selection") or ctx.params.get("selection_or_recipe")
    if isinstance(given, int) or (isinstance(given, str) and given.isdecimal()):
        found = Selection.objects.select_related("recipe").filter(project=ctx.project, pk=given)
        selection = found.first()
        if selection is None:
            raise JobError("unknown_selection", f"no selection {given}")
        return selection
    recipe = ctx.params.get("recipe") or given
    if not recipe:
        raise JobError("bad_params", "name a selection or a recipe")
    with ctx.chunk():
        stored = find_recipe(ctx.project, recipe)
    return select_with(ctx, stored)


def _format(ctx: JobContext, selection: Selection) -> Format:
    kind = selection.recipe.spec["kind"]
    name = ctx.params.get("format") or DEFAULT_FORMAT[kind]
    if name not in FORMATS:
        raise JobError("unknown_format", f"no format {name}; there are {', '.join(FORMATS)}")
    form = FORMATS[name]
    if form.kind != kind:
        fitting = ", ".join(f.name for f in FORMATS.values() if f.kind == kind)
        raise JobError("wrong_format", f"format {name} cannot hold {kind} rows; use {fitting}")
    return form


def _record(ctx: JobContext, selection: Selection, form: Format, written: Written) -> Export:
    """The row of a whole export: made after the folder is in place, so never without its files."""
    raw = (written.folder / MANIFEST).read_bytes()
    manifest = orjson.loads(raw)
    export, _ = Export.objects.get_or_create(
        project=ctx.project,
        digest=written.id,
        path=str(written.folder),
        defaults={
            "selection": selection,
            "format": form.name,
            "manifest": manifest,
            "rows": manifest["counts"]["rows"],
            "bytes": len(raw) + sum(entry["bytes"] for entry in manifest["files"]),
        },
    )
    return export
