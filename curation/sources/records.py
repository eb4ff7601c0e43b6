"""The neutral records between files and tables: what a reader yields and an adapter returns."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

# A rejected row keeps this much of itself; the SHA-256 covers all of it.
RAW_EXCERPT = 64 * 1024
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TraceRecord:
    """One completion, whole and exactly as given.

    ``messages`` is the conversation before it when the source holds one. Where reasoning and
    answer came in separate fields, ``text`` is composed and ``metadata["composed"]`` is true.
    ``upstream`` is what the source says about the trace: evidence, never a verdict.
    """

    text: str
    model: str = ""
    messages: list[Row] = field(default_factory=list)
    sample_no: int = 0
    finish_reason: str = ""
    upstream: Row = field(default_factory=dict)
    metadata: Row = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProblemRecord:
    """One question with what is known of its answer and the traces that came with it."""

    text: str
    kind: str = "math"
    reference_answer: str | None = None
    reference_solution: str | None = None
    tests: Row | None = None
    choices: list[str] | None = None
    metadata: Row = field(default_factory=dict)
    traces: tuple[TraceRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadRow:
    """One row that could be read.

    ``line`` counts from 1: the physical line of JSONL and CSV, the element or row number of a
    JSON array and of Parquet. ``byte_offset`` is in the unpacked stream, -1 where the format has
    none. ``context`` holds the fields of the object that wrapped the rows, if one did.
    """

    line: int
    byte_offset: int
    data: Row
    raw: bytes = b""
    context: Row = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reject:
    """One row that could not be taken: where it stood, why, and its first 64 KiB.

    A whole file that cannot be read is one reject with line 0.
    """

    file: str
    line: int
    byte_offset: int
    reason: str
    detail: str
    raw: bytes
    raw_sha256: str
    raw_bytes: int


class BadRow(Exception):
    """A row is refused: a reason code for counting and a sentence for the person who reads it."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class BadFile(BadRow):
    """The rest of a file cannot be read."""


def reject(file: str, line: int, byte_offset: int, why: BadRow, raw: bytes) -> Reject:
    """A reject that keeps an excerpt of ``raw`` and the hash of all of it."""
    digest = hashlib.sha256(raw).hexdigest()
    excerpt = raw[:RAW_EXCERPT]
    return Reject(file, line, byte_offset, why.reason, why.detail, excerpt, digest, len(raw))
