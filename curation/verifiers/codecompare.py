"""Compare what a program printed, or a function returned, with what was expected. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

MAX_DEPTH = 60
MAX_NUMBER = 400  # characters
# Decimal and int() read other alphabets' digits and underscores too; a contest's output has none.
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,6})?")


class Opaque:
    """An object of the candidate's own class: equal to nothing."""

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


def same_output(printed: bytes, expected: str, tolerance: float | None = None) -> bool:
    """Whether a program's output is the expected one, as contests judge it.

    Space at line ends and empty lines at the end do not count; then lines of tokens must agree,
    as texts or as the same decimal number (LiveCodeBench's rule), or, with a ``tolerance``,
    within it absolutely or relatively.
    """
    got = _lines(printed.decode("utf-8", "replace"))
    wanted = _lines(expected)
    if got == wanted:
        return True
    if len(got) != len(wanted):
        return False
    return all(_same_line(a, b, tolerance) for a, b in zip(got, wanted, strict=True))


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


def _same_line(got: str, wanted: str, tolerance: float | None) -> bool:
    a, b = got.split(), wanted.split()
    return len(a) == len(b) and all(
        x == y or _same_number(x, y, tolerance) for x, y in zip(a, b, strict=True)
    )


def _same_number(got: str, wanted: str, tolerance: float | None) -> bool:
    if len(got) > MAX_NUMBER or len(wanted) > MAX_NUMBER:
        return False
    if not (_NUMBER.fullmatch(got) and _NUMBER.fullmatch(wanted)):
        return False
    a, b = Decimal(got), Decimal(wanted)
    if a == b:
        return True
    return tolerance is not None and math.isclose(
        float(a), float(b), rel_tol=tolerance, abs_tol=tolerance
    )


def same_value(got: Any, wanted: Any, *, tolerance: float | None = None, depth: int = 0) -> bool:
    """Whether a returned value is the expected one.

    The expected one comes from JSON, which has lists for tuples: a sequence equals a sequence of
    the same items. True is not 1. Numbers agree exactly, or within ``tolerance``.
    """
    if depth > MAX_DEPTH:
        return False
    if isinstance(got, bool) or isinstance(wanted, bool):
        return got is wanted
    if isinstance(got, int | float) and isinstance(wanted, int | float):
        return _close(got, wanted, tolerance)
    if isinstance(got, list | tuple) and isinstance(wanted, list | tuple):
        return _same_items(got, wanted, tolerance, depth)
    if isinstance(got, dict) and isinstance(wanted, dict):
        return _same_mapping(got, wanted, tolerance, depth)
    return type(got) is type(wanted) and bool(got == wanted)


def _close(got: float, wanted: float, tolerance: float | None) -> bool:
    if got == wanted:
        return True
    try:
        return tolerance is not None and math.isclose(
            got, wanted, rel_tol=tolerance, abs_tol=tolerance
        )
    except OverflowError:
        return False


def _same_items(
    got: Sequence[Any], wanted: Sequence[Any], tolerance: float | None, depth: int
) -> bool:
    return len(got) == len(wanted) and all(
        same_value(a, b, tolerance=tolerance, depth=depth + 1)
        for a, b in zip(got, wanted, strict=True)
    )


def _same_mapping(
    got: dict[Any, Any], wanted: dict[Any, Any], tolerance: float | None, depth: int
) -> bool:
    """JSON's keys are texts; a key 1 of the candidate is the key "1"."""
    mine = {str(key): value for key, value in got.items()}
    theirs = {str(key): value for key, value in wanted.items()}
    return (
        len(mine) == len(got)
        and mine.keys() == theirs.keys()
        and all(
            same_value(mine[key], theirs[key], tolerance=tolerance, depth=depth + 1)
            for key in theirs
        )
    )
