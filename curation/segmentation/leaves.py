"""Split a text into leaves: ranges that, in order, are the text to the code point.

A tag is a leaf. Between tags the text is split at blank lines; a paragraph that is long or that
changes its mind half-way ("Wait, …") is split into sentences; what is still too long is split at
white space. White space belongs to the leaf before it. No boundary falls inside display maths,
inline maths or a code fence (``protect``), and only those blocks may exceed ``LEAF_LIMIT``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from curation.segmentation.protect import Protected, protected_ranges

LEAF_LIMIT = 2_000
# A paragraph over this many code points becomes one leaf per sentence.
LONG_PARAGRAPH = 400
# A shorter sentence ("So,", "Yes.") is joined to the next one of its paragraph.
SHORT_SENTENCE = 25
_TAG_SPACE = re.compile(r"\s{0,64}")
_BLANK = re.compile(r"\n[^\S\n]*\n(?:[^\S\n]*\n)*")
_STOP = re.compile(r"[.!?…:]['\"”’»)\]}*_]{0,3}\s+|[。！？][”’」』）]{0,2}\s*|\n[^\S\n]{0,40}")
_LIST_ITEM = re.compile(r"(?:[-*+•]|\d{1,3}[.)]|\(?[a-zA-Z\d]\)|#{1,6})[ \t]")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:e\.g|i\.e|cf|vs|etc|approx|resp|eq|eqs|fig|figs|no|nos|dr|mr|mrs|ms|prof|st|w\.r\.t"
    r"|a\.k\.a|viz|ca|al|sec|ch|p|pp|vol)$",
    re.IGNORECASE,
)
_LIST_NUMBER = re.compile(r"(?:^|\n)[ \t]{0,20}\(?(?:\d{1,3}|[a-zA-Z])$")
_FACTORIAL = re.compile(r"[\d)\]}a-z]$")
_BLOCK_STARTS = ("\\[", "$$", "\\b", "``")
# Openers at which a thought turns; a boundary is set before them in paragraphs of any length.
_TURN = re.compile(
    r"(?:(?:but|oh|ah|no|okay|ok|yes|so|and|hmm+|umm*|well)[,.!]?\s{1,3}){0,2}"
    r"(?:wait\b|hold on\b|alternatively\b|hmm+\b|actually,|let me (?:double[- ]?|re-?)?check\b"
    r"|let me verify\b|let's (?:double[- ]?check|verify|check)\b|to (?:verify|double[- ]check)\b"
    r"|another (?:way|approach|method|idea)\b|on second thought\b|let me start over\b"
    r"|i made a mistake\b|that(?:'s| is|’s) (?:not right|wrong|incorrect)\b"
    r"|(?:therefore|thus|so|hence),? (?:the |my |our )?(?:final )?answer\b|等等|另一种|换一种)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A range of the text; ``is_tag`` where it holds a tag of the reasoning or answer."""

    start: int
    end: int
    is_tag: bool = False


def split_leaves(text: str, tags: Iterable[tuple[int, int]] = ()) -> list[Leaf]:
    """Leaves that partition ``text``; ``tags`` are the ranges of its tags, in order."""
    leaves: list[Leaf] = []
    cursor = 0
    for start, end in tags:
        leaves += _region(text, cursor, start)
        space = _TAG_SPACE.match(text, end)
        cursor = space.end() if space else end
        leaves.append(Leaf(start, cursor, is_tag=True))
    return leaves + _region(text, cursor, len(text))


def _region(text: str, low: int, high: int) -> list[Leaf]:
    if low >= high:
        return []
    blocks = protected_ranges(text, low, high)
    inside = _Inside(blocks)
    leaves: list[Leaf] = []
    for start, end in _paragraphs(text, low, high, _Inside(blocks)):
        bounds = _merge_short(text, start, list(_sentence_ends(text, start, end, inside)))
        for left, right in zip([start, *bounds[:-1]], bounds, strict=True):
            leaves += _limited(text, left, right, blocks)
    return leaves


class _Inside:
    """Answers "does this boundary cut a protected range?" for rising positions."""

    def __init__(self, blocks: list[Protected]) -> None:
        self.blocks, self.index = blocks, 0

    def cuts(self, position: int) -> bool:
        while self.index < len(self.blocks) and self.blocks[self.index].end <= position:
            self.index += 1
        return self.index < len(self.blocks) and self.blocks[self.index].start < position

    def ends_block(self, position: int) -> bool:
        """The last block before ``position`` ends right there (``cuts`` was asked first)."""
        return self.index > 0 and self.blocks[self.index - 1].end == position


def _paragraphs(text: str, low: int, high: int, inside: _Inside) -> Iterator[tuple[int, int]]:
    start = low
    for match in _BLANK.finditer(text, low, high):
        end = match.end()
        if end < high and not inside.cuts(end) and not text[start:end].isspace():
            yield start, end
            start = end
    yield start, high


def _sentence_ends(text: str, start: int, end: int, inside: _Inside) -> Iterator[int]:
    """Ends of the sentences of a paragraph, its own end included.

    In a paragraph that is not long only the sentences before a turn of thought end a leaf.
    """
    long = end - start > LONG_PARAGRAPH
    for match in _STOP.finditer(text, start, end):
        place = match.end()
        if place >= end or inside.cuts(place):
            continue
        turn = _TURN.match(text, place, end) is not None
        if not (long or turn):
            continue
        if _ends_sentence(text, start, match, inside, turn=turn):
            yield place
    yield end


