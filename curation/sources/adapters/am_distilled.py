"""AM-DeepSeek-R1-Distilled: two turns, whose ``info`` holds the reference and the parts.

The assistant's content is ``<think>…</think><answer>…</answer>`` and is stored as it is. Files are
packed with a long window: set the limit ``zstd_window_log`` to 31.
"""

from __future__ import annotations

from curation.sources.adapters.base import Adapter, Sample
from curation.sources.conversations import conversation, split_last
from curation.sources.convert import as_tests, guess_kind, reference_text
from curation.sources.records import BadRow, ProblemRecord, ReadRow, Row, TraceRecord


def _infos(data: Row) -> list[Row]:
    turns = data.get("messages")
    if not isinstance(turns, list):
        return []
    infos = (turn.get("info") for turn in turns if isinstance(turn, dict))
    return [info if isinstance(info, dict) else {} for info in infos]


def score(sample: Sample) -> float:
    known = [any("think_content" in info for info in _infos(row)) for row in sample.rows]
    return 0.9 if known and all(known) else 0.0


def convert(row: ReadRow, file: str) -> list[ProblemRecord]:
    before, last = split_last(conversation(row.data.get("messages")))
    if not before or not before[0]["content"].strip():
        raise BadRow("no_problem", "the first turn is empty")
    question, info = str(before[0]["content"]), (_infos(row.data) or [{}])[0]
    reference = reference_text(info.get("reference_answer"))
    tests = as_tests(info.get("test_case"))
    traces = (TraceRecord(str(last["content"]), messages=before),) if last else ()
    return [
        ProblemRecord(
            question,
            kind=guess_kind(question, reference, None, tests),
            reference_answer=reference,
            tests=tests,
            metadata={"source": info["source"]} if info.get("source") else {},
            traces=traces,
        )
    ]


ADAPTER = Adapter("am_distilled", "AM-DeepSeek-R1-Distilled 1.4M", score, convert)
