"""What a browser or a script sends as a judgement, checked field by field."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from reviews.models import Review

MAX_CUTS = 5000
MAX_LABELS = 20_000
MAX_TEXT = 20_000
ACTIONS = ("drop", "condense")
Range = dict[str, Any]


class BadReview(Exception):
    """A submission that cannot be taken: a reason code and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Submission:
    """A reviewer's judgement as sent; ranges are code points of the trace's text."""

    decision: str
    cuts: list[Range] = field(default_factory=list)
    labels: list[Range] = field(default_factory=list)
    spans: list[Range] = field(default_factory=list)
    kinds: list[Range] = field(default_factory=list)
    kept: list[Range] = field(default_factory=list)
    rejected: list[int] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    dispute: dict[str, str] | None = None
    first_error: int | None = None
    flagged: bool = False
    note: str = ""
    coverage: float | None = None
    read: list[list[float]] = field(default_factory=list)
    seconds: float | None = None
    segmenter: str = ""


def quote_hash(text: str, start: int, end: int) -> str:
    return hashlib.sha256(text[start:end].encode("utf-8", "surrogatepass")).hexdigest()


def parse(data: Any) -> Submission:
    """A submission from JSON; BadReview names the field that is wrong."""
    if not isinstance(data, dict):
        raise BadReview("bad_json", "an object is needed")
    decision = data.get("decision")
    if decision not in Review.Decision.values:
        raise BadReview("bad_decision", f"decision: one of {', '.join(Review.Decision.values)}")
    values = data.get("values") or {}
    if not isinstance(values, dict) or len(json.dumps(values)) > 200_000:
        raise BadReview("bad_values", "values: an object is needed")
    return Submission(
        decision=decision,
        **{name: _many(data, name, most, one) for name, (most, one) in RANGES.items()},
        rejected=[i for i in list_of(data, "rejected", MAX_CUTS) if type(i) is int],
        values=values,
        dispute=dispute_of(data.get("dispute")),
        first_error=integer(data, "first_error"),
        flagged=data.get("flagged") is True,
        note=text_of(data, "note"),
        coverage=number(data, "coverage", 1.0),
        read=[read_of(item) for item in list_of(data, "read", MAX_LABELS)],
        seconds=number(data, "seconds", 1e6),
        segmenter=str(data.get("segmenter") or "")[:64],
    )


def _many(data: Range, name: str, most: int, one: Callable[[Any, str], Range]) -> list[Range]:
    return [one(item, name) for item in list_of(data, name, most)]


def list_of(data: Range, name: str, most: int) -> list[Any]:
    value = data.get(name) or []
    if not isinstance(value, list) or len(value) > most:
        raise BadReview(f"bad_{name}", f"{name}: a list of at most {most} is needed")
    return value


