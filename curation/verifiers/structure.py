r"""Answers with parts: named values, lettered parts, matrices, inequalities and intervals.

An algebra system takes ``x=3, y=4`` and ``x=4, y=3`` for the same two numbers. Here such answers
are taken apart, and part is compared with part.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from .latex import ROW_END, TEXT_CLOSE, TEXT_OPEN
from .reading import Scalar, read_scalar, split_items

MAX_CELLS = 100
Pairs = list[tuple[str, str]]
Cells = tuple[tuple[str, ...], ...]

_NAMED = re.compile(r"^(\\?[A-Za-z]+(?:_\{?\w+\}?)?(?:\([a-z]\))?) ?= ?(?=[^=])([^=]+)$")
_LABEL = re.compile(r"(?:^|(?<=[\s,;]))\(?([a-h]|i{1,3}|iv|vi?)\) ?")
_ORDERS = (list("abcdefgh"), ["i", "ii", "iii", "iv", "v", "vi"])
_MATRIX = re.compile(r"^\\begin ?\{([bpvV]?matrix)\}(.*)\\end ?\{\1\}$", re.DOTALL)


def parts(a: str, b: str) -> Pairs | bool | None:
    """The pairs that must all be equal for two normalised answers to be equal.

    False: their structures clash, so they differ. True: they are equal. None: no structure here.
    """
    for find in (_matrices, _named_values, _lettered, _regions):
        found = find(a, b)
        if found is not None:
            return found
    return None


def _matrices(a: str, b: str) -> Pairs | bool | None:
    left, right = _cells(a), _cells(b)
    if left is None and right is None:
        return None
    if left is None or right is None:
        return _vector(left or right or (), a if left is None else b)
    if [len(row) for row in left] != [len(row) for row in right]:
        return False
    flat = [list(sum(cells, ())) for cells in (left, right)]
    return list(zip(*flat, strict=True))


def _vector(cells: Cells, other: str) -> Pairs | bool | None:
    """A column or row beside a tuple such as ``(1, 2)``; anything else is no matrix."""
    row = [cell for line in cells for cell in line]
    if 1 not in (len(cells), max(map(len, cells), default=0)):
        return False if read_scalar(other) else None
    if not (other.startswith(("(", "\\langle", "[")) and other.endswith((")", "]", "\\rangle"))):
        return False if read_scalar(other) else None
    items = split_items(re.sub(r"^(?:\(|\[|\\langle)|(?:\)|\]|\\rangle)$", "", other))
    return list(zip(row, items, strict=True)) if len(items) == len(row) else False


@lru_cache(maxsize=256)
def _cells(text: str) -> Cells | None:
    match = _MATRIX.match(text)
    if match is None or r"\begin" in match[2]:
        return None
    rows = [row for row in match[2].split(ROW_END) if row.strip()]
    cells = tuple(tuple(cell.strip() for cell in row.split("&")) for row in rows)
    return cells if sum(map(len, cells)) <= MAX_CELLS else None


def _named_values(a: str, b: str) -> Pairs | bool | None:
    left, right = _names(a), _names(b)
    if left is None or right is None or left.keys() != right.keys():
        return None
    return [(left[name], right[name]) for name in left]


def _names(text: str) -> dict[str, str] | None:
    """``x=3, y=4`` by name; None unless every item is named and no name comes twice."""
    items = [_NAMED.match(item) for item in split_items(text.strip("(){} "))]
    found = {match[1]: match[2].strip() for match in items if match is not None}
    return found if len(found) == len(items) >= 2 else None


def _lettered(a: str, b: str) -> Pairs | bool | None:
    left, right = _letters(a), _letters(b)
    if left is None and right is None:
        return None
    if left is None or right is None:
        known, other = left or right or [], split_items(b if right is None else a)
        if len(known) != len(other):
            return None
        return list(zip(known, other, strict=True))
    return list(zip(left, right, strict=True)) if len(left) == len(right) else False


def _letters(text: str) -> list[str] | None:
    """``(a) 3 (b) 4`` in its order; None unless the letters begin at the first and follow on."""
    plain = text.replace(TEXT_OPEN, " ").replace(TEXT_CLOSE, " ").strip()
    marks = list(_LABEL.finditer(plain))
    labels = [mark[1] for mark in marks]
    if len(marks) < 2 or marks[0].start() > 0 or labels not in [o[: len(labels)] for o in _ORDERS]:
        return None
    ends = [mark.start() for mark in marks[1:]] + [len(plain)]
    return [plain[m.end() : end].strip(" ,;") for m, end in zip(marks, ends, strict=True)]


# -- sets of real numbers: intervals and inequalities


@dataclass(frozen=True, slots=True)
class End:
    """One end of an interval; ``value`` None is infinite."""

    value: Scalar | None
    closed: bool


Region = frozenset[tuple[End, End]]
_RELATION = r"(<|>|\\(?:lt|gt|le|ge)(?![a-zA-Z]))"
_ONE_SIDED = re.compile(rf"^(.+?) ?{_RELATION} ?(.+)$")
_CHAIN = re.compile(rf"^(.+?) ?{_RELATION} ?([A-Za-z]) ?{_RELATION} ?(.+)$")
_VARIABLE = re.compile(r"^[A-Za-z]$")
_MEMBER = re.compile(r"^[A-Za-z] ?\\in(?![a-zA-Z]) ?")
_BUILDER = re.compile(
    r"^\\\{ ?[A-Za-z](?: ?\\in ?\\mathbb ?\{? ?R ?\}?)? ?(?:\\mid|\||:) ?(.*)\\\}$"
)
_OR = re.compile(rf"{TEXT_OPEN}? ?\bor\b ?{TEXT_CLOSE}?|\\cup(?![a-zA-Z])|\\lor(?![a-zA-Z])")
_INTERVAL = re.compile(r"^([(\[])([^,;]+)[,;]([^,;]+)([)\]])$")
_REALS = re.compile(r"^\\mathbb ?\{? ?R ?\}?$|^" + f"{TEXT_OPEN}all real numbers{TEXT_CLOSE}$")
_INFINITY = re.compile(r"^([-+]?) ?(?:\\infty|oo|∞)$")
_SURE = re.compile(rf"{_RELATION}|\\infty|\\cup|\\mathbb|^\[.*\)$|^\(.*\]$")


def _regions(a: str, b: str) -> bool | None:
    """Equality of two sets of reals, if one of them cannot be anything else."""
    if not (_SURE.search(a) or _SURE.search(b)):
        return None
    left, right = _region(a), _region(b)
    return None if left is None or right is None else left == right


@lru_cache(maxsize=1024)
def _region(text: str) -> Region | None:
    """Intervals of an answer such as ``x<0 or x>2`` or ``(-\\infty,0)\\cup(2,\\infty)``."""
    match = _BUILDER.match(text)
    text = _MEMBER.sub("", match[1] if match else text).strip()
    if _REALS.match(text):
        return frozenset({(End(None, False), End(None, False))})
    pieces = [_piece(piece.strip(" ,")) for piece in _OR.split(text)]
    found = [piece for piece in pieces if piece is not None]
    return frozenset(found) if len(found) == len(pieces) else None


def _piece(text: str) -> tuple[End, End] | None:
    chain = _CHAIN.match(text)
    if chain is not None:
        return _from_chain(chain)
    one = _ONE_SIDED.match(text)
    if one is not None:
        return _from_one(one)
    interval = _INTERVAL.match(text)
    if interval is None:
        return None
    return _span(interval[2], interval[1] == "[", interval[3], interval[4] == "]")


def _from_chain(match: re.Match[str]) -> tuple[End, End] | None:
    low, first, _, second, high = match.groups()
    if _rising(first) != _rising(second):
        return None
    if not _rising(first):
        low, first, second, high = high, second, first, low
    return _span(low, _weak(first), high, _weak(second))


def _from_one(match: re.Match[str]) -> tuple[End, End] | None:
    left, relation, right = match.groups()
    if _VARIABLE.match(right) and not _VARIABLE.match(left):
        left, right, upper = right, left, not _rising(relation)
    else:
        upper = _rising(relation)
    if not _VARIABLE.match(left):
        return None
    closed = _weak(relation)
    if upper:
        return _span(r"-\infty", False, right, closed)
    return _span(right, closed, r"\infty", False)


def _rising(relation: str) -> bool:
    return relation in ("<", r"\lt", r"\le")


def _weak(relation: str) -> bool:
    return relation in (r"\le", r"\ge")


def _span(low: str, low_closed: bool, high: str, high_closed: bool) -> tuple[End, End] | None:
    ends = [_end(low, low_closed, "-"), _end(high, high_closed, "+")]
    return None if ends[0] is None or ends[1] is None else (ends[0], ends[1])


def _end(text: str, closed: bool, sign: str) -> End | None:
    text = text.strip()
    infinite = _INFINITY.match(text)
    if infinite is not None:
        return End(None, False) if (infinite[1] or "+") == sign else None
    value = read_scalar(text)
    return None if value is None else End(Scalar(value.value), closed)
