"""Code blocks of a trace: found by their fences, told as evidence; the sandbox does the running."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache

from curation.models import Problem
from curation.verifiers.base import Verdict, correct, error, incorrect
from reviews import codecheck, pruning

TEXT = """𝑥 first
```python
print(5 + 7)
```
then
```cpp
int x;
```
```py
1/0
```
```python
open"""
PROBLEM = Problem(text="Add.", kind="math", reference_answer="12")


class Client:
    """The service's client, with answers of its own."""

    asked: list[Any] = []
    verdicts: list[Verdict] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Takes what the real one takes."""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing is open."""

    def verify_batch(self, items: list[Any]) -> list[Verdict]:
        Client.asked.append(items)
        return [self.verdicts[i % len(self.verdicts)] for i in range(len(items))]


@pytest.fixture(autouse=True)
def client(monkeypatch: pytest.MonkeyPatch) -> type[Client]:
    cache.clear()
    Client.asked, Client.verdicts = [], [error("verifier_unreachable")]
    monkeypatch.setattr(codecheck, "VerifierClient", Client)
    monkeypatch.setattr(pruning, "VerifierClient", Client)
    return Client


def ran(**record: Any) -> Verdict:
    return incorrect("tests", record.pop("why", ""), tests=[record])


def test_closed_python_blocks_are_found_with_their_code_points() -> None:
    blocks = codecheck.blocks_of(TEXT)
    assert [code for *_, code in blocks] == ["print(5 + 7)\n", "1/0\n"]
    start, end, _ = blocks[0]
    assert TEXT[start:end] == "```python\nprint(5 + 7)\n```"


@pytest.mark.parametrize(
    ("verdict", "state", "words"),
    [
        (ran(got="12\n"), "holds", "Python: runs, prints 12"),
        (ran(got=""), "holds", "Python: runs"),
        (
            ran(why="runtime_error", stderr="line 1\nZeroDivisionError: division by zero\n"),
            "differs",
            "Python: fails: ZeroDivisionError: division by zero",
        ),
        (ran(why="time_limit"), "differs", "Python: fails: time limit"),
        (
            error("sandbox_unavailable"),
            "unchecked",
            "Python: cannot be checked: sandbox unavailable",
        ),
    ],
)
def test_a_chip_says_what_running_the_block_said(verdict: Verdict, state: str, words: str) -> None:
    assert codecheck.told_of(verdict, solving=False) == {"state": state, "text": words}


def test_a_block_of_a_problem_with_tests_is_tried_on_them(client: type[Client]) -> None:
    problem = Problem(text="f?", kind="code", tests={"inputs": ["1"], "outputs": ["2"]})
    client.verdicts = [correct("tests", "", passed=3, total=3), incorrect("tests", "wrong_result")]
    told = codecheck.code_checks(TEXT, problem)
    assert [c["state"] for c in told] == ["holds", "differs"]
    assert told[0]["text"] == "Python: passes 3 of 3 tests"
    assert client.asked[0][0]["options"]["tests"] == problem.tests
    # While verdicts are hidden the tests are not used: their outcome is the verdict.
    codecheck.code_checks(TEXT, problem, solving=False)
    assert client.asked[1][0]["options"]["tests"]["outputs"] == [codecheck.NOTHING]


def test_results_are_remembered_and_faults_of_ours_are_not(client: type[Client]) -> None:
    codecheck.code_checks(TEXT, PROBLEM)
    client.verdicts = [ran(got="12")]
    assert codecheck.code_checks(TEXT, PROBLEM)[0]["state"] == "holds"
    assert codecheck.code_checks(TEXT, PROBLEM)[0]["state"] == "holds"
    assert [len(items) for items in client.asked] == [2, 2]


def test_only_the_first_blocks_are_run_and_the_rest_says_so() -> None:
    many = "".join(f"```python\nprint({i})\n```\n" for i in range(codecheck.MOST + 2))
    told = codecheck.code_checks(many, PROBLEM)
    assert len(told) == codecheck.MOST + 2 and "not run" in told[-1]["text"]


def test_what_is_left_after_cuts_is_judged_with_the_problems_tests_and_choices(
    client: type[Client],
) -> None:
    tests = {"inputs": ["1"], "outputs": ["2"]}
    pruning.judge(Problem(text="f?", kind="code", tests=tests, reference_solution="s"), "t")
    pruning.judge(Problem(text="q", kind="choice", choices=["a", "b"], reference_answer="A"), "t")
    code, choice = (items[0] for items in client.asked)
    limit = {"deadline": settings.TOOL_SECONDS}
    assert code["options"] == {"tests": tests, "prompt": "f?"} | limit
    assert choice["options"] == {"choices": ["a", "b"]} | limit
    assert (code["reference"], choice["reference"]) == ("s", "A")
