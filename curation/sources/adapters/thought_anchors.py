"""Thought anchors: one folder a trace, with a problem, a completion and labelled chunks.

The completion begins inside the reasoning, because the prompt ends in ``<think>``; it is stored
as it is. Each chunk's place in the text is added where it can be found. Repository:
interp-reasoning/thought-anchors.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from curation.sources.adapters.base import Adapter, Sample
from curation.sources.convert import reference_text, text_or_none
from curation.sources.records import BadRow, ProblemRecord, ReadRow, Row, TraceRecord

PARTS = ("problem.json", "base_solution.json", "chunks_labeled.json", "summary.json")


def score(sample: Sample) -> float:
    return 1.0 if sample.every("problem", "base_solution") else 0.0


def claim(path: Path) -> list[Path]:
    """Folders with a problem and a base solution, sorted."""
    folders = (found.parent for found in path.rglob("base_solution.json"))
    return sorted(folder for folder in folders if (folder / "problem.json").is_file())


def convert(row: ReadRow, file: str) -> list[ProblemRecord]:
    problem, solved = row.data.get("problem"), row.data.get("base_solution")
    if not isinstance(problem, dict) or not isinstance(solved, dict):
        raise BadRow("wrong_type", "problem.json and base_solution.json must be objects")
    text, completion = problem.get("problem"), solved.get("solution")
    if not isinstance(text, str) or not text.strip():
        raise BadRow("no_problem", "problem.json has no problem")
    if not isinstance(completion, str):
        raise BadRow("wrong_type", "base_solution.json has no solution")
    known = {"problem", "gt_answer", "gt_solution"}
    return [
        ProblemRecord(
            text,
            reference_answer=reference_text(problem.get("gt_answer")),
            reference_solution=text_or_none(problem.get("gt_solution")),
            metadata={key: value for key, value in problem.items() if key not in known},
            traces=(_trace(row.data, solved, completion, file),),
        )
    ]


def _trace(data: Row, solved: Row, completion: str, file: str) -> TraceRecord:
    prompt = solved.get("prompt")
    return TraceRecord(
        completion,
        model=_model(file),
        messages=[{"role": "user", "content": prompt}] if isinstance(prompt, str) else [],
        upstream={key: solved[key] for key in ("answer", "is_correct") if key in solved},
        metadata={"chunks": placed(completion, data.get("chunks_labeled"))},
    )


def _model(file: str) -> str:
    """The model's folder: ``model/correct_base_solution/problem_1``."""
    parts = PurePosixPath(file).parts
    return parts[-3] if len(parts) >= 3 else ""


def placed(text: str, chunks: Any) -> list[Row]:
    """The labelled chunks with ``start`` and ``end`` in the text, null where not found."""
    position, result = 0, []
    for chunk in chunks if isinstance(chunks, list) else []:
        if not isinstance(chunk, dict):
            continue
        words = str(chunk.get("chunk", ""))
        start = text.find(words, position) if words else -1
        end = start + len(words) if start >= 0 else None
        position = end if end is not None else position
        result.append(chunk | {"start": start if start >= 0 else None, "end": end})
    return result


ADAPTER = Adapter(
    "thought_anchors",
    "Thought anchors: a folder a trace, with labelled chunks",
    score,
    convert,
    claim,
    PARTS,
)
