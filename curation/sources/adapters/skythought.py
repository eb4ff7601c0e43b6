"""SkyThought evaluation results: one file per model and benchmark, named for both.

``question``, ``gt`` (the reference), ``code[]`` (the whole responses), and per response ``pred``,
``score`` and ``report``, which are kept as evidence only. Repository: NovaSky-AI/SkyThought.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from curation.sources.adapters.base import Adapter, Sample
from curation.sources.convert import as_texts, reference_text, share, text_or_none
from curation.sources.records import BadRow, ProblemRecord, ReadRow, Row, TraceRecord

EVIDENCE = ("pred", "score", "report")


def score(sample: Sample) -> float:
    lists = all(isinstance(value, list) for value in sample.values("code"))
    return 0.9 if sample.every("question", "gt", "code") and lists else 0.0


def names(file: str) -> tuple[str, str]:
    """Model and benchmark from ``model__part__benchmark__hash.jsonl``."""
    parts = PurePosixPath(file).name.split(".jsonl")[0].split("__")
    if len(parts) < 3:
        return parts[0], ""
    return "/".join(parts[:-2]), parts[-2]


def convert(row: ReadRow, file: str) -> list[ProblemRecord]:
    data = row.data
    question = data.get("question")
    if not isinstance(question, str) or not question.strip():
        raise BadRow("no_problem", "question is empty")
    model, benchmark = names(file)
    texts = as_texts(data.get("code"))
    traces = tuple(
        TraceRecord(text, model, sample_no=number, upstream=_evidence(data, number, len(texts)))
        for number, text in enumerate(texts)
        if text is not None
    )
    metadata = {"benchmark": benchmark, "idx": data.get("idx")}
    return [
        ProblemRecord(
            question,
            reference_answer=reference_text(data.get("gt")),
            reference_solution=_solution(data),
            metadata={key: value for key, value in metadata.items() if value not in ("", None)},
            traces=traces,
        )
    ]


def _solution(data: Row) -> str | None:
    given = text_or_none(data.get("solution")) or text_or_none(data.get("gt_cot"))
    return None if given == "None" else given


def _evidence(data: Row, number: int, count: int) -> Row:
    found = {name: share(data[name], number, count) for name in EVIDENCE if name in data}
    return {name: value for name, value in found.items() if value is not None}


ADAPTER = Adapter("skythought", "SkyThought evaluation results", score, convert)
