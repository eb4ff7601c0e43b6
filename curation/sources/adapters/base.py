"""What an adapter is, and what it is shown to decide whether a file is of its family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.sources.records import ProblemRecord, ReadRow, Row


@dataclass(frozen=True, slots=True)
class Sample:
    """The first rows of a file, and where it lies."""

    name: str
    rows: list[Row]

    def every(self, *columns: str) -> bool:
        """Whether each row has all of the columns."""
        return bool(self.rows) and all(set(columns) <= set(row) for row in self.rows)

    def values(self, column: str) -> list[Any]:
        return [row[column] for row in self.rows if row.get(column) is not None]


@dataclass(frozen=True, slots=True)
class Adapter:
    """One dataset family.

    ``score`` says how sure the adapter is of a sample, from 0 (no) to 1; ``convert`` turns one
    row into problems and raises BadRow when it cannot. ``claim`` finds the folders under a path
    that are one row each, and ``parts`` names the files that make up such a row: the folder's
    JSON files under those names become the row's columns.
    """

    name: str
    about: str
    score: Callable[[Sample], float]
    convert: Callable[[ReadRow, str], list[ProblemRecord]]
    claim: Callable[[Path], list[Path]] | None = None
    parts: tuple[str, ...] = ()
