"""LiveCodeBench, code generation: programs with inputs and outputs, or functions with arguments.

The private cases are base64 of zlib of a pickle. They are unpacked up to ``MAX_UNPACKED`` bytes,
and the pickle is read by an unpickler that knows no class, so that nothing in it can run.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle
import zlib
from typing import Any

from curation.sources.adapters.base import Adapter, Sample
from curation.sources.records import BadRow, ProblemRecord, ReadRow, Row

MAX_UNPACKED = 128 * 1024**2
KEPT = ("platform", "question_id", "contest_id", "contest_date", "difficulty", "question_title")


class _PlainUnpickler(pickle.Unpickler):
    """Texts, numbers, lists and dicts; anything else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")


def score(sample: Sample) -> float:
    return 0.9 if sample.every("question_content", "public_test_cases", "question_id") else 0.0


def convert(row: ReadRow, file: str) -> list[ProblemRecord]:
    data = row.data
    question = data.get("question_content")
    if not isinstance(question, str) or not question.strip():
        raise BadRow("no_problem", "question_content is empty")
    cases = _cases(data.get("public_test_cases")) + _cases(data.get("private_test_cases"))
    starter = str(data.get("starter_code") or "")
    return [
        ProblemRecord(
            f"{question}\n\n{starter}" if starter.strip() else question,
            kind="code",
            tests=_tests(cases, _name(data.get("metadata")), starter) if cases else None,
            metadata={name: str(data[name]) for name in KEPT if data.get(name)},
        )
    ]


def _tests(cases: list[Row], function: str, starter: str) -> Row:
    """Calls where the cases say so, else programs."""
    if cases[0].get("testtype") == "functional":
        plain = [{"args": case["input"], "expected": case["output"]} for case in cases]
        found = {"type": "calls", "entry_point": function, "cases": plain}
        return found | ({"in_class": True} if "class Solution" in starter else {})
    return {
        "type": "stdio",
        "cases": [{"input": case["input"], "output": case["output"]} for case in cases],
    }


def _name(metadata: Any) -> str:
    try:
        found = json.loads(metadata) if isinstance(metadata, str) else metadata
    except ValueError:
        return ""
    return str(found.get("func_name") or "") if isinstance(found, dict) else ""


def _cases(packed: Any) -> list[Row]:
    """Cases from a list, its JSON, or LiveCodeBench's packing; BadRow where it is none."""
    if packed is None or packed == "":
        return []
    found = packed
    if isinstance(packed, str):
        try:
            found = json.loads(packed)
        except ValueError:
            found = _unpack(packed)
    if not isinstance(found, list) or not all(_whole(case) for case in found):
        raise BadRow("bad_tests", "the test cases are no list of inputs and outputs")
    return found


def _whole(case: Any) -> bool:
    return isinstance(case, dict) and {"input", "output"} <= set(case)


def _unpack(packed: str) -> Any:
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(base64.b64decode(packed, validate=True), MAX_UNPACKED)
        if unpacker.unconsumed_tail:
            raise BadRow("row_too_large", f"the private cases unpack to over {MAX_UNPACKED} bytes")
        return json.loads(_PlainUnpickler(io.BytesIO(raw)).load())
    except (binascii.Error, zlib.error, pickle.UnpicklingError, EOFError) as problem:
        raise BadRow("bad_tests", f"the private cases: {problem}"[:200]) from problem
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, MemoryError) as problem:
        raise BadRow("bad_tests", f"the private cases: {type(problem).__name__}") from problem


ADAPTER = Adapter("livecodebench", "LiveCodeBench: programs and functions", score, convert)
