"""Derived texts: apply cuts, join what is left cleanly, and check the result by machine.

A join is clean when the text behind it does not answer something that is gone: "Wait, ", "But ",
"Yes, " at its start are dropped too, and the next word gets its capital letter (an insertion). Both
are recorded: a derived text is the kept ranges of its parent and the insertions between them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curation.segmentation.analysis import analyse
from curation.segmentation.statements import HEDGED
from curation.segmentation.tags import split_reasoning
from curation.segmentation.types import Cut, Equal

# Openers that lean on the sentence before them.
_OPENER = re.compile(
    r"(?:(?:but|oh|ah|okay|ok|yes|yeah|no|so|and|hmm+|well|wait|hold on|however|actually"
    r"|alternatively|on second thought|on the other hand|right|indeed|great|perfect|good|alright)"
    r"(?:,? (?:wait|no|hold on|actually|a (?:minute|second|moment)|then|though|yes|hmm+))?"
    r"(?:[,.!?…—-]{1,3}|(?<=but)|(?<=however)))[ \t]{1,3}",
    re.IGNORECASE,
)
# A word that gets a capital at the start of a sentence; a variable ("d_2 = 2", "x") does not.
_LOWER_WORD = re.compile(r"(?:[a-z][a-z'’]|a (?=[a-z]))(?![a-z]{0,8}[_^(=])")
_ALONE = re.compile(
    r"(?:wait|hmm+|hold on|but wait|okay|yes|no)[.,!?…]{0,3}\s*(?=\n)", re.IGNORECASE
)
_DANGLES_BEFORE = re.compile(
    r"(?:^|[\s.!?])(?:wait|hmm+|but|alternatively|however|hold on|actually|and|or|because|so)"
    r"[,:]?\s*$|[:,]\s*$",
    re.IGNORECASE,
)
# An opener that contrasts with an attempt: it stays where one stands before the join. Without it a
# model judge got 31 points fewer right (docs/segmentation.md, "Proof").
_CONTRAST = re.compile(r"(?:alternatively|on the other hand)\b", re.IGNORECASE)
_WORK = re.compile(r"=|\d\s?[-+*/×·^]\s?\d")
_TOKENS = re.compile(
    r"\\\\|\\[\[\]()$]|\$\$?|[{}]|`{3,}|~{3,}|\\(begin|end)\{([A-Za-z]{1,30}\*?)\}"
)
# "$43" in prose is money, not the start of a formula.
_MONEY = re.compile(r"(?<![\\$\w])\\?\$\d[\d,]*(?:\.\d+)?(?=[\s.,;:!?)]|$)(?!\s*[-+*/^=<>\\])")
_MAX_OPENERS = 3
_LEAST_REASONING = 20


@dataclass(frozen=True, slots=True)
class Derived:
    """What is left after cuts: the text, the kept ranges of the parent, and what was put between.

    ``insertions`` are (position in the derived text, inserted text): white space that keeps apart
    what a cut would have joined on one line, or the capital letter of a sentence that lost its
    opener.
    """

    text: str
    kept: tuple[tuple[int, int], ...]
    insertions: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason not to use a derived text: a code, and where in the derived text (code points)."""

    code: str
    place: int


def opens_dangling(text: str) -> bool:
    """Whether a text begins with an opener that leans on a sentence before it."""
    return _OPENER.match(text) is not None


def with_bridges(text: str, derived: Derived, bridges: Mapping[int, str]) -> Derived:
    """A derived text with a sentence put over some of its seams; they are insertions like others.

    ``text`` is the parent's; ``bridges``: number of the kept range behind the seam (from 1) -> the
    sentence.
    """
    pieces: list[str] = []
    insertions: list[tuple[int, str]] = []
    old = size = 0
    inserted = dict(derived.insertions)
    for number, (start, end) in enumerate(derived.kept):
        put = inserted.get(old, "")
        old += len(put) + end - start
        if bridge := bridges.get(number, ""):
            capital = put.lstrip()
            put = f"{put[: len(put) - len(capital)]}{bridge} {capital}"
        if put:
            insertions.append((size, put))
        pieces += [put, text[start:end]]
        size += len(put) + end - start
    return Derived("".join(pieces), derived.kept, tuple(insertions))


def apply_cuts(text: str, cuts: Sequence[Cut], *, clean: bool = True) -> Derived:
    """Drop the cuts; ValueError when they overlap, are empty or lie outside the text.

    ``clean`` also drops openers that would dangle behind a join.
    """
    ordered = sorted(cuts, key=lambda cut: cut.start)
    kept: list[tuple[int, int]] = []
    capitals: dict[int, str] = {}
    cursor, worked = 0, False
    for number, cut in enumerate(ordered):
        if not cut.start < cut.end <= len(text) or cut.start < (
            ordered[number - 1].end if number else 0
        ):
            raise ValueError(f"cut {cut.start}-{cut.end} overlaps another or is not in the text")
        kept += [(cursor, cut.start)] if cursor < cut.start else []
        worked = worked or _WORK.search(text, cursor, max(cursor, cut.start)) is not None
        limit = ordered[number + 1].start if number + 1 < len(ordered) else len(text)
        cursor, capital = cut.end, ""
        if clean:
            cursor, capital = after_opener(text, cut.end, limit, worked)
        if capital:
            capitals[cursor] = capital
    kept += [(cursor, len(text))] if cursor < len(text) else []
    return _joined(text, kept, capitals)


