"""Reading an export's files back, for those who may see the export: pages and REST."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from curation.exports.manifest import CARD, MANIFEST
from curation.job_rules import JobError, check_served
from curation.models import Export
from curation.regularfiles import open_regular


class NoSuchFile(Exception):
    """The export has no such file, or it is gone from the disk."""


def export_folder(export: Export) -> Path:
    """The export's own folder: ``path`` is it, or holds it under the export's id."""
    path = Path(export.path)
    return path if path.name == export.digest else path / export.digest


def named_files(manifest: dict[str, Any]) -> set[str]:
    """Paths that may be downloaded: those in the manifest, the card and the manifest itself."""
    return {CARD, MANIFEST, *(str(entry["path"]) for entry in manifest.get("files", []))}


def open_export_file(export: Export, name: str) -> BinaryIO:
    """One file of an export, by a name that stands in its manifest; NoSuchFile.

    The folder may be the one of a command's export, anywhere; its name is the export's id. From
    there on no link is followed, and nothing but a regular file is opened.
    """
    if name not in named_files(export.manifest) or "\0" in name:
        raise NoSuchFile("no such file")
    try:
        root = export_folder(export).resolve()
        check_served(root)
        target = root / name
        if not target.is_relative_to(root) or ".." in target.parts:
            raise NoSuchFile("no such file")
        return open_regular(target)
    except (OSError, JobError) as error:
        raise NoSuchFile("the file is gone from the server's disk") from error
