"""CSV with a header, quoted line breaks, and rows that fail one by one."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from typing import IO

from curation.sources.limits import Limits
from curation.sources.lines import Line, lines, text_of
from curation.sources.records import BadFile, BadRow, ReadRow, Reject, Row, reject

_DELIMITERS = ",\t;|"


def read_csv(stream: IO[bytes], name: str, limits: Limits) -> Iterator[ReadRow | Reject]:
    """Rows as objects of texts under the header's names.

    A record that cannot be read is one reject; reading goes on at the line behind its first.
    """
    feed = _Feed(lines(stream, limits.row_bytes), limits.row_bytes)
    csv.field_size_limit(limits.row_bytes)
    header, delimiter = _header(feed)
    while feed.more():
        row = _record(feed, header, delimiter, name, limits)
        if row is not None:
            yield row


class _Feed:
    """Lines for one record of ``csv.reader``, kept so that a failed record can be given back."""

    def __init__(self, source: Iterator[Line], cap: int) -> None:
        self.source, self.cap = source, cap
        self.waiting: deque[Line] = deque()
        self.used: list[Line] = []
        self.size = 0

    def more(self) -> bool:
        """Begin a new record; False at the end of the file."""
        self.used, self.size = [], 0
        if not self.waiting:
            self.waiting.extend(line for line in [next(self.source, None)] if line)
        return bool(self.waiting)

    def give_back(self) -> None:
        """All lines of the record but its first are read again."""
        self.waiting.extendleft(reversed(self.used[1:]))
        del self.used[1:]

    def __iter__(self) -> Iterator[str]:
        while True:
            line = self.waiting.popleft() if self.waiting else next(self.source, None)
            if line is None:
                return
            self.used.append(line)
            self.size += len(line.data)
            if line.too_long or self.size > self.cap:
                raise BadRow("row_too_large", f"the record passes {self.cap} bytes")
            # Bytes that are no UTF-8 are found when the record is whole.
            yield line.data.decode("utf-8", "surrogateescape")


def _header(feed: _Feed) -> tuple[list[str], str]:
    if not feed.more():
        return [], ","
    first = feed.waiting[0]
    delimiter = max(_DELIMITERS, key=lambda mark: first.data.count(mark.encode()))
    try:
        header = _parse(feed, delimiter)
        text_of(_raw(feed))
    except BadRow as why:
        raise BadFile("bad_header", why.detail) from why
    if len(set(header)) < len(header) or not any(header):
        raise BadFile("bad_header", "the first line must name each column once")
    return header, delimiter


def _parse(feed: _Feed, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(feed, delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise BadRow("invalid_csv", str(error)) from error


def _record(
    feed: _Feed, header: list[str], delimiter: str, name: str, limits: Limits
) -> ReadRow | Reject | None:
    first = feed.waiting[0]
    try:
        values = _parse(feed, delimiter)
    except BadRow as why:
        feed.give_back()
        if first.too_long is not None:
            return first.too_long.reject(name, first.number, first.offset, limits.row_bytes)
        return reject(name, first.number, first.offset, why, _raw(feed))
    if not values:
        return None
    raw = _raw(feed)
    try:
        return ReadRow(first.number, first.offset, _checked(raw, header, values), raw)
    except BadRow as why:
        return reject(name, first.number, first.offset, why, raw)


def _checked(raw: bytes, header: list[str], values: list[str]) -> Row:
    text_of(raw)
    if len(values) != len(header):
        raise BadRow("column_count", f"{len(values)} values under {len(header)} columns")
    return dict(zip(header, values, strict=True))


def _raw(feed: _Feed) -> bytes:
    return b"".join(line.data for line in feed.used)
