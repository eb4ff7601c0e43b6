"""Published responses with published flags (``WHITTLE_REAL_DATA``): our verdicts beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curation.verifiers import verify

DATA = os.environ.get("WHITTLE_REAL_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="WHITTLE_REAL_DATA is not set")

# Upstream's verdict on a response that was cut while it still thought (docs/verification.md).
KNOWN = {("Sky-T1-math-correct-5K-14B__amc23", 7)}


def rows(pattern: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(Path(DATA or "").glob(pattern)):
        with path.open() as lines:
            for line in lines:
                yield path, json.loads(line)


def test_skythought_verdicts_differ_from_upstream_only_where_it_is_explained() -> None:
    different, judged = set(), 0
    for path, row in rows("skythought/*.jsonl"):
        upstream, _, _ = (row.pop(name) for name in ("score", "pred", "report"))
        verdict = verify("math", row["code"][0], row["gt"])
        assert verdict.verdict in ("correct", "incorrect")
        judged += 1
        if (verdict.verdict == "correct") != upstream[0]:
            different.add((path.name.rsplit("__", 1)[0], row["idx"]))
    assert judged == 560
    assert different <= KNOWN


@pytest.mark.parametrize("kind", ["math", "numeric"])
def test_gsm8k_solutions_get_their_published_flags(kind: str) -> None:
    judged = different = 0
    for _, row in rows("gsm8k/example_model_solutions.jsonl"):
        for solution in row.values():
            if isinstance(solution, dict):
                verdict = verify(kind, solution["solution"], row["ground_truth"])
                judged += 1
                different += (verdict.verdict == "correct") != solution["is_correct"]
    assert judged == 4 * 1319
    assert different == 0


def test_every_published_reference_equals_itself() -> None:
    patterns = ("olymmath/*.jsonl", "qwen-math-eval/amc23_test.jsonl")
    references = [str(row["answer"]) for pattern in patterns for _, row in rows(pattern)]
    assert len(references) == 240
    for reference in references:
        assert verify("math", rf"\boxed{{{reference.strip('$')}}}", reference).verdict == "correct"


def test_thought_anchors_solutions_get_their_published_flags() -> None:
    solutions = sorted(Path(DATA or "").glob("thought-anchors/*/*/*/base_solution.json"))
    assert len(solutions) == 24
    for path in solutions:
        solution = json.loads(path.read_text())
        problem = json.loads(path.with_name("problem.json").read_text())
        verdict = verify("math", solution["full_cot"], problem["gt_answer"])
        assert (verdict.verdict == "correct") == solution["is_correct"]
