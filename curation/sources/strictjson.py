"""One JSON value from bytes, with nothing changed on the way and nothing strange let in.

The usual parsers turn ``1e999`` into infinity, drop the first of two equal keys, round long
numbers and accept NaN. A row with any of these would differ from what was given, so it is refused
with its own reason, or kept as the literal that was written.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any

from curation.sources.records import BadRow

_MAX_INT_DIGITS = 4300  # what Python itself is ready to convert
# A string as one match (also an unclosed one, so that scanning stays linear), or a bracket.
_STRUCTURE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


class WrittenFloat(float):
    """A number that remembers how it was written (``1.10``), equal to its double."""

    literal: str


def parse(data: bytes, max_depth: int = 64) -> Any:
    """The value of one JSON text; BadRow with a reason code when it cannot be taken."""
    _check_bytes(data)
    check_depth(data, max_depth)
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadRow("invalid_utf8", f"byte {error.start}: {error.reason}") from error
    except json.JSONDecodeError as error:
        raise BadRow("invalid_json", f"{error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise BadRow("too_deep", f"deeper than {max_depth}") from error
    if b"\\u0000" in data or _SURROGATE_ESCAPE.search(data):
        check_text(value)
    return value


def _check_bytes(data: bytes) -> None:
    if b"\x00" in data:
        raise BadRow("nul_character", f"byte {data.index(0)} is NUL")


def check_depth(data: bytes, max_depth: int) -> None:
    """Refuse nesting deeper than ``max_depth`` before any parser sees it."""
    if data.count(b"[") + data.count(b"{") <= max_depth:
        return
    depth = 0
    for match in _STRUCTURE.finditer(data):
        token = match[0]
        if token in (b"[", b"{"):
            depth += 1
            if depth > max_depth:
                raise BadRow("too_deep", f"nested deeper than {max_depth}")
        elif token in (b"]", b"}"):
            depth -= 1


def check_text(value: Any) -> None:
    """Refuse NUL and lone surrogates in any key or value: PostgreSQL cannot store them."""
    if isinstance(value, str):
        if "\x00" in value:
            raise BadRow("nul_character", "a text holds U+0000")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            code = f"U+{ord(value[error.start]):04X}"
            raise BadRow("surrogate", f"a text holds the lone surrogate {code}") from error
    elif isinstance(value, dict):
        for key, item in value.items():
            check_text(key)
            check_text(item)
    elif isinstance(value, list):
        for item in value:
            check_text(item)


def literal(value: Any) -> str:
    """A scalar as it was written: ``27.0``, ``1.10``, ``true``, or the text itself."""
    if isinstance(value, WrittenFloat):
        return value.literal
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise BadRow("duplicate_key", f"key {_repeated(pairs)[:100]!r} stands twice in one object")
    return result


def _repeated(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            return key
        seen.add(key)
    return ""


def _float(text: str) -> float | str:
    value = float(text)
    if math.isinf(value):
        raise BadRow("number_out_of_range", f"{text[:50]} is too large for a double")
    if repr(value) == text:
        return value
    if not _same_decimal(text, repr(value)):
        return text  # more digits than a double holds: kept as written
    written = WrittenFloat(value)
    written.literal = text
    return written


def _same_decimal(left: str, right: str) -> bool:
    try:
        return Decimal(left) == Decimal(right)
    except ArithmeticError:  # an exponent beyond Decimal's own range
        return False


def _int(text: str) -> int:
    if len(text) > _MAX_INT_DIGITS:
        raise BadRow("number_out_of_range", f"a whole number of {len(text)} digits")
    return int(text)


def _constant(name: str) -> Any:
    raise BadRow("not_a_number", f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_float=_float, parse_int=_int, parse_constant=_constant
)
