r"""Bring the many spellings of one answer to one: LaTeX commands, spacing, signs, units, text.

Nothing here decides; it only rewrites a copy of an extracted answer (never a stored text).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

# Text groups are kept between these two marks, so that "cm" in \text{cm} is not c times m.
TEXT_OPEN, TEXT_CLOSE = "\x01", "\x02"
# Ends a row of a matrix; as two backslashes it would be taken for a doubled command.
ROW_END = "\x03"

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_SUPERSCRIPT_RUN = re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+")
_VULGAR = re.compile(r"(?P<whole>(?<!\d)\d*)(?P<sign>[¼½¾⅐-⅞])")
_SYMBOLS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ",
    "÷": r"\div ", "π": r"\pi ", "∞": r"\infty ", "°": r"^\circ ", "√": r"\sqrt ", "≤": r"\le ",
    "≥": r"\ge ", "≠": r"\ne ", "±": r"\pm ", "∪": r"\cup ", "∩": r"\cap ", "∅": r"\emptyset ",
    "⁄": "/", "∕": "/", "，": ", ", "。": "", "％": "%", "（": "(", "）": ")", "：": ":",
    "“": '"', "”": '"', "’": "'", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u200b": "",
}  # fmt: skip
_SYMBOL_TABLE = str.maketrans(_SYMBOLS)

_REWRITES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\{2,8}(?=[a-zA-Z])", r"\\"),
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (
            r"\\(?:left|right|bigg?|Bigg?|bigl|bigr|displaystyle|textstyle|limits|rm|bf)(?![a-zA-Z])",
            "",
        ),
        (r"\\(?:[!,;:> ]|quad|qquad|thinspace|hspace\{[^{}]*\})", " "),
        (r"~", " "),
        (r"\\(?:cdot|times|ast)(?![a-zA-Z])", " * "),
        (r"\\div(?![a-zA-Z])", " / "),
        (r"\\(?:lbrace)(?![a-zA-Z])", r"\\{"),
        (r"\\(?:rbrace)(?![a-zA-Z])", r"\\}"),
        (r"\\(?:leq|leqslant)(?![a-zA-Z])", r"\\le"),
        (r"\\(?:geq|geqslant)(?![a-zA-Z])", r"\\ge"),
        (r"\\neq(?![a-zA-Z])", r"\\ne"),
        (r"\\varnothing(?![a-zA-Z])", r"\\emptyset"),
        (r"(?<![\w.\\])(\d+(?:\.\d+)?)[eE]([+-]?\d+)(?![\w.])", r"\1 * 10^{\2}"),
        (r"(?<=\d)\{,\}(?=\d)", ","),
        (r"\^\s*\{?\s*\\(?:circ|degree)\s*\}?|\\degree(?![a-zA-Z])|\\circ(?![a-zA-Z])", " degrees"),
        (r"\\%", "%"),
        (r"\^ ?\{(\w)\}", r"^\1"),
        (r"(?<=[\w)}])\*\*(?=[\w({-])", "^"),
        (r"\\(?:boxed|fbox)(?![a-zA-Z])", ""),
    )
)
_ROW_END = re.compile(r"\\\\(?:\s*\[[^][]*\])?(?=\s|[^a-zA-Z]|[a-zA-Z]\s*[&\\])")
_TEXT_GROUP = re.compile(
    r"\\(?:text|textbf|textit|textrm|textnormal|mathrm|mathbf|mathit|mathsf|mbox|hbox|operatorname|bm|boldsymbol)"
    r"\s*\{([^{}]*)\}"
)
_BARE_FRAC = re.compile(r"\\frac\s*(\d)\s*(\d)(?!\d)")
_BARE_FRAC_LEFT = re.compile(r"\\frac\s*(\d)\s*\{")
_BARE_FRAC_RIGHT = re.compile(r"(\\frac\s*\{[^{}]*\})\s*(\d)")
_BARE_SQRT = re.compile(r"\\sqrt\s*(\d+|[a-zA-Z])")
_CALL_SQRT = re.compile(r"(?<!\\)\bsqrt\s*\(([^()]*)\)|\\sqrt\s*\(([^()]*)\)")
_CURRENCY = re.compile(r"\\?[$€£¥₹]")
_OUTER = re.compile(
    r"^\s*(?:\$\$(.*)\$\$|\$([^$]*)\$|\\\((.*)\\\)|\\\[(.*)\\\])\s*[.,;]?\s*$", re.DOTALL
)


def normalise(text: str) -> str:
    """One spelling of an answer; text groups stand between TEXT_OPEN and TEXT_CLOSE."""
    text = re.sub(f"[{TEXT_OPEN}{TEXT_CLOSE}{ROW_END}]", " ", text)  # the marks are ours alone
    text = _unicode(text.strip())
    text = _strip_outer(text)
    if r"\begin" in text:
        text = _ROW_END.sub(ROW_END, text)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    text = _TEXT_GROUP.sub(lambda m: f"{TEXT_OPEN}{m.group(1)}{TEXT_CLOSE}", text)
    text = _complete_arguments(text)
    text = _CURRENCY.sub("", text).replace("**", " ")
    return re.sub(r"\s+", " ", text).strip().rstrip(".;,").strip()


def plain_words(text: str) -> str:
    """The words of an answer: text groups opened, case folded, punctuation dropped."""
    text = re.sub(r"\\[a-zA-Z]+|[\x01\x02{}$]", " ", normalise(text).replace("_", " "))
    return " ".join(re.sub(r"[^\w\s'-]", " ", text.casefold()).split())


def squeeze(text: str) -> str:
    """A normalised text without the spaces that mean nothing: between words they stay."""
    return re.sub(r"(?<!\w)\s+|\s+(?!\w)", "", re.sub(f"[{TEXT_OPEN}{TEXT_CLOSE}]", " ", text))


def _unicode(text: str) -> str:
    text = _SUPERSCRIPT_RUN.sub(lambda m: "^{" + m.group().translate(_SUPERSCRIPTS) + "}", text)
    text = _VULGAR.sub(_spell_vulgar, text)
    return unicodedata.normalize("NFKC", text.translate(_SYMBOL_TABLE))


def _spell_vulgar(match: re.Match[str]) -> str:
    value = Fraction(unicodedata.numeric(match["sign"])).limit_denominator(10)
    return rf"{match['whole']}\frac{{{value.numerator}}}{{{value.denominator}}}"


def _strip_outer(text: str) -> str:
    """Without maths delimiters and emphasis around the whole."""
    for _ in range(4):
        stripped = text.strip().strip("*").strip()
        match = _OUTER.match(stripped)
        if match is not None:
            stripped = next(group for group in match.groups() if group is not None).strip()
        if stripped == text:
            break
        text = stripped
    return text


def _complete_arguments(text: str) -> str:
    r"""Give ``\frac12`` and ``\sqrt2`` their braces."""
    text = _BARE_FRAC.sub(r"\\frac{\1}{\2}", text)
    text = _BARE_FRAC_LEFT.sub(r"\\frac{\1}{", text)
    text = _BARE_FRAC_RIGHT.sub(r"\1{\2}", text)
    text = _CALL_SQRT.sub(lambda m: rf"\sqrt{{{m.group(1) or m.group(2) or ''}}}", text)
    return _BARE_SQRT.sub(_brace_sqrt, text)


def _brace_sqrt(match: re.Match[str]) -> str:
    r"""TeX takes one token: ``\sqrt2`` is clear, and people who write ``\sqrt23`` mean 23."""
    return rf"\sqrt{{{match.group(1)}}}"


# Name -> (dimension, factor to the dimension's base unit).
@dataclass(frozen=True, slots=True)
class Unit:
    """A known unit: two units of one dimension convert by their factors."""

    dimension: str
    factor: Fraction


def _units() -> dict[str, Unit]:
    table = {
        "length": {"mm millimeter millimetre": "1/1000", "cm centimeter centimetre": "1/100",
                   "m meter metre": "1", "km kilometer kilometre": "1000",
                   "inch inche in": "127/5000", "foot feet ft": "381/1250",
                   "yard yd": "1143/1250", "mile mi": "201168/125"},
        "time": {"s sec second": "1", "min minute": "60", "h hr hour": "3600", "day": "86400",
                 "week": "604800"},
        "mass": {"mg milligram": "1/1000000", "g gram": "1/1000", "kg kilogram": "1"},
        "angle": {"degree deg": "1"},
        "volume": {"ml milliliter millilitre": "1/1000", "l liter litre": "1"},
        "money": {"dollar usd buck": "1", "cent": "1/100"},
        "speed": {"km/h kph kmh": "1000/3600", "m/s": "1"},
        "speed_imperial": {"mph": "1"},
    }  # fmt: skip
    return {
        name: Unit(dimension, Fraction(factor))
        for dimension, group in table.items()
        for names, factor in group.items()
        for name in names.split()
    }


UNITS = _units()


def find_unit(text: str) -> Unit | None:
    """The known unit a unit text names, plural or not; None if it is unknown."""
    word = text.casefold().strip(" .")
    power, word = _unit_power(word)
    unit = UNITS.get(word) or UNITS.get(word.removesuffix("s"))
    if unit is None or power == 1:
        return unit
    return Unit(f"{unit.dimension}^{power}", unit.factor**power)


def _unit_power(word: str) -> tuple[int, str]:
    """2 and "cm" for ``cm^2``, ``square cm`` and ``sq cm``; 1 and the word where there is none."""
    for prefix, power in (("square ", 2), ("sq ", 2), ("cubic ", 3), ("cu ", 3)):
        if word.startswith(prefix):
            return power, word.removeprefix(prefix).strip()
    match = re.fullmatch(r"(.+?) ?\^ ?\{?([23])\}?", word)
    return (int(match[2]), match[1].strip()) if match else (1, word)
