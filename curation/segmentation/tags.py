"""Find the reasoning and the answer of a completion by the tags that models write.

Styles: ``think`` (<think>, <thinking>, <reasoning>, the closing tag may stand alone when the
opening one was part of the prompt), ``begin_of_thought`` (Sky-T1), ``channel`` (Gemma 4:
``<|channel>thought``), ``harmony`` (gpt-oss), ``answer`` (only <answer> tags) and ``none``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

OPEN, CLOSE, ANSWER_OPEN, ANSWER_CLOSE = "open", "close", "answer_open", "answer_close"

# The pattern begins with a plain character, which the regular expression engine can search for.
_TAG = re.compile(
    r"<(?i:(?P<think_close>/(?:think|thinking|reasoning)>)"
    r"|(?P<think_open>(?:think|thinking|reasoning)>)"
    r"|(?P<begin_of_thought_open>\|begin_of_thought\|>)"
    r"|(?P<begin_of_thought_close>\|end_of_thought\|>)"
    r"|(?P<begin_of_thought_answer_open>\|begin_of_solution\|>)"
    r"|(?P<begin_of_thought_answer_close>\|end_of_solution\|>)"
    r"|(?P<channel_open>\|channel>(?:thought|analysis)?)"
    r"|(?P<channel_close>channel\|>)"
    r"|(?P<harmony_open>\|channel\|>analysis<\|message\|>)"
    r"|(?P<harmony_answer_open>(?:\|start\|>assistant<)?\|channel\|>final<\|message\|>)"
    r"|(?P<harmony_answer_close>\|return\|>)"
    r"|(?P<harmony_close>\|end\|>)"
    r"|(?P<answer_answer_open>answer>)"
    r"|(?P<answer_answer_close>/answer>))"
)
# A tag in the middle of a line counts as an opening one only this near to the start of the text.
_PREAMBLE = 200


@dataclass(frozen=True, slots=True)
class ReasoningSplit:
    """Where the reasoning and the answer are, in code points, without their tags.

    ``closed`` is False when the reasoning has no end: the completion was cut off while thinking,
    and the answer range is empty. An opened answer closes the reasoning before it.
    ``answer_closed`` is False when an answer tag was opened and never closed.
    """

    reasoning_start: int
    reasoning_end: int
    answer_start: int
    answer_end: int
    style: str
    closed: bool
    answer_closed: bool = True


@dataclass(frozen=True, slots=True)
class _Tag:
    style: str
    role: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TagSplit:
    """A split and the ranges of the tags that made it, in order."""

    split: ReasoningSplit
    tags: tuple[tuple[int, int], ...]


def split_reasoning(text: str) -> ReasoningSplit:
    """Reasoning and answer of a completion; without any tag all of it is the answer."""
    return find_tags(text).split


def find_tags(text: str) -> TagSplit:
    """The split together with the ranges of its tags; linear in the text."""
    found = [_as_tag(match) for match in _TAG.finditer(text) if not _is_quoted(text, match)]
    style = _style(text, found)
    if style == "none":
        return TagSplit(ReasoningSplit(0, 0, 0, len(text), "none", True), ())
    if style == "answer":
        return _answer_only(text, found)
    return _with_reasoning(text, style, found)


def _as_tag(match: re.Match[str]) -> _Tag:
    style, _, role = (match.lastgroup or "").partition("_answer_")
    if role:
        return _Tag(style, f"answer_{role}", match.start(), match.end())
    style, _, role = style.rpartition("_")
    return _Tag(style, role, match.start(), match.end())


def _is_quoted(text: str, match: re.Match[str]) -> bool:
    """`<think>` between backticks is talk about a tag, not a tag."""
    before = text[match.start() - 1 : match.start()] if match.start() else ""
    return before == "`" and text[match.end() : match.end() + 1] == "`"


def _starts_line(text: str, position: int) -> bool:
    line = text[max(0, position - 80) : position].rpartition("\n")[2]
    return not line.strip() and (position <= 80 or "\n" in text[position - 80 : position])


def _style(text: str, tags: list[_Tag]) -> str:
    """Style of the first tag that may begin or end a reasoning part, else answer tags, else none.

    A closing tag that follows text without its opening one counts: the prompt held the other half.
    """
    for tag in tags:
        if tag.role == CLOSE and tag.style != "harmony":
            return tag.style
        if tag.role == OPEN and (tag.start < _PREAMBLE or _starts_line(text, tag.start)):
            return tag.style
        if tag.role == ANSWER_OPEN and tag.style != "answer":
            return tag.style
    return "answer" if any(tag.role == ANSWER_OPEN for tag in tags) else "none"


def _answer_only(text: str, tags: list[_Tag]) -> TagSplit:
    opening = next(tag for tag in reversed(tags) if tag.role == ANSWER_OPEN)
    start, end, closing = _answer_span(text, tags, opening.start)
    split = ReasoningSplit(0, opening.start, start, end, "answer", True, closing is not None)
    return TagSplit(split, _spans([opening, closing]))


def _with_reasoning(text: str, style: str, tags: list[_Tag]) -> TagSplit:
    own = [tag for tag in tags if tag.style == style and tag.role in (OPEN, CLOSE)]
    used, closed = _reasoning_tags(text, own)
    start = used[0].end if used and used[0].role == OPEN else 0
    after = used[-1].end if closed and used else start
    opened = _answer_opening(text, tags, style, after, closed)
    if opened is None and not closed:
        size = len(text)
        return TagSplit(ReasoningSplit(start, size, size, size, style, False), _spans(used))
    end = used[-1].start if closed and used else _answer_start(opened)
    if opened is None:
        split = ReasoningSplit(start, end, after, len(text), style, True)
        return TagSplit(split, _spans(used))
    low, high, closing = _answer_span(text, tags, opened.start)
    split = ReasoningSplit(start, end, low, high, style, True, closing is not None)
    return TagSplit(split, _spans([*used, opened, closing]))


def _answer_start(opened: _Tag | None) -> int:
    return opened.start if opened else 0


def _reasoning_tags(text: str, own: list[_Tag]) -> tuple[list[_Tag], bool]:
    """The outermost tags of the reasoning, in order, and whether it is closed.

    Several blocks one after the other are one reasoning range. Nested opening tags are counted;
    when they never balance, the last closing tag ends the reasoning.
    """
    used: list[_Tag] = []
    depth, last_close = 0, None
    for tag in own:
        if tag.role == OPEN:
            if depth == 0 and used and not _reopens(text, used[-1].end, tag.start):
                continue
            used += [tag] if depth == 0 else []
            depth += 1
        elif not used:
            return [tag], True
        else:
            last_close = tag
            used += [tag] if depth == 1 else []
            depth = max(0, depth - 1)
    if depth and last_close is not None and last_close.start > used[-1].start:
        return [*used, last_close], True
    return used, depth == 0 and bool(used)


def _reopens(text: str, after: int, position: int) -> bool:
    """A later opening tag counts at the start of a line and outside a code fence."""
    return _starts_line(text, position) and text.count("```", after, position) % 2 == 0


def _answer_opening(
    text: str, tags: list[_Tag], style: str, after: int, closed: bool
) -> _Tag | None:
    """The tag that opens the answer after the reasoning (the last one where there are several)."""
    for tag in reversed(tags):
        if tag.start < after or tag.role != ANSWER_OPEN or tag.style not in (style, "answer"):
            continue
        if closed or tag.style == style or _starts_line(text, tag.start):
            return tag
    return None


def _answer_span(text: str, tags: list[_Tag], opened: int) -> tuple[int, int, _Tag | None]:
    """Range of the answer behind the tag at ``opened`` and the tag that closes it."""
    opening = next(tag for tag in tags if tag.start == opened)
    for tag in tags:
        if tag.start >= opening.end and (tag.style, tag.role) == (opening.style, ANSWER_CLOSE):
            return opening.end, tag.start, tag
    return opening.end, len(text), None


def _spans(tags: list[_Tag | None] | list[_Tag]) -> tuple[tuple[int, int], ...]:
    return tuple((tag.start, tag.end) for tag in tags if tag is not None)