def has_nul(value: Any) -> bool:
    """Whether a text anywhere in a JSON value holds NUL, which PostgreSQL cannot store."""
    if isinstance(value, dict):
        return any(has_nul(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return any(map(has_nul, value))
    return isinstance(value, str) and "\x00" in value


def text_of(data: Range, name: str, most: int = MAX_TEXT) -> str:
    """A text without the one character that PostgreSQL cannot hold."""
    return str(data.get(name) or "").replace("\x00", "")[:most]


def integer(data: Range, name: str) -> int | None:
    value = data.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadReview(f"bad_{name}", f"{name}: a number >= 0 is needed")
    return value


def number(data: Range, name: str, most: float) -> float | None:
    value = data.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise BadReview(f"bad_{name}", f"{name}: a number between 0 and {most:g} is needed")
    return float(value)


def range_of(item: Any, name: str) -> Range:
    if not isinstance(item, dict):
        raise BadReview(f"bad_{name}", f"{name}: objects are needed")
    start, end = integer(item, "start"), integer(item, "end")
    if start is None or end is None or start >= end:
        raise BadReview(f"bad_{name}", f"{name}: start < end is needed")
    quote = str(item.get("quote_sha256") or "")
    return {"start": start, "end": end, "reason": text_of(item, "reason", 200),
            "quote_sha256": quote}  # fmt: skip


def cut_of(item: Any, name: str) -> Range:
    """A range to drop, or to condense into ``text``; ``proposal`` is the one it came from."""
    cut = range_of(item, name)
    action = item.get("action") or "drop"
    if action not in ACTIONS:
        raise BadReview(f"bad_{name}", f"{name}: action is one of {', '.join(ACTIONS)}")
    if action == "condense":
        cut |= {"action": action, "text": text_of(item, "text")}
        if not cut["text"].strip():
            raise BadReview(f"bad_{name}", f"{name}: condense needs the shorter text")
    if type(item.get("proposal")) is int:
        cut["proposal"] = item["proposal"]
    return cut


def label_of(item: Any, name: str = "labels") -> Range:
    """A step: -1, 0, 1 or unset (null) with a flag or a better step (PRM800K's fields)."""
    label = range_of(item, name)
    value = item.get("label")
    if value not in (-1, 0, 1, None) or isinstance(value, bool):
        raise BadReview(f"bad_{name}", f"{name}: label is -1, 0, 1 or null")
    extra = {"flagged": item.get("flagged") is True, "alternative": text_of(item, "alternative")}
    return label | {"label": value} | extra


def span_of(item: Any, name: str) -> Range:
    span = range_of(item, name)
    label = text_of(item, "label", 60).strip()
    if not label:
        raise BadReview(f"bad_{name}", f"{name}: a label is needed")
    return span | {"label": label}


def kind_of(item: Any, name: str) -> Range:
    kind = text_of(item, "kind", 32) if isinstance(item, dict) else ""
    if not kind:
        raise BadReview(f"bad_{name}", f"{name}: a kind is needed")
    return range_of(item, name) | {"kind": kind, "was": text_of(item, "was", 32)}


def read_of(item: Any) -> list[float]:
    """[start, end, seconds on screen]."""
    good = isinstance(item, list) and len(item) == 3
    if not good or not all(type(v) in (int, float) and 0 <= v < 1e9 for v in item):
        raise BadReview("bad_read", "read: [start, end, seconds] are needed")
    return [int(item[0]), int(item[1]), round(float(item[2]), 1)]


def coverage_of(submission: Submission, chars: int) -> float | None:
    """Share of the text that was on screen: from the ranges, where they were sent, else as said."""
    if not submission.read:
        return submission.coverage
    seen = reached = 0
    for start, end, seconds in sorted(submission.read):
        if seconds > 0 and end > reached:
            seen += int(min(end, chars) - min(max(start, reached), chars))
            reached = int(end)
    return seen / chars if chars else 1.0


def dispute_of(value: Any) -> dict[str, str] | None:
    """The reviewer says that the reference answer is wrong, what is right, and why."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise BadReview("bad_dispute", "dispute: an object is needed")
    found = {"answer": text_of(value, "answer", 2000), "why": text_of(value, "why")}
    if not found["answer"].strip() and not found["why"].strip():
        return None
    return found


RANGES: dict[str, tuple[int, Callable[[Any, str], Range]]] = {
    "cuts": (MAX_CUTS, cut_of),
    "labels": (MAX_LABELS, label_of),
    "spans": (MAX_CUTS, span_of),
    "kinds": (MAX_LABELS, kind_of),
    "kept": (MAX_CUTS, range_of),
}


def check_ranges(text: str, ranges: list[Range], name: str, apart: bool = True) -> list[Range]:
    """The ranges in order with the hash of what they quote; with ``apart`` they may not overlap."""
    checked = []
    end = 0
    for item in sorted(ranges, key=lambda r: (int(r["start"]), int(r["end"]))):
        if item["end"] > len(text):
            raise BadReview(f"bad_{name}", f"{name}: {item['end']} is past the end, {len(text)}")
        if apart and item["start"] < end:
            raise BadReview(f"bad_{name}", f"{name}: ranges overlap at {item['start']}")
        end = item["end"]
        found = quote_hash(text, item["start"], item["end"])
        if item["quote_sha256"] and item["quote_sha256"] != found:
            raise BadReview("text_differs", f"{name}: {item['start']} quotes another text")
        checked.append(item | {"quote_sha256": found})
    return checked
