"""GSM8K: the answer stands behind ``####``; the solutions file holds four models a row.

Nothing is taken out of the texts, the calculator marks ``<<1+1=2>>`` included. Repository:
openai/grade-school-math.
"""

from __future__ import annotations

import re

from curation.sources.adapters.base import Adapter, Sample
from curation.sources.convert import text_or_none
from curation.sources.records import BadRow, ProblemRecord, ReadRow, Row, TraceRecord

# The last line of a solution: "#### 18" in the data set, "A: 18" in the models' file.
_FINAL = re.compile(r"(?:^|\n)(?:####|A:)[ \t]*([^\n]+?)\s*$")


def score(sample: Sample) -> float:
    if not sample.every("question"):
        return 0.0
    answers = sample.values("answer") or sample.values("ground_truth")
    marked = answers and all(isinstance(a, str) and _FINAL.search(a) for a in answers)
    if not marked:
        return 0.0
    return 0.9 if sample.every("answer") or all(map(solutions, sample.rows)) else 0.0


def convert(row: ReadRow, file: str) -> list[ProblemRecord]:
    data = row.data
    question = data.get("question")
    if not isinstance(question, str) or not question.strip():
        raise BadRow("no_problem", "question is empty")
    solution = text_or_none(data.get("answer")) or text_or_none(data.get("ground_truth"))
    traces = tuple(
        TraceRecord(given["solution"], model, upstream=_flags(given))
        for model, given in solutions(data).items()
    )
    known = {"question", "answer", "ground_truth", *solutions(data)}
    return [
        ProblemRecord(
            question,
            reference_answer=final_answer(solution),
            reference_solution=solution,
            metadata={key: value for key, value in data.items() if key not in known},
            traces=traces,
        )
    ]


def final_answer(solution: str | None) -> str | None:
    """What stands behind the last mark, as written; None without a mark."""
    found = _FINAL.search(solution or "")
    return found[1] if found else None


def solutions(data: Row) -> dict[str, Row]:
    """Columns that hold one model's solution with its flag."""
    return {
        name: value
        for name, value in data.items()
        if isinstance(value, dict) and isinstance(value.get("solution"), str)
    }


def _flags(given: Row) -> Row:
    return {key: value for key, value in given.items() if key != "solution"}


ADAPTER = Adapter("gsm8k", "GSM8K, and the models' solutions beside it", score, convert)
