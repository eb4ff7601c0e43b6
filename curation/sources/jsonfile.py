"""JSON: lines, an array of rows read element by element, or one document."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import IO, Any

from curation.sources.elements import elements
from curation.sources.limits import Limits
from curation.sources.lines import BOM, Line, Readable, lines, read_bom
from curation.sources.records import BadFile, BadRow, ReadRow, Reject, Row, reject
from curation.sources.strictjson import parse

_PIECE = 256 * 1024
# Names under which a document keeps its rows, in the order they are looked for.
_WRAPPERS = ("data", "rows", "results", "examples", "problems", "instances", "items", "train")
_ROW_COLUMNS = {"problem", "question", "prompt", "messages", "conversations", "instruction"}


def read_lines(stream: Readable, name: str, limits: Limits) -> Iterator[ReadRow | Reject]:
    """JSON Lines: one object a line; blank lines are not rows."""
    for line in lines(stream, limits.row_bytes):
        if line.too_long or line.data.strip():
            yield as_row(line, name, limits)


def read_json(stream: IO[bytes], name: str, limits: Limits) -> Iterator[ReadRow | Reject]:
    """A ``.json`` file: an array, a document, or (as is common) lines under the wrong name."""
    head, offset = _head(stream)
    if head.lstrip().startswith(b"["):
        for line in elements(stream, head, limits.row_bytes, offset):
            yield as_row(line, name, limits)
        return
    whole = head + stream.read(limits.document_bytes - len(head) + 1)
    yield from _document(whole, stream, name, limits)


def as_row(line: Line, name: str, limits: Limits) -> ReadRow | Reject:
    """The row of one line or element, or its reject."""
    if line.too_long is not None:
        return line.too_long.reject(name, line.number, line.offset, limits.row_bytes)
    try:
        data = parse(line.data, limits.depth)
        if not isinstance(data, dict):
            raise BadRow("not_an_object", f"a row must be an object, not {_json_type(data)}")
    except BadRow as why:
        return reject(name, line.number, line.offset, why, line.data)
    return ReadRow(line.number, line.offset, data, line.data)


def _json_type(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _head(stream: IO[bytes]) -> tuple[bytes, int]:
    """The file's beginning with its first visible byte, and the offset behind a byte order mark."""
    head, offset = read_bom(stream), 0
    if head == BOM:
        head, offset = b"", len(BOM)
    while not head.strip():
        offset += len(head)
        head = stream.read(_PIECE)
        if not head:
            break
    return head, offset


def _document(
    whole: bytes, stream: IO[bytes], name: str, limits: Limits
) -> Iterator[ReadRow | Reject]:
    first = whole.lstrip().partition(b"\n")[0].strip()
    if len(whole) > limits.document_bytes and not _is_object(first, limits):
        raise BadFile("document_too_large", f"one document over {limits.document_bytes} bytes")
    if not whole.strip():
        return
    if len(whole) > limits.document_bytes or _has_more_documents(whole, first, limits):
        yield from read_lines(_Joined(whole, stream), name, limits)
        return
    row = as_row(Line(1, 0, whole), name, limits)
    yield from [row] if isinstance(row, Reject) else _unwrap(row)


def _is_object(data: bytes, limits: Limits) -> bool:
    try:
        return isinstance(parse(data, limits.depth), dict)
    except BadRow:
        return False


def _has_more_documents(whole: bytes, first: bytes, limits: Limits) -> bool:
    """Whether the first line is an object and something stands behind it."""
    return len(first) < len(whole.strip()) and _is_object(first, limits)


class _Joined:
    """Bytes already read and the stream they came from, as one stream of lines."""

    def __init__(self, head: bytes, stream: IO[bytes]) -> None:
        self.head, self.stream = io.BytesIO(head), stream

    def readline(self, size: int = -1, /) -> bytes:
        data = self.head.readline(size)
        if data.endswith(b"\n") or len(data) == size:
            return data
        return data + self.stream.readline(size - len(data))


def _unwrap(row: ReadRow) -> Iterator[ReadRow]:
    """The rows of a document that wraps a list of objects; a document of one row otherwise."""
    key = None if _ROW_COLUMNS & set(row.data) else next(filter(row.data.get, _WRAPPERS), None)
    inner = row.data.get(key) if key else None
    if not isinstance(inner, list) or not all(isinstance(item, dict) for item in inner):
        yield row
        return
    context: Row = {name: value for name, value in row.data.items() if name != key}
    for number, item in enumerate(inner, 1):
        raw = json.dumps(item, ensure_ascii=False).encode()
        yield ReadRow(number, -1, item, raw, context)
