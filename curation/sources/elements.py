"""The elements of a top-level JSON array, one at a time, in bounded memory.

The scanner follows strings and brackets alone: an element that is not JSON spoils itself and not
its neighbours, and the values are parsed afterwards, one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

from curation.sources.lines import Line, Skipper
from curation.sources.records import BadFile

_PIECE = 256 * 1024
_IN_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_TOKEN = re.compile(rb'["\[\]{},]')


def elements(stream: IO[bytes], head: bytes, cap: int, offset: int = 0) -> Iterator[Line]:
    """Elements as lines: ``number`` is the place from 1, ``offset`` the byte offset.

    ``head`` are bytes already read, beginning at byte ``offset``, with the opening bracket in
    them. An element over ``cap`` is skipped without being held. BadFile when the array does not
    end, or when something stands behind it.
    """
    scanner = _Scanner(stream, head, cap, offset)
    number = 0
    while not scanner.closed:
        element = scanner.next(number + 1)
        if element is not None:
            number += 1
            yield element
    scanner.check_end()


class _Scanner:
    def __init__(self, stream: IO[bytes], head: bytes, cap: int, offset: int) -> None:
        start = head.index(b"[") + 1
        self.stream, self.cap = stream, cap
        self.buffer = bytearray(head[start:])
        self.offset = offset + start  # of the buffer's first byte
        self.begin = self.offset  # of the element at hand
        self.position, self.depth, self.in_string = 0, 0, False
        self.skipper: Skipper | None = None
        self.closed = self.ended = False

    def next(self, number: int) -> Line | None:
        """The next element; None for the nothing between the last comma and the bracket."""
        while (end := self._scan()) < 0:
            if not self._more():
                self.closed = self.ended = True
                return self._take(len(self.buffer), number) if self._visible() else None
        self.closed = self.buffer[end] == ord("]")
        empty = self.closed and not self.skipper and not self.buffer[:end].strip()
        element = None if empty else self._take(end, number)
        self._drop(1)
        self.begin = self.offset
        return element

    def check_end(self) -> None:
        if self.ended:
            raise BadFile("invalid_json", "the array does not end")
        rest = bytes(self.buffer)
        while rest or (rest := self.stream.read(_PIECE)):
            if rest.strip():
                raise BadFile("invalid_json", "something stands behind the end of the array")
            rest = b""

    def _visible(self) -> bool:
        return bool(self.skipper or self.buffer.strip())

    def _scan(self) -> int:
        """Position of the comma or bracket that ends the element, or -1 for more input."""
        while True:
            if self.in_string and not self._leave_string():
                return -1
            token = _TOKEN.search(self.buffer, self.position)
            if token is None:
                self.position = len(self.buffer)
                return -1
            end, mark = token.start(), token[0]
            if self.depth == 0 and mark in b",]":
                return end
            self.position = end + 1
            self._note(mark)

    def _note(self, mark: bytes) -> None:
        if mark == b'"':
            self.in_string = True
        elif mark in b"[{":
            self.depth += 1
        elif mark in b"]}":
            self.depth = max(0, self.depth - 1)

    def _leave_string(self) -> bool:
        match = _IN_STRING.match(self.buffer, self.position)
        assert match is not None
        self.position = match.end()
        if self.buffer[self.position : self.position + 1] != b'"':
            return False
        self.position += 1
        self.in_string = False
        return True

    def _more(self) -> bool:
        """Read on; what passes the cap goes to the skipper."""
        if self.skipper or len(self.buffer) > self.cap:
            self.skipper = self.skipper or Skipper()
            self.skipper.add(bytes(self.buffer[: self.position]))
            self._drop(self.position)
        piece = self.stream.read(_PIECE)
        self.buffer += piece
        return bool(piece)

    def _take(self, end: int, number: int) -> Line:
        data = bytes(self.buffer[:end])
        self._drop(end)
        if self.skipper or len(data) > self.cap:
            skipper = self.skipper or Skipper()
            skipper.add(data)
            self.skipper = None
            return Line(number, self.begin, b"", skipper.result())
        space = len(data) - len(data.lstrip())
        return Line(number, self.begin + space, data.strip())

    def _drop(self, size: int) -> None:
        del self.buffer[:size]
        self.offset += size
        self.position = max(0, self.position - size)
