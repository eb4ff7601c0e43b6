"""Writing a file and reading it back, for the tests of the readers."""

from __future__ import annotations

from pathlib import Path

from curation.sources.limits import Limits
from curation.sources.readers import read_file
from curation.sources.records import ReadRow, Reject

SMALL = Limits(row_bytes=400, depth=8)


def read(path: Path, limits: Limits = SMALL) -> tuple[list[ReadRow], list[Reject]]:
    items = list(read_file(path, path.name, limits))
    rows = [item for item in items if isinstance(item, ReadRow)]
    return rows, [item for item in items if isinstance(item, Reject)]


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


GOOD = b'{"q": "1+1", "a": 2}\n'
