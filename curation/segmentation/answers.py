"""Places where a candidate answer is stated, and whether it is the reference answer.

Four strengths: ``boxed``; ``stated`` ("the answer is 5", "#### 5"); ``concluded`` (the value at the
end of a sentence that concludes: "So x = 5."); ``hedged`` ("maybe the answer is 5?"). A concluded
value is worth little alone, for small numbers turn up by chance: ``first_correct`` takes it only
when it is distinctive or is taken up again soon.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache

from curation.segmentation.kinds import (
    CHANGE,
    COMPUTATION,
    FINAL_ANSWER,
    SELF_CHECKING,
    TAG,
    UNCERTAINTY,
)
from curation.segmentation.types import AnswerMention, Equal, Segment
from curation.segmentation.values import (
    boxed_at,
    is_evaluated,
    last_value,
    plain_equal,
    right_side,
    value_after,
)

BOXED, STATED, CONCLUDED, HEDGED = "boxed", "stated", "concluded", "hedged"
# A concluded value of few digits must be said again within this many leaves to count.
CONFIRM_WITHIN = 8
# Of the statements of one leaf the last few are read, the last one first.
_LAST_STATEMENTS = 3
# A hedge is looked for this far around a statement.
_HEDGE_REACH = 80
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
# What is asked for is said in the first leaves, in a sentence with one of these words.
_QUESTION_LEAVES = 8
_ASKS = re.compile(
    r"\bfind\b|\bhow many\b|\bhow much\b|\bwhat\b|\bdetermine\b|\bask(?:s|ing)\b", re.I
)
_WORD = re.compile(r"[a-z]{4,20}?(?=s?\b)")
_EMPTY_WORDS = frozenset(
    [
        "this",
        "that",
        "have",
        "with",
        "find",
        "need",
        "many",
        "much",
        "what",
        "problem",
        "when",
        "will",
        "they",
        "them",
        "then",
        "thu",
        "here",
        "there",
        "where",
        "which",
        "from",
        "into",
        "figure",
        "determine",
        "question",
        "asks",
        "asking",
        "therefore",
        "hence",
        "value",
        "given",
        "number",
        "answer",
        "text",
        "frac",
        "sqrt",
        "each",
        "some",
        "like",
        "just",
        "know",
    ]
)
_LOOKING_BACK = (SELF_CHECKING, UNCERTAINTY, CHANGE, FINAL_ANSWER, TAG)
# Cheap to look for; only where one of them stands is the pattern asked.
_HEDGE_HINTS = (
    "if", "suppos", "maybe", "perhaps", "might", "could", "unless", "would", "guess", "assum",
    "not", "n't", "possibl", "whether", "?",
)  # fmt: skip
_HEDGE = re.compile(
    r"\bif\b|\bsuppose|\bmaybe\b|\bperhaps\b|\bmight\b|\bcould\b|\bunless\b|\bwould\b|\bguess\b"
    r"|\bassum|\bnot\b|n't\b|\bpossibl|\bwhether\b|\?\s*$",
)
_CONCLUDES = re.compile(
    r"[\s>*_#\-\d.)]{0,12}(?:(?:okay|ok|yes|and|but|wait|right|alright),?\s{1,2})?"
    r"(?:so\b|therefore\b|thus\b|hence\b|consequently\b|which (?:gives|means|is)\b|this gives\b"
    r"|that gives\b|that means\b|this means\b|in total\b|the (?:total|sum|result|value|number)\b"
    r"|finally\b|altogether\b|(?:then|now),? the\b|we (?:get|have|find)\b|所以|因此)",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?]\s+(?=[A-Z\\$(])|\n|[,;] (?=(?:so|therefore|thus|hence)\b)")


def find_answers(
    text: str,
    segments: Sequence[Segment],
    reference: str | None = None,
    equal: Equal | None = None,
) -> list[AnswerMention]:
    """All mentions in the text's order, one per leaf and strength at most.

    ``equal`` decides equality with the reference (default: the maths verifier's quick path when it
    is installed, else ``plain_equal``); it is asked once per distinct value.
    """
    compare = _comparer(reference, equal)
    mentions: list[AnswerMention] = []
    known: dict[str, tuple[int, int, str, str] | None] = {}
    for index, segment in enumerate(segments):
        if segment.kind == TAG:
            continue
        leaf = text[segment.start : segment.end]
        if leaf not in known:
            known[leaf] = _in_leaf(leaf)
        if found := known[leaf]:
            low, high, value, strength = found
            start, end = segment.start + low, segment.start + high
            mentions.append(AnswerMention(start, end, value, strength, index, compare(value)))
    return mentions


def first_correct(
    text: str,
    segments: Sequence[Segment],
    mentions: Sequence[AnswerMention],
    reference: str,
) -> AnswerMention | None:
    """The first place where the reference answer is really stated, or None."""
    right = [mention for mention in mentions if mention.matches and mention.strength != HEDGED]
    if not right:
        return None
    certain = _is_distinctive(reference)
    asked = frozenset() if certain else asked_words(text, segments)
    for mention in right:
        if mention.strength != CONCLUDED:
            return mention
        if not is_evaluated(mention.value, reference):
            continue
        if certain:
            return mention
        if _is_confirmed(text, segments, mention, mentions):
            return mention
        if _answers_question(text, segments, mention, asked):
            return mention
    return None


def asked_words(text: str, segments: Sequence[Segment]) -> frozenset[str]:
    """Words of the leaves near the start that say what is asked for."""
    opening = [segment for segment in segments if segment.kind != TAG][:_QUESTION_LEAVES]
    asking = (text[segment.start : segment.end] for segment in opening)
    return _words(" ".join(leaf for leaf in asking if _ASKS.search(leaf)))


def final_value(mentions: Sequence[AnswerMention]) -> str | None:
    """The value of the last firm statement: what the trace itself takes for its answer."""
    firm = [mention for mention in mentions if mention.strength in (BOXED, STATED)]
    return firm[-1].value if firm else None


def with_matches(
    mentions: Sequence[AnswerMention], reference: str | None, equal: Equal | None = None
) -> list[AnswerMention]:
    """The same mentions judged against another reference."""
    compare = _comparer(reference, equal)
    return [
        AnswerMention(m.start, m.end, m.value, m.strength, m.leaf, compare(m.value))
        for m in mentions
    ]


def default_equal() -> Equal:
    """The maths verifier's quick comparison, behind the plain one that answers most questions."""
    try:
        from curation.verifiers.math import quick_equal
    except ImportError:
        return plain_equal

    def compare(left: str, right: str) -> bool | None:
        plain = plain_equal(left, right)
        return plain if plain is not None else quick_equal(left, right)

    return compare


