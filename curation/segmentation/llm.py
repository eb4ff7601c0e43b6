"""An optional pass by a language model: split, label, or smooth the seam of a cut. Pure.

``split_prompt`` and its kin make the request, ``read_parts`` and its kin read the answer. Nothing
is believed: parts must be the text, in its order, to the character (``fidelity``), where the code
published with DLCoT compares bags of characters and passes parts in any order with a tenth missing.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from curation.segmentation.joins import opens_dangling
from curation.segmentation.kinds import KINDS, TAG
from curation.segmentation.protect import protected_ranges
from curation.segmentation.types import Segment

_SPACE = re.compile(r"\s+")
_NUMBER = re.compile(r"\d+")
BRIDGE_LIMIT = 300
# Of the text on either side of a seam so much is shown, and the numbers of a bridge stand in it.
SEAM_CONTEXT = 600
# Why an answer is refused.
EMPTY, NOT_JSON, WRONG_SHAPE = "empty", "not_json", "wrong_shape"
LOST, INVENTED, REORDERED = "lost_text", "invented_text", "reordered"
INSIDE_FORMULA, UNKNOWN_KIND, UNKNOWN_STEP = "inside_formula", "unknown_kind", "unknown_step"
MISSING_STEP, TOO_LONG, MARKUP = "missing_step", "too_long", "markup"
NEW_NUMBER, DANGLING = "new_number", "dangling"

SPLIT = (
    "Split the text between the marks into consecutive steps of reasoning. Answer with a JSON list"
    " of strings that, joined, are the text character by character: change, add and leave out"
    " nothing."
)
LABEL = (
    "Each line is one numbered step of a solution. Answer with a JSON object from the number to one"
    " of these kinds: "
)
SMOOTH = (
    "Something was removed between BEFORE and AFTER. Answer with one short connecting sentence that"
    " states nothing new, or with an empty answer when none is needed."
)


class BadAnswer(ValueError):
    """The model's answer cannot be used: ``code`` is one of the reasons above."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How parts compare with a text, in order: code points lost and invented, and where first.

    White space at the edges of parts is not counted: models drop it, and it is put back.
    ``moved`` counts those of the invented that do stand in the text, but elsewhere.
    """

    missing: int
    invented: int
    place: int | None
    moved: int = 0

    @property
    def whole(self) -> bool:
        return not self.missing and not self.invented


def split_prompt(text: str) -> str:
    """The request to split a text."""
    return f"{SPLIT}\n<text>\n{text}\n</text>"


def label_prompt(steps: Sequence[str]) -> str:
    """The request to label steps."""
    lines = "\n".join(f"{i}: {_SPACE.sub(' ', step).strip()}" for i, step in enumerate(steps))
    return f"{LABEL}{', '.join(kind for kind in KINDS if kind != TAG)}.\n{lines}"


def smooth_prompt(before: str, after: str) -> str:
    """The request for a sentence over a seam."""
    return f"{SMOOTH}\nBEFORE:\n{before[-SEAM_CONTEXT:]}\nAFTER:\n{after[:SEAM_CONTEXT]}"


def read_parts(text: str, answer: str) -> list[tuple[int, int]]:
    """Ranges of the parts a model gave, which partition ``text``; BadAnswer unless it is faithful.

    White space between parts goes to the part before it. No part may begin within a formula or a
    fence.
    """
    parts = _json(answer)
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise BadAnswer(WRONG_SHAPE, "the answer is no list of strings")
    found = fidelity(text, parts)
    if not found.whole:
        raise BadAnswer(_why(found), _how(found))
    ends: list[int] = []
    cursor = 0
    for part in (part for part in parts if part.strip()):
        cursor = text.index(part.strip(), cursor) + len(part.strip())
        ends.append(cursor)
    starts = [0, *(_next_word(text, end) for end in ends[:-1])]
    _outside_formulas(text, starts)
    return list(zip(starts, [*starts[1:], len(text)], strict=True))


def _why(found: Fidelity) -> str:
    if found.invented:
        return REORDERED if found.moved == found.invented else INVENTED
    return LOST


def _how(found: Fidelity) -> str:
    return f"{found.missing} characters lost, {found.invented} invented, first at {found.place}"


def _outside_formulas(text: str, starts: Sequence[int]) -> None:
    for block in protected_ranges(text, 0, len(text)):
        at = bisect_left(starts, block.start + 1)
        if at < len(starts) and starts[at] < block.end:
            raise BadAnswer(INSIDE_FORMULA, f"a part begins within a formula at {starts[at]}")


def _next_word(text: str, place: int) -> int:
    while place < len(text) and text[place].isspace():
        place += 1
    return place


def fidelity(text: str, parts: Sequence[str]) -> Fidelity:
    """Compare parts with a text in order. Cost: linear in both where they agree.

    A part that is not found behind the one before it counts as invented; what is skipped before a
    part that is found counts as missing.
    """
    cursor = missing = invented = moved = 0
    place: int | None = None
    for part in parts:
        bare = part.strip()
        if not bare:
            continue
        at = text.find(bare, cursor)
        if at < 0:
            invented += len(bare)
            moved += len(bare) if bare in text else 0
            place = cursor if place is None else place
            continue
        if lost := len(text[cursor:at].strip()):
            missing += lost
            place = cursor if place is None else place
        cursor = at + len(bare)
    if lost := len(text[cursor:].strip()):
        missing += lost
        place = cursor if place is None else place
    return Fidelity(missing, invented, place, moved)


def read_labels(segments: Sequence[Segment], answer: str) -> list[Segment]:
    """The same leaves with the model's kinds; BadAnswer unless each has one that is known."""
    given = _json(answer)
    if not isinstance(given, dict):
        raise BadAnswer(WRONG_SHAPE, "the answer is no object from numbers to kinds")
    known = {str(number): number for number in range(len(segments))}
    for number, kind in given.items():
        if number not in known:
            raise BadAnswer(UNKNOWN_STEP, f"there is no step {number!r:.40}")
        if kind not in KINDS or kind == TAG:
            raise BadAnswer(UNKNOWN_KIND, f"{kind!r:.40} is no kind of a step")
    if missing := [number for number in known if number not in given]:
        raise BadAnswer(MISSING_STEP, f"step {missing[0]} has no kind")
    return [
        Segment(leaf.start, leaf.end, given[str(i)], leaf.path) for i, leaf in enumerate(segments)
    ]


