"""Files of Qwen2.5-Math's evaluation: SVAMP splits its problem into a body and a question."""

from __future__ import annotations

from curation.sources.adapters.base import Adapter, Sample
from curation.sources.convert import reference_text
from curation.sources.records import BadRow, ProblemRecord, ReadRow


def score(sample: Sample) -> float:
    return 0.9 if sample.every("Body", "Question", "Answer") else 0.0


def convert(row: ReadRow, file: str) -> list[ProblemRecord]:
    data = row.data
    parts = [str(data[name]).strip() for name in ("Body", "Question") if data.get(name)]
    if not parts:
        raise BadRow("no_problem", "Body and Question are empty")
    known = {"Body", "Question", "Answer"}
    metadata = {key: value for key, value in data.items() if key not in known}
    return [
        ProblemRecord(
            " ".join(parts),
            reference_answer=reference_text(data.get("Answer")),
            metadata=metadata | {"composed": True},
        )
    ]


ADAPTER = Adapter("qwen_math_eval", "SVAMP as Qwen2.5-Math keeps it", score, convert)
