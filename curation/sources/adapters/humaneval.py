"""HumanEval, and files of solutions to it (``solution`` with ``is_solved``)."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from curation.sources.adapters.base import Adapter, Sample
from curation.sources.convert import text_or_none
from curation.sources.records import BadRow, ProblemRecord, ReadRow, TraceRecord

# Names of solution files: simple_test_run__simple_1_gpt-4_pass_at_k_1.jsonl
_MODEL = re.compile(r"_\d+_(.+)_pass_at_k_")


def score(sample: Sample) -> float:
    return 0.9 if sample.every("task_id", "prompt", "entry_point", "test") else 0.0


def convert(row: ReadRow, file: str) -> list[ProblemRecord]:
    data = row.data
    prompt = data.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise BadRow("no_problem", "prompt is empty")
    solution = data.get("solution")
    flags = {"is_solved": data["is_solved"]} if "is_solved" in data else {}
    named = _MODEL.search(PurePosixPath(file).name)
    model = named[1] if named else ""
    traces = (TraceRecord(solution, model, upstream=flags),) if isinstance(solution, str) else ()
    return [
        ProblemRecord(
            prompt,
            kind="code",
            reference_solution=text_or_none(data.get("canonical_solution")),
            tests={"test": data.get("test"), "entry_point": data.get("entry_point")},
            metadata={"task_id": data.get("task_id")},
            traces=traces,
        )
    ]


ADAPTER = Adapter("humaneval", "HumanEval and solutions to it", score, convert)
