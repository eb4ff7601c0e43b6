"""What a project asks of its reviewers: labels, span names, reasons of cuts, limits.

Kept in ``Project.settings["review"]``; every part is optional:

    {"labels": [{"name": "clarity", "title": "Clarity", "type": "rating", "max": 5}, …],
     "spans": ["wrong", "unclear"], "cut_reasons": ["repeat", "detour"],
     "token_limit": 4096, "tokenizer": "demo-teacher"}

Names of questions that were asked once and are not any more stand in
``Project.settings["review_retired"]``: a draft may still hold answers to them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any

from curation.models import Project
from reviews.submission import has_nul

TYPES = ("choice", "multi", "rating", "text")
SPANS = ("wrong", "unclear", "guess", "key step")
CUT_REASONS = (
    "repeats what stands before",
    "after the answer",
    "detour that leads nowhere",
    "checks again",
    "filler",
)
PARTS = ("labels", "spans", "cut_reasons", "token_limit", "tokenizer")
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
MOST = 40
LONGEST = 100  # characters of a title or a choice
LONGEST_WORD = 60  # of a span's name or a reason


class BadSchema(ValueError):
    """A schema that cannot be used; the sentence says where.

    ``part`` is one of PARTS or "", ``row`` a place in labels, ``key`` a key of that label.
    """

    def __init__(self, why: str, part: str = "", row: int | None = None, key: str = "") -> None:
        place = part if row is None else f"{part}[{row}]"
        super().__init__(f"{place}: {why}" if place else why)
        self.why, self.part, self.row, self.key = why, part, row, key


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
    retired: frozenset[str] = field(default=frozenset())

    def as_json(self) -> dict[str, Any]:
        found = asdict(self)
        del found["retired"]
        return found


def schema_of(project: Project) -> ReviewSchema:
    """The project's schema; what is broken in a stored one is left out, the rest is used."""
    settings = project.settings or {}
    stored = settings.get("review") or {}
    retired = frozenset(map(str, settings.get("review_retired") or []))
    return examine(stored, keep=stored if isinstance(stored, dict) else (), retired=retired)[0]


def parse_schema(data: Any, keep: Collection[str] = ()) -> ReviewSchema:
    """A checked schema; BadSchema names the first part that is wrong.

    ``keep`` are unknown keys that are stored already and so may stay; a new one is a mistake.
    """
    schema, faults = examine(data, keep)
    if faults:
        raise faults[0]
    return schema


def examine(
    data: Any, keep: Collection[str] = (), retired: frozenset[str] = frozenset()
) -> tuple[ReviewSchema, list[BadSchema]]:
    """(what of a schema can be used, everything that is wrong with it)."""
    if not isinstance(data, dict):
        return ReviewSchema(retired=retired), [BadSchema("an object is needed")]
    faults: list[BadSchema] = []
    if has_nul(data):
        return ReviewSchema(retired=retired), [BadSchema("the character NUL cannot be stored")]
    if unknown := set(data) - {*PARTS, *keep}:
        faults.append(BadSchema(f"unknown: {', '.join(sorted(map(str, unknown)))}"))
    schema = ReviewSchema(
        _labels(data.get("labels") or [], faults),
        _words(data, "spans", SPANS, faults),
        _words(data, "cut_reasons", CUT_REASONS, faults),
        _limit(data.get("token_limit"), faults),
        str(data.get("tokenizer") or "")[:100],
        retired,
    )
    return schema, faults


def _labels(items: Any, faults: list[BadSchema]) -> tuple[Label, ...]:
    if not isinstance(items, list) or len(items) > MOST:
        faults.append(BadSchema(f"a list of at most {MOST}", "labels"))
        return ()
    found: dict[str, Label] = {}
    for i, item in enumerate(items):
        label = _label(item, i, faults)
        if label is None:
            continue
        if label.name in found:
            faults.append(BadSchema("each name once", "labels", i, "name"))
        else:
            found[label.name] = label
    return tuple(found.values())


