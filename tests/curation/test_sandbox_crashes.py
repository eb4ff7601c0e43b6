"""Threats S14 to S17: crashes, odd output and odd sources.

The ids are those of docs/code_verification.md; each has two programs and a positive control.
"""

from __future__ import annotations

from typing import Any

import pytest

from curation.verifiers.code import CodeVerifier
from tests.curation.sandbox_holes import (
    HOSTILE,
    hole,
    inside,
    message,
    printed,
    reason,
    run,
)

pytestmark = HOSTILE


# --- S14 to S17: crashes, odd output, odd sources

SEGFAULT = "import ctypes\nif input() == '1': ctypes.string_at(0)\nprint('fine')"
ABORT = "import os\nif input() == '1': os.abort()\nprint('fine')"


@pytest.mark.parametrize(("crash", "number"), [(SEGFAULT, 11), (ABORT, 6)])
@pytest.mark.slow
def test_s14_a_crash_is_told_with_its_signal_and_ends_only_its_test(
    crash: str, number: int
) -> None:
    found = run(crash, b"1", b"2")
    assert (reason(found), message(found)) == ("runtime_error", f"signal {number}")
    assert printed(found, 1) == "fine"
    deep = "import sys\nsys.setrecursionlimit(10**7)\ndef f(n): return f(n + 1)\nf(0)"
    assert reason(run(deep)) in ("runtime_error", "memory_limit", "time_limit")


def test_s14_control_without_a_fork_per_test_a_crash_ends_them_all() -> None:
    with hole(inside("candidate", "child = os.fork()", "child = 0")):
        assert reason(run(SEGFAULT, b"1", b"2"), 1) == "runtime_error"


ODD = (
    "import os; os.write(1, b'\\xff\\x00\\x1b[31m\\xed\\xa0\\x80')",
    "print('y' * 500_000, end='')",
)


def test_s15_output_of_any_bytes_is_kept_and_the_evidence_can_be_stored() -> None:
    assert run(ODD[0]).records[0]["stdout"] == b"\xff\x00\x1b[31m\xed\xa0\x80"
    for program in ODD:
        tests = {"cases": [{"input": "", "output": "z"}]}
        verdict = CodeVerifier().check(f"```python\n{program}\n```", None, tests=tests)
        shown = verdict.detail["tests"][0]["got"]
        assert "\x00" not in shown
        assert len(shown.encode()) < 2_000


def test_s15_control_uncleaned_evidence_holds_what_a_database_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("curation.verifiers.codejudge._clean", lambda text: text)
    tests = {"cases": [{"input": "", "output": "z"}]}
    verdict = CodeVerifier().check(f"```python\n{ODD[0]}\n```", None, tests=tests)
    assert "\x00" in verdict.detail["tests"][0]["got"]


SOURCES = {
    "x = 1\x00": "compile_error",
    "\ufeffprint(1)": "",
    "print(1)\r\nprint(2)\r\n": "",
    "(" * 5_000 + ")" * 5_000: "compile_error",
    "x = '\ud800'": "compile_error",
    "def f(:": "compile_error",
    "#" * 300_000: "too_long",
    "x = 1 is 1\n" * 300: "",
}


@pytest.mark.parametrize("source", SOURCES, ids=[str(n) for n in range(len(SOURCES))])
def test_s16_odd_sources_are_run_or_refused_by_name(source: str) -> None:
    tests = {"cases": [{"input": "", "output": "1"}]}
    verdict = CodeVerifier().check(f"```python\n{source}\n```", None, tests=tests)
    assert verdict.verdict in ("correct", "incorrect")
    assert verdict.reason == SOURCES[source]


def test_s16_control_without_the_limit_the_long_one_is_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("curation.verifiers.codeextract.MAX_SOURCE", 10**6)
    tests = {"cases": [{"input": "", "output": ""}]}
    verdict = CodeVerifier().check("```python\n" + "#" * 300_000 + "\n```", None, tests=tests)
    assert verdict.verdict == "correct"


BOMBS = ("-" * 4_000 + "1", "f(" * 150 + ")" * 150)


@pytest.mark.parametrize("bomb", BOMBS)
def test_s17_nothing_of_a_candidate_is_compiled_outside_the_sandbox(
    bomb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("print(1)")  # our own modules are compiled once

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("compiled outside")

    monkeypatch.setattr("builtins.compile", refuse)
    tests = {"cases": [{"input": "", "output": "1"}]}
    assert CodeVerifier().check(f"```python\n{bomb}\n```", None, tests=tests).score == 0


def test_s17_control_compiled_here_it_would_be_our_own_failure() -> None:
    with pytest.raises((RecursionError, MemoryError, SyntaxError)):
        compile("(" * 5_000 + ")" * 5_000, "x", "exec")