def _comparer(reference: str | None, equal: Equal | None) -> Callable[[str], bool | None]:
    if reference is None or not reference.strip():
        return lambda value: None
    decide = equal or default_equal()

    @lru_cache(maxsize=4096)
    def compare(value: str) -> bool | None:
        return decide(value, reference)

    return compare


def _in_leaf(leaf: str) -> tuple[int, int, str, str] | None:
    """Range in the leaf, value and strength of the firmest statement in it."""
    boxed = leaf.rfind("\\boxed")
    if boxed >= 0 and (found := boxed_at(leaf, boxed)) and found[0]:
        return boxed, found[1], found[0], BOXED
    return _stated(leaf) or _concluded(leaf)


def _stated(leaf: str) -> tuple[int, int, str, str] | None:
    lowered = leaf.lower()
    if "answer" not in lowered and "####" not in leaf and "答案" not in leaf:
        return None
    for match in reversed(deque(_STATED.finditer(leaf), maxlen=_LAST_STATEMENTS)):
        if found := value_after(leaf, match.end(), len(leaf)):
            strength = HEDGED if _is_hedged(leaf, match.start(), found[1]) else STATED
            return match.start(), found[1], found[0], strength
    return _is_the_answer(leaf)


def _is_the_answer(leaf: str) -> tuple[int, int, str, str] | None:
    """Like "I think 27 miles is the correct answer": the value stands before the verb."""
    match = _IS_THE_ANSWER.search(leaf)
    found = last_value(match.group(1)) if match else None
    if match is None or found is None:
        return None
    strength = HEDGED if _is_hedged(leaf, match.start(), match.end()) else STATED
    return match.start(1) + found[1], match.start(1) + found[2], found[0], strength


