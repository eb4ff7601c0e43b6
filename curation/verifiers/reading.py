"""Read a normalised answer as exact numbers: one scalar, or a tuple, set, list or interval of them.

A reading is either exact or None ("not decided here"); nothing is guessed. The grammar is
sums and products of integers, decimals, fractions, square roots and pi, mixed numbers,
percentages, thousands separators, units and one leading "x =".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from . import exactvalue as ev
from .latex import TEXT_CLOSE, TEXT_OPEN, find_unit, normalise

MAX_LENGTH = 400
MAX_DEPTH = 30
MAX_ITEMS = 40

THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
SPACED_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?![\d,])")
_ASSIGNMENT = re.compile(r"^(\\?[A-Za-z]+(?:_\{?\w+\}?)?(?:\([a-z]\))?) ?(?:=|\\approx|≈) ?(?=.)")
_MIXED = re.compile(r"^([-+]?)(\d+) (\d+) ?/ ?(\d+)$")
_TEXT_UNIT = re.compile(
    rf"^(.*?) ?{TEXT_OPEN}([^{TEXT_CLOSE}]*){TEXT_CLOSE} ?(\^ ?\{{?[-\d]+\}}?)?$", re.DOTALL
)
_WORD_UNIT = re.compile(
    r"^(.*[\d})]) ([A-Za-z][A-Za-z/ -]{2,60}|[a-z]{2,3}|km/h|m/s)( ?\^ ?\{?[23]\}?)?$"
)
_WORD_BASES = {
    name: number
    for number, name in enumerate(
        (
            *("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
            *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"),
        ),
        start=2,
    )
}
_BASE_NAME = rf"(\d{{1,2}}|{'|'.join(_WORD_BASES)})"
_BASED = re.compile(
    rf"[({{]*([-+]?[\dA-Za-z]+)[)}}]* ?(?:_ ?[({{]*(?:base ?)?{_BASE_NAME}[)}}]*"
    rf"|[({{]*(?:in )?base[- ]{_BASE_NAME}[)}}]*)"
)
# A digit with a subscript: what no other rule may read as a product or drop.
BASE_MARK = re.compile(r"\d[)}\s]*_ ?[({]*\w")
_SEPARATOR_WORDS = re.compile(rf"{TEXT_OPEN}? ?\b(?:and|or)\b ?{TEXT_CLOSE}?", re.IGNORECASE)
_LETTER_WORD = re.compile(r"[a-zA-Z]{3,}")
_TOKEN = re.compile(
    r"\s*(?:(?P<num>\d+\.\d+|\.\d+|\d+\.?(?!\d))|\\(?P<cmd>frac|sqrt|pi)(?![a-zA-Z])|(?P<op>[-+*/^(){}\[\]])|(?P<pi>pi\b))"
)


@dataclass(frozen=True, slots=True)
class Scalar:
    """One exact number; ``places`` is the number of decimals if it was written as a decimal."""

    value: tuple[tuple[tuple[int, int], Fraction], ...]
    places: int | None = None
    percent: bool = False

    @property
    def exact(self) -> ev.Exact:
        """The number as a sum of terms."""
        return dict(self.value)


@dataclass(frozen=True, slots=True)
class Reading:
    """``kind`` is scalar, list (bare), tuple, set, interval-like or ratio; ``unit`` as written."""

    kind: str
    items: tuple[Scalar, ...]
    unit: str = ""
    brackets: str = ""
    variable: str = ""


def read(text: str) -> Reading | None:
    """The one exact reading of an answer, or None."""
    if len(text) > MAX_LENGTH:
        return None
    return read_normalised(normalise(text))


def read_normalised(text: str) -> Reading | None:
    """As :func:`read`, for a text that :func:`latex.normalise` made."""
    variable = ""
    match = _ASSIGNMENT.match(text)
    if match is not None and text.count("=") + text.count("approx") <= 1:
        variable, text = match.group(1), text[match.end() :].strip()
    unit, text = _split_unit(text)
    reading = _read_plain(text)
    if reading is None:
        return None
    return Reading(reading.kind, reading.items, unit, reading.brackets, variable)


def _read_plain(text: str) -> Reading | None:
    bare = THOUSANDS.sub(lambda m: m.group().replace(",", ""), text)
    bare = SPACED_THOUSANDS.sub(lambda m: m.group().replace(" ", ""), bare)
    scalar = read_scalar(bare)
    if scalar is not None:
        return Reading("scalar", (scalar,))
    return _read_plus_minus(bare) or _read_ratio(bare) or _read_container(bare)


def _split_unit(text: str) -> tuple[str, str]:
    """(unit, rest); a percent sign is part of the number, not a unit."""
    match = _TEXT_UNIT.match(text) or _WORD_UNIT.match(text)
    if match is None or not match.group(1).strip() or _percent_word(match.group(2)):
        return "", _percent_words(text)
    if _SEPARATOR_WORDS.search(match.group(2)):
        return "", text
    power = re.sub(r"[\s{}]", "", match.group(3) or "")
    inner_unit, rest = _split_unit(match.group(1).strip())
    return f"{inner_unit} {match.group(2).strip()}{power}".strip(), rest


def _percent_word(text: str) -> bool:
    return text.strip().casefold() in ("percent", "per cent", "pct", "%")


def _percent_words(text: str) -> str:
    return re.sub(
        rf"{TEXT_OPEN}? ?(?:percent|per cent|pct|%) ?{TEXT_CLOSE}?$", "%", text, flags=re.I
    )


def _read_plus_minus(text: str) -> Reading | None:
    if text.count(r"\pm") != 1:
        return None
    both = [read_scalar(text.replace(r"\pm", sign)) for sign in ("+", "-")]
    if both[0] is None or both[1] is None:
        return None
    return Reading("list", (both[0], both[1]))


def _read_ratio(text: str) -> Reading | None:
    parts = text.split(":")
    if not 2 <= len(parts) <= 4:
        return None
    return _collection("ratio", parts, ":")


_BRACKETS = {"(": ")", "[": "]", "\\{": "\\}", "{": "}"}


def _read_container(text: str) -> Reading | None:
    for opening in ("\\{", "(", "["):
        inner = _inside(text, opening)
        if inner is None:
            continue
        closing = ")" if text.endswith(")") else "]" if text.endswith("]") else "\\}"
        kind = "set" if opening == "\\{" else "tuple"
        parts = split_items(inner)
        if len(parts) > 1 or kind == "set":
            return _collection(kind, parts, opening + closing)
    parts = split_items(text)
    return _collection("list", parts, "") if len(parts) > 1 else None


def _inside(text: str, opening: str) -> str | None:
    """Content of one pair of brackets around the whole text; ``[1, 2)`` counts as a pair."""
    closings = ("\\}",) if opening == "\\{" else (")", "]")
    if not text.startswith(opening) or not text.endswith(closings):
        return None
    closing = next(c for c in closings if text.endswith(c))
    inner = text[len(opening) : -len(closing)]
    depth = 0
    for char in inner:
        depth += (char in "([{") - (char in ")]}")
        if depth < 0:
            return None
    return inner if depth == 0 else None


def split_items(text: str) -> list[str]:
    """Split at top-level commas, semicolons and joining words."""
    text = _SEPARATOR_WORDS.sub(" , ", text)
    items, depth, start = [], 0, 0
    for position, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if char in ",;" and depth == 0:
            items.append(text[start:position])
            start = position + 1
    items.append(text[start:])
    return [item.strip() for item in items if item.strip()]


def _collection(kind: str, parts: list[str], brackets: str) -> Reading | None:
    if len(parts) > MAX_ITEMS:
        return None
    items = []
    for part in parts:
        match = _ASSIGNMENT.match(part)
        scalar = read_scalar(part[match.end() :] if match else part)
        if scalar is None:
            return None
        items.append(scalar)
    return Reading(kind, tuple(items), brackets=brackets)


def read_based(text: str) -> int | None:
    """The value of digits with a base (``52_8``, ``101 base two``); None where it is none.

    Digits that the base does not have are no number.
    """
    match = _BASED.fullmatch(re.sub(f"[{TEXT_OPEN}{TEXT_CLOSE}]", "", text).strip())
    if match is None or not any(c.isdigit() for c in match[1]):
        return None
    name = match[2] or match[3]
    base = int(name) if name.isdigit() else _WORD_BASES[name]
    try:
        return int(match[1], base) if 2 <= base <= 36 else None
    except ValueError:
        return None


def read_scalar(text: str) -> Scalar | None:
    """One exact number, or None."""
    text = text.strip()
    based = read_based(text)
    if based is not None:
        return _scalar(ev.rational(based), None, False)
    percent = text.endswith("%")
    if percent:
        text = text[:-1].strip()
    mixed = _MIXED.match(text)
    if mixed is not None and int(mixed[4]):
        number = int(mixed[2]) + Fraction(int(mixed[3]), int(mixed[4]))
        return _scalar(ev.rational(-number if mixed[1] == "-" else number), None, percent)
    value = _Parser(text).parse()
    if value is None:
        return None
    decimal = re.fullmatch(r"[-+]? ?\d*\.(\d+)", text)
    return _scalar(value, len(decimal.group(1)) if decimal else None, percent)


def _scalar(value: ev.Exact, places: int | None, percent: bool) -> Scalar:
    return Scalar(tuple(sorted(value.items())), places, percent)


class _Parser:
    """Recursive descent over the tokens; every method gives None where the grammar ends."""

    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.position = 0
        self.depth = 0

    def parse(self) -> ev.Exact | None:
        """The value of the whole text."""
        if not self.tokens:
            return None
        value = self._sum()
        return value if self.position == len(self.tokens) else None

    def _peek(self) -> str:
        tokens = self.tokens or []
        return tokens[self.position] if self.position < len(tokens) else ""

    def _take(self, expected: str = "") -> bool:
        if self._peek() != expected:
            return False
        self.position += 1
        return True

    def _sum(self) -> ev.Exact | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            return None
        value = self._product()
        while value is not None and self._peek() in ("+", "-"):
            sign = self._peek()
            self.position += 1
            term = self._product()
            if term is None:
                return None
            value = ev.add(value, ev.negate(term) if sign == "-" else term)
        self.depth -= 1
        return value

    def _product(self) -> ev.Exact | None:
        value = self._signed()
        while value is not None:
            mark = self._peek()
            if mark in ("*", "/"):
                self.position += 1
                factor = self._signed()
            elif mark in ("(", "sqrt", "pi", "frac"):
                if mark == "frac" and self._previous_is_integer():
                    return self._mixed(value)
                factor = self._power()
            else:
                break
            if factor is None:
                return None
            value = ev.divide(value, factor) if mark == "/" else ev.multiply(value, factor)
        return value

    def _previous_is_integer(self) -> bool:
        return bool(self.tokens and self.tokens[self.position - 1].isdigit())

    def _mixed(self, whole: ev.Exact) -> ev.Exact | None:
        r"""``1\frac{1}{2}`` is one and a half: a proper fraction right after an integer."""
        fraction = self._power()
        part = None if fraction is None else ev.as_rational(fraction)
        number = ev.as_rational(whole)
        if part is None or number is None or not 0 < part < 1 or number.denominator != 1:
            return None
        if self._peek() not in ("", "}", ")"):
            return None
        return ev.rational(number - part if number < 0 else number + part)

    def _signed(self) -> ev.Exact | None:
        if self._take("-"):
            value = self._signed_once()
            return None if value is None else ev.negate(value)
        self._take("+")
        return self._power()

    def _signed_once(self) -> ev.Exact | None:
        return None if self._peek() in ("-", "+") else self._power()

    def _power(self) -> ev.Exact | None:
        base = self._atom()
        if base is None or not self._take("^"):
            return base
        exponent = self._group("{", "}") if self._peek() == "{" else self._signed_atom()
        number = None if exponent is None else ev.as_rational(exponent)
        if number is None or self._peek() == "^":
            return None
        return ev.power(base, number)

    def _signed_atom(self) -> ev.Exact | None:
        if self._take("-"):
            value = self._atom()
            return None if value is None else ev.negate(value)
        return self._atom()

    def _atom(self) -> ev.Exact | None:
        mark = self._peek()
        if mark == "(":
            return self._group("(", ")")
        if mark == "{":
            return self._group("{", "}")
        self.position += 1
        if mark == "pi":
            return ev.PI
        if mark == "frac":
            return self._fraction()
        if mark == "sqrt":
            return self._root()
        return ev.rational(Fraction(mark)) if mark[:1].isdigit() or mark[:1] == "." else None

    def _group(self, opening: str, closing: str) -> ev.Exact | None:
        if not self._take(opening):
            return None
        value = self._sum()
        return value if value is not None and self._take(closing) else None

    def _fraction(self) -> ev.Exact | None:
        top = self._group("{", "}")
        bottom = None if top is None else self._group("{", "}")
        return None if top is None or bottom is None else ev.divide(top, bottom)

    def _root(self) -> ev.Exact | None:
        degree = 2
        if self._peek() == "[":
            index = self._group("[", "]")
            number = None if index is None else ev.as_rational(index)
            if number is None or number.denominator != 1:
                return None
            degree = int(number)
        inside = self._group("{", "}")
        if inside is None:
            return None
        return ev.square_root(inside) if degree == 2 else ev.whole_root(inside, degree)


def _tokens(text: str) -> list[str] | None:
    """Tokens of a text, or None where something is no token; two numbers never touch."""
    tokens: list[str] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            return None if text[position:].strip() else tokens
        token = match["num"] or match["cmd"] or match["op"] or match["pi"]
        if match["num"] and tokens and tokens[-1][-1].isdigit():
            return None
        tokens.append(token)
        position = match.end()
    return tokens


def split_unit(text: str) -> tuple[str, str]:
    """(unit as written or "", the rest) of a normalised answer."""
    return _split_unit(text)


def units_clash(a: str, b: str) -> bool:
    """Whether two answers carry known units that are not the same one."""
    left, right = find_unit(a), find_unit(b)
    return left is not None and right is not None and left != right
