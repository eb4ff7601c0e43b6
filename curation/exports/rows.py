"""The rows of a frozen selection with their texts, streamed in blocks and held to their hashes.

Traces and problems never change and a selection froze their SHA-256, so reading needs no long
snapshot: a text that is not the frozen one stops the export, whenever it changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

from django.db.models import Sum

from curation.exports.records import Completion, ExportError, ExportRecord, Message
from curation.models import Selection, SelectionRow, Trace

BLOCK = 64
# Bytes of a row besides its texts (keys, ids, hashes), and of a code point, both generous.
ROW_OVERHEAD = 1_000
BYTES_PER_CHAR = 2


class Progress(Protocol):
    """The part of a job's context that reading needs."""

    def chunk(self) -> AbstractContextManager[None]:
        """One short transaction."""

    def advance(self, n: int = 1, **counts: int) -> None:
        """Count rows as done."""


def export_records(selection: Selection, progress: Progress) -> Iterator[ExportRecord]:
    """The records of ``selection`` in its order; progress is saved after each block.

    Raises ExportError when a text is no longer the one that was frozen.
    """
    rows = SelectionRow.objects.filter(selection=selection).order_by("position")
    rows = rows.select_related("problem", "trace__parent", "rejected")
    rows = rows.defer("problem__embedding", "problem__search_text", "trace__parent__text")
    last = -1
    while True:
        with progress.chunk():
            block = list(rows.filter(position__gt=last)[:BLOCK])
            progress.advance(len(block))
        if not block:
            return
        yield from (_record(row) for row in block)
        last = block[-1].position


def expected_bytes(selection: Selection) -> int:
    """About how large the data files will be, to be held against the free space."""
    sums = SelectionRow.objects.filter(selection=selection).aggregate(
        problems=Sum("problem__char_count"),
        chosen=Sum("trace__char_count"),
        rejected=Sum("rejected__char_count"),
    )
    chars = sum(value or 0 for value in sums.values())
    return int(chars) * BYTES_PER_CHAR + selection.selected * ROW_OVERHEAD


def _record(row: SelectionRow) -> ExportRecord:
    _hold_to(row.problem.text, row.hashes["problem"], f"problem {row.problem_id}")
    return ExportRecord(
        problem_id=row.problem_id,
        problem_sha256=row.hashes["problem"],
        prompt=_prompt(row.trace, row.problem.text),
        chosen=_completion(row.trace, row.hashes["trace"]),
        rejected=_completion(row.rejected, row.hashes["rejected"]) if row.rejected else None,
        source=row.detail.get("source", ""),
        licence=row.detail.get("licence", ""),
    )


def _completion(trace: Trace, sha256: str) -> Completion:
    _hold_to(trace.text, sha256, f"trace {trace.pk}")
    return Completion(trace.pk, trace.text, sha256, trace.model, trace.sample_no)


def _hold_to(text: str, sha256: str, what: str) -> None:
    if hashlib.sha256(text.encode()).hexdigest() != sha256:
        raise ExportError(f"{what} is no longer the text that was selected")


def _prompt(trace: Trace, problem: str) -> tuple[Message, ...]:
    """The conversation before the trace; one that does not end with the user asks the problem.

    A pruned trace has its parent's conversation. The rejected trace of a pair is shown under the
    chosen one's.
    """
    stored: list[Any] = trace.messages or (trace.parent.messages if trace.parent else [])
    if stored and stored[-1].get("role") == "user":
        return tuple(stored)
    return (*stored, {"role": "user", "content": problem})
