"""Candidate answers on the way, whether they are the reference, and the first correct one.

A ``concluded`` value (see ``statements``) is worth little alone, for small numbers turn up by
chance: ``first_correct`` takes it only when it is distinctive, is taken up again soon, or answers
in the words of the question and is looked back at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from curation.segmentation.kinds import CHANGE, COMPUTATION, FINAL_ANSWER, SELF_CHECKING, TAG
from curation.segmentation.kinds import UNCERTAINTY as DOUBT
from curation.segmentation.question import Question, content_words, read_question
from curation.segmentation.statements import (
    BOXED,
    CONCLUDED,
    HEDGED,
    STATED,
    Statement,
    computed_value,
    read_statement,
)
from curation.segmentation.types import AnswerMention, Equal, Segment
from curation.segmentation.values import is_evaluated, plain_equal

# A concluded value of few digits must be said again within this many leaves to count.
CONFIRM_WITHIN = 8
_LOOKING_BACK = (SELF_CHECKING, DOUBT, CHANGE, FINAL_ANSWER, TAG)


def find_answers(
    text: str,
    segments: Sequence[Segment],
    reference: str | None = None,
    equal: Equal | None = None,
) -> list[AnswerMention]:
    """All mentions in the text's order, one per leaf at most.

    ``equal`` decides equality with the reference (default: the maths verifier's quick path when it
    is installed, else ``plain_equal``); it is asked once per distinct value.
    """
    compare = _comparer(reference, equal)
    question = read_question(text, segments)
    certain = reference is not None and _is_distinctive(reference)
    mentions: list[AnswerMention] = []
    known: dict[str, Statement | None] = {}
    for index, segment in enumerate(segments):
        if segment.kind == TAG:
            continue
        leaf = text[segment.start : segment.end]
        if leaf not in known:
            known[leaf] = read_statement(leaf, question)
        if (found := known[leaf]) is None and certain and segment.kind == COMPUTATION:
            found = computed_value(leaf)
        if found:
            start, end = segment.start + found.start, segment.start + found.end
            matches = compare(found.value)
            mentions.append(AnswerMention(start, end, found.value, found.strength, index, matches))
    return mentions


def first_correct(
    text: str,
    segments: Sequence[Segment],
    mentions: Sequence[AnswerMention],
    reference: str,
) -> AnswerMention | None:
    """The first place where the reference answer is really stated, or None."""
    question = read_question(text, segments)
    certain = _is_distinctive(reference)
    for number, mention in enumerate(mentions):
        if not mention.matches or mention.strength == HEDGED:
            continue
        if mention.strength in (BOXED, STATED):
            return mention
        if is_evaluated(mention.value, reference) and (
            certain
            or mention.strength != CONCLUDED
            or _is_confirmed(text, segments, mention, _next_statement(number, mentions))
            or _answers_question(text, segments, mention, question)
        ):
            return mention
    return None


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


def _is_distinctive(reference: str) -> bool:
    """Long enough not to turn up by chance: three digits, a fraction, a decimal, an expression."""
    digits = sum(char.isdigit() for char in reference)
    return digits >= 3 or any(char in reference for char in "/.\\^")


def _answers_question(
    text: str, segments: Sequence[Segment], mention: AnswerMention, question: Question
) -> bool:
    """The sentence speaks of what is asked, and what comes next looks back at it.

    A conclusion in the words of the question that is then checked, doubted or followed by another
    approach is an answer; a step on the way is followed by the next step.
    """
    leaf = segments[mention.leaf]
    low, high = max(leaf.start, mention.start - 160), min(leaf.end, mention.end + 160)
    words = content_words(text[low:high])
    if len(words & question.words) < 2 and not (words and words <= question.words):
        return False
    following = segments[mention.leaf + 1 : mention.leaf + 4]
    return any(segment.kind in _LOOKING_BACK for segment in following)


def _is_confirmed(
    text: str,
    segments: Sequence[Segment],
    mention: AnswerMention,
    later: AnswerMention | None,
) -> bool:
    """The next statement, within ``CONFIRM_WITHIN`` leaves, says the same and not by a new way.

    The last words of the reasoning need no confirmation.
    Where the value is calculated again before it is said again, without a look back that would
    make the calculation a check, the first one was a number that happened to be equal.
    """
    behind = [segment.kind for segment in segments[mention.leaf + 1 : mention.leaf + 3]]
    if behind[:1] == [TAG] or behind == [FINAL_ANSWER, TAG]:  # at most a heading follows
        return True
    if later is None or not later.matches:
        return False
    for segment in segments[mention.leaf + 1 : later.leaf + 1]:
        if segment.kind in _LOOKING_BACK:
            return True
        leaf = text[segment.start : segment.end].rstrip(" .\n")
        if segment.kind == COMPUTATION and leaf.endswith(mention.value):
            return False
    return later.strength != CONCLUDED


def _next_statement(number: int, mentions: Sequence[AnswerMention]) -> AnswerMention | None:
    """The next firm statement or equal conclusion near behind a mention."""
    for later in mentions[number + 1 : number + 1 + CONFIRM_WITHIN]:
        if later.leaf > mentions[number].leaf + CONFIRM_WITHIN:
            return None
        if later.strength != HEDGED and (later.strength != CONCLUDED or later.matches):
            return later
    return None
