"""No program passes without solving the problem (V1, V2, V3 of the list of threats)."""

from __future__ import annotations

import os
from typing import Any

import pytest

from curation.verifiers.code import CodeVerifier
from tests.curation import code_cheats as cheats
from tests.curation.sandbox_holes import hole, inside, sandbox_here

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


# --- the harm that cheats do when the one layer that stops them is switched off


def test_v1_control_if_a_clean_exit_counted_a_program_that_leaves_would_pass() -> None:
    explained = 'record["reason"], record["message"] = explain(problem)'
    counted = 'record["passed"] = "ended with 0" in explain(problem)[1]'
    for name in ("leaves when called with os._exit", "leaves with a clean exit later"):
        assert judge(cheats.CHEATS[name], cheats.ASSERTS).verdict == "incorrect"
    with hole(inside("asserts", explained, counted)):
        assert judge(cheats.CHEATS["leaves when called with os._exit"], cheats.ASSERTS).score == 1.0


def test_v2_control_asked_itself_an_object_that_equals_everything_would_pass() -> None:
    cheat = cheats.CHEATS["an object that equals everything"]
    assert judge(cheat, cheats.ASSERTS).score == 0.0
    compared = inside(
        "proxies", "return theirs.target ==", "return theirs is not None and theirs.target =="
    )
    asked = inside(
        "proxies", "if theirs is None:\n            return", "if False:\n            return"
    )
    reckoned = inside("proxies", "if theirs is None and (op in", "if False and (op in")
    with hole(compared, asked, reckoned):
        assert judge(cheat, cheats.ASSERTS).verdict == "correct"


def test_v2_control_forked_after_the_tests_were_read_it_would_find_them() -> None:
    cheat = cheats.CHEATS["finds the tests in the frames it was forked from"]
    assert judge(cheat, cheats.ASSERTS).score == 0.0
    forks = "    loader = _start(job)\n"
    reads = "    tests = wire.Decoder().decode(wire.read_frame(_read))\n"
    with hole(inside("runner", forks + reads, reads + forks)):
        assert judge(cheat, cheats.ASSERTS).score > 0


FORGER = """
import os
for payload in (b'm2:s4:names6:line 2s6:passedt', b'm1:s3:endt'):
    try: os.write(9, len(payload).to_bytes(4, 'big') + payload)
    except OSError: pass
def f(n): return 0
"""


def test_v3_control_with_the_results_descriptor_left_open_a_forged_pass_counts() -> None:
    assert judge(FORGER, cheats.CHECK).score == 0.0
    open_before = inside("candidate", "os.closerange(after, keep)", "0")
    open_after = inside("candidate", 'os.closerange(after, int(self.job["files"]))', "0")
    with hole(open_before, open_after):
        assert judge(FORGER, cheats.CHECK).verdict == "correct"


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
