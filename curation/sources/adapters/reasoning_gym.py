"""Evaluation results of reasoning-gym: several completions a puzzle, each with a partial score.

A run names its generator, configuration and seed, and its rows stand in the generator's order: so
each puzzle can be made again and judged by the generator's own scorer (the verifier ``logic``).
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

from curation.sources.adapters.base import Adapter, Sample
from curation.sources.convert import reference_text
from curation.sources.records import BadRow, ProblemRecord, ReadRow, Row, TraceRecord

# Folders of a run: qwen_qwq-32b_20250316_144841/logic/zebra_puzzles.json
_RUN = re.compile(r"(.+)_\d{8}_\d{6}")


def score(sample: Sample) -> float:
    found = all(isinstance(value, list) for value in sample.values("completions"))
    return 0.9 if found and sample.every("question", "expected_answer", "completions") else 0.0


def convert(row: ReadRow, file: str) -> list[ProblemRecord]:
    question = row.data.get("question")
    if not isinstance(question, str) or not question.strip():
        raise BadRow("no_problem", "question is empty")
    given = row.data.get("completions")
    system = row.context.get("system_prompt")
    before = [{"role": "system", "content": system}] if isinstance(system, str) else []
    before = [*before, {"role": "user", "content": question}]
    model = _model(file)
    found = [_trace(item, number, model, before) for number, item in enumerate(given or [])]
    names = {"task": row.context.get("name"), "category": row.context.get("category")}
    puzzle = _puzzle(row)
    metadata = {key: value for key, value in names.items() if value}
    return [
        ProblemRecord(
            question,
            kind="logic" if puzzle else "exact",
            reference_answer=reference_text(row.data.get("expected_answer")),
            metadata=metadata | ({"verifier_options": {"puzzle": puzzle}} if puzzle else {}),
            traces=tuple(trace for trace in found if trace is not None),
        )
    ]


def _puzzle(row: ReadRow) -> Row | None:
    """What the row's puzzle is made again from, where its run says so."""
    name, config = row.context.get("name"), row.context.get("config")
    if not isinstance(name, str) or not isinstance(config, dict) or "seed" not in config:
        return None
    return {"dataset": name, "config": config, "index": row.line - 1}


def _model(file: str) -> str:
    """The model's name in the run's folder, "" when the path does not reach up to it."""
    runs = (_RUN.fullmatch(part) for part in PurePosixPath(file).parts)
    return next((run[1] for run in runs if run), "")


def _trace(item: Any, number: int, model: str, before: list[Row]) -> TraceRecord | None:
    text = item.get("full_model_response") if isinstance(item, dict) else None
    if not isinstance(text, str):
        return None
    known = ("model_answer", "score")
    upstream = {key: item[key] for key in known if item.get(key) is not None}
    return TraceRecord(text, model, messages=before, sample_no=number, upstream=upstream)


ADAPTER = Adapter("reasoning_gym", "reasoning-gym evaluation results", score, convert)
