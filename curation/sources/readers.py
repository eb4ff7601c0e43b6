"""Files of a path and the rows in them: one visible dict from a name's ending to its reader."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from curation.regularfiles import walk_files
from curation.sources.csvfile import read_csv
from curation.sources.jsonfile import read_json, read_lines
from curation.sources.limits import Limits
from curation.sources.opening import open_input_file, packing, unpacked
from curation.sources.parquetfile import read_parquet
from curation.sources.records import RAW_EXCERPT, BadFile, ReadRow, Reject

StreamReader = Callable[[IO[bytes], str, Limits], Iterator[ReadRow | Reject]]

READERS: dict[str, StreamReader] = {
    ".jsonl": read_lines,
    ".ndjson": read_lines,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": read_csv,
}
PACKED = (".gz", ".gzip", ".zst", ".zstd")
PARQUET = (".parquet", ".pq")


@dataclass(frozen=True, slots=True)
class InputFile:
    """One unit of input with its content's hash: a file, or a folder that an adapter claimed.

    ``name`` is the path inside the imported folder (or the file's own name) as valid text;
    ``lines`` counts the line breaks where a line is a row, and is None elsewhere.
    """

    path: Path
    name: str
    sha256: str
    bytes: int
    lines: int | None = None


def safe_name(path: Path, root: Path) -> str:
    """A relative name as text that can be stored, whatever bytes the file system holds."""
    raw = os.fsencode(path.relative_to(root).as_posix() if path != root else path.name)
    text = raw.decode("utf-8", "backslashreplace")
    if len(text) <= 400:
        return text
    return text[:380] + "…" + hashlib.sha256(raw).hexdigest()[:16]


def ending(path: Path) -> str:
    """The ending that says the format, looking under .gz and .zst; "" for an unknown one."""
    name = path.name.lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    suffix = Path(name).suffix
    return suffix if suffix in READERS or suffix in PARQUET else ""


def data_files(path: Path) -> list[Path]:
    """The file itself, or the data files under a folder, sorted; hidden and linked ones are not.

    A link inside a folder could lead out of it, so links are not followed.
    """
    if path.is_file():
        return [path]
    return [file for file in walk_files(path) if _is_data(file)]


def other_files(path: Path) -> list[Path]:
    """Files under a folder that ``data_files`` passes over."""
    return [] if path.is_file() else [file for file in walk_files(path) if not _is_data(file)]


def _is_data(file: Path) -> bool:
    return not file.name.startswith(".") and not file.is_symlink() and bool(ending(file))


def fingerprint(path: Path, root: Path) -> InputFile:
    """Hash one file, and count its lines where it is plain JSON Lines.

    What is no regular file counts as empty here; reading it gives the reject that says so.
    """
    try:
        return _fingerprint(path, root)
    except BadFile:
        return InputFile(path, safe_name(path, root), hashlib.sha256().hexdigest(), 0)


def _fingerprint(path: Path, root: Path) -> InputFile:
    digest, size, newlines, last = hashlib.sha256(), 0, 0, b"\n"
    with open_input_file(path) as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
            size += len(piece)
            newlines += piece.count(b"\n")
            last = piece[-1:]
    plain_lines = READERS.get(path.suffix.lower()) is read_lines
    count = newlines + (last != b"\n") if plain_lines else None
    return InputFile(path, safe_name(path, root), digest.hexdigest(), size, count)


def read_file(path: Path, name: str, limits: Limits) -> Iterator[ReadRow | Reject]:
    """All rows of one file; a file that breaks ends in a reject that says so."""
    try:
        yield from _rows(path, name, limits)
    except BadFile as why:
        yield _broken(path, name, why)


def _broken(path: Path, name: str, why: BadFile) -> Reject:
    """A whole file as one reject: its first 64 KiB, its hash, its size."""
    file = fingerprint(path, path)
    try:
        with open_input_file(path) as stream:
            head = stream.read(RAW_EXCERPT)
    except BadFile:
        head = b""
    return Reject(name, 0, 0, why.reason, why.detail, head, file.sha256, file.bytes)


def _rows(path: Path, name: str, limits: Limits) -> Iterator[ReadRow | Reject]:
    if packing(path) == "parquet" or ending(path) in PARQUET:
        yield from read_parquet(path, name, limits)
        return
    reader = READERS.get(ending(path))
    if reader is None:
        known = ", ".join([*READERS, *PARQUET])
        raise BadFile("unknown_format", f"the name ends in none of {known}")
    with unpacked(path, limits) as stream:
        yield from reader(stream, name, limits)