def _label(item: Any, i: int, faults: list[BadSchema]) -> Label | None:
    """A question, or None where it cannot be asked; what is wrong goes into ``faults``."""
    if not isinstance(item, dict):
        faults.append(BadSchema("an object is needed", "labels", i))
        return None
    wrong: list[BadSchema] = []
    name, kind, most = item.get("name"), item.get("type"), item.get("max", 5)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        why = "a name of a-z, 0-9 and _ that starts with a letter is needed, 40 at most"
        wrong.append(BadSchema(why, "labels", i, "name"))
    if kind not in TYPES:
        wrong.append(BadSchema(f"type is one of {', '.join(TYPES)}", "labels", i, "type"))
    if isinstance(most, bool) or not isinstance(most, int) or not 2 <= most <= 10:
        wrong.append(BadSchema("max is 2 to 10", "labels", i, "max"))
    choices = _choices(item.get("choices") or [], i, wrong, kind in ("choice", "multi"))
    title = str(item.get("title") or name)
    faults += wrong
    if len(title) > LONGEST:
        faults.append(BadSchema(f"{LONGEST} characters at most", "labels", i, "title"))
    if wrong:
        return None
    required = bool(item.get("required"))
    return Label(str(name), title[:LONGEST], str(kind), choices, most, required)


def _choices(items: Any, i: int, wrong: list[BadSchema], needed: bool) -> tuple[str, ...]:
    if not needed:
        return tuple(str(c)[:LONGEST] for c in items[:MOST]) if isinstance(items, list) else ()
    why = ""
    if not isinstance(items, list) or len(items) < 2:
        why = "two choices or more are needed"
    elif len(items) > MOST:
        why = f"{MOST} choices at most"
    elif any(not str(c).strip() or len(str(c)) > LONGEST for c in items):
        why = f"a choice has 1 to {LONGEST} characters"
    elif len({str(c) for c in items}) < len(items):
        why = "each choice once"
    if why:
        wrong.append(BadSchema(why, "labels", i, "choices"))
        return ()
    return tuple(map(str, items))


def _words(
    data: dict[str, Any], name: str, default: tuple[str, ...], faults: list[BadSchema]
) -> tuple[str, ...]:
    value = data.get(name)
    if value is None:
        return default
    if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
        faults.append(BadSchema("a list of words is needed", name))
        return default
    if len(value) > MOST or any(len(v.strip()) > LONGEST_WORD for v in value):
        why = f"{MOST} at most, each of 1 to {LONGEST_WORD} characters"
        faults.append(BadSchema(why, name))
    return tuple(dict.fromkeys(v.strip()[:LONGEST_WORD] for v in value[:MOST]))


def _limit(value: Any, faults: list[BadSchema]) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        faults.append(BadSchema("a whole number above 0", "token_limit"))
        return None
    return value


def check_values(schema: ReviewSchema, values: Any, complete: bool) -> dict[str, Any]:
    """The answers that the schema knows; BadSchema for a wrong one, or a missing required one.

    Answers to questions that are not asked any more are left out: a draft begun before may hold
    some, and its writer has no field left to take them back.
    """
    if not isinstance(values, dict):
        raise BadSchema("an object is needed", "values")
    known = {label.name: label for label in schema.labels}
    if unknown := set(values) - set(known) - schema.retired:
        raise BadSchema(f"no such label: {', '.join(sorted(map(str, unknown)))}", "values")
    found = {
        name: value_of(known[name], value)
        for name, value in values.items()
        if name in known and value not in (None, "", [])
    }
    missing = [la.title for la in schema.labels if la.required and la.name not in found]
    if complete and missing:
        raise BadSchema(f"still to answer: {', '.join(missing)}")
    return found


def possible(label: Label, value: Any) -> bool:
    """Whether a value is an answer to the question."""
    if label.type == "choice":
        return isinstance(value, str) and value in label.choices
    if label.type == "multi":
        return isinstance(value, list) and set(map(str, value)) <= set(label.choices)
    if label.type == "rating":
        return type(value) is int and 1 <= value <= label.max
    return isinstance(value, str) and len(value) <= 20_000


def value_of(label: Label, value: Any) -> Any:
    """The value itself; BadSchema when it is no answer to the question."""
    if not possible(label, value):
        raise BadSchema(f"{label.name}: {str(value)[:80]!r} is not possible")
    return value
