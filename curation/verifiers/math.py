"""Mathematical answers: exact arithmetic first, then the algebra system in a killable child."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from functools import lru_cache
from importlib import metadata
from typing import Any

from .base import MAX_EXTRACTED, MAX_REFERENCE, Verdict, correct, error, incorrect, unverifiable
from .closedform import is_unevaluated
from .engine import MAX_EXPRESSION
from .extraction import Extraction, extract_answer
from .latex import ROW_END, TEXT_CLOSE, TEXT_OPEN, normalise, squeeze
from .pool import Outcome, default_pool
from .quick import quick_equal
from .reading import split_unit, units_clash
from .structure import parts

__all__ = ["MathVerifier", "quick_equal"]

CACHE_SIZE = 20_000
# A reference with more plain words than this is a proof or a remark, not an answer.
MAX_REFERENCE_WORDS = 6
_PLAIN_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}(?![A-Za-z(])")
_ENVIRONMENT = re.compile(r"\\(?:begin|end) ?\{[a-zA-Z]*\*?\}")
_FINAL = ("equal", "different", "bad_reference", "unparsed_answer")


@lru_cache(maxsize=1)
def _engine_version() -> str:
    try:
        return metadata.version("math-verify")
    except metadata.PackageNotFoundError:
        return "none"


class MathVerifier:
    """Compares the final answer of a response with a reference answer.

    Options: ``finish_reason`` (the server's; "length" means truncated), ``timeout`` (seconds for
    the algebra system, at most the pool's own).
    """

    name = "math"
    rules_version = "3"

    def __init__(self) -> None:
        self._cache: OrderedDict[tuple[str, str], Outcome] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def version(self) -> str:
        """Our rules and the library under them: both decide verdicts."""
        return f"{self.rules_version}+math-verify-{_engine_version()}"

    def check(self, response: str, reference: str | None, **options: Any) -> Verdict:
        """See :class:`curation.verifiers.base.Verifier`."""
        found = extract_answer(response, finish_reason=str(options.get("finish_reason") or ""))
        gold = clean_reference(reference)
        if not gold:
            return unverifiable("no_reference", found.answer)
        if len(gold) > MAX_REFERENCE:
            return unverifiable("bad_reference", found.answer)
        if found.answer is None:
            return incorrect("extraction", found.reason)
        by_text = _judge_text(gold, found.answer, found)
        return by_text or self._algebra(gold, found, _seconds(options.get("timeout")))

    def _algebra(self, gold: str, found: Extraction, timeout: float | None) -> Verdict:
        outcome = Outcome("equal")
        for one, other in open_pairs(gold, found.answer or ""):
            left, left_unit = for_engine(one)
            right, right_unit = for_engine(other)
            if units_clash(left_unit, right_unit):
                return _decided(False, "exact", found, guard="units")
            outcome = self._cached(left, right, timeout)
            if outcome.name != "equal":
                break
        return _verdict(outcome, found)

    def _cached(self, gold: str, answer: str, timeout: float | None) -> Outcome:
        """Outcomes by (reference, normalised answer): samples of a problem share few answers."""
        key = (squeeze(gold), squeeze(answer))
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        outcome = default_pool().compare(gold, answer, timeout)
        if outcome.name in _FINAL:
            with self._lock:
                self._cache[key] = outcome
                while len(self._cache) > CACHE_SIZE:
                    self._cache.popitem(last=False)
        return outcome


def _judge_text(gold: str, answer: str, found: Extraction) -> Verdict | None:
    """What the two texts settle without algebra; None where algebra has to."""
    equal = quick_equal(gold, answer)
    if equal is not False and is_unevaluated(gold, answer):
        return incorrect("form", "unevaluated", answer, extraction=found.method)
    if equal is not None:
        return _decided(equal, "exact", found)
    if not is_expression(gold) or len(gold) > MAX_EXPRESSION:
        return unverifiable("bad_reference", answer)
    if len(answer) > MAX_EXPRESSION:
        return incorrect("extraction", "too_long", answer[:MAX_EXPRESSION])
    return None


def _seconds(given: Any) -> float | None:
    """A number of seconds; anything else counts as not given."""
    try:
        return None if given is None else float(given)
    except (TypeError, ValueError, OverflowError):
        return None


def clean_reference(reference: str | None) -> str:
    r"""The answer inside a reference: a worked solution ends in ``####``, a box or a statement."""
    text = (reference or "").strip()
    if "boxed" in text or "\n" in text or "####" in text or not is_expression(text):
        found = extract_answer(text)
        if found.answer is not None and found.method != "whole":
            text = found.answer
    return text.strip()


def open_pairs(gold: str, answer: str) -> list[tuple[str, str]]:
    """What exact comparison left open: the two answers, or those of their parts."""
    found = parts(normalise(gold), normalise(answer))
    if found is None or isinstance(found, bool):
        return [(gold, answer)]
    return [pair for pair in found if quick_equal(*pair) is None]


def is_expression(reference: str) -> bool:
    """Whether a reference may be mathematics: prose would be read as a product of letters."""
    text = normalise(reference[:MAX_EXTRACTED])
    text = re.sub(rf"{TEXT_OPEN}[^{TEXT_CLOSE}]*{TEXT_CLOSE}", " ", text)
    text = _ENVIRONMENT.sub(" ", text)
    return len(_PLAIN_WORD.findall(text)) < 2 and any(c.isalnum() for c in text)


def for_engine(text: str) -> tuple[str, str]:
    """(expression for the algebra system, unit) of an answer."""
    unit, rest = split_unit(normalise(text))
    rest = rest.replace(ROW_END, r" \\ ")
    return rest.replace(TEXT_OPEN, r"\text{").replace(TEXT_CLOSE, "}"), unit


def _decided(equal: bool, method: str, found: Extraction, **detail: Any) -> Verdict:
    answer = found.answer or ""
    detail["extraction"] = found.method
    return correct(method, answer, **detail) if equal else incorrect(method, "", answer, **detail)


def _verdict(outcome: Outcome, found: Extraction) -> Verdict:
    if outcome.name in ("equal", "different"):
        return _decided(outcome.name == "equal", "math-verify", found, **outcome.detail)
    if outcome.name == "bad_reference":
        return unverifiable("bad_reference", found.answer)
    if outcome.name == "unparsed_answer":
        return incorrect("math-verify", "unparsed_answer", found.answer)
    return error(outcome.name, found.answer, "math-verify", **outcome.detail)
