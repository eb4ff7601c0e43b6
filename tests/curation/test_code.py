"""Code is found in a response, run with tests of every shape, and judged fairly."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.sandbox.execution import Run
from curation.sandbox.inside import wire
from curation.sandbox.inside.session import CandidateFailed, Clock
from curation.verifiers import code as code_module
from curation.verifiers import verify
from curation.verifiers.codecompare import Opaque, same_output, same_value
from curation.verifiers.codeextract import extract_code, variants
from curation.verifiers.codejudge import Result, judge
from curation.verifiers.codetests import BadTests, parse_tests
from tests.curation.sandbox_holes import sandbox_here

SOAK = bool(os.environ.get("WHITTLE_SOAK"))
needs_sandbox = pytest.mark.skipif(not sandbox_here(), reason="no sandbox here")
DOUBLE = "def double(n):\n    return 2 * n\n"
CHECK = {
    "test": "def check(c):\n    assert c(2) == 4\n    assert c(3) == 6\n",
    "entry_point": "double",
}
PROMPT = 'from typing import List\n\n\ndef double(n: int) -> int:\n    """Twice n."""\n'
BLOCK = f"```python\n{DOUBLE}```"


# --- finding the code


@pytest.mark.parametrize(
    "response",
    [
        BLOCK,
        f"<think>```python\nno = 1\n```</think>First.\n{BLOCK}\nThat is it.",
        f"```\nexample\n```\n{BLOCK}",
        f"{BLOCK}\n```python\nprint(double(2))\n```",
        f"{BLOCK}\n```text\n4\n```",
        f"~~~py\n{DOUBLE}~~~",
        f"1. Here:\n   ```python\n{DOUBLE}   ```",
        f"````markdown\nx\n````\n{BLOCK}",
        BLOCK[:-3],
        DOUBLE,
        DOUBLE + "<|im_end|>",
    ],
)
def test_the_program_of_a_response_is_found(response: str) -> None:
    found = extract_code(response, entry="double")
    assert found.text.strip() == DOUBLE.strip()
    assert response[found.start : found.end] == found.text


@pytest.mark.parametrize(
    ("response", "finish", "reason"),
    [
        ("<think>```python\nx = 1\n```", "", "truncated"),
        (BLOCK[:-3], "length", "truncated"),
        ("", "", "no_answer"),
        ("<think>x</think>  ", "", "no_answer"),
        ("```python\n```", "", "no_answer"),
        ("```python\n" + "#" * 300_000 + "\n```", "", "too_long"),
    ],
)
def test_where_there_is_no_program_the_reason_is_named(
    response: str, finish: str, reason: str
) -> None:
    assert extract_code(response, finish_reason=finish).reason == reason


def test_positions_are_code_points() -> None:
    response = f"𝑥 😀\r\n{BLOCK}"
    found = extract_code(response)
    assert response[found.start : found.end] == DOUBLE


@settings(max_examples=80, deadline=None)
@given(st.text(alphabet=st.sampled_from("`~ \n\t>pyx𝑥<think>/"), max_size=300))
def test_no_text_breaks_the_search(text: str) -> None:
    found = extract_code(text, entry="x")
    assert found.reason or text[found.start : found.end] == found.text


def test_a_completion_may_be_a_body_or_the_whole_function() -> None:
    body = extract_code("    return 2 * n\n")
    assert variants(body, PROMPT)[0] == PROMPT.rstrip() + "\n    return 2 * n\n"
    stripped = extract_code("return 2 * n")
    assert PROMPT.rstrip() + "\n    return 2 * n" in variants(stripped, PROMPT)


# --- shapes of tests


@pytest.mark.parametrize(
    ("given", "kind", "count"),
    [
        (CHECK, "check", None),
        ({"type": "asserts", "asserts": ["assert f(1) == 2"]}, "statements", 1),
        ({"test_list": ["assert f(1)"], "test_setup_code": "import math"}, "statements", 1),
        ({"test": "from solution import f\ndef test_it():\n    assert f()"}, "pytest", None),
        ({"cases": [{"input": "1", "output": "2"}]}, "stdio", 1),
        ([{"input": ["1", "2"], "output": ["3"]}], "stdio", 1),
        ({"inputs": ["1", "2"], "outputs": ["1", "2"]}, "stdio", 2),
        ({"inputs": [[1]], "outputs": [2], "fn_name": "f"}, "calls", 1),
        ({"language": "python", "test_cases": [
            {"type": "stdin_stdout", "input": "1", "output": "2"}]}, "stdio", 1),
        ('{"inputs": ["1"], "outputs": ["2"]}', "stdio", 1),
    ],
)  # fmt: skip
def test_known_shapes_of_tests_are_read(given: Any, kind: str, count: int | None) -> None:
    tests = parse_tests(given)
    assert (tests.kind, tests.count) == (kind, count)
    assert "expected" not in str(tests.inside)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, "no_tests"),
        ("", "no_tests"),
        ({}, "no_tests"),
        ({"test": "", "entry_point": ""}, "no_tests"),
        ({"what": 1}, "bad_tests"),
        ({"cases": [{"input": "1"}]}, "bad_tests"),
        ({"inputs": ["1"], "outputs": []}, "bad_tests"),
        ({"cases": [{"input": 1, "output": 2}]}, "bad_tests"),
        ({"inputs": ["1"] * 1_001, "outputs": ["1"] * 1_001}, "bad_tests"),
        ({"type": "check", "code": 7}, "bad_tests"),
        (7, "no_tests"),
    ],
)
def test_what_are_no_tests_is_unverifiable_with_a_reason(given: Any, reason: str) -> None:
    with pytest.raises(BadTests) as problem:
        parse_tests(given)
    assert problem.value.reason == reason
    verdict = verify("code", BLOCK, None, tests=given)
    assert (verdict.verdict, verdict.reason) == ("unverifiable", reason)


# --- comparing


@pytest.mark.parametrize(
    ("printed", "expected", "same"),
    [
        (b"4\n", "4", True),
        (b"4 \n\n", "4\n", True),
        (b"1 2\r\n3\n", "1 2\n3", True),
        (b"4.0\n", "4", True),
        (b"1  2\n", "1 2\n", True),
        (b"5\n", "4", False),
        (b"4\n4\n", "4", False),
        (b"1 2\n", "1\n2\n", False),
        (b"", "4", False),
        (b"\xff\n", "4", False),
        (b"nan", "4", False),
        (b"1e999999999", "4", False),
        (b"Yes", "yes", False),
    ],
)
def test_output_is_compared_as_contests_do(printed: bytes, expected: str, same: bool) -> None:
    assert same_output(printed, expected) is same


def test_a_tolerance_is_used_only_where_it_is_given() -> None:
    assert not same_output(b"0.3333", "0.33333333")
    assert same_output(b"0.3333", "0.33333333", 1e-3)
    assert same_value([0.30000000000000004], [0.3], tolerance=1e-9)
    assert not same_value(0.30000000000000004, 0.3)


@pytest.mark.parametrize(
    ("got", "wanted", "same"),
    [
        ((1, [2]), [1, [2]], True),
        ({1: "a"}, {"1": "a"}, True),
        (1, True, False),
        (2, 2.0, True),
        ("2", 2, False),
        ({1: 1, "1": 1}, {"1": 1}, False),
        (Opaque(), 1, False),
        (None, None, True),
        ([[]] * 3, [[], []], False),
    ],
)
def test_values_are_compared_with_their_json(got: Any, wanted: Any, same: bool) -> None:
    assert same_value(got, wanted) is same


# --- the wire

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.binary() | st.complex_numbers(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(plain)
def test_plain_values_come_over_the_wire_as_they_were(value: Any) -> None:
    again = wire.Decoder().decode(wire.Encoder().encode(value))
    assert again == value
    assert type(again) is type(value)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | st.text(alphabet="ntfixdcsblIuezmr0123456789:;,", max_size=60))
def test_no_bytes_break_the_decoder(raw: bytes | str) -> None:
    data = raw.encode() if isinstance(raw, str) else raw
    with contextlib.suppress(wire.WireError):
        wire.Decoder().decode(data)


def test_a_huge_count_or_depth_is_refused() -> None:
    for raw in (b"l999999999:", b"l1:" * 500 + b"n", b"s-5:", b"i" + b"9" * 5_000 + b";"):
        with pytest.raises(wire.WireError):
            wire.Decoder().decode(raw)
    assert wire.Decoder().decode(wire.Encoder().encode(10**9_000)) == 10**9_000


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
STDIO = {"inputs": ["1", "2"], "outputs": ["1", "2"]}


@pytest.mark.parametrize(
    ("runs", "options", "verdict", "reason"),
    [
        ((SLOW, SLOW), {}, "incorrect", "time_limit"),
        ((SLOW, RIGHT), {}, "error", "flaky"),
        ((BROKEN, RIGHT), {}, "correct", ""),
        ((BROKEN, BROKEN), {}, "error", "sandbox_fault"),
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
