"""The import job: rows of files become problems, occurrences, traces and rejects.

Rows are read by ``curation.sources`` and written in chunks, each in one short transaction together
with the place it has come to, so a job that was killed goes on behind its last chunk and its
counts stay exact. Nothing that exists is written again: the same import twice changes no table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings

from curation.ingest_rows import Batch, Item, write_batch
from curation.jobs import JobContext, JobError
from curation.models import Source, SourceFile
from curation.server_paths import Use
from curation.sources.adapters import ADAPTERS
from curation.sources.limits import Limits, limits_from
from curation.sources.mapping import Mapping, mapping_from
from curation.sources.plan import Input, files, open_input
from curation.sources.readers import InputFile, other_files
from curation.uploads import forget_upload, require_space

CHUNK_ROWS, CHUNK_BYTES = 500, 4 * 2**20
COUNTERS = (
    "rows",
    "accepted",
    "duplicate",
    "rejected",
    "problems_created",
    "traces_created",
    "references_filled",
    "reference_conflicts",
)


@dataclass(frozen=True, slots=True)
class Params:
    """What an import was asked to do."""

    path: Path
    name: str
    adapter: str | None
    licence: str
    mapping: Mapping | None
    limits: Limits


def run_import(ctx: JobContext) -> None:
    """Import a file or a folder into a source of the project.

    Parameters: ``path``, ``name`` (of the source), and optionally ``adapter``, ``licence``,
    ``mapping`` (curation.sources.mapping) and ``limits`` (curation.sources.limits). Counts:
    rows = accepted + duplicate + rejected, problems_created, traces_created, references_filled,
    reference_conflicts and reject_reasons. A row is a duplicate when it brings neither a new
    problem nor a new trace.
    """
    params = read_params(ctx.params)
    params = replace(params, path=ctx.allowed_path(str(params.path), Use.READ))
    inputs = _inputs(params)
    if not ctx.checkpoint:
        ctx.restart_counts(**dict.fromkeys(COUNTERS, 0), reject_reasons={})
    _set_total(ctx, inputs)
    source = _source(ctx, params)
    _log_others(ctx, params)
    for number, file in enumerate(inputs):
        if number >= ctx.checkpoint.get("files", 0):
            _import_file(ctx, source, params, file)
    forget_upload(params.path)


def read_params(given: dict[str, Any]) -> Params:
    """The job's parameters, checked; JobError for what cannot be done."""
    name = str(given.get("name") or "").strip()
    if not name or len(name) > 200 or not name.isprintable():
        raise JobError("bad_name", "a source needs a name of 1 to 200 printable characters")
    if not given.get("path"):
        raise JobError("bad_path", "an import needs a path")
    adapter = given.get("adapter") or None
    if adapter is not None and adapter not in ADAPTERS:
        known = ", ".join(ADAPTERS)
        raise JobError("unknown_adapter", f"there is no adapter {adapter!r}; known: {known}")
    if given.get("mapping") and adapter not in (None, "generic"):
        raise JobError("bad_mapping", f"the adapter {adapter} takes no mapping")
    try:
        mapping = mapping_from(given["mapping"]) if given.get("mapping") else None
        limits = limits_from(given.get("limits"))
    except ValueError as error:
        raise JobError("bad_params", str(error)) from error
    licence = str(given.get("licence") or "")[:200]
    return Params(Path(str(given["path"])), name, adapter, licence, mapping, limits)


def _inputs(params: Params) -> list[InputFile]:
    try:
        found = files(params.path, params.adapter)
    except OSError as error:
        raise JobError("unreadable", f"{params.path}: {error.strerror or error}") from error
    if not found:
        raise JobError("no_files", f"{params.path} holds no file of a known format")
    return found


def _set_total(ctx: JobContext, inputs: list[InputFile]) -> None:
    """The number of rows where it is known beforehand (JSON Lines, claimed folders)."""
    lines = [file.lines for file in inputs]
    known = [count for count in lines if count is not None]
    ctx.set_total(sum(known) if len(known) == len(lines) else None)


