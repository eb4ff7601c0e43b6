"""MBPP, the full set (``text``) and the sanitized one (``prompt``): tasks in words with asserts.

The problem's text shows the tests after the task, as the paper's prompt does (Austin et al. 2021,
arXiv:2108.07732, section 2.1): without them no one could know the function's name.
"""

from __future__ import annotations

from curation.sources.adapters.base import Adapter, Sample
from curation.sources.convert import text_or_none
from curation.sources.records import BadRow, ProblemRecord, ReadRow

SHOWN = "Your code should pass these tests:"


def score(sample: Sample) -> float:
    lists = all(isinstance(value, list) for value in sample.values("test_list"))
    return 0.9 if lists and sample.every("task_id", "code", "test_list") else 0.0


def convert(row: ReadRow, file: str) -> list[ProblemRecord]:
    data = row.data
    task = data.get("text") or data.get("prompt")
    asserts = data.get("test_list")
    if not isinstance(task, str) or not task.strip():
        raise BadRow("no_problem", "neither text nor prompt holds the task")
    if not isinstance(asserts, list) or not all(isinstance(item, str) for item in asserts):
        raise BadRow("bad_tests", "test_list is no list of texts")
    setup = data.get("test_imports") or data.get("test_setup_code") or []
    setup = setup if isinstance(setup, list) else [setup]
    more = [item for item in data.get("challenge_test_list") or [] if isinstance(item, str)]
    tests = {"type": "asserts", "asserts": [*asserts, *more], "setup": setup}
    return [
        ProblemRecord(
            f"{task.strip()}\n\n{SHOWN}\n\n" + "\n".join(asserts),
            kind="code",
            reference_solution=text_or_none(data.get("code")),
            tests=tests if tests["asserts"] else None,
            metadata={"task_id": data.get("task_id")},
        )
    ]


ADAPTER = Adapter("mbpp", "MBPP: tasks in words with assert statements", score, convert)
