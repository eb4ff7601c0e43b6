"""OpenR1-Math: problem, answer and several generations with the flags of two verifiers."""

from __future__ import annotations

from curation.sources.adapters.base import Adapter, Sample
from curation.sources.adapters.numina import UNVERIFIABLE
from curation.sources.convert import apply
from curation.sources.mapping import Column, Mapping
from curation.sources.records import ProblemRecord, ReadRow

FLAGS = ("is_reasoning_complete", "correctness_math_verify", "correctness_llama")
MAPPING = Mapping(
    (
        Column("problem", "problem"),
        Column("reference_answer", "answer"),
        Column("reference_solution", "solution"),
        Column("response", "generations"),
        Column("finish_reason", "finish_reasons"),
        Column("ignore", "messages", "repeats a generation"),
        *(Column("upstream", name) for name in FLAGS),
    )
)


def score(sample: Sample) -> float:
    return 0.9 if sample.every("problem", "generations", "correctness_math_verify") else 0.0


def convert(row: ReadRow, file: str) -> list[ProblemRecord]:
    data = row.data
    if data.get("answer") in UNVERIFIABLE:
        data = data | {"answer": None}
    return [apply(MAPPING, data)]


ADAPTER = Adapter("openr1", "OpenR1-Math-220k", score, convert)
