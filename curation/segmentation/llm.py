"""An optional pass by a language model: split, label, or smooth the seam of a cut. Pure.

``split_prompt`` and its kin make the request, ``read_parts`` and its kin read the answer. Nothing
is believed: parts must be the text, in its order, to the character (``fidelity``), where the code
published with DLCoT compares bags of characters and passes parts in any order with a tenth missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from curation.segmentation.kinds import KINDS
from curation.segmentation.types import Segment

_SPACE = re.compile(r"\s+")
_JSON = re.compile(r"\[[\s\S]*\]|\{[\s\S]*\}")
BRIDGE_LIMIT = 300

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
    """The model's answer cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How parts compare with a text, in order: code points lost and invented, and where first.

    White space at the edges of parts is not counted: models drop it, and it is put back.
    """

    missing: int
    invented: int
    place: int | None

    @property
    def whole(self) -> bool:
        return not self.missing and not self.invented


def split_prompt(text: str) -> str:
    """The request to split a text."""
    return f"{SPLIT}\n<text>\n{text}\n</text>"


def label_prompt(steps: Sequence[str]) -> str:
    """The request to label steps."""
    lines = "\n".join(f"{i}: {_SPACE.sub(' ', step).strip()}" for i, step in enumerate(steps))
    return f"{LABEL}{', '.join(kind for kind in KINDS if kind != 'tag')}.\n{lines}"


def smooth_prompt(before: str, after: str) -> str:
    """The request for a sentence over a seam."""
    return f"{SMOOTH}\nBEFORE:\n{before[-600:]}\nAFTER:\n{after[:600]}"


def read_parts(text: str, answer: str) -> list[tuple[int, int]]:
    """Ranges of the parts a model gave, which partition ``text``; BadAnswer unless it is faithful.

    White space between parts goes to the part before it.
    """
    parts = _json(answer)
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise BadAnswer("the answer is no list of strings")
    found = fidelity(text, parts)
    if not found.whole:
        raise BadAnswer(
            f"{found.missing} characters lost, {found.invented} invented, first at {found.place}"
        )
    ends: list[int] = []
    cursor = 0
    for part in (part for part in parts if part.strip()):
        cursor = text.index(part.strip(), cursor) + len(part.strip())
        ends.append(cursor)
    starts = [0, *(_next_word(text, end) for end in ends[:-1])]
    return list(zip(starts, [*starts[1:], len(text)], strict=True))


def _next_word(text: str, place: int) -> int:
    while place < len(text) and text[place].isspace():
        place += 1
    return place


def fidelity(text: str, parts: Sequence[str]) -> Fidelity:
    """Compare parts with a text in order. Cost: linear in both where they agree.

    A part that is not found behind the one before it counts as invented; what is skipped before a
    part that is found counts as missing.
    """
    cursor = missing = invented = 0
    place: int | None = None
    for part in parts:
        bare = part.strip()
        if not bare:
            continue
        at = text.find(bare, cursor)
        if at < 0:
            invented += len(bare)
            place = cursor if place is None else place
            continue
        if lost := len(text[cursor:at].strip()):
            missing += lost
            place = cursor if place is None else place
        cursor = at + len(bare)
    if lost := len(text[cursor:].strip()):
        missing += lost
        place = cursor if place is None else place
    return Fidelity(missing, invented, place)


def read_labels(segments: Sequence[Segment], answer: str) -> list[Segment]:
    """The same leaves with the model's kinds; BadAnswer for unknown kinds or numbers."""
    given = _json(answer)
    if not isinstance(given, dict):
        raise BadAnswer("the answer is no object from numbers to kinds")
    kinds: dict[int, str] = {}
    for number, kind in given.items():
        if not str(number).isdigit() or int(number) >= len(segments) or kind not in KINDS:
            raise BadAnswer(f"{number!r}: {kind!r} is no kind of a step")
        kinds[int(number)] = kind
    return [
        Segment(leaf.start, leaf.end, kinds.get(i, leaf.kind), leaf.path)
        for i, leaf in enumerate(segments)
    ]


def read_bridge(before: str, after: str, answer: str) -> str:
    """A sentence for a seam; BadAnswer when it is long or brings a number that neither side has."""
    bridge = _SPACE.sub(" ", answer).strip()
    if len(bridge) > BRIDGE_LIMIT or "\\boxed" in bridge or "<" in bridge:
        raise BadAnswer("a bridge is one short sentence without markup")
    known = set(re.findall(r"\d+", before + after))
    if new := [number for number in re.findall(r"\d+", bridge) if number not in known]:
        raise BadAnswer(f"the bridge states {new[0]}, which stands on neither side")
    return bridge


def _json(answer: str) -> object:
    match = _JSON.search(answer)
    if match is None:
        raise BadAnswer("the answer holds no JSON")
    try:
        value: object = json.loads(match.group())
    except ValueError as error:
        raise BadAnswer(f"the answer's JSON cannot be read: {error}") from None
    return value