def _ends_sentence(
    text: str, start: int, match: re.Match[str], inside: _Inside, *, turn: bool
) -> bool:
    mark, place = match.group()[0], match.end()
    if mark == "\n":
        return turn or _breaks_line(text, match.start(), place, inside)
    if mark == ":":
        return "\n" in match.group() and text[place : place + 2] not in _BLOCK_STARTS
    if mark in "。！？":
        return True
    before = text[max(start, match.start() - 24) : match.start()]
    return _stops(mark, before, text[place], turn=turn)


def _stops(mark: str, before: str, following: str, *, turn: bool) -> bool:
    """A stop mark ends a sentence unless it belongs to an abbreviation, a list or a factorial."""
    if following.islower() and not turn:
        return False
    if mark == "." and (_ABBREVIATION.search(before) or _LIST_NUMBER.search(before)):
        return before.endswith("etc") and turn
    return not (mark == "!" and _FACTORIAL.search(before)) or following.isupper()


def _breaks_line(text: str, newline: int, place: int, inside: _Inside) -> bool:
    """A single line break ends a sentence before a list item, a heading or after a block."""
    if _LIST_ITEM.match(text, place):
        return True
    before = text[newline - 1] if newline else "\n"
    if before in ".!?:。！？" or inside.ends_block(newline):
        return not text[place].islower() and text[place] != "|"
    return False


def _merge_short(text: str, start: int, ends: list[int]) -> list[int]:
    """Join sentences of a few characters to the next one, unless that one turns the thought."""
    kept: list[int] = []
    low = start
    for index, end in enumerate(ends):
        last = index == len(ends) - 1
        short = end - low < 4 * SHORT_SENTENCE and len(text[low:end].strip()) < SHORT_SENTENCE
        if short and not last and not _TURN.match(text, end):
            continue
        joins = short and last and not _TURN.match(text, low)
        if joins and kept and end - (kept[-2] if len(kept) > 1 else start) <= LEAF_LIMIT:
            kept.pop()
        kept.append(end)
        low = end
    return kept


def _limited(text: str, start: int, end: int, blocks: list[Protected]) -> Iterator[Leaf]:
    """The range itself, or pieces of at most ``LEAF_LIMIT`` with long blocks on their own."""
    if end - start <= LEAF_LIMIT:
        yield Leaf(start, end)
        return
    cursor = start
    for block in _long_blocks(start, end, blocks):
        yield from _hard_split(text, cursor, block.start, blocks)
        tail = _TAG_SPACE.match(text, block.end, end)
        cursor = tail.end() if tail else block.end
        yield Leaf(block.start, cursor)
    yield from _hard_split(text, cursor, end, blocks)


def _long_blocks(start: int, end: int, blocks: list[Protected]) -> Iterator[Protected]:
    for index in range(_first_behind(blocks, start), len(blocks)):
        block = blocks[index]
        if block.start >= end:
            return
        if block.block and block.end - block.start > LEAF_LIMIT // 2:
            yield block


def _first_behind(blocks: list[Protected], position: int) -> int:
    """Index of the first block that ends behind ``position`` (binary search)."""
    low, high = 0, len(blocks)
    while low < high:
        middle = (low + high) // 2
        if blocks[middle].end <= position:
            low = middle + 1
        else:
            high = middle
    return low


def _hard_split(text: str, start: int, end: int, blocks: list[Protected]) -> Iterator[Leaf]:
    while end - start > LEAF_LIMIT:
        place = _break_before(text, start, start + LEAF_LIMIT, blocks)
        yield Leaf(start, place)
        start = place
    if start < end:
        yield Leaf(start, end)


def _break_before(text: str, start: int, limit: int, blocks: list[Protected]) -> int:
    """The best place for a boundary at or before ``limit``, outside every block."""
    index = _first_behind(blocks, limit)
    if index < len(blocks) and start < blocks[index].start < limit:
        limit = blocks[index].start
    place = _word_break(text, start + (limit - start) // 2, limit)
    index = _first_behind(blocks, place)
    if index < len(blocks) and start < blocks[index].start < place:
        return blocks[index].end if blocks[index].end <= limit else blocks[index].start
    return place


def _word_break(text: str, low: int, limit: int) -> int:
    """Last line break, else last end of a word, else last whole character up to ``limit``."""
    line = text.rfind("\n", low, limit)
    if line >= 0:
        return line + 1
    for place in range(limit, low, -1):
        if text[place - 1].isspace() and not text[place : place + 1].isspace():
            return place
    return _between_characters(text, low, limit)


def _between_characters(text: str, low: int, place: int) -> int:
    """Step back from the middle of a composed character (combining marks, joined emoji, CRLF)."""
    for candidate in range(place, max(low, place - 64), -1):
        if not _joins(text[candidate - 1], text[candidate : candidate + 1]):
            return candidate
    return place


def _joins(left: str, right: str) -> bool:
    if not right or left == "\u200d" or (left == "\r" and right == "\n"):
        return bool(right)
    return (
        right in "\u200d\ufe0e\ufe0f"
        or unicodedata.combining(right) != 0
        or "\U0001f3fb" <= right <= "\U0001f3ff"
    )
