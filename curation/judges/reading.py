"""A judge's answer: the last JSON object that knows the fence's id, and nothing else. Pure."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from curation.judges.prompts import ASPECTS, MAX_REASON, TOP_GRADE, VERDICTS, Mode
from curation.segmentation.tags import split_reasoning

UNREADABLE, ERROR = "unreadable", "error"
MAX_TEXT = 100_000  # characters at the end of an answer that are looked at
MAX_OBJECTS = 50
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Reading:
    """One vote. ``verdict``: ``correct``, ``incorrect``, ``cannot_tell``, ``A``, ``B``, ``tie``,
    or ``error`` with a ``reason`` (``unreadable``, ``truncated``). ``score`` is in [0, 1] for
    rubrics, ``location`` the first wrong step or -1."""

    verdict: str
    score: float | None = None
    location: int | None = None
    reason: str = ""
    words: str = ""


def read(text: str, mode: Mode, fence: str, *, steps: int = 0, truncated: bool = False) -> Reading:
    """Read one answer; never raises. ``steps`` bounds the location of a step review."""
    split = split_reasoning(text)
    if truncated or not split.closed:
        return Reading(ERROR, reason="truncated")
    found = _objects(text[split.answer_start :][-MAX_TEXT:])
    mine = [one for one in found if one.get("id") == fence]
    if not mine:
        return Reading(ERROR, reason=UNREADABLE)
    return _reading(mine[-1], mode, steps)


def _objects(text: str) -> list[dict[str, Any]]:
    """The JSON objects in a text, in order; the last ``MAX_OBJECTS`` opening braces are tried."""
    starts = [match.start() for match in re.finditer(r"\{", text)][-MAX_OBJECTS:]
    found: list[dict[str, Any]] = []
    after = 0
    for start in starts:
        if start < after:
            continue
        try:
            value, after = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


def _reading(given: dict[str, Any], mode: Mode, steps: int) -> Reading:
    words = given.get("reason")
    said = words[:MAX_REASON] if isinstance(words, str) else ""
    if mode == "rubric":
        grades = [given.get(aspect) for aspect in ASPECTS]
        if all(_grade(grade) for grade in grades):
            total = math.fsum(float(grade) for grade in grades if grade is not None)
            return Reading("graded", total / (TOP_GRADE * len(ASPECTS)), words=said)
    elif mode == "steps":
        at = given.get("first_wrong_step")
        if type(at) is int and -1 <= at < steps:
            return Reading("correct" if at == -1 else "incorrect", location=at, words=said)
    else:
        allowed = ("A", "B", "tie") if mode == "pair" else VERDICTS
        if given.get("verdict") in allowed:
            return Reading(str(given["verdict"]), words=said)
    return Reading(ERROR, reason=UNREADABLE, words=said)


def _grade(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and 0 <= value <= TOP_GRADE


_SCORE = re.compile(r"\s*([A-Za-z_]{1,40})\s*[:=]\s*(-?\d{1,6}(?:\.\d{1,20})?)\s*")


def read_reward(text: str) -> dict[str, float]:
    """Scores in a reward model's answer: ``helpfulness:1.6,correctness:2.0`` (as served over chat
    completions) or one bare number; {} where it is neither."""
    try:
        value = float(text)
        return {"reward": value} if math.isfinite(value) else {}
    except ValueError:
        pass
    pairs = [_SCORE.fullmatch(part) for part in text.strip().split(",")[:50]]
    if not pairs or not all(pairs):
        return {}
    return {pair[1]: float(pair[2]) for pair in pairs if pair}
