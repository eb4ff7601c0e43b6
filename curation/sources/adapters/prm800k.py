"""PRM800K: a solution written step by step, each step rated -1, 0 or 1 by a person.

The trace is the path that was followed; ``metadata["steps"]`` holds each step's range and rating.
A rating of 0 is neutral, not wrong. Repository: openai/prm800k.
"""

from __future__ import annotations

from typing import Any

from curation.sources.adapters.base import Adapter, Sample
from curation.sources.convert import reference_text, text_or_none
from curation.sources.records import BadRow, ProblemRecord, ReadRow, Row, TraceRecord


def score(sample: Sample) -> float:
    labels = [isinstance(value, dict) and "steps" in value for value in sample.values("label")]
    return 0.9 if sample.every("question", "label", "labeler") and all(labels) else 0.0


def convert(row: ReadRow, file: str) -> list[ProblemRecord]:
    question, label = row.data.get("question"), row.data.get("label")
    if not isinstance(question, dict) or not isinstance(label, dict):
        raise BadRow("wrong_type", "question and label must be objects")
    text = question.get("problem")
    if not isinstance(text, str) or not text.strip():
        raise BadRow("no_problem", "question.problem is empty")
    followed = [step for step in map(_followed, label.get("steps") or []) if step]
    traces = (_trace(followed, label),) if followed else ()
    return [
        ProblemRecord(
            text,
            reference_answer=reference_text(question.get("ground_truth_answer")),
            reference_solution=text_or_none(question.get("ground_truth_solution")),
            traces=traces,
        )
    ]


def _followed(step: Any) -> tuple[str, int | None] | None:
    """Text and rating of the completion that was gone on with, or the person's own."""
    if not isinstance(step, dict):
        return None
    given, chosen = step.get("completions") or [], step.get("chosen_completion")
    if isinstance(chosen, int) and 0 <= chosen < len(given):
        return _text_of(given[chosen]), given[chosen].get("rating")
    human = step.get("human_completion")
    if human:
        return _text_of(human), None
    return (_text_of(given[-1]), given[-1].get("rating")) if given else None


def _text_of(completion: Any) -> str:
    """``human_completion`` is a text in some rows and an object in others."""
    return str(completion.get("text") or "") if isinstance(completion, dict) else str(completion)


def _trace(steps: list[tuple[str, int | None]], label: Row) -> TraceRecord:
    ranges, position = [], 0
    for text, rating in steps:
        ranges.append({"start": position, "end": position + len(text), "rating": rating})
        position += len(text) + 1
    return TraceRecord(
        "\n".join(text for text, _ in steps),
        upstream={"finish_reason": label.get("finish_reason")},
        metadata={"composed": True, "steps": ranges},
    )


ADAPTER = Adapter("prm800k", "PRM800K step ratings", score, convert)