def read_bridge(before: str, after: str, answer: str) -> str:
    """A sentence for a seam, or nothing; BadAnswer when it is long, brings markup, a number that
    neither side has, or an opener that leans on what is gone ("Wait, ")."""
    bridge = _SPACE.sub(" ", _said(answer)).strip()
    if len(bridge) > BRIDGE_LIMIT:
        raise BadAnswer(TOO_LONG, f"a bridge of {len(bridge)} characters is no short sentence")
    if any(mark in bridge for mark in "\\<`$"):
        raise BadAnswer(MARKUP, "a bridge is a plain sentence")
    shown = before[-SEAM_CONTEXT:] + after[:SEAM_CONTEXT]
    known = set(_NUMBER.findall(shown))
    if new := [number for number in _NUMBER.findall(bridge) if number not in known]:
        raise BadAnswer(NEW_NUMBER, f"the bridge states {new[0]:.40}, which stands on neither side")
    if opens_dangling(bridge + " "):
        raise BadAnswer(DANGLING, "the bridge begins with a word that answers what is gone")
    return bridge


def _said(answer: str) -> str:
    """What a model says behind its own reasoning."""
    return answer.rpartition("</think>")[2]


def _json(answer: str) -> object:
    """The list or object of an answer, from its first bracket to the last that may close it."""
    said = _said(answer)
    if not said.strip():
        raise BadAnswer(EMPTY, "the answer is empty")
    starts = [place for place in (said.find("["), said.find("{")) if place >= 0]
    if not starts:
        raise BadAnswer(NOT_JSON, "the answer holds no JSON")
    start = min(starts)
    end = said.rfind("]" if said[start] == "[" else "}")
    try:
        value: object = json.loads(said[start : end + 1])
    except (ValueError, RecursionError) as error:
        raise BadAnswer(NOT_JSON, f"the answer's JSON cannot be read: {error}") from None
    return value
