"""Signs in a trace that no kind of leaf shows: self-talk, guessing, spiralling, other languages.

- **self-affirmation** and **self-negation** (DLCoT): short leaves that only say that something is
  right ("Yes, that checks out") or that it leads nowhere ("that might be too complicated").
- **last-minute guess** (BARREL): the reasoning ends with an answer that it announces as a guess, or
  that nothing before it derives.
- **second-thought spiral** (BARREL): an answer is there, and the reasoning goes on to change its
  mind again and again. How often and over how much of the text are parameters here; the paper
  gives no numbers.
- **language switches**: a leaf written in another script than the one before it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from curation.segmentation import kinds
from curation.segmentation.seal import DATA
from curation.segmentation.statements import BOXED, HEDGED, STATED
from curation.segmentation.types import AnswerMention, Segment

CUES_VERSION = "cues-1"
# Self-talk says nothing else: it is short and holds no formula.
SELF_TALK_LIMIT = 160
# A guess stands in the last leaves of the reasoning.
GUESS_LEAVES = 6
# A spiral: at least so many changes of mind behind the first answer, over this share of the text.
SPIRAL_CHANGES, SPIRAL_SHARE = 3, 0.3
# Fewer letters of another script are a name or a symbol.
SWITCH_LETTERS = 4

_FORMULA = re.compile(r"=|\\[a-z]{2,}|\d\s?[-+*/×·^]\s?\d|\\\[|\$\$")
_NUMBER = re.compile(r"\d")
_SCRIPTS = {
    "han": re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"),
    "kana": re.compile(r"[\u3040-\u30ff]"),
    "hangul": re.compile(r"[\uac00-\ud7af\u1100-\u11ff]"),
    "cyrillic": re.compile(r"[\u0400-\u052f]"),
    "arabic": re.compile(r"[\u0600-\u06ff\u0750-\u077f]"),
    "devanagari": re.compile(r"[\u0900-\u097f]"),
    "thai": re.compile(r"[\u0e00-\u0e7f]"),
    "hebrew": re.compile(r"[\u0590-\u05ff]"),
}
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
# Markup is no language: commands, environments and single letters of formulas do not count.
_MARKUP = re.compile(r"\\[A-Za-z]{1,20}|\b[A-Za-z]\b|\\\(.{0,200}?\\\)|\$[^$\n]{0,200}\$")


@dataclass(frozen=True, slots=True)
class Switch:
    """A leaf in another script than the text before it, from ``before`` to ``script``."""

    leaf: int
    before: str
    script: str


@dataclass(frozen=True, slots=True)
class Cues:
    """Indexes of leaves per sign; ``spiral`` is the leaf where it begins, None without one."""

    affirmations: tuple[int, ...]
    negations: tuple[int, ...]
    guess: int | None
    spiral: int | None
    switches: tuple[Switch, ...]


@lru_cache(maxsize=2)
def load_cues(version: str = CUES_VERSION) -> dict[str, tuple[str, ...]]:
    """The phrase lists of ``version``; KeyError for one that does not exist."""
    path = DATA / f"{version}.json"
    if not version.startswith("cues-") or not path.is_file():
        raise KeyError(version)
    raw = json.loads(path.read_text(encoding="utf-8"))
    return {name: tuple(raw[name]) for name in raw if name != "version"}


def find_cues(
    text: str, segments: Sequence[Segment], mentions: Sequence[AnswerMention], end: int
) -> Cues:
    """All signs in the reasoning, which ends at ``end`` (code points)."""
    inside = [i for i, part in enumerate(segments) if part.start < end and part.kind != kinds.TAG]
    talk = {i: self_talk(text[segments[i].start : segments[i].end]) for i in inside}
    return Cues(
        affirmations=tuple(i for i in inside if talk[i] == "affirmation"),
        negations=tuple(i for i in inside if talk[i] == "negation"),
        guess=_guess(text, segments, inside, mentions),
        spiral=_spiral(segments, mentions, end),
        switches=tuple(_switches(text, segments, inside)),
    )


def self_talk(leaf: str) -> str | None:
    """``affirmation`` or ``negation`` when the leaf says nothing else."""
    if len(leaf) > SELF_TALK_LIMIT or _FORMULA.search(leaf) or _NUMBER.search(leaf):
        return None
    lowered = leaf.lower().replace("’", "'")
    lists = load_cues()
    for name in ("negation", "affirmation"):
        if any(phrase in lowered for phrase in lists[name]):
            return name
    return None


def _guess(
    text: str,
    segments: Sequence[Segment],
    inside: Sequence[int],
    mentions: Sequence[AnswerMention],
) -> int | None:
    """The leaf near the end that takes an answer without deriving it."""
    phrases = load_cues()["guess"]
    for index in inside[-GUESS_LEAVES:]:
        lowered = text[segments[index].start : segments[index].end][:600].lower()
        if any(phrase in lowered for phrase in phrases):
            return index
    last = [m for m in mentions if inside and m.leaf in inside[-GUESS_LEAVES:]]
    hedged = [m for m in last if m.strength == HEDGED]
    firm = [m for m in mentions if m.strength in (BOXED, STATED)]
    return hedged[-1].leaf if hedged and not firm else None


def changes_of_mind(mentions: Sequence[AnswerMention]) -> list[AnswerMention]:
    """Firm statements whose value is another than that of the firm statement before."""
    changes: list[AnswerMention] = []
    value: str | None = None
    for mention in mentions:
        if mention.strength not in (BOXED, STATED):
            continue
        if value is not None and mention.value.strip() != value:
            changes.append(mention)
        value = mention.value.strip()
    return changes


def _spiral(segments: Sequence[Segment], mentions: Sequence[AnswerMention], end: int) -> int | None:
    """The first firm answer, when doubts and changes go on behind it for long."""
    firm = next((m for m in mentions if m.strength in (BOXED, STATED)), None)
    if firm is None or firm.end >= end or (end - firm.end) < SPIRAL_SHARE * end:
        return None
    turns = (kinds.BACKTRACK, kinds.CHANGE)
    behind = [part for part in segments[firm.leaf + 1 :] if part.start < end]
    doubts = sum(part.kind in turns for part in behind)
    changed = [m for m in changes_of_mind(mentions) if m.start < end]
    enough = len(changed) >= SPIRAL_CHANGES or (changed and doubts >= SPIRAL_CHANGES)
    return firm.leaf if enough else None


def script_of(leaf: str) -> str | None:
    """The script a leaf is written in; None for formulas and numbers alone."""
    if leaf.isascii():
        return "latin" if len(_LATIN.findall(_MARKUP.sub(" ", leaf))) >= SWITCH_LETTERS else None
    prose = _MARKUP.sub(" ", leaf)
    counts = {name: len(pattern.findall(prose)) for name, pattern in _SCRIPTS.items()}
    # A word of six letters and a Chinese one of two say about as much.
    counts["latin"] = len(_LATIN.findall(prose)) // 3
    best = max(counts, key=lambda name: counts[name])
    floor = SWITCH_LETTERS if best != "latin" else 2
    return best if counts[best] >= floor else None


def _switches(text: str, segments: Sequence[Segment], inside: Sequence[int]) -> list[Switch]:
    found: list[Switch] = []
    now: str | None = None
    for index in inside:
        script = script_of(text[segments[index].start : segments[index].end])
        if script is None:
            continue
        if now is not None and script != now:
            found.append(Switch(index, now, script))
        now = script
    return found
