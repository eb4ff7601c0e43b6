"""What a trace says it is looking for, read from its first leaves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from curation.segmentation.kinds import TAG
from curation.segmentation.types import Segment

_LEAVES = 8
_ASKS = re.compile(
    r"\bfind\b|\bhow many\b|\bhow much\b|\bwhat\b|\bdetermine\b|\bask(?:s|ing)\b", re.I
)
_FORMULA = re.compile(
    r"\b(?:find|find out|compute|calculate|determine|what is|what|value of|sum of|product of)\s"
    r"(?:the (?:value|sum|product|difference|ratio)(?: of)?\s|what\s)?([^.,?!\n]{1,60})",
    re.IGNORECASE,
)
_AFTER_FORMULA = re.compile(
    r"\s(?:is|are|equals?|where|given|when|if|such|for|from|in|as|and)\s|\s(?:is|are)$"
)
_WORD = re.compile(r"\b(?:[a-z]{4,20}?|sum|gcd|lcm)(?=s?\b)")
# Words that any question and any conclusion may share.
_EMPTY_WORDS = frozenset(
    [
        *("this", "that", "have", "with", "find", "need", "many", "much", "what", "problem"),
        *("when", "will", "they", "them", "then", "thu", "here", "there", "where", "which"),
        *("from", "into", "figure", "determine", "question", "asks", "asking", "therefore"),
        *("hence", "value", "given", "number", "answer", "text", "frac", "sqrt", "each", "some"),
        *("like", "just", "know"),
    ]
)
_MARKUP = re.compile(r"\\[()\[\]]|\$|\\left|\\right|[\s{}*|]|\\,")
_POWERS = str.maketrans({"²": "^2", "³": "^3", "·": "*", "−": "-"})


@dataclass(frozen=True, slots=True)
class Question:
    """``words`` of the sentences that ask, and the ``formulas`` they ask for ("m+n", "xy")."""

    words: frozenset[str]
    formulas: frozenset[str]


def read_question(text: str, segments: Sequence[Segment]) -> Question:
    """The question as the first leaves restate it; empty where they do not."""
    opening = [segment for segment in segments if segment.kind != TAG][:_LEAVES]
    leaves = (text[segment.start : segment.end][:2000] for segment in opening)
    asking = "\n".join(leaf for leaf in leaves if _ASKS.search(leaf))
    formulas = {
        bare_formula(_AFTER_FORMULA.split(match.group(1))[0]) for match in _FORMULA.finditer(asking)
    }
    return Question(
        content_words(asking), frozenset(formula for formula in formulas if _is_symbolic(formula))
    )


def content_words(text: str) -> frozenset[str]:
    """Words of four letters or more that carry meaning, without a plural s."""
    return frozenset(_WORD.findall(text[:2000].lower())) - _EMPTY_WORDS


def bare_formula(text: str) -> str:
    """A formula without delimiters, braces, bars and white space."""
    return _MARKUP.sub("", text.translate(_POWERS)).rstrip(".")


def _is_symbolic(formula: str) -> bool:
    """More than one symbol and no prose: "m+n" and "xy", not "x" and not "thearea"."""
    letters = re.findall(r"[A-Za-z]{3,}", formula)
    return 2 <= len(formula) <= 30 and not letters and any(char.isalpha() for char in formula)
