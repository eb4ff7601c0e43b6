"""The manifest of an export and the check that a folder is that export. Pure.

The manifest lists every file with its SHA-256, bytes and rows, and what the selection was. It
holds no clock, host or path, so the same selection gives the same bytes; the SHA-256 of those
bytes is the export's id and the name of its folder. That makes the folder's name the one thing
to trust: it covers the manifest, and the manifest covers every other file.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
CARD = "README.md"
MAX_MANIFEST_BYTES = 64 * 1024 * 1024
_BLOCK = 1024 * 1024
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "schema_version": int,
    "recipe": dict,
    "format": str,
    "selection_sha256": str,
    "files": list,
    "counts": dict,
    "exclusions": dict,
    "verifiers": list,
    "licences": dict,
}


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of an export: path inside the folder, SHA-256 in hex, bytes, rows (card: None)."""

    path: str
    sha256: str
    bytes: int
    rows: int | None


def canonical_json(value: Any) -> bytes:
    """One spelling per value: sorted keys, two-space indent, UTF-8, one newline at the end."""
    option = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(value, option=option)


def export_id(manifest: bytes) -> str:
    """The id of the export whose manifest has these bytes: their SHA-256 in hex."""
    return hashlib.sha256(manifest).hexdigest()


def build_manifest(facts: dict[str, Any], files: Sequence[FileEntry]) -> bytes:
    """The manifest's bytes.

    ``facts`` holds recipe, format, selection_sha256, counts, exclusions ({reason: n}), verifiers
    ([{name, version, verdicts}]) and licences ({licence: rows}). Raises ValueError when one of
    them is missing or a stray one is given.
    """
    entries = [asdict(entry) for entry in sorted(files, key=lambda f: f.path)]
    manifest = {**facts, "schema_version": SCHEMA_VERSION, "files": entries}
    if set(manifest) != set(_FIELDS):
        raise ValueError(f"manifest fields differ: {sorted(set(manifest) ^ set(_FIELDS))}")
    return canonical_json(manifest)


def verify_export(folder: str | os.PathLike[str], expected_id: str | None = None) -> list[str]:
    """Problems found in an export's folder; an empty list means that it is whole and unchanged.

    ``expected_id`` is what to hold the manifest against; by default the folder's own name. Reads
    each file once, in blocks. Nothing in the folder is trusted: paths in the manifest may not
    leave the folder and links are not followed.
    """
    root = Path(os.path.abspath(folder))
    if root.is_symlink() or not root.is_dir():
        return [f"{folder}: not a folder"]
    try:
        return list(_problems(root, expected_id or root.name))
    except OSError as error:
        return [f"cannot be read: {error}"]


def _problems(root: Path, wanted_id: str) -> Iterator[str]:
    path = root / MANIFEST
    if path.is_symlink() or not path.is_file():
        yield f"{MANIFEST}: missing"
        return
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        yield f"{MANIFEST}: larger than {MAX_MANIFEST_BYTES} bytes"
        return
    raw = path.read_bytes()
    if export_id(raw) != wanted_id:
        yield f"{MANIFEST}: its SHA-256 is {export_id(raw)}, not the export's id {wanted_id}"
    manifest, shape = _parse(raw)
    yield from shape
    if not shape:
        yield from _file_problems(root, manifest)


def _parse(raw: bytes) -> tuple[dict[str, Any], list[str]]:
    """The manifest and what is wrong with its shape (then nothing else of it is used)."""
    try:
        manifest = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return {}, [f"{MANIFEST}: not JSON ({error})"]
    if not isinstance(manifest, dict):
        return {}, [f"{MANIFEST}: not an object"]
    if manifest.get("schema_version") != SCHEMA_VERSION:
        version = manifest.get("schema_version")
        return {}, [f"{MANIFEST}: unknown schema_version {version!r}"]
    wrong = [n for n, kind in _FIELDS.items() if not isinstance(manifest.get(n), kind)]
    problems = [f"{MANIFEST}: {name} is missing or of the wrong type" for name in wrong]
    if not problems:
        problems = [p for entry in manifest["files"] for p in _entry_problems(entry)]
    if not problems:
        times = Counter(entry["path"] for entry in manifest["files"])
        problems = [f"{path}: listed twice" for path, n in sorted(times.items()) if n > 1]
    return manifest, problems


def _entry_problems(entry: Any) -> list[str]:
    keys = {"path", "sha256", "bytes", "rows"}
    if not isinstance(entry, dict) or set(entry) != keys:
        return [f"{MANIFEST}: a file entry has not the keys {', '.join(sorted(keys))}"]
    good = (
        isinstance(entry["path"], str)
        and isinstance(entry["sha256"], str)
        and isinstance(entry["bytes"], int)
        and (entry["rows"] is None or isinstance(entry["rows"], int))
    )
    if not good:
        return [f"{MANIFEST}: a file entry has a value of the wrong type"]
    parts = PurePosixPath(entry["path"]).parts
    if not parts or entry["path"].startswith("/") or ".." in parts or "\0" in entry["path"]:
        return [f"{MANIFEST}: {entry['path']!r} leaves the export's folder"]
    return []


def _file_problems(root: Path, manifest: dict[str, Any]) -> Iterator[str]:
    listed = {entry["path"] for entry in manifest["files"]}
    present = set(_files_below(root))
    yield from (f"{p}: not in the manifest" for p in sorted(present - listed - {MANIFEST}))
    for entry in manifest["files"]:
        if entry["path"] in present:
            yield from _content_problems(root, entry)
        else:
            yield f"{entry['path']}: missing"
    rows = sum(entry["rows"] or 0 for entry in manifest["files"])
    if manifest["counts"].get("rows") != rows:
        yield f"counts: {manifest['counts'].get('rows')} rows, but the files hold {rows}"


def _files_below(root: Path) -> Iterator[str]:
    """Everything in the folder that is no plain folder, as paths inside it; links are named."""
    for folder, subfolders, names in os.walk(root):
        links = [s for s in subfolders if os.path.islink(os.path.join(folder, s))]
        for name in names + links:
            yield (Path(folder) / name).relative_to(root).as_posix()


def _content_problems(root: Path, entry: dict[str, Any]) -> Iterator[str]:
    name, path = entry["path"], root / entry["path"]
    if path.is_symlink() or not path.is_file():
        yield f"{name}: not a plain file"
        return
    digest, size, newlines = _read(path)
    if size != entry["bytes"]:
        yield f"{name}: {size} bytes, the manifest says {entry['bytes']}"
    if digest != entry["sha256"]:
        yield f"{name}: its SHA-256 is not the manifest's"
    elif entry["rows"] is not None:
        rows = _parquet_rows(path) if name.endswith(".parquet") else newlines
        if rows != entry["rows"]:
            yield f"{name}: {rows} rows, the manifest says {entry['rows']}"


def _read(path: Path) -> tuple[str, int, int]:
    """SHA-256, bytes and newlines of a file."""
    digest, size, newlines = hashlib.sha256(), 0, 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
            newlines += block.count(b"\n")
    return digest.hexdigest(), size, newlines


def _parquet_rows(path: Path) -> int:
    """Rows of a Parquet file by its footer; -1 when it cannot be read."""
    import pyarrow
    import pyarrow.parquet

    try:
        return int(pyarrow.parquet.ParquetFile(path).metadata.num_rows)
    except (pyarrow.ArrowException, OSError):
        return -1
