"""Apply a mapping to one row: pure, and the same for the same row."""

from __future__ import annotations

import json
import re
from typing import Any

from curation.sources.conversations import (
    completion,
    compose,
    conversation,
    looks_like_conversation,
    question_of,
    split_last,
)
from curation.sources.mapping import Mapping, value_at
from curation.sources.records import BadRow, ProblemRecord, Row, TraceRecord
from curation.sources.strictjson import literal

_LETTER = re.compile(r"\(?[A-J]\)?\.?")
_OPTIONS = re.compile(r"(?:^|\s)\(?A[).:].+?\(?B[).:]", re.DOTALL)


def apply(mapping: Mapping, row: Row) -> ProblemRecord:
    """The problem of a row with its traces; BadRow when it has no usable problem."""
    prompt = _prompt(mapping, row)
    text, composed = _problem_text(mapping, row, prompt)
    if not text.strip():
        raise BadRow("no_problem", "the row has no problem text")
    reference = _reference(mapping, row)
    choices = _choices(_first(mapping, row, "choices"))
    tests = as_tests(_first(mapping, row, "tests"))
    return ProblemRecord(
        text=text,
        kind=_given_kind(mapping, row) or guess_kind(text, reference, choices, tests),
        reference_answer=reference,
        reference_solution=text_or_none(_first(mapping, row, "reference_solution")),
        tests=tests,
        choices=choices,
        metadata=_metadata(mapping, row, composed),
        traces=_traces(mapping, row, prompt),
    )


def _first(mapping: Mapping, row: Row, role: str) -> Any:
    """The first value of a role that is there."""
    for column in mapping.of(role):
        value = value_at(row, column)
        if value is not None and value != "":
            return value
    return None


def _prompt(mapping: Mapping, row: Row) -> list[Row]:
    """The conversation before the completion, where the source holds one."""
    turns = _first(mapping, row, "messages")
    if turns is None:
        turns = _first(mapping, row, "problem")
        turns = turns if looks_like_conversation(turns) else None
    before = split_last(conversation(turns))[0] if turns is not None else []
    system = _first(mapping, row, "system")
    if isinstance(system, str) and not any(turn["role"] == "system" for turn in before):
        before = [{"role": "system", "content": system}, *before]
    return before


def _problem_text(mapping: Mapping, row: Row, prompt: list[Row]) -> tuple[str, bool]:
    values = [value_at(row, column) for column in mapping.of("problem")]
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    if len(texts) == 1:
        return texts[0], False
    if texts:
        return "\n\n".join(texts), True
    if any(value is not None and not isinstance(value, (str, list)) for value in values):
        raise BadRow("wrong_type", "the problem must be a text")
    return question_of(prompt)


def _reference(mapping: Mapping, row: Row) -> str | None:
    return reference_text(_first(mapping, row, "reference_answer"))


