"""Runs the suites one after the other and prints what each took beside its budget.

``python -m tests.run unit services e2e``; further pytest arguments after ``--``. Every suite runs
even when one before it failed. A suite over its budget is shown, and fails where
``WHITTLE_ENFORCE_BUDGET`` is set (a loaded machine proves nothing).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# These mostly wait for the processes they start; a file's tests share what its fixtures started.
TOGETHER = ("-n", "2", "--dist", "loadfile", "--durations=12")
NO_TESTS = 5  # pytest's exit status when it found none


@dataclass(frozen=True)
class Suite:
    """Tests chosen by marker, with a budget in seconds on two cores."""

    name: str
    markers: str
    budget: int
    environment: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()


SUITES = {
    suite.name: suite
    for suite in (
        Suite("unit", "not slow and not services and not e2e", 180, arguments=("-n", "2")),
        Suite("services", "(slow or services) and not e2e", 480, arguments=TOGETHER),
        Suite("e2e", "e2e", 360, arguments=("--timeout=300", *TOGETHER)),
        Suite(
            "soak",
            "(slow or services) and not e2e",
            7200,
            environment={"WHITTLE_SOAK": "1"},
            arguments=("--timeout=3600",),
        ),
    )
}


def environment() -> dict[str, str]:
    """Ours, but compiled modules are kept: pytest rewrites each, and many processes load them."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def run(suite: Suite, extra: list[str]) -> tuple[int, float]:
    """Exit status of pytest and seconds."""
    begun = time.monotonic()
    status = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", suite.markers, *suite.arguments, *extra],
        cwd=ROOT,
        env=environment() | suite.environment,
        stdin=subprocess.DEVNULL,
        check=False,
    ).returncode
    return status, time.monotonic() - begun


def verdict(suite: Suite, status: int, seconds: float) -> str:
    """One word on how a suite went."""
    if status == NO_TESTS:
        return "no tests"
    if status != 0:
        return "FAILED"
    return "ok" if seconds <= suite.budget else "over budget"


def main(arguments: list[str]) -> int:
    """0 when every suite passed."""
    names, _, extra = _split(arguments)
    words = {}
    for name in names:
        print(f"== {name}", flush=True)
        status, seconds = run(SUITES[name], extra)
        words[name] = verdict(SUITES[name], status, seconds), seconds
    for name, (word, seconds) in words.items():
        print(f"{name:<10}{seconds:>8.1f} s of {SUITES[name].budget:>5} s   {word}")
    bad = {"FAILED"} | ({"over budget"} if os.environ.get("WHITTLE_ENFORCE_BUDGET") else set())
    return int(any(word in bad for word, _ in words.values()))


def _split(arguments: list[str]) -> tuple[list[str], str, list[str]]:
    if "--" in arguments:
        at = arguments.index("--")
        return arguments[:at], "--", arguments[at + 1 :]
    return arguments, "", []


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
