"""The extras with environments of their own can be installed: their requirements resolve."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.services
@pytest.mark.parametrize("extra", ["vllm", "ray", "prm"])
def test_the_extra_resolves_beside_the_application(extra: str) -> None:
    command = ["pip", "compile", "--quiet", "--no-header", "--python-version", "3.12"]
    done = subprocess.run(
        [sys.executable, "-m", "uv", *command, "--extra", extra, "pyproject.toml"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    if "error sending request" in done.stderr or "Failed to fetch" in done.stderr:
        pytest.skip(f"no package index to ask: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr[-2000:]
    wanted = {"vllm": "vllm==", "ray": "ray==", "prm": "trl=="}[extra]
    assert any(line.startswith(wanted) for line in done.stdout.splitlines())
