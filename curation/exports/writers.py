"""An export's folder: built under a hidden name, visible only when whole. Pure.

Order of a durable write: file, fsync; folder, fsync; rename; fsync of the parent. The hidden
folder stands in the same parent, so the rename is atomic; a killed writer leaves at most a hidden
folder, which ``sweep`` removes. Names come from the shard number and the manifest's hash only.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from curation.exports.card import render_card
from curation.exports.files import WRITERS, HashingFile, RowWriter
from curation.exports.formats.common import Format
from curation.exports.manifest import (
    CARD,
    MANIFEST,
    FileEntry,
    build_manifest,
    canonical_json,
    export_id,
    verify_export,
)
from curation.exports.records import ExportError, ExportRecord

PARTIAL = ".partial-"
DAMAGED = ".damaged-"
ROWS_PER_FILE = 100_000
SPACE_MARGIN = 1.1
_FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True)
class Written:
    """A whole export: its id, folder and files. ``created`` is False when it was there already."""

    id: str
    folder: Path
    files: tuple[FileEntry, ...]
    created: bool


def write_export(
    parent: Path,
    records: Iterable[ExportRecord],
    form: Format,
    facts: dict[str, Any],
    *,
    expected_bytes: int = 0,
    rows_per_file: int = ROWS_PER_FILE,
) -> Written:
    """Write ``records`` to ``parent/<export id>``; the same input gives the same id and bytes.

    ``facts`` is what ``build_manifest`` wants, ``facts["counts"]["rows"]`` the number of records:
    another number is an ExportError. ``expected_bytes`` is held against the free space before
    anything is written. Raises ExportError with a plain reason, leaving nothing visible.
    """
    # Databases give the keys of a JSON object in their own order; the card shows them in one.
    facts = orjson.loads(canonical_json(facts))
    if form.kind != facts["recipe"]["kind"]:
        raise ExportError(f"format {form.name} is for {form.kind}, the recipe is not")
    with _plain_errors(parent):
        parent.mkdir(parents=True, exist_ok=True)
        _need_space(parent, expected_bytes)
        partial = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=parent))
        try:
            files = _fill(partial, records, form, facts, rows_per_file)
            return _publish(partial, files)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _plain_errors(parent: Path) -> Iterator[None]:
    """Disk trouble in words that a user can act on."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise ExportError(f"no space left in {parent}") from error
        raise ExportError(f"cannot write to {parent}: {error.strerror or error}") from error


def _need_space(parent: Path, expected_bytes: int) -> None:
    free = shutil.disk_usage(parent).free
    if free < expected_bytes * SPACE_MARGIN:
        raise ExportError(f"no space: {expected_bytes} bytes wanted, {free} free in {parent}")


def _fill(
    folder: Path,
    records: Iterable[ExportRecord],
    form: Format,
    facts: dict[str, Any],
    rows_per_file: int,
) -> list[FileEntry]:
    """Data, card and manifest, all synced; the list leaves out the manifest."""
    (folder / "data").mkdir()
    rows = facts["counts"]["rows"]
    files = _write_data(folder, iter(records), form, rows, rows_per_file)
    files.append(_write(folder, CARD, render_card(facts, form, files).encode()))
    _write(folder, MANIFEST, build_manifest({**facts, "format": form.name}, files))
    return files


def _write_data(
    folder: Path, records: Iterator[ExportRecord], form: Format, rows: int, rows_per_file: int
) -> list[FileEntry]:
    """The shards. Their number is in their names, so the number of rows is known before."""
    shards = max(1, -(-rows // rows_per_file))
    files, left = [], rows
    for shard in range(shards):
        name = f"data/train-{shard:05d}-of-{shards:05d}.{form.container}"
        wanted = min(left, rows_per_file)
        files.append(_write_shard(folder, name, records, form, wanted))
        left -= wanted
    if next(records, None) is not None:
        raise ExportError(f"the selection has more rows than the {rows} it was frozen with")
    return files


def _write_shard(
    folder: Path, name: str, records: Iterator[ExportRecord], form: Format, wanted: int
) -> FileEntry:
    writer: RowWriter = WRITERS[form.container](folder / name, form)
    try:
        for done in range(wanted):
            record = next(records, None)
            if record is None:
                raise ExportError(f"{name} ends after {done} of {wanted} rows")
            writer.add(form.row(record))
        return writer.finish(name)
    finally:
        writer.abandon()


def _write(folder: Path, name: str, content: bytes) -> FileEntry:
    sink = HashingFile(folder / name)
    try:
        sink.write(content)
        return FileEntry(name, sink.sync(), len(content), None)
    finally:
        sink.close()


def _publish(partial: Path, files: list[FileEntry]) -> Written:
    """Give the finished folder its name, unless a whole one of that name is there."""
    name = export_id((partial / MANIFEST).read_bytes())
    target = partial.parent / name
    _sync_folder(partial / "data")
    _open_to_readers(partial)
    _sync_folder(partial)
    created = _move(partial, target)
    _sync_folder(partial.parent)
    return Written(name, target, tuple(files), created)


def _open_to_readers(partial: Path) -> None:
    """The access that a folder made plainly would have (the temporary one is private)."""
    partial.chmod((partial / "data").stat().st_mode & 0o777)


def _move(partial: Path, target: Path) -> bool:
    """Rename ``partial`` to ``target``; False when a whole export stands there.

    A damaged one is set aside under a hidden name, never written into: a reader may hold it open.
    """
    for _ in range(3):
        if target.exists() and not verify_export(target):
            return False
        if target.exists():
            aside = tempfile.mkdtemp(prefix=f"{DAMAGED}{target.name[:12]}-", dir=target.parent)
            os.rename(target, aside)
        try:
            os.rename(partial, target)
            return True
        except OSError as error:  # another writer of the same export was faster
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    raise ExportError(f"{target} keeps changing under this export")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(parent: Path, max_age_s: float = 3600, now: float | None = None) -> list[Path]:
    """Remove folders that killed writers left; returns what was removed.

    A folder counts as left when nothing in it changed for ``max_age_s`` seconds.
    """
    now = time.time() if now is None else now
    old = [p for p in parent.glob(f"{PARTIAL}*") if now - _last_change(p) > max_age_s]
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)
    return old


def _last_change(folder: Path) -> float:
    """Newest modification in a folder; a file that vanishes meanwhile means that it is in use."""
    try:
        return max(p.stat().st_mtime for p in [folder, *folder.rglob("*")])
    except FileNotFoundError:
        return time.time()
