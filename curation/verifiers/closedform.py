r"""Is an answer a value, or the question once more? ``17+25`` is no answer where 42 is asked for.

Decided by form alone, where the reference is a number literal: a literal, or one power,
factorial, root or binomial of literals, is a value; a sum, difference, product or quotient of
numbers, an integral, a sum or a limit is work that the response left to the reader.
"""

from __future__ import annotations

import re

from . import exactvalue as ev
from .latex import TEXT_CLOSE, TEXT_OPEN, normalise, squeeze
from .reading import (
    SPACED_THOUSANDS,
    THOUSANDS,
    read_based,
    read_scalar,
    split_items,
    split_unit,
)

MAX_LENGTH = 400

_NUM = r"(?:\d+(?:\.\d*)?|\.\d+)"
_INTEGER = re.compile(r"[-+]?\d+(?:\.0*)?")
_LITERAL = re.compile(
    rf"[-+]?(?:{_NUM}%?|{_NUM}/{_NUM}|\d* ?\\frac\{{-?{_NUM}\}}\{{-?{_NUM}\}}|\d+ \d+/\d+)"
)
_EXPONENT = rf"\^(?:\{{[-+]?{_NUM}\}}|[-+]?{_NUM})"
_BASE = rf"(?:{_NUM}|\([-+]?{_NUM}\)|\(?\\frac\{{\d+\}}\{{\d+\}}\)?)"
_COMPACT_TEXT = (
    rf"(?:{_NUM}\*10{_EXPONENT}|{_BASE}{_EXPONENT}|\d+!|\d*\\sqrt(?:\[\d+\])?\{{{_NUM}\}}"
    r"|\\binom\{\d+\}\{\d+\})"
)
_COMPACT = re.compile(rf"[-+]?{_COMPACT_TEXT}")
_PART = rf"-?(?:{_NUM}|{_COMPACT_TEXT})"
_COMPACT_FRACTION = re.compile(rf"[-+]?(?:\\frac\{{{_PART}\}}\{{{_PART}\}}|{_PART}/{_PART})")
# Commands and signs that announce work whatever stands beside them.
_WORK = re.compile(
    r"\\(?:i{0,4}int|oint|sum|prod|lim|max|min|gcd|lcm|[bp]?mod|det|operatorname)(?![a-zA-Z])"
    r"|[∫∬∮∑∏]|(?<![a-zA-Z])(?:gcd|lcm|mod|max|min|lim|sum|prod|int)(?![a-zA-Z])"
)
# An operator between two numbers: the hyphen of "2^{-3}" and of "-7" is none.
_OPERATION = re.compile(r"[\d)\]}!|] ?(?:[-+*/÷] ?[-+]?)(?=[\d(\[{\\|.])|[\d)] ?\((?=[-+]?[\d.])")
_IRRATIONAL = re.compile(
    r"\\(?:pi|sqrt|ln|log|exp|sin|cos|tan|arc\w+|infty)|(?<![a-zA-Z\\])e(?!\w)"
)
_FUNCTION = re.compile(
    r"\\(?:ln|log|lg|exp|sin|cos|tan|cot|sec|csc|arc\w+|[lr]floor|[lr]ceil|[lr]?vert|Phi|phi)"
    r"(?![a-zA-Z])|(?<![a-zA-Z])(?:ln|log|sin|cos|tan|floor|ceil|abs|sqrt)(?![a-zA-Z])|\|"
)
_RELATION = re.compile(r"=|\\approx|≈|\\equiv")


def is_unevaluated(reference: str, answer: str) -> bool:
    """Whether ``answer`` is work left undone although ``reference`` is a number literal."""
    if max(len(reference), len(answer)) > MAX_LENGTH or not any(c.isdigit() for c in answer):
        return False
    wanted = [_plain(item) for item in split_items(_ungrouped(normalise(reference)))]
    if not wanted or not all(_LITERAL.fullmatch(item) for item in wanted):
        return False
    whole = all(_INTEGER.fullmatch(item) for item in wanted)
    given = normalise(answer)
    items = split_items(_ungrouped(given)) if len(wanted) > 1 else [_ungrouped(given)]
    return any(_left_undone(item, whole) for item in items)


def _left_undone(item: str, whole: bool) -> bool:
    """``whole``: an integer is asked for."""
    sides = [_plain(side) for side in _split_relation(item)]
    if any(_is_value(side, whole) for side in sides):
        return False
    return any(_is_work(side, whole) for side in sides if any(c.isdigit() for c in side))


def _split_relation(text: str) -> list[str]:
    r"""The sides of ``x = 17 + 25``; the sign in ``\sum_{k=1}`` separates nothing."""
    sides, start = [], 0
    for match in _RELATION.finditer(text):
        before = text[: match.start()]
        if before.count("{") <= before.count("}"):
            sides.append(text[start : match.start()])
            start = match.end()
    return [*sides, text[start:]]


def _plain(text: str) -> str:
    """Without unit, thousands separators, spaces that mean nothing and brackets around it all."""
    _, text = split_unit(_opened(text.strip()))
    text = THOUSANDS.sub(lambda m: m.group().replace(",", ""), text)
    text = SPACED_THOUSANDS.sub(lambda m: m.group().replace(" ", ""), text)
    return squeeze(_opened(text))


def _opened(text: str) -> str:
    """Without brackets that stand around the whole."""
    for _ in range(4):
        bare = text.strip()
        if len(bare) < 2 or (bare[0], bare[-1]) not in (("(", ")"), ("{", "}"), ("[", "]")):
            return bare
        if not _closes_at_end(bare):
            return bare
        text = bare[1:-1]
    return text.strip()


def _closes_at_end(text: str) -> bool:
    depth = 0
    for position, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if depth == 0:
            return position == len(text) - 1
    return False


def _ungrouped(text: str) -> str:
    r"""The items of ``\{1, 2\}`` and ``(1, 2)``."""
    if text.startswith("\\{") and text.endswith("\\}"):
        return text[2:-2]
    return _opened(text)


def _is_value(text: str, whole: bool) -> bool:
    r"""A literal or one power, factorial, root or binomial; no quotient where 42 is asked for."""
    if read_based(text) is not None or _COMPACT.fullmatch(text):
        return True
    if not _LITERAL.fullmatch(text) and not _COMPACT_FRACTION.fullmatch(text):
        return False
    if "/" not in text and "frac" not in text:
        return True
    scalar = read_scalar(text)
    number = None if scalar is None else ev.as_rational(scalar.exact)
    return not whole and (number is None or number.denominator != 1)


def _is_work(text: str, whole: bool) -> bool:
    if _WORK.search(text):
        return True
    scalar = read_scalar(text)
    if scalar is not None:  # an irrational value is written as a sum or product: 1+\sqrt2, 2\pi
        return ev.as_rational(scalar.exact) is not None
    bare = re.sub(f"[{TEXT_OPEN}{TEXT_CLOSE}]", "", text)
    if whole and _FUNCTION.search(bare):
        return True
    return _OPERATION.search(bare) is not None and _IRRATIONAL.search(bare) is None