def _is_hedged(leaf: str, start: int, end: int) -> bool:
    """The sentence around a statement takes it back: a condition, a guess, a question."""
    low = max(0, start - _HEDGE_REACH)
    begin = max((m.end() for m in _SENTENCE_END.finditer(leaf, low, start)), default=low)
    stop = _STOP_MARK.search(leaf, end, end + _HEDGE_REACH)
    return _hedges(leaf[begin : stop.end() if stop else end + _HEDGE_REACH])


def _hedges(sentence: str) -> bool:
    lowered = sentence.lower()
    return any(hint in lowered for hint in _HEDGE_HINTS) and _HEDGE.search(lowered) is not None


def _concluded(leaf: str) -> tuple[int, int, str, str] | None:
    body = leaf.rstrip()
    starts = [0, *(match.end() for match in _SENTENCE_END.finditer(body))]
    begin = next((start for start in reversed(starts) if _CONCLUDES.match(body, start)), None)
    if begin is None:
        return None
    sentence = body[begin:]
    if found := _last_formula(sentence) or last_value(sentence):
        value, low, high = found
        strength = HEDGED if _hedges(sentence) else CONCLUDED
        return begin + low, begin + high, value, strength
    return None


def _last_formula(sentence: str) -> tuple[str, int, int] | None:
    """The right side of a formula that closes the sentence: ``… = 5 \\)``, ``… = 5``."""
    bare = sentence.rstrip(" .,!\n*")
    for left, right in (("\\(", "\\)"), ("\\[", "\\]"), ("$", "$")):
        if bare.endswith(right):
            start = bare.rfind(left, 0, len(bare) - len(right))
            inner = bare[start + len(left) : len(bare) - len(right)] if start >= 0 else ""
            return (right_side(inner), start, len(bare)) if inner.strip() else None
    return None


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text[:2000].lower())) - _EMPTY_WORDS


def _answers_question(
    text: str, segments: Sequence[Segment], mention: AnswerMention, asked: frozenset[str]
) -> bool:
    """The sentence speaks of what is asked, and what comes next looks back at it.

    A conclusion in the words of the question that is then checked, doubted or followed by another
    approach is an answer; a step on the way is followed by the next step.
    """
    leaf = segments[mention.leaf]
    low, high = max(leaf.start, mention.start - 160), min(leaf.end, mention.end + 160)
    if len(_words(text[low:high]) & asked) < 2:
        return False
    following = segments[mention.leaf + 1 : mention.leaf + 4]
    return any(segment.kind in _LOOKING_BACK for segment in following)


def _is_distinctive(reference: str) -> bool:
    """Long enough not to turn up by chance: three digits, a fraction, a decimal, an expression."""
    digits = sum(char.isdigit() for char in reference)
    return digits >= 3 or any(char in reference for char in "/.\\^")


def _is_confirmed(
    text: str,
    segments: Sequence[Segment],
    mention: AnswerMention,
    mentions: Sequence[AnswerMention],
) -> bool:
    """The next statement, within ``CONFIRM_WITHIN`` leaves, says the same and not by a new way.

    The last words of the reasoning need no confirmation.
    Where the value is calculated again before it is said again, without a look back that would
    make the calculation a check, the first one was a number that happened to be equal.
    """
    if segments[mention.leaf + 1 : mention.leaf + 2] and segments[mention.leaf + 1].kind == TAG:
        return True
    later = _next_statement(mention, mentions)
    if later is None or not later.matches:
        return False
    for segment in segments[mention.leaf + 1 : later.leaf + 1]:
        if segment.kind in _LOOKING_BACK:
            return True
        leaf = text[segment.start : segment.end].rstrip(" .\n")
        if segment.kind == COMPUTATION and leaf.endswith(mention.value):
            return False
    return True


def _next_statement(
    mention: AnswerMention, mentions: Sequence[AnswerMention]
) -> AnswerMention | None:
    """The next firm statement or equal conclusion near behind a mention."""
    for later in mentions:
        if later.leaf > mention.leaf + CONFIRM_WITHIN:
            return None
        if later.leaf <= mention.leaf or later.strength == HEDGED:
            continue
        if later.strength != CONCLUDED or later.matches:
            return later
    return None
