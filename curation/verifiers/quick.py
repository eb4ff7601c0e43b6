"""Equality of two answers by exact arithmetic and by words: cheap, and certain where it decides."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

from . import exactvalue as ev
from .latex import TEXT_CLOSE, TEXT_OPEN, find_unit, normalise, plain_words, squeeze
from .reading import BASE_MARK, MAX_LENGTH, Reading, Scalar, read_normalised
from .structure import parts

# A decimal stands for an exact number only with at least so many significant digits.
MIN_SIGNIFICANT = 6
MAX_WORDS = 6

_LETTER = re.compile(r"^[\s(\[]*([A-Ja-j])[\s)\].:]*$")
_LETTER_FIRST = re.compile(r"^[\s(\[]*([A-J])(?:[)\].:]|\s*$)")
# An integer or decimal of any length, as written.
_LONG_NUMBER = re.compile(r"([-+]?)0*([0-9]*)(?:\.([0-9]*?)0*)?")
_LETTER_UNIT = re.compile(r"^(.*\d) ?([mgshl])$")
_WORDY = re.compile(r"[A-Za-zÀ-ÿ一-鿿\s'-]{2,}")
_MATH_WORD = re.compile(r"^(?:sqrt|frac|sin|cos|tan|log|ln|exp|pi|min|max|lim|cot|sec|csc|arc\w+)$")


def quick_equal(a: str, b: str) -> bool | None:
    """Whether two answers are equal; None where exact arithmetic and words do not decide.

    Symmetric in its arguments except that a bare list equals a tuple of the same order.
    True and False are certain; a caller that gets None asks the algebra system.
    """
    if len(a) > MAX_LENGTH or len(b) > MAX_LENGTH:
        return True if a.strip() == b.strip() and a.strip() else _long_equal(a, b)
    return _quick_equal(a, b)


def _long_equal(a: str, b: str) -> bool | None:
    """Numbers of thousands of digits, compared as written; None where one of them is no number."""
    left, right = (re.sub(r"\s|\{,\}|,(?=\d{3}(?!\d))|\$", "", text) for text in (a, b))
    one, other = _LONG_NUMBER.fullmatch(left), _LONG_NUMBER.fullmatch(right)
    if one is None or other is None or not (one[2] or one[3]) or not (other[2] or other[3]):
        return None
    return _digits(one) == _digits(other)


def _digits(match: re.Match[str]) -> tuple[bool, str, str]:
    """(is negative, digits before the point, digits after it) without zeros that mean nothing."""
    return match[1] == "-", match[2] or "", match[3] or ""


@lru_cache(maxsize=8192)
def _quick_equal(a: str, b: str) -> bool | None:
    left, right = normalise(a), normalise(b)
    if not left or not right:
        return None
    if squeeze(left) == squeeze(right):
        return True
    return _compare_parts(left, right)


def _compare_parts(left: str, right: str) -> bool | None:
    """Answers with parts are equal where every part is; others are compared whole."""
    found = parts(left, right)
    if found is None:
        return _compare_wholes(left, right)
    if isinstance(found, bool):
        return found
    decided = [_quick_equal(one, other) for one, other in found]
    return False if False in decided else None if None in decided else True


def _compare_wholes(left: str, right: str) -> bool | None:
    decided = _compare_bases(left, right)
    if decided is None:
        decided = _compare_readings(*_readings(left, right))
    return _compare_words(left, right) if decided is None else decided


def _readings(left: str, right: str) -> tuple[Reading | None, Reading | None]:
    """Both readings; a lone letter after a number is a unit where the other side has that unit."""
    a, b = read_normalised(left), read_normalised(right)
    if a is None and b is not None:
        return _read_beside(left, b), b
    if b is None and a is not None:
        return a, _read_beside(right, a)
    return a, b


def _read_beside(text: str, other: Reading) -> Reading | None:
    match, known = _LETTER_UNIT.match(text), find_unit(other.unit)
    unit = find_unit(match[2]) if match else None
    if match is None or unit is None or known is None or unit.dimension != known.dimension:
        return None
    number = read_normalised(match[1])
    return None if number is None else replace(number, unit=match[2])


def _compare_bases(a: str, b: str) -> bool | None:
    """False where one side marks a base and is not read; ``52_8`` is read as 42 like any number.

    The algebra system would drop the subscript.
    """
    if not (BASE_MARK.search(a) or BASE_MARK.search(b)):
        return None
    return False if None in _readings(a, b) else None


def _compare_readings(a: Reading | None, b: Reading | None) -> bool | None:
    if a is None or b is None:
        return None
    if a.variable and b.variable and a.variable != b.variable:
        return None
    factors = _unit_factors(a.unit, b.unit)
    if factors is None:
        return False
    if a.kind == b.kind == "scalar":
        return scalars_equal(a.items[0], b.items[0], factors)
    if "scalar" in (a.kind, b.kind):
        return _scalar_and_collection(a, b, factors)
    return _collections_equal(a, b)


def _unit_factors(a: str, b: str) -> tuple[Fraction, Fraction] | None:
    """Factors to a common unit; (1, 1) where units are unknown or missing; None if they clash."""
    one = (Fraction(1), Fraction(1))
    if not a or not b or a == b:
        return one
    left, right = find_unit(a), find_unit(b)
    if left is None or right is None:
        return one
    if left.dimension != right.dimension:
        return None
    return left.factor, right.factor


def scalars_equal(
    a: Scalar, b: Scalar, factors: tuple[Fraction, Fraction] = (Fraction(1), Fraction(1))
) -> bool:
    """Exact equality; "50%" equals both 50 and 0.5; a long decimal equals what it rounds."""
    left, right = _scaled(a, factors[0]), _scaled(b, factors[1])
    if left is None or right is None:
        return False
    if left == right or _rounds_to(a, left, right) or _rounds_to(b, right, left):
        return True
    if a.percent == b.percent:
        return False
    number, other = (left, right) if a.percent else (right, left)
    return ev.divide(number, ev.rational(100)) == other


def _scaled(scalar: Scalar, factor: Fraction) -> ev.Exact | None:
    return scalar.exact if factor == 1 else ev.multiply(scalar.exact, ev.rational(factor))


def _rounds_to(scalar: Scalar, value: ev.Exact, other: ev.Exact) -> bool:
    """Whether a decimal of enough digits is the other number, rounded or cut at its last place."""
    number = ev.as_rational(value)
    if scalar.places is None or number is None or not number:
        return False
    digits = len(str(abs(int(number * 10**scalar.places))))
    target = ev.as_rational(other)
    terminating = target is not None and _terminates(target)
    if digits < MIN_SIGNIFICANT or terminating:
        return False
    return abs(number - ev.approximate(other)) <= Fraction(1, 10**scalar.places)


def _terminates(number: Fraction) -> bool:
    denominator = number.denominator
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    return denominator == 1


def _ratio_equals(a: Reading, b: Reading) -> bool | None:
    ratio, scalar = (a, b) if a.kind == "ratio" else (b, a)
    if len(ratio.items) != 2:
        return None
    quotient = ev.divide(ratio.items[0].exact, ratio.items[1].exact)
    return None if quotient is None else quotient == scalar.items[0].exact


def _scalar_and_collection(
    a: Reading, b: Reading, factors: tuple[Fraction, Fraction]
) -> bool | None:
    """``{5}`` beside 5 is 5, ``3:4`` beside 3/4 is its value; several items are no number."""
    if "ratio" in (a.kind, b.kind):
        return _ratio_equals(a, b)
    if len(a.items) == len(b.items) == 1:
        return scalars_equal(a.items[0], b.items[0], factors)
    return False


def _collections_equal(a: Reading, b: Reading) -> bool | None:
    if a.kind == b.kind == "tuple" and a.brackets != b.brackets:
        return None
    if {a.kind, b.kind} == {"set", "tuple"}:
        return False  # a point or an interval is not the set of its two numbers
    if (a.kind == "ratio") != (b.kind == "ratio"):
        return None
    if "tuple" in (a.kind, b.kind) or "ratio" in (a.kind, b.kind):
        return _ordered_equal(a.items, b.items)
    return _unordered_equal(a.items, b.items)


def _ordered_equal(a: tuple[Scalar, ...], b: tuple[Scalar, ...]) -> bool:
    return len(a) == len(b) and all(scalars_equal(x, y) for x, y in zip(a, b, strict=True))


def _unordered_equal(a: tuple[Scalar, ...], b: tuple[Scalar, ...]) -> bool:
    """Equal as multisets; items that repeat on both sides must repeat equally often."""
    rest = list(b)
    for item in a:
        match = next((other for other in rest if scalars_equal(item, other)), None)
        if match is None:
            return False
        rest.remove(match)
    return not rest


def _compare_words(a: str, b: str) -> bool | None:
    """Names, yes/no and option letters: equal words are equal, different words are different.

    Without this an algebra system reads words as products of letters, in which "silent" equals
    "listen".
    """
    if _LETTER.match(_opened(a)) and _LETTER_FIRST.match(_opened(b).upper()):
        return _letter(a) == _letter(b)
    if _LETTER.match(_opened(b)) and _LETTER_FIRST.match(_opened(a).upper()):
        return _letter(a) == _letter(b)
    left, right = _as_words(a), _as_words(b)
    if left is None or right is None:
        return None
    if left == right:
        return True
    return False if len(left.split()) <= MAX_WORDS else None


def _may_be_product(word: str) -> bool:
    """Whether letters may be variables: one or two, or neighbours of the alphabet as in "xyz"."""
    if len(word) < 3:
        return word != "no"
    codes = sorted(map(ord, word))
    return len(word) < 5 and codes == list(range(codes[0], codes[0] + len(codes)))


def _opened(text: str) -> str:
    return re.sub(rf"[{TEXT_OPEN}{TEXT_CLOSE}]", "", text).strip()


def _letter(text: str) -> str:
    match = re.search(r"[A-J]", _opened(text).upper())
    return match.group() if match else ""


def _as_words(text: str) -> str | None:
    """The words of a text that is nothing but words; None for anything that may be algebra."""
    opened = _opened(text)
    if not _WORDY.fullmatch(opened.replace(",", " ").replace(".", " ")):
        return None
    words = plain_words(opened)
    in_text_group = text.startswith(TEXT_OPEN) and text.endswith(TEXT_CLOSE)
    if not in_text_group and all(_may_be_product(word) for word in words.split()):
        return None
    return None if any(_MATH_WORD.match(word) for word in words.split()) else words
