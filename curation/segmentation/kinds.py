"""What a leaf does, by rules: versioned phrase lists plus the shape of its mathematics.

The finer kinds follow the thought-anchors taxonomy; ``SEAL_OF`` maps them to SEAL's three.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache

from curation.segmentation.seal import DATA, EXECUTION, REFLECTION, TRANSITION

KINDS_VERSION = "kinds-1"
TAG = "tag"
PROBLEM_SETUP = "problem_setup"
PLAN = "plan"
FACT = "fact"
COMPUTATION = "computation"
UNCERTAINTY = "uncertainty"
SELF_CHECKING = "self_checking"
CHANGE = "transition"
BACKTRACK = "backtrack"
CONSOLIDATION = "consolidation"
FINAL_ANSWER = "final_answer"
KINDS = (
    PROBLEM_SETUP,
    PLAN,
    FACT,
    COMPUTATION,
    UNCERTAINTY,
    SELF_CHECKING,
    CHANGE,
    BACKTRACK,
    CONSOLIDATION,
    FINAL_ANSWER,
    TAG,
)
SEAL_OF = {
    UNCERTAINTY: REFLECTION,
    SELF_CHECKING: REFLECTION,
    BACKTRACK: REFLECTION,
    CHANGE: TRANSITION,
} | dict.fromkeys((PROBLEM_SETUP, PLAN, FACT, COMPUTATION, CONSOLIDATION, FINAL_ANSWER), EXECUTION)

# The head of a long leaf says what it does; the rest of it cannot slow the classifier down.
_HEAD = 600
_OPENING = re.compile(r"^[\s>*_#\-\d.)]{0,12}")
# Interjections before the words that say what a sentence does.
_INTERJECTION = re.compile(
    r"^(?:(?:okay|ok|alright|right|well|oh|ah|yes|yeah|and|but|then|good|great)[,.!]\s{1,2}){1,2}"
)
_EQUATION = re.compile(
    r"[=≈]\s?[-−]?[\d\\(a-z]|\d\s?[+\-×*/·÷^−]\s?\d|\\(?:frac|cdot|times|sum|sqrt|binom)"
)
_OPERATION = re.compile(r"\d\)?\s?[+\-×*/·÷^−]\s?\(?\d|\\(?:frac|cdot|times|sum|sqrt|binom)")
_CALCULATES = re.compile(r"\d\D{0,40}\d|[=+≈→]")
_SO = re.compile(r"^(?:so|now|therefore|thus|then),?\s{1,2}")
_RESTATES = re.compile(
    r"\bfind\b|\bhow many\b|\bwhat is\b|\bdetermine\b|\bproblem\b|\bquestion\b"
    r"|\bi need\b|\bwork out\b|^so this is\b"
)


@dataclass(frozen=True, slots=True)
class PhraseLists:
    """Phrases of each kind: a leaf begins with one of ``starts`` or holds one of ``contains``."""

    version: str
    starts: dict[str, tuple[str, ...]]
    contains: dict[str, tuple[str, ...]]


@lru_cache(maxsize=4)
def load_phrases(version: str = KINDS_VERSION) -> PhraseLists:
    """The phrase lists of ``version``; KeyError for a version that does not exist."""
    path = DATA / f"{version}.json"
    if not version.startswith("kinds-") or not path.is_file():
        raise KeyError(version)
    raw = json.loads(path.read_text(encoding="utf-8"))
    names = [name for name in raw if name != "version"]
    return PhraseLists(
        version=raw["version"],
        starts={name: tuple(raw[name]["starts"]) for name in names},
        contains={name: tuple(raw[name]["contains"]) for name in names},
    )


def classify(text: str, *, first: bool = False, version: str = KINDS_VERSION) -> str:
    """Kind of one leaf; ``first`` tells that it opens the reasoning, where problems are restated.

    Cost: at most ``_HEAD`` code points are looked at.
    """
    lowered = text[:_HEAD].lower().replace("’", "'")
    opening = _OPENING.match(lowered)
    head = lowered[opening.end() if opening else 0 :]
    lists = load_phrases(version)
    if _has(lists, FINAL_ANSWER, head, lowered):
        return FINAL_ANSWER
    if _has(lists, PROBLEM_SETUP, head, lowered) or (first and _RESTATES.search(lowered)):
        return PROBLEM_SETUP
    return _by_phrases(lists, head, lowered)


def _has(lists: PhraseLists, kind: str, head: str, lowered: str) -> bool:
    if head.startswith(lists.starts[kind]):
        return True
    for phrase in lists.contains[kind]:  # noqa: SIM110 - half the time of any(…) here
        if phrase in lowered:
            return True
    return False


def _by_phrases(lists: PhraseLists, head: str, lowered: str) -> str:
    plain = head[match.end() :] if (match := _INTERJECTION.match(head)) else head
    for kind in (BACKTRACK, CHANGE):
        if _has(lists, kind, plain, lowered):
            return kind
    if head.startswith(lists.starts[UNCERTAINTY]) and "check" not in lowered:
        return UNCERTAINTY
    for kind in (SELF_CHECKING, UNCERTAINTY):
        if _has(lists, kind, plain, lowered):
            return kind
    return _by_shape(lists, plain, lowered)


def _by_shape(lists: PhraseLists, head: str, lowered: str) -> str:
    """Plan, calculation, conclusion or fact: by the opening words, then by the formulas."""
    behind = _SO.sub("", head, count=1)
    equation = _EQUATION.search(lowered) is not None
    if behind.startswith(lists.starts[PLAN]) and "=" not in lowered:
        return PLAN
    if head.startswith(lists.starts[CONSOLIDATION]):
        return COMPUTATION if equation and _OPERATION.search(lowered) else CONSOLIDATION
    if equation:
        return COMPUTATION
    for kind in (PLAN, FACT, CONSOLIDATION):
        if _has(lists, kind, behind, lowered):
            return kind
    return COMPUTATION if _CALCULATES.search(lowered) else FACT
