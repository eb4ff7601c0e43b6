"""Any table: the mapping is detected from its columns, or given."""

from __future__ import annotations

from collections.abc import Callable

from curation.sources.adapters.base import Adapter, Sample
from curation.sources.convert import apply
from curation.sources.detection import detect
from curation.sources.mapping import Mapping
from curation.sources.records import BadRow, ProblemRecord, ReadRow


def score(sample: Sample) -> float:
    return 0.3 if detect(sample.rows).has("problem", "messages") else 0.0


def convert(row: ReadRow, file: str) -> list[ProblemRecord]:
    """With a mapping of this row alone; files use ``with_mapping``."""
    return with_mapping(detect([row.data]))(row, file)


def with_mapping(mapping: Mapping) -> Callable[[ReadRow, str], list[ProblemRecord]]:
    """A conversion by one mapping for all rows."""

    def convert_row(row: ReadRow, file: str) -> list[ProblemRecord]:
        if not mapping.has("problem", "messages"):
            columns = ", ".join(sorted(row.data))[:200]
            raise BadRow("no_mapping", f"no column holds the problem; columns: {columns}")
        return [apply(mapping, row.data)]

    return convert_row


ADAPTER = Adapter("generic", "Any table, by its columns", score, convert)
