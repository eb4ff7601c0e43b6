"""Code is judged fairly: whose fault it is (V4, V5), and real runs in the sandbox."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curation.sandbox.execution import Run
from curation.sandbox.inside.session import CandidateFailed, Clock
from curation.verifiers import code as code_module
from curation.verifiers import verify
from curation.verifiers.codejudge import Result, judge
from curation.verifiers.codetests import parse_tests
from tests.curation.code_made import BLOCK, CHECK, DOUBLE, PROMPT, STDIO, needs_sandbox

SOAK = bool(os.environ.get("WHITTLE_SOAK"))


# --- whose fault it is


def run_of(*records: Any, **fields: Any) -> Run:
    return Run(records=[{"name": "t", **record} for record in records], whole=True, **fields)


PAIR = parse_tests({"inputs": ["1", "2"], "outputs": ["1", "2"]})


def test_our_faults_are_errors_and_never_incorrect() -> None:
    for run in (
        Run(fault="sandbox_fault"),
        Run(fault="timeout"),
        run_of({"stdout": b"1"}),  # a test without a record
        run_of({"reason": "overloaded"}, {"stdout": b"2"}),
        Run(facts={"unloaded": "overloaded"}),
    ):
        result = judge(run, PAIR)
        assert (result.verdict.verdict, bool(result.fault)) == ("error", True)


def test_the_score_is_the_share_of_tests_and_only_all_are_correct() -> None:
    half = judge(run_of({"stdout": b"1"}, {"stdout": b"x"}), PAIR).verdict
    assert (half.verdict, half.score, half.reason) == ("incorrect", 0.5, "")
    assert judge(run_of({"stdout": b"1"}, {"stdout": b"2"}), PAIR).verdict.verdict == "correct"
    slow = judge(run_of({"stdout": b"1"}, {"reason": "time_limit", "message": "over 4 s"}), PAIR)
    assert (slow.verdict.reason, slow.doubtful) == ("time_limit", True)


def test_a_package_that_the_problem_needs_and_we_lack_is_not_the_candidates_fault() -> None:
    tests = parse_tests({"test_list": ["assert f(1)"], "test_setup_code": "import pandas"})
    run = Run(facts={"unloaded": "missing_module:pandas.core"}, whole=True)
    assert judge(run, tests).verdict.reason == "missing_package"
    own = Run(facts={"unloaded": "missing_module:made_up"}, whole=True)
    assert judge(own, tests).verdict.reason == "missing_module"


def results(*given: Result) -> Any:
    queue: Iterator[Result] = iter(given)
    return lambda code, tests: next(queue)


RIGHT = judge(run_of({"stdout": b"1"}, {"stdout": b"2"}), PAIR)
WRONG = judge(run_of({"stdout": b"1"}, {"stdout": b"x"}), PAIR)
SLOW = judge(run_of({"stdout": b"1"}, {"reason": "time_limit", "message": "over 4 s"}), PAIR)
BROKEN = judge(Run(fault="sandbox_fault"), PAIR)
UNSTARTED = judge(Run(fault="sandbox_unavailable"), PAIR)


@pytest.mark.parametrize(
    ("runs", "options", "verdict", "reason"),
    [
        ((SLOW, SLOW), {}, "incorrect", "time_limit"),
        ((SLOW, RIGHT), {}, "error", "flaky"),
        ((BROKEN, RIGHT), {}, "correct", ""),
        ((BROKEN, BROKEN), {}, "error", "sandbox_fault"),
        ((UNSTARTED, RIGHT), {}, "correct", ""),
        ((UNSTARTED, UNSTARTED), {}, "error", "sandbox_unavailable"),
        ((WRONG,), {}, "incorrect", ""),
        ((RIGHT, WRONG), {"repeat": 2}, "error", "flaky"),
        ((RIGHT, RIGHT), {"repeat": 2}, "correct", ""),
    ],
)
def test_v4_what_may_have_been_ours_is_run_again_and_disagreement_is_flaky(
    monkeypatch: pytest.MonkeyPatch, runs: Any, options: Any, verdict: str, reason: str
) -> None:
    monkeypatch.setattr(code_module, "_execute", results(*runs))
    found = verify("code", BLOCK, None, tests=STDIO, **options)
    assert (found.verdict, found.reason) == (verdict, reason)


def test_v4_control_run_once_a_flaky_program_looks_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_module, "_execute", results(RIGHT, WRONG))
    assert verify("code", BLOCK, None, tests=STDIO).verdict == "correct"


def test_v5_time_spent_waiting_for_a_processor_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("curation.sandbox.inside.session.run_delay", lambda: 3.0)
    clock = Clock(1.0)
    clock.started -= 2.0
    clock.check()  # two seconds passed, three of them waiting: not over yet
    clock.started -= 9.0
    monkeypatch.setattr("curation.sandbox.inside.session.run_delay", lambda: 9.0)
    with pytest.raises(CandidateFailed) as failed:
        clock.check()
    assert failed.value.reason == "overloaded"


def test_v5_control_without_that_a_busy_machine_would_be_the_candidates_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("curation.sandbox.inside.session.run_delay", lambda: 0.0)
    clock = Clock(1.0)
    clock.started -= 2.0
    with pytest.raises(CandidateFailed) as failed:
        clock.check()
    assert failed.value.reason == "time_limit"


# --- in the sandbox


@needs_sandbox
@pytest.mark.parametrize(
    ("response", "verdict", "score"),
    [
        (BLOCK, "correct", 1.0),
        ("    return 2 * n\n", "correct", 1.0),
        ("return 2 * n", "correct", 1.0),
        ("    return 2 * n\n\n# more text, and\nthis is no Python", "correct", 1.0),
        ("```python\ndef double(n):\n    return 4\n```", "incorrect", 0.5),
        ("I do not know.", "incorrect", 0.0),
    ],
)
def test_completions_of_every_style_are_judged(response: str, verdict: str, score: float) -> None:
    found = verify("code", response, None, tests=CHECK, prompt=PROMPT)
    assert (found.verdict, found.score) == (verdict, score), found
    assert found.verdict != "correct" or found.detail["total"] == 2


@needs_sandbox
def test_a_verdict_tells_what_was_run_what_it_cost_and_where() -> None:
    found = verify("code", BLOCK, None, tests={**STDIO, "fn_name": "double", "outputs": ["2", "5"]})
    assert (found.verdict, found.score, found.extracted) == ("incorrect", 0.5, DOUBLE)
    first, second = found.detail["tests"]
    assert first["passed"]
    assert (second["got"], second["expected"]) == ("4", "5")
    assert {"wall", "cpu", "memory"} <= set(first)
    assert found.detail["limits"]["cpu_seconds"] == 5
    assert {"bwrap", "kernel", "filter", "tree"} <= set(found.detail["sandbox"])
    json.dumps(found.as_dict())


@needs_sandbox
def test_a_class_named_solution_and_arguments_changed_in_place_work() -> None:
    method = "```python\nclass Solution:\n    def go(self, a, b):\n        return a + b\n```"
    tests = {"fn_name": "go", "inputs": [[1, 2], "[3]\n[4]"], "outputs": [3, "[3, 4]"]}
    assert verify("code", method, None, tests=tests).verdict == "correct"
    sort = "```python\ndef arrange(items):\n    items.sort()\n```"
    place = {"test_list": ["x = [2, 1]\narrange(x)\nassert x == [1, 2]"]}
    assert verify("code", sort, None, tests=place).verdict == "correct"


@needs_sandbox
def test_a_pytest_file_sees_classes_exceptions_output_and_coverage() -> None:
    solution = (
        "class Full(ValueError):\n    pass\n\n"
        "class Box:\n    def __init__(self, size):\n"
        "        self.size = size\n        self.items = []\n"
        "    def add(self, item, key=lambda x: x):\n"
        "        if len(self.items) == self.size:\n            raise Full('no room')\n"
        "        self.items.append(key(item))\n        print('added')\n        return self\n"
        "    def __len__(self):\n        return len(self.items)\n"
        "    def __eq__(self, other):\n        return self.items == other.items\n"
        "    def never(self):\n        return 0\n"
    )
    test = (
        "import pytest\nfrom solution import Box, Full\n\n"
        "@pytest.fixture\ndef box():\n    return Box(1)\n\n"
        "def test_room(box):\n    assert len(box.add(3, key=lambda x: x + 1)) == 1\n"
        "    assert box.items == [4]\n    assert isinstance(box, Box)\n\n"
        "def test_full(box):\n    box.add(1)\n    with pytest.raises(Full, match='no room'):\n"
        "        box.add(2)\n\n"
        "def test_said(box, capsys):\n    box.add(1)\n"
        "    assert capsys.readouterr().out == 'added\\n'\n\n"
        "def test_equal():\n    assert Box(1).add(2) == Box(3).add(2)\n\n"
        "def test_wrong(box):\n    assert len(box) == 7\n\n"
        "@pytest.mark.skip\ndef test_skipped():\n    pass\n"
    )
    found = verify("code", f"```python\n{solution}\n```", None, tests={"test": test})
    assert (found.verdict, found.score) == ("incorrect", 0.8), found
    assert 0.5 < found.detail["coverage"] < 1


@needs_sandbox
@pytest.mark.parametrize(
    "tests",
    [
        {"test": "def check(c):\n    assert c(2) ==", "entry_point": "double"},
        {"test": "def check(c):\n    assert True", "entry_point": "double"},
        {"test": "import nothing_of_that_name\ndef test_it():\n    assert 1"},
        {"test_list": ["assert double(2) == 4"], "test_setup_code": "import nothing_here"},
    ],
)
def test_broken_tests_are_the_problems_fault(tests: Any) -> None:
    found = verify("code", BLOCK, None, tests=tests)
    assert found.verdict in ("unverifiable", "incorrect")
    assert found.verdict == "unverifiable" or "True" in tests["test"]
    assert found.score in (None, 0.0)


@needs_sandbox
def test_several_candidates_at_once_do_not_disturb_each_other() -> None:
    found: list[str] = []

    def one(n: int) -> None:
        program = f"```python\nimport time; time.sleep(0.1); print({n})\n```"
        tests = {"inputs": [""], "outputs": [str(n)]}
        found.append(verify("code", program, None, tests=tests).verdict)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["correct"] * 4


# --- real data


def humaneval() -> list[dict[str, Any]]:
    folder = os.environ.get("WHITTLE_REAL_DATA")
    if not folder:
        pytest.skip("WHITTLE_REAL_DATA is not set")
    with gzip.open(Path(folder) / "humaneval" / "HumanEval.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


def judged(row: dict[str, Any], text: str) -> Any:
    tests = {"test": row["test"], "entry_point": row["entry_point"]}
    return verify("code", text, None, tests=tests, prompt=row["prompt"])


@needs_sandbox
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_all_164_canonical_solutions_pass_while_the_machine_is_loaded() -> None:
    rounds, burning = (3, 4) if SOAK else (1, 1)
    rows = humaneval()
    stop = threading.Event()

    def burn() -> None:
        program = "```python\nx = 0\nfor n in range(6_000_000): x += n\nprint(x)\n```"
        while not stop.is_set():
            code_module.execution.run(
                code_module.Job([program.split("\n", 1)[1][:-3]], program=True),
                {"type": "stdio", "inputs": [b""] * 3},
                code_module.SandboxLimits(),
                30.0,
            )

    burners = [threading.Thread(target=burn) for _ in range(burning)]
    for burner in burners:
        burner.start()
    try:
        for _ in range(rounds):
            verdicts = [judged(row, row["canonical_solution"]).verdict for row in rows]
            assert verdicts == ["correct"] * 164
    finally:
        stop.set()
        for burner in burners:
            burner.join()


# Whom upstream calls solved though the program stops at a name that nothing defines: docs.
UPSTREAM_WRONG = {("text-davinci-003", f"HumanEval/{number}") for number in (133, 143, 150)}


@needs_sandbox
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_flags_of_three_models_agree_but_for_the_known_mistakes_of_upstream() -> None:
    folder = os.environ.get("WHITTLE_REAL_DATA")
    if not folder:
        pytest.skip("WHITTLE_REAL_DATA is not set")
    different, seen = set(), set()
    for path in sorted((Path(folder) / "reflexion").glob("*.jsonl")):
        model = path.name.split("_1_", 1)[1].split("_pass")[0]
        for line in path.read_text().splitlines()[:: 1 if SOAK else 5]:
            row = json.loads(line)
            name = (model.split("_")[-1], row["task_id"])
            seen.add(name)
            if (judged(row, row["solution"]).verdict == "correct") != row["is_solved"]:
                different.add(name)
    assert different == UPSTREAM_WRONG & seen
