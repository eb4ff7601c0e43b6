"""What every record must keep to, whatever adapter made it."""

from __future__ import annotations

from typing import Any

from curation.sources.records import BadRow, ProblemRecord, TraceRecord

# Longest values that the tables take, in characters.
LONGEST = {"kind": 32, "model": 300, "finish_reason": 32}


def check_records(problems: list[ProblemRecord]) -> None:
    """BadRow when a row holds no problem, or a value of a type or length that cannot be stored."""
    if not problems:
        raise BadRow("no_problem", "the row holds no problem")
    for problem in problems:
        _check_problem(problem)
        for trace in problem.traces:
            _check_trace(trace)


def _check_problem(problem: ProblemRecord) -> None:
    _text("problem", problem.text)
    if not problem.text.strip():
        raise BadRow("no_problem", "the problem text is empty")
    _short("kind", problem.kind)


def _check_trace(trace: TraceRecord) -> None:
    _text("response", trace.text)
    _short("model", trace.model)
    _short("finish_reason", trace.finish_reason)


def _text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise BadRow("wrong_type", f"{name} must be a text, not {type(value).__name__}")


def _short(name: str, value: Any) -> None:
    _text(name, value)
    if len(value) > LONGEST[name]:
        raise BadRow("too_long", f"{name} has {len(value)} characters, at most {LONGEST[name]}")
