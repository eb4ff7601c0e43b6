"""Numbers within a tolerance; exact where no tolerance is given."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from . import exactvalue as ev
from .base import Verdict, correct, incorrect, unverifiable
from .closedform import is_unevaluated
from .extraction import extract_answer, is_denied, split_answer
from .math import clean_reference
from .quick import quick_equal
from .reading import MAX_LENGTH, read

_NUMBER = re.compile(
    r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)?(?:\.\d++)?(?:[eE][-+]?\d{1,3})?(?!\w)"
)
_SCIENTIFIC = re.compile(
    r"^([-+]?(?:\d++(?:\.\d*+)?|\.\d++))\s*"
    r"(?:[eE]|(?:\*|×|\\times|\\cdot)\s*10\s*\^)\s*\{?([-+]?\d{1,3})\}?$"
)
# The answer part's last number counts where nothing else states one (word problems).
TAIL = 2_000


class NumericVerifier:
    """Compares the final answer with a reference number.

    Options: ``rel_tol`` and ``abs_tol`` (default 0: exact), ``finish_reason``. Without a stated
    final answer the last number of the answer part counts (method ``last_number``).
    """

    name = "numeric"
    version = "2"

    def check(self, response: str, reference: str | None, **options: Any) -> Verdict:
        """See :class:`curation.verifiers.base.Verifier`."""
        found = extract_answer(response, finish_reason=str(options.get("finish_reason") or ""))
        answer, how = found.answer, found.method
        gold = clean_reference(reference)
        if answer and is_unevaluated(gold, answer):
            return incorrect("form", "unevaluated", answer, extraction=how)
        if found.reason == "no_answer" or (answer and read_number(answer) is None):
            answer, how = last_number(answer or response), "last_number"
        if not gold:
            return unverifiable("no_reference", answer)
        target = read_number(gold)
        if target is None:
            return _as_written(gold, found.answer or answer, how)
        if answer is None:
            return incorrect("extraction", found.reason or "no_answer")
        return _compare(gold, target, answer, how, options)


def _compare(
    gold: str, target: Fraction, answer: str, how: str, options: dict[str, Any]
) -> Verdict:
    value = read_number(answer)
    if value is None:
        return incorrect("number", "unparsed_answer", answer, extraction=how)
    if _close(value, target, options) or quick_equal(gold, answer) is True:
        return correct("number", answer, extraction=how)
    return incorrect("number", "", answer, extraction=how)


def _as_written(gold: str, answer: str | None, how: str) -> Verdict:
    """Numbers too long to calculate with are compared digit by digit."""
    equal = quick_equal(gold, answer) if answer and len(gold) > MAX_LENGTH else None
    if equal is None:
        return unverifiable("bad_reference", answer)
    if equal:
        return correct("number", answer or "", extraction=how)
    return incorrect("number", "", answer, extraction=how)


def read_number(text: str) -> Fraction | None:
    """The rational (or, to 60 digits, the irrational) number a text is; None if it is none."""
    stripped = text.strip().strip("$").replace(",", "") if "," in text else text.strip().strip("$")
    scientific = _SCIENTIFIC.match(stripped)
    if scientific is not None:
        return Fraction(scientific[1]) * Fraction(10) ** int(scientific[2])
    reading = read(text)
    if reading is None or len(reading.items) != 1:
        return None
    value = ev.approximate(reading.items[0].exact)
    return value / 100 if reading.items[0].percent else value


def last_number(text: str) -> str | None:
    """The last number in the end of a text's answer part; "not 42" states none."""
    tail = text[split_answer(text).answer_start :][-TAIL:]
    numbers = [m for m in _NUMBER.finditer(tail) if any(c.isdigit() for c in m.group())]
    return next((m.group() for m in reversed(numbers) if not is_denied(tail, *m.span())), None)


def _close(value: Fraction, target: Fraction, options: dict[str, Any]) -> bool:
    rel, absolute = _tolerance(options.get("rel_tol")), _tolerance(options.get("abs_tol"))
    return abs(value - target) <= max(rel * abs(target), absolute)


def _tolerance(given: Any) -> Fraction:
    """A non-negative finite tolerance; anything else counts as 0."""
    try:
        return max(Fraction(str(given)), Fraction(0)) if given else Fraction(0)
    except (ValueError, ZeroDivisionError, OverflowError):
        return Fraction(0)
