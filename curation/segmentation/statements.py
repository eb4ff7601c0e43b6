"""Read the answers that a leaf states.

Strengths: ``boxed``; ``stated`` ("the answer is 5", "#### 5"); ``asked`` (the very formula that is
asked for gets its value: "m + n = 5"); ``concluded`` (the value at the end of a sentence that
concludes: "So there are 5."); ``hedged`` ("maybe the answer is 5?").
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from curation.segmentation.question import Question, bare_formula
from curation.segmentation.values import boxed_at, last_value, right_side, value_after

BOXED, STATED, ASKED = "boxed", "stated", "asked"
CONCLUDED, HEDGED = "concluded", "hedged"
# Of the statements of one leaf the last few are read, the last one first.
_LAST_STATEMENTS = 3
# A hedge is looked for this far around a statement.
_HEDGE_REACH = 80
# A formula that is asked for gets its value in this much text before the end of a leaf.
_FORMULA_REACH = 300
_STOP_MARK = re.compile(r"[.?!\n]")
_STATED = re.compile(
    r"\banswer\b(?:[^\n.?!=]{0,60}?)(?:\b(?:is|be|are|isn['’]t)\b|=|:)|^\s{0,8}####|\*\*answer:?\*\*:?"
    r"|答案(?:是|为|：|:)",
    re.IGNORECASE | re.MULTILINE,
)
_IS_THE_ANSWER = re.compile(
    r"([^\n]{1,80}?)\b(?:is|are|seems? (?:to be )?|must be|should be)\b[^\n.]{0,12}\bthe "
    r"(?:correct |final |right |required )?answer\b",
    re.IGNORECASE,
)
# Cheap to look for; only where one of them stands is the pattern asked.
_HEDGE_HINTS = (
    *("if", "suppos", "maybe", "perhaps", "might", "may", "could", "unless", "guess", "assum"),
    *("not", "n't", "possibl", "whether", "?", "less than", "more than", "greater than"),
    *("at most", "at least", "≤", "≥", "\\leq", "\\geq", "from"),
)
_HEDGE = re.compile(
    r"\bif\b|\bsuppose|\bmaybe\b|\bperhaps\b|\bmight\b|\bmay be\b|\bcould (?:also )?be\b"
    r"|\bcould it\b|\bunless\b|\bguess\b|\bassum|\bnot\b|n't\b|\bpossibly\b|\bwhether\b"
    r"|\b(?:less|more|greater) than\b|\bat (?:most|least)\b|[≤≥]|\\[lg]eq?\b"
    r"|\bfrom \d{1,9} to\b|\?\s*$"
)
_CONCLUDES = re.compile(
    r"[\s>*_#\-\d.)]{0,12}(?:(?:okay|ok|yes|and|but|wait|right|alright),?\s{1,2})?"
    r"(?:so\b|therefore\b|thus\b|hence\b|consequently\b|which (?:gives|means|is)\b|this gives\b"
    r"|that gives\b|that means\b|this means\b|in total\b|(?:the )?total\b"
    r"|the (?:sum|result|value|number)\b"
    r"|finally\b|altogether\b|in conclusion\b|(?:then|now),? the\b|we (?:get|have|find)\b"
    r"|所以|因此)",
    re.IGNORECASE,
)
_TALK_ABOUT = ("in the form", "in form", "of the form", "expressed", "written")
# What follows "the answer is" without being one.
_TALK = re.compile(
    r"(?:in|of|to|not|that|what|which|as|for|when|if|just|still|also|indeed|probably|likely|supposed"
    r"|expected|correct|right|wrong|incorrect|the same|given|expressed|written|based|going|because"
    r"|consistent|within|from|on|we|it|i|this|there|my|our|your)\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?]\s+(?=[A-Z\\$(])|\n|[,;] (?=(?:so|therefore|thus|hence)\b)")
_CLAUSE_END = re.compile(r"[.!?]\s+(?=[A-Z\\$(])|\n\s*\n|[,;] (?=(?:so|therefore|thus|hence)\b)")
_EQUALS_BEFORE = re.compile(r"=[\s\\({$]{0,8}$")
_OPERATOR_BEFORE = re.compile(r"[+*/×·^−-]\s*$")
_OPERATOR_BEHIND = re.compile(r"\s*(?:[+*/×·^=−-]|\\[a-z])")


@dataclass(frozen=True, slots=True)
class Statement:
    """A value stated in ``leaf[start:end]``."""

    start: int
    end: int
    value: str
    strength: str


def read_statement(leaf: str, question: Question) -> Statement | None:
    """The firmest statement of a leaf."""
    boxed = leaf.rfind("\\boxed")
    if boxed >= 0 and (found := boxed_at(leaf, boxed)) and found[0]:
        return Statement(boxed, found[1], found[0], BOXED)
    return _stated(leaf) or _asked(leaf, question) or _concluded(leaf)


def _stated(leaf: str) -> Statement | None:
    if "answer" not in leaf.lower() and "####" not in leaf and "答案" not in leaf:
        return None
    for match in reversed(deque(_STATED.finditer(leaf), maxlen=_LAST_STATEMENTS)):
        found = value_after(leaf, match.end(), len(leaf))
        if found and _is_value(found[0]):
            strength = HEDGED if _is_hedged(leaf, match.start(), found[1]) else STATED
            return Statement(match.start(), found[1], found[0], strength)
    return _is_the_answer(leaf)


def _is_value(value: str) -> bool:
    """A number, a formula, an option or a few words, but no talk ("in the form m/n", "correct")."""
    if any(char.isdigit() or char in "\\=^_" for char in value):
        return not value.startswith(_TALK_ABOUT)
    return _TALK.match(value) is None


def _is_the_answer(leaf: str) -> Statement | None:
    """Like "I think 27 miles is the correct answer": the value stands before the verb."""
    match = _IS_THE_ANSWER.search(leaf)
    found = last_value(match.group(1)) if match else None
    if match is None or found is None:
        return None
    strength = HEDGED if _is_hedged(leaf, match.start(), match.end()) else STATED
    begin = match.start(1)
    return Statement(begin + found[1], begin + found[2], found[0], strength)


def _asked(leaf: str, question: Question) -> Statement | None:
    """The last formula of the leaf when its left side is what is asked for."""
    if not question.formulas or "=" not in leaf:
        return None
    body = leaf.rstrip(" .,!\n*")
    low = max(0, len(body) - _FORMULA_REACH)
    begin = max((match.end() for match in _CLAUSE_END.finditer(body, low)), default=low)
    sides = body[begin:].split("=")
    value = bare_formula(right_side(sides[-1]))
    asked = (bare_formula(side) for side in sides[:-1])
    if not value or not any(side.endswith(tuple(question.formulas)) for side in asked):
        return None
    return Statement(begin, len(body), value, HEDGED if _hedges(body[begin:]) else ASKED)


def _is_hedged(leaf: str, start: int, end: int) -> bool:
    """The sentence around a statement takes it back: a condition, a guess, a question."""
    low = max(0, start - _HEDGE_REACH)
    begin = max((m.end() for m in _SENTENCE_END.finditer(leaf, low, start)), default=low)
    stop = _STOP_MARK.search(leaf, end, end + _HEDGE_REACH)
    return _hedges(leaf[begin : stop.end() if stop else end + _HEDGE_REACH])


def _hedges(sentence: str) -> bool:
    lowered = sentence.lower()
    return any(hint in lowered for hint in _HEDGE_HINTS) and _HEDGE.search(lowered) is not None


def _concluded(leaf: str) -> Statement | None:
    body = leaf.rstrip()
    starts = [0, *(match.end() for match in _SENTENCE_END.finditer(body))]
    begin = next((start for start in reversed(starts) if _CONCLUDES.match(body, start)), None)
    if begin is None:
        return None
    sentence = body[begin:]
    if found := _last_formula(sentence) or _whole_value(sentence):
        value, low, high = found
        strength = HEDGED if _hedges(sentence) else CONCLUDED
        return Statement(begin + low, begin + high, value, strength)
    return None


def computed_value(leaf: str) -> Statement | None:
    """What a calculation comes to: the right side of the formula at its end, as a conclusion.

    Only worth asking where the value looked for does not turn up by chance.
    """
    body = leaf.rstrip()
    low = max(0, len(body) - _FORMULA_REACH)
    if "=" not in body[low:]:
        return None
    found = last_value(body)
    if (
        found is None
        or body[found[2] :].strip(" .,!*$°%)]}\\\n")
        or not _EQUALS_BEFORE.search(body, max(low, found[1] - 12), found[1])
    ):
        return None
    return Statement(found[1], found[2], found[0], CONCLUDED)


def _whole_value(sentence: str) -> tuple[str, int, int] | None:
    """The last number of a sentence, unless it is one term of an expression ("1 - a")."""
    found = last_value(sentence)
    if found is None or _OPERATOR_BEHIND.match(sentence, found[2]):
        return None
    return None if _OPERATOR_BEFORE.search(sentence, max(0, found[1] - 4), found[1]) else found


def _last_formula(sentence: str) -> tuple[str, int, int] | None:
    """The right side of a formula that closes the sentence: ``… = 5 \\)``, ``… = 5``."""
    bare = sentence.rstrip(" .,!\n*")
    for left, right in (("\\(", "\\)"), ("\\[", "\\]"), ("$", "$")):
        if bare.endswith(right):
            start = bare.rfind(left, 0, len(bare) - len(right))
            inner = bare[start + len(left) : len(bare) - len(right)] if start >= 0 else ""
            return (right_side(inner), start, len(bare)) if inner.strip() else None
    return None
