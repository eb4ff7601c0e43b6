"""NuminaMath 1.5: a problem with a worked solution; proofs have nothing to compare with."""

from __future__ import annotations

import dataclasses

from curation.sources.adapters.base import Adapter, Sample
from curation.sources.convert import apply
from curation.sources.mapping import Column, Mapping
from curation.sources.records import ProblemRecord, ReadRow

# Words in the answer column that are no answer.
UNVERIFIABLE = ("proof", "notfound")
MAPPING = Mapping(
    (
        Column("problem", "problem"),
        Column("reference_answer", "answer"),
        Column("reference_solution", "solution"),
    )
)


def score(sample: Sample) -> float:
    return 0.9 if sample.every("problem", "solution", "question_type", "problem_is_valid") else 0.0


def convert(row: ReadRow, file: str) -> list[ProblemRecord]:
    record = apply(MAPPING, row.data)
    if row.data.get("answer") in UNVERIFIABLE or row.data.get("question_type") == "proof":
        record = dataclasses.replace(
            record,
            reference_answer=None,
            metadata=record.metadata | {"answer_as_given": row.data.get("answer")},
        )
    return [record]


ADAPTER = Adapter("numina", "NuminaMath 1.5", score, convert)
