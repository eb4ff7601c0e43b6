"""No program passes without solving the problem (V1, V2, V3 of the list of threats)."""

from __future__ import annotations

import os
from typing import Any

import pytest

from curation.verifiers.code import CodeVerifier
from tests.curation import code_cheats as cheats
from tests.curation.sandbox_holes import sandbox_here

pytestmark = pytest.mark.skipif(not sandbox_here(), reason="no sandbox here")
FORMS = {
    "check": cheats.CHECK,
    "asserts": cheats.ASSERTS,
    "pytest": cheats.PYTEST,
    "calls": cheats.CALLS,
}
MORE = ("asserts", "pytest", "calls")
soak = pytest.mark.skipif(not os.environ.get("WHITTLE_SOAK"), reason="minutes: make soak")
# Some in the unit tests, all of them in one form in the slow ones, all forms in make soak.
QUICK = ("leaves at load with os._exit", "an int that equals everything", "skips",
         "an object that equals everything", "searches the memory for the tests",
         "reads the runner's memory", "writes passes on every descriptor")  # fmt: skip


def judge(program: str, tests: dict[str, Any]) -> Any:
    return CodeVerifier().check(f"```python\n{program}```", None, tests=tests)


def test_there_are_at_least_25_cheats() -> None:
    assert len(cheats.CHEATS) >= 25


@pytest.mark.parametrize("form", FORMS)
def test_an_honest_solution_passes_every_form(form: str) -> None:
    verdict = judge(cheats.SOLUTION, FORMS[form])
    assert (verdict.verdict, verdict.score) == ("correct", 1.0), verdict


def test_an_honest_program_passes() -> None:
    assert judge(cheats.PROGRAM, cheats.STDIO).verdict == "correct"


@pytest.mark.parametrize("name", QUICK)
def test_a_cheat_scores_nothing(name: str) -> None:
    verdict = judge(cheats.CHEATS[name], cheats.CHECK)
    assert (verdict.verdict, verdict.score) == ("incorrect", 0.0), verdict


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("form", ["check", *(pytest.param(f, marks=soak) for f in MORE)])
def test_no_cheat_scores_anything_in_any_form(form: str) -> None:
    scored = {}
    for name, program in cheats.CHEATS.items():
        verdict = judge(program, FORMS[form])
        if (verdict.verdict, verdict.score) != ("incorrect", 0.0):
            scored[name] = (verdict.verdict, verdict.reason, verdict.score)
    assert scored == {}


@pytest.mark.slow
@soak
@pytest.mark.timeout(600)
def test_no_cheat_scores_anything_as_a_program() -> None:
    scored = {}
    for name, program in cheats.CHEATS.items():
        verdict = judge(f"{program}\nprint(f(int(input())))\n", cheats.STDIO)
        if (verdict.verdict, verdict.score) != ("incorrect", 0.0):
            scored[name] = (verdict.verdict, verdict.reason, verdict.score)
    assert scored == {}
