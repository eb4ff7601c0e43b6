r"""Ranges that a leaf boundary may not fall into: code fences, display and inline maths.

One pass of a regular expression lists the delimiters; each opening one is paired with the next
closing one of its kind by binary search, so the time is linear (times a logarithm) in the text
whatever it holds. An opening delimiter without a plausible partner is plain text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

INLINE_LIMIT = 1_000
UNKNOWN_ENVIRONMENT_LIMIT = 2_000

_DELIMITER = re.compile(
    r"\\\\|\\(?:begin|end)\{[A-Za-z]{1,30}\*?\}|\\[\[\]()$`]|\$\$?|`{1,12}|~{3,12}"
)
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")
_PROSE = re.compile(r"(?:\b[A-Za-z]{2,20}[ ,]{1,2}){4}")
# Environments that hold prose: their paragraphs are split like any other text.
_TEXT_ENVIRONMENTS = frozenset(
    {
        "definition",
        "corollary",
        "proof",
        "table",
        "itemize",
        "center",
        "lemma",
        "proposition",
        "quotation",
        "example",
        "enumerate",
        "figure",
        "remark",
        "document",
        "description",
        "quote",
        "claim",
        "problem",
        "abstract",
        "solution",
        "theorem",
    }
)
_MATH_ENVIRONMENTS = frozenset(
    {
        "equation",
        "gathered",
        "Vmatrix",
        "verbatim",
        "multline",
        "pmatrix",
        "bmatrix",
        "alignat",
        "gather",
        "align",
        "eqnarray",
        "aligned",
        "split",
        "tabular",
        "smallmatrix",
        "cases",
        "array",
        "minted",
        "vmatrix",
        "math",
        "asy",
        "tikzpicture",
        "Bmatrix",
        "matrix",
        "displaymath",
        "lstlisting",
    }
)


@dataclass(frozen=True, slots=True)
class Protected:
    """``block`` marks code fences and display maths, which may be longer than a leaf's limit."""

    start: int
    end: int
    block: bool


class _Scan:
    """The delimiters of one region and where each kind of them stands."""

    def __init__(self, text: str, low: int, high: int) -> None:
        self.text, self.low, self.high = text, low, high
        self.events = [
            (match.start(), match.group()) for match in _DELIMITER.finditer(text, low, high)
        ]
        self.places: dict[str, list[int]] = defaultdict(list)
        for position, token in self.events:
            self.places[token].append(position)
        self.closers = self._fence_closers()
        self.environments = _environments(self.events)

    def after(self, token: str, position: int) -> int | None:
        """Start of the next ``token`` behind ``position``."""
        return _next(self.places.get(token, []), position)

    def starts_line(self, position: int) -> bool:
        """Only white space stands before ``position`` on its line (indented by up to 40)."""
        window = self.text[max(self.low, position - 40) : position]
        blank = not window.rpartition("\n")[2].strip()
        return blank and ("\n" in window or position - self.low < 40)

    def line_start(self, position: int) -> int:
        """Start of the line of a ``position`` for which ``starts_line`` holds."""
        newline = self.text.rfind("\n", max(self.low, position - 40), position)
        return newline + 1 if newline >= 0 else self.low

    def _fence_closers(self) -> dict[str, list[int]]:
        """Fences that stand alone on their line, by token: only these can close a block."""
        return {
            token: [place for place in places if self._is_alone(place, token)]
            for token, places in self.places.items()
            if token[0] in "`~" and len(token) >= 3
        }

    def _is_alone(self, place: int, token: str) -> bool:
        behind = place + len(token)
        rest = self.text[behind : min(self.high, behind + 40)].partition("\n")[0]
        return not rest.strip() and self.starts_line(place)


def protected_ranges(text: str, low: int, high: int) -> list[Protected]:
    """Protected ranges of ``text[low:high]``, in order and disjoint."""
    scan = _Scan(text, low, high)
    ranges: list[Protected] = []
    cursor = low
    for position, token in scan.events:
        if position < cursor:
            continue
        found = _range_at(scan, position, token)
        if found:
            ranges.append(found)
            cursor = found.end
    return ranges


def _range_at(scan: _Scan, position: int, token: str) -> Protected | None:
    if token.startswith("\\begin"):
        return _environment(scan, position, token)
    if token[0] in "`~":
        return _fence(scan, position, token) or _inline_code(scan, position, token)
    pair = _PAIRS.get(token)
    return pair(scan, position) if pair else None


