"""OpenThoughts: conversations, or (in its ``metadata`` configuration) separate reasoning."""

from __future__ import annotations

from curation.sources.adapters.base import Adapter, Sample
from curation.sources.convert import apply
from curation.sources.mapping import Column, Mapping
from curation.sources.records import ProblemRecord, ReadRow

CONVERSATIONS = Mapping((Column("messages", "conversations"), Column("system", "system")))
SEPARATE = Mapping(
    (
        Column("problem", "problem"),
        Column("reasoning", "deepseek_reasoning"),
        Column("response", "deepseek_solution"),
        Column("reference_solution", "ground_truth_solution"),
        Column("tests", "test_cases"),
    ),
    {"model": "deepseek-r1"},
)


def score(sample: Sample) -> float:
    if sample.every("problem", "deepseek_reasoning", "deepseek_solution"):
        return 0.9
    return 0.7 if sample.every("system", "conversations") else 0.0


def convert(row: ReadRow, file: str) -> list[ProblemRecord]:
    mapping = SEPARATE if "deepseek_reasoning" in row.data else CONVERSATIONS
    return [apply(mapping, row.data)]


ADAPTER = Adapter("open_thoughts", "OpenThoughts 114k, 2 and 3", score, convert)