def reference_text(value: Any) -> str | None:
    """A reference as text, exactly as written; a list of one is its element; "" is none."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None:
        return None
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    text = literal(value)
    return text if text.strip() else None


def text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _choices(value: Any) -> list[str] | None:
    if isinstance(value, dict):
        # Options of multiple-choice sets: {"text": [...], "label": [...]} or {"A": ..., "B": ...}.
        value = value.get("text") if isinstance(value.get("text"), list) else list(value.values())
    if isinstance(value, list) and value:
        return [literal(item) for item in value]
    return None


def as_tests(value: Any) -> Row | None:
    if value is None or value in ("", [], {}):
        return None
    if isinstance(value, dict):
        return value
    return {"cases": value} if isinstance(value, list) else {"code": literal(value)}


def _given_kind(mapping: Mapping, row: Row) -> str | None:
    return mapping.constants.get("kind") or text_or_none(_first(mapping, row, "kind"))


def guess_kind(
    text: str, reference: str | None, choices: list[str] | None = None, tests: Row | None = None
) -> str:
    """The verifier for a problem: code with tests, choice with options, maths otherwise."""
    if tests:
        return "code"
    is_letter = reference is not None and _LETTER.fullmatch(reference.strip()) is not None
    if choices or (is_letter and _OPTIONS.search(text)):
        return "choice"
    return "math"


def _metadata(mapping: Mapping, row: Row, composed: bool) -> Row:
    taken = mapping.taken()
    metadata = {key: value for key, value in row.items() if key not in taken}
    constants = {k: v for k, v in mapping.constants.items() if k in ("category", "language")}
    return metadata | constants | ({"composed": True} if composed else {})


def _traces(mapping: Mapping, row: Row, prompt: list[Row]) -> tuple[TraceRecord, ...]:
    found = [
        *_responses(mapping, row),
        *_last_turn(mapping, row),
        *_preferences(mapping, row),
    ]
    model = mapping.constants.get("model") or text_or_none(_first(mapping, row, "model")) or ""
    return tuple(
        TraceRecord(
            text=text,
            model=model,
            messages=prompt,
            sample_no=number,
            finish_reason=_finish_reason(mapping, row, number, len(found)),
            upstream=_upstream(mapping, row, number, len(found)) | upstream,
            metadata={"composed": True} if composed else {},
        )
        for number, (text, composed, upstream) in enumerate(found)
        if text is not None
    )


# Text (None where the source has a gap: it keeps its number), composed, evidence.
Found = tuple[str | None, bool, Row]


def _responses(mapping: Mapping, row: Row) -> list[Found]:
    value = _first(mapping, row, "response")
    if looks_like_conversation(value):
        turn = split_last(conversation(value))[1]
        return [(*completion(turn), {})] if turn else []
    texts = as_texts(value)
    reasoning = as_texts(_first(mapping, row, "reasoning"))
    if not texts and reasoning:
        return [(compose(item, "") if item else None, True, {}) for item in reasoning]
    return [
        (*_with_reasoning(text, reasoning[number] if number < len(reasoning) else None), {})
        for number, text in enumerate(texts)
    ]


def as_texts(value: Any) -> list[str | None]:
    """The completions of a value: a text, or a list of them with None where one is missing."""
    items = value if isinstance(value, list) else [value] if value is not None else []
    if not all(item is None or isinstance(item, str) for item in items):
        raise BadRow("wrong_type", "a response must be a text")
    return items


def _with_reasoning(text: str | None, reasoning: str | None) -> tuple[str | None, bool]:
    if text is None or not reasoning or not reasoning.strip() or reasoning in text:
        return text, False
    return compose(reasoning, text), True


def _last_turn(mapping: Mapping, row: Row) -> list[Found]:
    value = _first(mapping, row, "messages")
    turn = split_last(conversation(value))[1] if value is not None else None
    return [(*completion(turn), {})] if turn else []


def _preferences(mapping: Mapping, row: Row) -> list[Found]:
    found: list[Found] = []
    for role in ("chosen", "rejected"):
        value = _first(mapping, row, role)
        if looks_like_conversation(value):
            turn = split_last(conversation(value))[1]
            text, composed = completion(turn) if turn else ("", False)
        else:
            text, composed = (value, False) if isinstance(value, str) else ("", False)
        if text:
            found.append((text, composed, {"preference": role}))
    return found


def _finish_reason(mapping: Mapping, row: Row, number: int, count: int) -> str:
    value = share(_first(mapping, row, "finish_reason"), number, count)
    return value[:32] if isinstance(value, str) else ""


def _upstream(mapping: Mapping, row: Row, number: int, count: int) -> Row:
    values = {column: value_at(row, column) for column in mapping.of("upstream")}
    return {
        column: share(value, number, count) for column, value in values.items() if value is not None
    }


def share(value: Any, number: int, count: int) -> Any:
    """The part of a value that belongs to response ``number`` of ``count``."""
    if isinstance(value, list) and len(value) == count:
        return value[number]
    return value