def _source(ctx: JobContext, params: Params) -> Source:
    with ctx.chunk():
        source, created = Source.objects.get_or_create(
            project=ctx.project,
            name=params.name,
            defaults={"licence": params.licence, "uri": params.path.name[:1000]},
        )
        if not created and params.licence and source.licence != params.licence:
            ctx.log(f"the licence is now {params.licence!r}; it was {source.licence!r}")
            Source.objects.filter(pk=source.pk).update(licence=params.licence)
    if created and not params.licence:
        ctx.log("no licence was given for this source", level="warning")
    return source


def _log_others(ctx: JobContext, params: Params) -> None:
    others = other_files(params.path) if params.adapter is None else []
    if others:
        names = ", ".join(file.name for file in others[:5])
        ctx.log(f"{len(others)} files are of no known format and are not read: {names}")


def _import_file(ctx: JobContext, source: Source, params: Params, file: InputFile) -> None:
    """One file from where an earlier attempt stopped, to its end."""
    place = ctx.checkpoint
    if place.get("rows") and place.get("sha256") != file.sha256:
        raise JobError("file_changed", f"{file.name} changed while it was imported")
    found = open_input(file, adapter=params.adapter, mapping=params.mapping, limits=params.limits)
    _show_mapping(ctx, source, found)
    seen = place.get("rows", 0)
    for batch in batches(islice(found.rows(), seen, None)):
        require_space()
        seen += batch.rows
        with ctx.chunk():
            counts = write_batch(source, file, batch.items)
            ctx.advance(batch.rows, rows=batch.rows, **counts.as_dict())
            for reason, number in counts.reasons.items():
                ctx.count_reason("reject_reasons", reason, number)
            rejected = Counter(place.get("rejected", {})) + counts.reasons
            place.update(rows=seen, sha256=file.sha256, rejected=dict(rejected))
        _require_any(file, seen, rejected)
    _log_shapes(ctx, found)
    _finish_file(ctx, source, file, seen)


def _require_any(file: InputFile, rows: int, rejected: Counter[str]) -> None:
    """JobError ``all_rejected`` for a file of which nothing was taken in its first rows."""
    if rows >= settings.IMPORT_ROWS_WITHOUT_ANY and rejected.total() == rows:
        reason, number = rejected.most_common(1)[0]
        raise JobError(
            "all_rejected",
            f"{file.name}: none of its first {rows} rows could be taken ({number} of them: "
            f"{reason}), so the rest was not read; give another adapter or mapping",
        )


def _log_shapes(ctx: JobContext, found: Input) -> None:
    """Tell of rows that were read by their own columns, not as the file's first rows."""
    for columns, way in found.shapes.ways():
        ctx.log(f"rows with the columns {columns} are read by {way}")


def batches(items: Iterator[Item]) -> Iterator[Batch]:
    """Chunks of some hundred rows or a few megabytes, whichever is first."""
    batch = Batch()
    for item in items:
        batch.add(item)
        if batch.rows >= CHUNK_ROWS or batch.size >= CHUNK_BYTES:
            yield batch
            batch = Batch()
    if batch.rows:
        yield batch


def _finish_file(ctx: JobContext, source: Source, file: InputFile, rows: int) -> None:
    with ctx.chunk():
        known = SourceFile.objects.filter(source=source, name=file.name, sha256=file.sha256)
        if not known.exists():
            SourceFile.objects.create(
                source=source,
                name=file.name,
                sha256=file.sha256,
                bytes=file.bytes,
                rows=rows,
                rejected=ctx.checkpoint.get("rejected", {}),
            )
        place = ctx.checkpoint
        place.update(files=place.get("files", 0) + 1, rows=0, sha256="", rejected={})
    if not rows:
        ctx.log(f"{file.name} holds no row", level="warning")


def _show_mapping(ctx: JobContext, source: Source, found: Input) -> None:
    """Keep how the columns were read with the source, once per way."""
    shown = found.describe()
    known = source.mapping.get("ways", [])
    if any(_way(way) == shown for way in known):
        return
    way = shown | {"example": found.file.name}
    source.mapping = {"ways": [*known, way]}
    source.adapter = ",".join(dict.fromkeys(str(way["adapter"]) for way in source.mapping["ways"]))
    with ctx.chunk():
        source.adapter = source.adapter[:64]
        source.save(update_fields=["mapping", "adapter"])
    ctx.log(f"{found.file.name} is read by the adapter {found.adapter.name}")


def _way(way: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in way.items() if key != "example"}
