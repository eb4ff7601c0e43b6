"""Physical lines of a byte stream, bounded: a line over the cap is skipped without being held."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from curation.sources.records import RAW_EXCERPT, BadFile, BadRow, Reject

BOM = b"\xef\xbb\xbf"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")
_PIECE = 1024 * 1024


class Readable(Protocol):
    """A stream of lines: as ``IO[bytes].readline``."""

    def readline(self, size: int = ..., /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Line:
    """A line with its ending. ``too_long`` is set instead of the data when it passes the cap."""

    number: int
    offset: int
    data: bytes
    too_long: TooLong | None = None


@dataclass(frozen=True, slots=True)
class TooLong:
    """What is kept of a row that passes the cap."""

    excerpt: bytes
    sha256: str
    size: int

    def reject(self, file: str, line: int, offset: int, cap: int) -> Reject:
        detail = f"{self.size} bytes; the cap is {cap}"
        return Reject(
            file, line, offset, "row_too_large", detail, self.excerpt, self.sha256, self.size
        )


class Skipper:
    """Takes the pieces of a row that is too long: keeps a beginning, a hash and a size."""

    def __init__(self) -> None:
        self.excerpt, self.size, self.digest = b"", 0, hashlib.sha256()

    def add(self, piece: bytes) -> None:
        self.excerpt += piece[: max(0, RAW_EXCERPT - len(self.excerpt))]
        self.size += len(piece)
        self.digest.update(piece)

    def result(self) -> TooLong:
        return TooLong(self.excerpt, self.digest.hexdigest(), self.size)


def lines(stream: Readable, cap: int) -> Iterator[Line]:
    """Each line with its number (from 1) and byte offset; a UTF-8 byte order mark is passed over.

    BadFile when the stream breaks, or when it is UTF-16 (nothing in it could be split into lines).
    """
    number, offset = 0, 0
    data = read_bom(stream)
    if data == BOM:
        offset, data = len(BOM), b""
    while True:
        if not data.endswith(b"\n"):
            data += stream.readline(cap + 1 - len(data))
        if not data:
            return
        number += 1
        if len(data) > cap:
            skipped = _skip(stream, data)
            yield Line(number, offset, b"", skipped)
            offset += skipped.size
        else:
            yield Line(number, offset, data)
            offset += len(data)
        data = b""


def read_bom(stream: Readable) -> bytes:
    """The first bytes up to a line's end: a byte order mark, or what the stream begins with."""
    head = stream.readline(len(BOM))
    if head.startswith(_WIDE_BOMS):
        raise BadFile("not_utf8", "the file is UTF-16; save it as UTF-8")
    return head


def _skip(stream: Readable, beginning: bytes) -> TooLong:
    skipper = Skipper()
    piece = beginning
    while piece:
        skipper.add(piece)
        if piece.endswith(b"\n"):
            break
        piece = stream.readline(_PIECE)
    return skipper.result()


def text_of(data: bytes) -> str:
    """Strict UTF-8 without NUL; BadRow otherwise."""
    if b"\x00" in data:
        raise BadRow("nul_character", f"byte {data.index(0)} is NUL")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRow("invalid_utf8", f"byte {error.start}: {error.reason}") from error
