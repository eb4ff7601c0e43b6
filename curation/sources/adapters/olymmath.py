"""OlymMATH: the same problems in two languages; the language stands in the id."""

from __future__ import annotations

import dataclasses

from curation.sources.adapters.base import Adapter, Sample
from curation.sources.convert import apply
from curation.sources.mapping import Column, Mapping
from curation.sources.records import ProblemRecord, ReadRow

MAPPING = Mapping((Column("problem", "problem"), Column("reference_answer", "answer")))


def score(sample: Sample) -> float:
    ids = sample.values("unique_id")
    named = bool(ids) and all(str(value).startswith("OlymMATH") for value in ids)
    return 0.9 if named and sample.every("problem", "answer", "subject") else 0.0


def convert(row: ReadRow, file: str) -> list[ProblemRecord]:
    record = apply(MAPPING, row.data)
    language = str(row.data.get("unique_id", "")).rpartition("-")[2].lower()
    added = {"language": language} if language in ("en", "zh") else {}
    added |= {"category": row.data["subject"]} if row.data.get("subject") else {}
    return [dataclasses.replace(record, metadata=record.metadata | added)]


ADAPTER = Adapter("olymmath", "OlymMATH, English and Chinese", score, convert)