def _brackets(scan: _Scan, start: int, closing: str, *, block: bool) -> Protected | None:
    r"""``\[ … \]`` or ``\( … \)`` up to the next closing one, unless another opens before it."""
    end, again = scan.after(closing, start), scan.after(scan.text[start : start + 2], start)
    if end is None or (again is not None and again < end):
        return None
    if not block and (end - start > INLINE_LIMIT or _has_blank(scan, start, end)):
        return None
    return Protected(start, end + 2, block)


def _double_dollar(scan: _Scan, start: int) -> Protected | None:
    """A pair of ``$$``; with a blank line inside it must not read like prose.

    That keeps one lost delimiter from turning all later pairs inside out.
    """
    end = scan.after("$$", start)
    if end is None:
        return None
    if _has_blank(scan, start, end) and _PROSE.search(scan.text, start, end):
        return None
    return Protected(start, end + 2, True)


def _dollar(scan: _Scan, start: int) -> Protected | None:
    """``$x$`` as in Pandoc: no space inside the delimiters, no digit behind the closing one."""
    text, end = scan.text, scan.after("$", start)
    if end is None or not 1 < end - start <= INLINE_LIMIT:
        return None
    if text[start + 1].isspace() or text[end - 1].isspace() or text[end + 1 : end + 2].isdigit():
        return None
    return None if _has_blank(scan, start, end) else Protected(start, end + 1, False)


def _environments(events: list[tuple[int, str]]) -> dict[int, int]:
    """Start of each ``\\begin{x}`` with its partner -> end of that partner."""
    partners: dict[int, int] = {}
    stacks: dict[str, list[int]] = defaultdict(list)
    for position, token in events:
        if token.startswith("\\begin{"):
            stacks[token[7:-1]].append(position)
        elif token.startswith("\\end{") and stacks[token[5:-1]]:
            partners[stacks[token[5:-1]].pop()] = position + len(token)
    return partners


def _environment(scan: _Scan, start: int, token: str) -> Protected | None:
    end, name = scan.environments.get(start), token[7:-1].rstrip("*")
    if end is None or name in _TEXT_ENVIRONMENTS:
        return None
    known = name in _MATH_ENVIRONMENTS
    if not known and end - start > UNKNOWN_ENVIRONMENT_LIMIT:
        return None
    return Protected(start, end, known)


def _fence(scan: _Scan, start: int, token: str) -> Protected | None:
    """A fenced block; an unclosed one (a trace cut off in its code) runs to a near end only."""
    if len(token) < 3 or not scan.starts_line(start):
        return None
    line = scan.text[start + len(token) : min(scan.high, start + 200)].partition("\n")[0]
    if "`" in line and token[0] == "`":
        return None
    closing = _closing_fence(scan, start, token)
    if closing is None:
        near = scan.high - start <= UNKNOWN_ENVIRONMENT_LIMIT
        return Protected(scan.line_start(start), scan.high, True) if near else None
    end = scan.text.find("\n", closing, scan.high)
    return Protected(scan.line_start(start), scan.high if end < 0 else end, True)


def _closing_fence(scan: _Scan, start: int, token: str) -> int | None:
    """The first fence behind ``start`` of the same character and at least as long."""
    candidates = [
        place
        for other, places in scan.closers.items()
        if other[0] == token[0] and len(other) >= len(token)
        for place in [_next(places, start)]
        if place is not None
    ]
    return min(candidates, default=None)


def _inline_code(scan: _Scan, start: int, token: str) -> Protected | None:
    if token[0] != "`":
        return None
    end = scan.after(token, start)
    if end is None or end - start > 200 or "\n" in scan.text[start:end]:
        return None
    return Protected(start, end + len(token), False)


def _has_blank(scan: _Scan, start: int, end: int) -> bool:
    return _BLANK_LINE.search(scan.text, start, end) is not None


_PAIRS: dict[str, Callable[[_Scan, int], Protected | None]] = {
    "\\[": lambda scan, start: _brackets(scan, start, "\\]", block=True),
    "\\(": lambda scan, start: _brackets(scan, start, "\\)", block=False),
    "$$": _double_dollar,
    "$": _dollar,
}


def _next(places: list[int], position: int) -> int | None:
    index = bisect_right(places, position)
    return places[index] if index < len(places) else None
