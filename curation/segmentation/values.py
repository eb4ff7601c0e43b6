r"""Read answer values out of text, and compare them when no verifier is at hand.

Everything here is bounded: a value is at most ``VALUE_LIMIT`` code points long and is looked for
in a window of that size, so hostile text costs no more than plain text.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

VALUE_LIMIT = 300
_DELIMITED = (("\\(", "\\)"), ("\\[", "\\]"), ("$$", "$$"), ("$", "$"))
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_^{\\.])[-−]?\$?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s?/\s?\d+)?(?:\s?\\?%)?"
)
_FRACTION = re.compile(r"-?\\[dt]?frac\s?(?:\{[^{}]{1,40}\}\s?\{[^{}]{1,40}\}|\d\d)")
_OPTION = re.compile(r"\(?([A-J])\)?(?=[\s.,:;)*]|$)")
_LEAD = re.compile(
    r"(?:\s|\*\*|__|:|=|≈|~|\b(?:indeed|therefore|simply|just|still|then|approximately|about|equal"
    r" to|exactly|now|clearly|option|choice|the number|that)\b,?){0,8}",
    re.IGNORECASE,
)
_PHRASE = re.compile(r"[^\n.;,:!?。，；：！？]{1,60}")
_PLAIN = str.maketrans({"−": "-", "–": "-", "$": None, " ": None, "\u00a0": None, "~": None})
_DROP = re.compile(
    r"\\(?:left|right|displaystyle|,|!|;|:| )|\\(?:text|mathrm|mbox|textbf|mathbf)\{[^{}]{0,60}\}"
    r"|\^?\{?\\circ\}?|°|\\?%|\\\(|\\\)|\\\[|\\\]|\*\*"
)
_INTEGER = re.compile(r"-?[0-9]{1,200}")
_SIMPLE = re.compile(r"-?(?:\d{1,200}(?:\.\d{0,200})?|\.\d{1,200})")
_LATEX_FRACTION = re.compile(r"(-?)\\frac\{?(-?\d{1,200})\}?\{?(\d{1,200})\}?")


def boxed_at(text: str, position: int) -> tuple[str, int] | None:
    r"""Content of the ``\boxed{…}`` that starts at ``position`` and the end of its range."""
    start = text.find("{", position, position + 10)
    if start < 0:
        return None
    depth = 0
    for place in range(start, min(len(text), start + VALUE_LIMIT)):
        if text[place] == "{":
            depth += 1
        elif text[place] == "}":
            depth -= 1
            if depth == 0:
                return text[start + 1 : place].strip(), place + 1
    return None


def value_after(text: str, position: int, end: int) -> tuple[str, int] | None:
    """The value that begins behind ``position``: boxed, maths, number, option letter or words."""
    lead = _LEAD.match(text, position, end)
    start = lead.end() if lead else position
    if text.startswith(("\\boxed", "\\fbox"), start):
        return boxed_at(text, start)
    for left, right in _DELIMITED:
        if text.startswith(left, start):
            return _delimited(text, start, left, right, end)
    for pattern in (_FRACTION, _NUMBER):
        if match := pattern.match(text, start, end):
            return match.group().strip(), match.end()
    if match := _OPTION.match(text, start, end):
        return match.group(1), match.end()
    match = _PHRASE.match(text, start, end)
    return (match.group().strip(" *"), match.end()) if match and match.group().strip() else None


def _delimited(text: str, start: int, left: str, right: str, end: int) -> tuple[str, int] | None:
    close = text.find(right, start + len(left), min(end, start + VALUE_LIMIT))
    if close < 0:
        return None
    inner = text[start + len(left) : close]
    boxed = inner.find("\\boxed")
    if boxed >= 0 and (found := boxed_at(inner, boxed)):
        return found[0], close + len(right)
    return right_side(inner), close + len(right)


def right_side(formula: str) -> str:
    """What stands behind the last equals sign of a formula, or the formula itself."""
    return re.split(r"=|≈|\\approx", formula)[-1].strip().rstrip(".,")


def last_value(sentence: str) -> tuple[str, int, int] | None:
    """The last number or fraction of a sentence with its range in it; exponents do not count."""
    found = None
    tail = max(0, len(sentence) - VALUE_LIMIT)
    for pattern in (_NUMBER, _FRACTION):
        for match in pattern.finditer(sentence, tail):
            if found is None or match.end() > found[2]:
                found = (match.group().strip(), match.start(), match.end())
    return found


def plain_equal(left: str, right: str) -> bool | None:
    """Compare two answers without a verifier: as cleaned strings, then as exact rationals.

    True or False where both are plain numbers or the strings agree, None where that is not enough.
    """
    (one, first), (two, second) = _read(left), _read(right)
    if one and one == two:
        return True
    if first is None or second is None:
        return None
    return first == second


def is_evaluated(value: str, reference: str) -> bool:
    """The value is written out as far as the reference: ``43/0.86`` is not yet 50."""
    wanted = _read(reference)[1]
    if wanted is None or wanted.denominator != 1:
        return True
    return _SIMPLE.fullmatch(_read(value)[0].replace(",", "")) is not None


@lru_cache(maxsize=16_384)
def _read(value: str) -> tuple[str, Fraction | int | None]:
    """The cleaned string and the exact number it stands for, if any."""
    cleaned = _clean(value[:VALUE_LIMIT])
    return cleaned, int(cleaned) if _INTEGER.fullmatch(cleaned) else _rational(cleaned)


def _clean(value: str) -> str:
    value = value.strip()
    boxed = value.find("\\boxed")
    if boxed >= 0 and (found := boxed_at(value, boxed)):
        value = found[0]
    value = _DROP.sub("", value).translate(_PLAIN).strip(".,;:")
    return value.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").lower()


def _rational(value: str) -> Fraction | None:
    if match := _LATEX_FRACTION.fullmatch(value):
        top, bottom = int(match[1] + match[2]), int(match[3])
        return Fraction(top, bottom) if bottom else None
    top_text, slash, bottom_text = value.replace(",", "").partition("/")
    if not _SIMPLE.fullmatch(top_text) or (slash and not _SIMPLE.fullmatch(bottom_text)):
        return None
    denominator = Fraction(bottom_text) if slash else Fraction(1)
    return Fraction(top_text) / denominator if denominator else None
