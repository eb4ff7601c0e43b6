"""JSON bodies that the database can hold: no NaN, no lone surrogate, no NUL, not too large."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

import orjson
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

MAX_BYTES = 20 * 1024 * 1024


class StrictJSONParser(BaseParser):
    """``application/json``, read by orjson; a 400 names what is wrong."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        body = stream.read(MAX_BYTES + 1)
        if len(body) > MAX_BYTES:
            raise ParseError(f"the body is larger than {MAX_BYTES} bytes")
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ParseError(f"not JSON: {error}") from error
        # PostgreSQL can store a NUL neither in text nor in jsonb.
        if b"\\u0000" in body and has_nul(value):
            raise ParseError("the body holds a NUL character")
        return value


def has_nul(value: Any) -> bool:
    """Whether a string anywhere in the value holds a NUL."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if "\0" in item:
                return True
        elif isinstance(item, dict):
            stack += [*item, *item.values()]
        elif isinstance(item, list):
            stack += item
    return False
