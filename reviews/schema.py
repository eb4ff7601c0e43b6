"""What a project asks of its reviewers: labels, span names, reasons of cuts, limits.

Kept in ``Project.settings["review"]``; every part is optional:

    {"labels": [{"name": "clarity", "title": "Clarity", "type": "rating", "max": 5}, …],
     "spans": ["wrong", "unclear"], "cut_reasons": ["repeat", "detour"],
     "token_limit": 4096, "tokenizer": "demo-teacher"}
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any

from curation.models import Project

TYPES = ("choice", "multi", "rating", "text")
SPANS = ("wrong", "unclear", "guess", "key step")
CUT_REASONS = (
    "repeats what stands before",
    "after the answer",
    "detour that leads nowhere",
    "checks again",
    "filler",
)
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
MOST = 40


class BadSchema(ValueError):
    """A schema that cannot be used; the sentence says where."""


@dataclass(frozen=True, slots=True)
class Label:
    """One question about a whole trace."""

    name: str
    title: str
    type: str
    choices: tuple[str, ...] = ()
    max: int = 5
    required: bool = False


@dataclass(frozen=True, slots=True)
class ReviewSchema:
    labels: tuple[Label, ...] = ()
    spans: tuple[str, ...] = SPANS
    cut_reasons: tuple[str, ...] = CUT_REASONS
    token_limit: int | None = None
    tokenizer: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        found = asdict(self)
        del found["extra"]
        return found


def schema_of(project: Project) -> ReviewSchema:
    """The project's schema; what is broken in a stored one falls back to the defaults."""
    try:
        return parse_schema((project.settings or {}).get("review") or {})
    except BadSchema:
        return ReviewSchema()


def parse_schema(data: Any) -> ReviewSchema:
    """A checked schema; BadSchema names the part that is wrong."""
    if not isinstance(data, dict):
        raise BadSchema("an object is needed")
    if unknown := set(data) - {"labels", "spans", "cut_reasons", "token_limit", "tokenizer"}:
        raise BadSchema(f"unknown: {', '.join(sorted(map(str, unknown)))}")
    labels = data.get("labels") or []
    if not isinstance(labels, list) or len(labels) > MOST:
        raise BadSchema(f"labels: a list of at most {MOST}")
    parsed = tuple(_label(item, i) for i, item in enumerate(labels))
    if len({label.name for label in parsed}) < len(parsed):
        raise BadSchema("labels: each name once")
    return ReviewSchema(
        parsed,
        _words(data, "spans", SPANS),
        _words(data, "cut_reasons", CUT_REASONS),
        _limit(data.get("token_limit")),
        str(data.get("tokenizer") or "")[:100],
    )


def _label(item: Any, i: int) -> Label:
    if not isinstance(item, dict) or not NAME.fullmatch(str(item.get("name"))):
        raise BadSchema(f"labels[{i}]: a name of a-z, 0-9 and _ is needed")
    kind = item.get("type")
    if kind not in TYPES:
        raise BadSchema(f"labels[{i}]: type is one of {', '.join(TYPES)}")
    choices = item.get("choices") or []
    if kind in ("choice", "multi") and (not isinstance(choices, list) or len(choices) < 2):
        raise BadSchema(f"labels[{i}]: two choices or more are needed")
    most = item.get("max", 5)
    if isinstance(most, bool) or not isinstance(most, int) or not 2 <= most <= 10:
        raise BadSchema(f"labels[{i}]: max is 2 to 10")
    return Label(
        item["name"],
        str(item.get("title") or item["name"])[:100],
        kind,
        tuple(str(c)[:100] for c in choices[:MOST]),
        most,
        bool(item.get("required")),
    )


def _words(data: dict[str, Any], name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    value = data.get(name)
    if value is None:
        return default
    if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
        raise BadSchema(f"{name}: a list of words is needed")
    return tuple(v.strip()[:60] for v in value[:MOST])


def _limit(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadSchema("token_limit: a number above 0")
    return value


def check_values(schema: ReviewSchema, values: Any, complete: bool) -> dict[str, Any]:
    """The answers that the schema knows; BadSchema for a wrong one, or a missing required one."""
    if not isinstance(values, dict):
        raise BadSchema("values: an object is needed")
    known = {label.name: label for label in schema.labels}
    if unknown := set(values) - set(known):
        raise BadSchema(f"values: no such label: {', '.join(sorted(map(str, unknown)))}")
    found = {n: _value(known[n], v) for n, v in values.items() if v not in (None, "", [])}
    missing = [la.title for la in schema.labels if la.required and la.name not in found]
    if complete and missing:
        raise BadSchema(f"still to answer: {', '.join(missing)}")
    return found


def _value(label: Label, value: Any) -> Any:
    good = {
        "choice": lambda: value in label.choices,
        "multi": lambda: isinstance(value, list) and set(map(str, value)) <= set(label.choices),
        "rating": lambda: type(value) is int and 1 <= value <= label.max,
        "text": lambda: isinstance(value, str) and len(value) <= 20_000,
    }[label.type]()
    if not good:
        raise BadSchema(f"{label.name}: {str(value)[:80]!r} is not possible")
    return value
