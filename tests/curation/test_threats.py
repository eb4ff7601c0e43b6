"""Each threat to code verification has a test and a positive control, under its id."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
IDS = [f"s{n}" for n in range(1, 21)] + [f"v{n}" for n in range(1, 7)]
TEST = re.compile(r"^def (test_\w+)\(", re.MULTILINE)
# The cheats of V1 to V3 are a table, each run against every form of tests.
CHEATED = ("v1", "v2", "v3")


def names() -> list[str]:
    """Names of all test functions of this folder."""
    return [name for path in HERE.glob("test_*.py") for name in TEST.findall(path.read_text())]


@pytest.mark.parametrize("threat", IDS)
def test_a_threat_has_a_test_and_a_control_that_does_its_harm(threat: str) -> None:
    mine = [name for name in names() if name.startswith(f"test_{threat}_")]
    assert any("_control_" in name for name in mine), mine
    assert threat in CHEATED or any("_control_" not in name for name in mine), mine


def test_the_docs_list_every_threat() -> None:
    text = (HERE.parents[1] / "docs" / "code_verification.md").read_text()
    rows = re.findall(r"^\| ((?:[SV]\d+(?:, )?)+) \|", text, re.MULTILINE)
    listed = {one.lower() for row in rows for one in row.split(", ")}
    assert listed == set(IDS)
