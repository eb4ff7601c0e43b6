"""The demo teacher: its problems, its working, its tokenizer and the shipped models."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from workers.demo_teacher.problems import (
    MAX_TOTAL,
    OPERANDS,
    Problem,
    is_reserved,
    make_problem,
    make_problems,
)
from workers.demo_teacher.working import (
    Habits,
    is_right,
    other_order,
    stated_answer,
    work_chain,
    write_trace,
)

FLAWLESS = Habits(slip=0.0, slip_in_check=0.0)
MODELS = Path(__file__).parents[2] / "workers" / "demo_teacher"
STEP = re.compile(r"(\d+) ([+-]) (\d+): .*?so (\d+)\.")
COLUMN = re.compile(r"(?:ones|tens|hundreds) ([\d +-]+) = (\d+)")


def value_of(text: str) -> int:
    """The value of ``5 - 3 + 1`` without eval."""
    total, sign = 0, 1
    for part in text.split():
        if part in "+-":
            sign = 1 if part == "+" else -1
        else:
            total += sign * int(part)
    return total


def test_the_same_seed_gives_the_same_problems_and_another_seed_does_not() -> None:
    first = [p.text for p in make_problems(50, 3)]
    assert first == [p.text for p in make_problems(50, 3)]
    assert first != [p.text for p in make_problems(50, 4)]
    assert len(set(first)) == 50


def test_the_splits_share_no_operand_and_no_problem() -> None:
    train = list(make_problems(2000, 1, "train"))
    held = list(make_problems(2000, 1, "held-back"))
    assert not {o for p in train for o in p.operands} & {o for p in held for o in p.operands}
    assert not {p.sha256 for p in train} & {p.sha256 for p in held}
    assert all(is_reserved(o) for p in held for o in p.operands)


def test_every_digit_occurs_in_both_splits() -> None:
    for operands in OPERANDS.values():
        assert {digit for operand in operands for digit in str(operand)} == set("0123456789")


@pytest.mark.parametrize("split", ["train", "held-back"])
def test_running_totals_stay_between_zero_and_the_limit(split: str) -> None:
    for problem in make_problems(2000, 5, split):  # type: ignore[arg-type]
        totals = [sum(problem.terms[: n + 1]) for n in range(len(problem.terms))]
        assert min(totals) >= 0 and max(totals) <= MAX_TOTAL
        assert 2 <= len(problem.terms) <= 4


def test_the_text_of_a_problem_holds_exactly_its_operands_in_order() -> None:
    for problem in make_problems(500, 6):
        assert tuple(int(n) for n in re.findall(r"\d+", problem.text)) == problem.operands


def test_a_solver_that_never_slips_is_always_right_and_every_column_is_true() -> None:
    rng = random.Random(7)
    for _ in range(500):
        problem = make_problem(rng)
        trace = write_trace(rng, problem, FLAWLESS)
        assert is_right(trace, problem.answer)
        assert all(value_of(left) == int(right) for left, right in COLUMN.findall(trace)), trace
        for left, sign, right, result in STEP.findall(trace):
            assert int(left) + int(f"{sign}{right}") == int(result)


def test_slips_make_wrong_answers_and_checks_mend_many_of_them() -> None:
    def wrong(habits: Habits) -> int:
        rng = random.Random(8)
        pairs = [(p, write_trace(rng, p, habits)) for p in (make_problem(rng) for _ in range(600))]
        return sum(not is_right(trace, problem.answer) for problem, trace in pairs)

    careless = wrong(Habits(slip=0.2, check=0.0, alternative=0.0))
    careful = wrong(Habits(slip=0.2, check=1.0, alternative=1.0))
    assert careless > 120
    assert careful < careless / 2


def test_traces_recheck_and_restart_about_as_often_as_the_habits_say() -> None:
    rng = random.Random(9)
    traces = [write_trace(rng, make_problem(rng), Habits()) for _ in range(1000)]
    assert 0.4 < sum("Wait, let me check" in t for t in traces) / 1000 < 0.5
    assert 0.3 < sum("Alternatively" in t for t in traces) / 1000 < 0.4


def test_the_other_order_has_the_same_value_and_never_falls_below_zero() -> None:
    for problem in make_problems(500, 10):
        terms = other_order(problem.terms)
        assert sorted(terms) == sorted(problem.terms)
        assert all(sum(terms[: n + 1]) >= 0 for n in range(len(terms)))


def test_a_chain_goes_on_from_the_result_it_wrote_even_if_that_is_wrong() -> None:
    lines = work_chain(random.Random(1), (37, 48, -19, 60), slip=1.0)
    assert all(not line.is_right for line in lines[:1])
    assert [line.left for line in lines[1:]] == [line.result for line in lines[:-1]]


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("<think>\n\\boxed{3}\n</think>\n\n\\boxed{66}", "66"),
        ("<think>\nso \\boxed{66}\n</think>\n\n66", None),
        ("<think>\n\\boxed{66}", None),
        ("<think>\n</think>\n\n\\boxed{6", None),
    ],
)
def test_only_a_box_after_the_reasoning_states_the_answer(
    response: str, answer: str | None
) -> None:
    assert stated_answer(response) == answer


def test_the_problems_command_writes_rows_with_true_answers() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "workers.demo_teacher", "problems", "--n", "20", "--seed", "2"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 20
    assert all(int(row["answer"]) == sum(row["terms"]) for row in rows)
    assert rows[0] == {**next(iter(make_problems(1, 2))).row("train")}


def test_importing_the_problems_loads_no_heavy_library() -> None:
    code = (
        "import sys, workers.demo_teacher.__main__, workers.demo_teacher.training,"
        " workers.demo_teacher.serving, workers.demo_teacher.working;"
        "print([m for m in ('torch', 'transformers', 'django', 'celery') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_problem_hash_ignores_case_and_spaces_only() -> None:
    assert Problem("What is 3 + 4?", (3, 4)).sha256 == Problem("what  is 3 + 4?", (3, 4)).sha256
    assert Problem("What is 3 + 4?", (3, 4)).sha256 != Problem("What is 34?", (3, 4)).sha256
