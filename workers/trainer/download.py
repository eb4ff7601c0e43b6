"""Fetches a finished export and holds it against its manifest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Protocol

from curation.exports.manifest import MANIFEST, export_id, verify_export
from workers.trainer.client import checked_path


class BadExport(Exception):
    """The export is not what its manifest says; the text lists the problems."""


class Source(Protocol):
    """Where files of an export come from."""

    def download(self, export_id: str, path: str, to: Path) -> None:
        """Write one file of the export to ``to``."""


def fetch_export(source: Source, wanted: str, folder: Path) -> Path:
    """The whole export ``wanted`` as ``folder/<id>``, checked byte for byte; BadExport if not so.

    The manifest comes first: its own hash must be the id that was asked for, before any of the
    paths in it is used. A folder that is already there and whole is not fetched again.
    """
    target = folder / wanted
    if target.is_dir() and not verify_export(target, wanted):
        return target
    shutil.rmtree(target, ignore_errors=True)
    part = folder / f"{wanted}.part"
    shutil.rmtree(part, ignore_errors=True)
    source.download(wanted, MANIFEST, part / MANIFEST)
    raw = (part / MANIFEST).read_bytes()
    if export_id(raw) != wanted:
        raise BadExport(f"the manifest's SHA-256 is {export_id(raw)}, not {wanted}")
    for entry in json.loads(raw)["files"]:
        path = str(entry["path"])
        source.download(wanted, path, part / checked_path(path))
    if problems := verify_export(part, wanted):
        raise BadExport("; ".join(problems))
    part.rename(target)
    return target