def after_opener(text: str, start: int, limit: int, worked: bool) -> tuple[int, str]:
    """Where the text behind a cut begins in earnest, and the capital its first letter becomes.

    With a capital the first letter itself is dropped as well. ``worked``: an attempt stands before.
    """
    place = start
    for _ in range(_MAX_OPENERS):
        alone = _ALONE.match(text, place, limit)
        if alone and alone.end() < limit:
            place = _skip_space(text, alone.end(), limit)
            continue
        opener = _OPENER.match(text, place, limit)
        if opener is None or opener.end() >= limit or _contrasts(text, place, worked):
            break
        place = opener.end()
    first = text[place : place + 1]
    if place > start and place + 1 < limit and _LOWER_WORD.match(text, place):
        return place + 1, first.upper()
    return place, ""


def _contrasts(text: str, place: int, worked: bool) -> bool:
    return worked and _CONTRAST.match(text, place) is not None


def _skip_space(text: str, place: int, limit: int) -> int:
    while place < limit and text[place].isspace():
        place += 1
    return place


def _joined(text: str, kept: list[tuple[int, int]], capitals: dict[int, str]) -> Derived:
    pieces: list[str] = []
    insertions: list[tuple[int, str]] = []
    size = 0
    for number, (start, end) in enumerate(kept):
        before = pieces[-1][-1:] if pieces else ""
        gap = _gap(text, before, kept[number - 1][1], start) if number else ""
        put = gap + capitals.get(start, "")
        if put:
            insertions.append((size, put))
            pieces.append(put)
        pieces.append(text[start:end])
        size += len(put) + end - start
    return Derived("".join(pieces), tuple(kept), tuple(insertions))


def _gap(text: str, before: str, last: int, start: int) -> str:
    """The white space that ended what was cut, where the kept text before it has no line end."""
    if before == "\n":
        return ""
    low = start
    while low > max(last, start - 8) and text[low - 1].isspace():
        low -= 1
    space = text[low:start]
    return space if "\n" in space else "" if before.isspace() else space or " "


def check_derived(
    parent: str, derived: Derived, reference: str | None = None, equal: Equal | None = None
) -> list[Problem]:
    """What is wrong with a derived text; an empty list means that it may be used.

    Codes: ``dollar``, ``display``, ``inline``, ``brace``, ``fence``, ``environment`` (broken here
    and not in the parent), ``dangling_before``, ``dangling_after`` (an opener at a join),
    ``tags``, ``answer_part`` (changed), ``no_reasoning``, ``no_answer`` (the kept reasoning does
    not state the reference answer, though the parent's does).
    """
    found = _broken(parent, derived) + _dangling(derived)
    before, after = split_reasoning(parent), split_reasoning(derived.text)
    if (before.style, before.closed) != (after.style, after.closed):
        return [*found, Problem("tags", after.reasoning_end)]
    answer = derived.text[after.answer_start : after.answer_end]
    if before.style != "none" and answer != parent[before.answer_start : before.answer_end]:
        found.append(Problem("answer_part", after.answer_start))
    if before.style != "none":
        reasoning = derived.text[after.reasoning_start : after.reasoning_end].strip()
        if len(reasoning) < min(_LEAST_REASONING, before.reasoning_end - before.reasoning_start):
            found.append(Problem("no_reasoning", after.reasoning_start))
    if (
        reference
        and _states(parent, reference, equal)
        and not _states(derived.text, reference, equal)
    ):
        found.append(Problem("no_answer", after.reasoning_end))
    return found


def _states(text: str, reference: str, equal: Equal | None) -> bool:
    analysis = analyse(text, reference, equal)
    end = len(text) if analysis.split.style == "none" else analysis.split.reasoning_end
    return any(m.matches and m.strength != HEDGED and m.end <= end for m in analysis.answers)


def _dangling(derived: Derived) -> list[Problem]:
    found: list[Problem] = []
    place, inserted, worked = 0, dict(derived.insertions), False
    for number, (start, end) in enumerate(derived.kept):
        if number:
            if _DANGLES_BEFORE.search(derived.text, max(0, place - 40), place):
                found.append(Problem("dangling_before", place))
            behind = place + len(inserted.get(place, ""))
            leans = _OPENER.match(derived.text, behind) and not _contrasts(
                derived.text, behind, worked
            )
            if leans and not inserted.get(place, "").strip():
                found.append(Problem("dangling_after", behind))
        place += len(inserted.get(place, "")) + end - start
        worked = worked or _WORK.search(derived.text, place - (end - start), place) is not None
    return found


def _broken(parent: str, derived: Derived) -> list[Problem]:
    before, after = imbalance(parent), imbalance(derived.text)
    return [Problem(code, 0) for code in sorted(after) if after[code] != before.get(code, 0)]


def imbalance(text: str) -> dict[str, int]:
    """Open delimiters that are never closed, by kind; only kinds with any."""
    counts: Counter[str] = Counter()
    for match in _TOKENS.finditer(_MONEY.sub(" ", text)):
        token = match.group()
        if match.group(1):
            counts["environment"] += 1 if match.group(1) == "begin" else -1
        elif token in ("$", "$$"):
            counts["dollar"] += len(token)
        elif token[0] in "`~":
            counts["fence"] += 1
        elif token in _STEP:
            name, step = _STEP[token]
            counts[name] += step
    counts["dollar"] %= 2
    counts["fence"] %= 2
    return {name: value for name, value in counts.items() if value}


_STEP = {
    "\\[": ("display", 1),
    "\\]": ("display", -1),
    "\\(": ("inline", 1),
    "\\)": ("inline", -1),
    "{": ("brace", 1),
    "}": ("brace", -1),
}
