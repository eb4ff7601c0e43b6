"""Solutions given as steps, with a label for the first wrong one (or for each).

ProcessBench (``label``, -1 for none), BIG-Bench Mistake (``mistake_index``, null for none) and
MR-GSM8K (``model_output_solution_first_error_step``, from 1). The steps are joined by blank lines
into one trace; ``metadata["steps"]`` holds their ranges and ``upstream["first_error"]`` the index
of the first wrong step from 0, or null.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from curation.sources.adapters.base import Adapter, Sample
from curation.sources.convert import guess_kind, reference_text, text_or_none
from curation.sources.records import BadRow, ProblemRecord, ReadRow, Row, TraceRecord


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of one family."""

    problem: str
    steps: str
    label: str
    reference: str
    solution: str
    model: str
    flags: tuple[str, ...]
    from_one: bool = False


SHAPES = (
    Shape("problem", "steps", "label", "", "", "generator", ("final_answer_correct",)),
    Shape("input", "steps", "mistake_index", "target", "", "", ("answer",)),
    Shape(
        "question",
        "model_output_steps",
        "model_output_solution_first_error_step",
        "ground_truth_answer",
        "ground_truth_solution",
        "",
        (
            "model_output_answer_correctness",
            "model_output_solution_correctness",
            "model_output_solution_first_error_reason",
        ),
        from_one=True,
    ),
)


def _shape(row: Row) -> Shape | None:
    found = (shape for shape in SHAPES if {shape.problem, shape.steps, shape.label} <= set(row))
    return next(found, None)


def score(sample: Sample) -> float:
    shapes = [_shape(row) for row in sample.rows]
    return 0.9 if shapes and all(shapes) else 0.0


def convert(row: ReadRow, file: str) -> list[ProblemRecord]:
    shape, data = _shape(row.data), row.data
    if shape is None:
        raise BadRow("wrong_type", "the row has no steps with a label")
    problem, steps = data[shape.problem], data[shape.steps]
    if not isinstance(problem, str) or not problem.strip():
        raise BadRow("no_problem", f"{shape.problem} is empty")
    if not isinstance(steps, list) or not all(isinstance(step, str) for step in steps):
        raise BadRow("wrong_type", f"{shape.steps} must be a list of texts")
    reference = reference_text(data.get(shape.reference))
    return [
        ProblemRecord(
            problem,
            kind=guess_kind(problem, reference),
            reference_answer=reference,
            reference_solution=text_or_none(data.get(shape.solution)),
            metadata={key: data[key] for key in ("id", "uuid", "question_type") if key in data},
            traces=(_trace(shape, data, steps),),
        )
    ]


def _trace(shape: Shape, data: Row, steps: list[str]) -> TraceRecord:
    ranges, position = [], 0
    for step in steps:
        ranges.append([position, position + len(step)])
        position += len(step) + 2
    evidence = {name: data[name] for name in shape.flags if name in data}
    return TraceRecord(
        "\n\n".join(steps),
        model=str(data.get(shape.model) or ""),
        upstream=evidence | {"first_error": first_error(data[shape.label], shape.from_one)},
        metadata={"composed": True, "steps": ranges},
    )


def first_error(label: Any, from_one: bool) -> int | None:
    """Index of the first wrong step from 0; None when no step is wrong or it is not said."""
    if isinstance(label, str) and re.fullmatch(r"-?\d+", label.strip()):
        label = int(label)
    if isinstance(label, bool) or not isinstance(label, int):
        return None
    index = label - 1 if from_one else label
    return index if index >= 0 else None


ADAPTER = Adapter("stepped", "ProcessBench, BIG-Bench Mistake, MR-GSM8K", score, convert)
