"""KodCode-V1 and its SFT set: a question, a solution, a pytest file, and who passed how often."""

from __future__ import annotations

from typing import Any

from curation.sources.adapters.base import Adapter, Sample
from curation.sources.convert import text_or_none
from curation.sources.records import BadRow, ProblemRecord, ReadRow, Row, TraceRecord

KEPT = ("style", "subset", "question_id", "gpt_difficulty", "gpt_pass_sequence")
UPSTREAM = ("r1_correctness", "r1_pass_sequence", "r1_pass_trial_num")


def score(sample: Sample) -> float:
    return 0.9 if sample.every("question", "solution", "test", "question_id") else 0.0


def convert(row: ReadRow, file: str) -> list[ProblemRecord]:
    data = row.data
    question, test = data.get("question"), data.get("test")
    if not isinstance(question, str) or not question.strip():
        raise BadRow("no_problem", "question is empty")
    tests: Row | None = None
    if isinstance(test, str) and test.strip():
        tests = {"type": "pytest", "code": test, "module": "solution"}
        tests |= {"entry_point": name} if (name := _function(data.get("test_info"))) else {}
    return [
        ProblemRecord(
            question,
            kind="code",
            reference_solution=text_or_none(data.get("solution")),
            tests=tests,
            metadata={name: data[name] for name in KEPT if data.get(name) is not None},
            traces=_traces(data),
        )
    ]


def _function(info: Any) -> str:
    """The function that the tests import, where the row names exactly one."""
    if not isinstance(info, list) or len(info) != 1 or not isinstance(info[0], dict):
        return ""
    return str(info[0].get("function_name") or "")


def _traces(data: Row) -> tuple[TraceRecord, ...]:
    """The answer of the conversation, else R1's solution; upstream says what it makes of it."""
    upstream = {name: data[name] for name in UPSTREAM if data.get(name) is not None}
    turns = data.get("conversations")
    last = turns[-1] if isinstance(turns, list) and turns and isinstance(turns[-1], dict) else {}
    for text in (last.get("value"), data.get("r1_solution")):
        if isinstance(text, str) and text.strip() and last.get("from") != "human":
            return (TraceRecord(text, "DeepSeek-R1", upstream=upstream),)
    return ()


ADAPTER = Adapter("kodcode", "KodCode: questions with pytest files", score, convert)
