"""Puzzles: scorers of reasoning-gym in a child, SATURN's rule, and what neither may do."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curation.verifiers import gym, sat, verify
from curation.verifiers.arithmetic import exact_value, literal
from curation.verifiers.logic import answer_of
from curation.verifiers.puzzlepool import PuzzlePool, Scored

needs_gym = pytest.mark.skipif(
    not __import__("importlib.util").util.find_spec("reasoning_gym"), reason="no reasoning-gym"
)


def tagged(answer: str) -> str:
    return f"<think>\nhm\n</think>\n<answer>{answer}</answer>"


# -- SATURN ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "wanted"), [((3, 5, 20), 9.6325), ((3, 7, 40), 12.7845), ((5, 8, 40), 10.2439)]
)
def test_saturns_difficulty_is_its_formula(size: tuple[int, int, int], wanted: float) -> None:
    assert sat.difficulty(*size) == pytest.approx(wanted, abs=5e-5)


def test_the_levels_grow_harder_one_by_one() -> None:
    values = [sat.difficulty(*level) for level in sat.LEVELS]
    assert all(one < two for one, two in itertools.pairwise(values))


@pytest.mark.parametrize("size", sat.LEVELS)
def test_a_made_puzzle_has_its_size_and_its_gold_satisfies_every_clause(
    size: tuple[int, int, int],
) -> None:
    n, k, clauses = size
    puzzle = sat.make(n, k, clauses, seed=3)
    assert len(set(puzzle.clauses)) == clauses
    assert all(len({abs(x) for x in c}) == n for c in puzzle.clauses)
    assert puzzle == sat.make(n, k, clauses, seed=3) != sat.make(n, k, clauses, seed=4)
    entry = {"variables": k, "clauses": [list(c) for c in puzzle.clauses]}
    assert sat.judge(puzzle.answer, entry).verdict == "correct"


def test_any_satisfying_assignment_is_correct_and_every_other_gets_its_share_of_clauses() -> None:
    puzzle = sat.make(3, 5, 20, seed=1)
    clauses = [list(c) for c in puzzle.clauses]
    option = {"dataset": "saturn", "entry": {"variables": 5, "clauses": clauses}}
    for bits in itertools.product("01", repeat=5):
        values = tuple(bit == "1" for bit in bits)
        true = sum(sat.satisfied(tuple(c), values) for c in clauses)
        verdict = verify("logic", tagged("".join(bits)), puzzle.answer, puzzle=option)
        assert verdict.verdict == ("correct" if true == 20 else "incorrect")
        assert verdict.score == pytest.approx(true / 20)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("011", (False, True, True)),
        ("0, 1, 1", (False, True, True)),
        ("[0 1 1]", (False, True, True)),
        ("x1 = false, x2 = true, x3 = 1", (False, True, True)),
        ("01", None),
        ("0111", None),
        ("the bits 011", None),
        ("x1 = true", None),
        ("", None),
    ],
)
def test_bits_and_named_values_are_read_and_nothing_is_guessed(text: str, values: Any) -> None:
    assert sat.read_answer(text, 3) == values


@pytest.mark.parametrize(
    "entry",
    [None, {}, {"variables": 2}, {"variables": 2, "clauses": []}, {"variables": 2, "clauses": [[]]},
     {"variables": 2, "clauses": [[3]]}, {"variables": 10**9, "clauses": [[1]]},
     {"variables": True, "clauses": [[1]]}, {"variables": 2, "clauses": [["1"]]}],
)  # fmt: skip
def test_a_damaged_sat_puzzle_is_unverifiable(entry: Any) -> None:
    verdict = verify("logic", tagged("01"), None, puzzle={"dataset": "saturn", "entry": entry})
    assert (verdict.verdict, verdict.reason) == ("unverifiable", "bad_puzzle")


@pytest.mark.parametrize(
    ("name", "answer", "gold", "veto"),
    [
        ("game_of_life_halting", "true.", "True", False),
        ("game_of_life_halting", "False", "True", True),
        ("game_of_life_halting", "anything", "False", True),
        ("number_sorting", "['1.0', '2.5']", "['1.0', '2.5']", False),
        ("number_sorting", "[1, 2.50]", "['1.0', '2.5']", False),
        ("number_sorting", "['1.0', '2.6']", "['1.0', '2.5']", True),
        ("number_sorting", "{'1': 2}", "['1.0']", True),
        ("number_sorting", "[None]", "['1.0']", True),
    ],
)
def test_scorers_that_take_too_much_are_vetoed(
    name: str, answer: str, gold: str, veto: bool
) -> None:
    assert bool(gym.GUARDS[name](answer, {"answer": gold, "metadata": {}})) is veto


@pytest.mark.parametrize("size", [(0, 5, 5), (6, 5, 5), (3, 5, 0), (2, 2, 4), (1, 1, 2)])
def test_sizes_that_cannot_be_made_are_refused(size: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"clauses|<="):
        sat.make(*size, seed=0)


# -- arithmetic without eval -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "value", "numbers"),
    [("(1+2)*3", 9, [1, 2, 3]), ("7 × 2 − 4", 10, [7, 2, 4]), ("-6/4*2", -3, [6, 4, 2])],
)
def test_formulas_are_evaluated_exactly(formula: str, value: int, numbers: list[int]) -> None:
    assert exact_value(formula) == (value, numbers)


@pytest.mark.parametrize(
    "formula",
    ["9**9**9", "2**3", "1.5*2", "f(1)", "x", "__import__('os')", "1/0", "1//2", "(" * 500,
     "+".join(["1"] * 2000), "*".join(["9" * 90] * 20), "", "1 if 1 else 2", "[1][0]"],
)  # fmt: skip
def test_anything_but_plain_arithmetic_is_refused(formula: str) -> None:
    with pytest.raises(ValueError, match=r"formula|brackets|zero|large|deep"):
        exact_value(formula)


def test_literals_stand_in_for_eval_and_calls_do_not_run() -> None:
    assert literal("[['a', 1], ['b', 2]]") == [["a", 1], ["b", 2]]
    assert literal("(0xff & 0x0f) << 2") == 60
    assert literal("7/2") == 3.5
    for hostile in ("open('x')", "().__class__", "9**9**9", "1 << 10**9", "lambda: 0", "a"):
        with pytest.raises(ValueError):
            literal(hostile)


@pytest.mark.parametrize(
    "text",
    ["__import__('os')", "x.__class__", "open(1)", "sympify(1)", "a[0]", "'a'", "x.y", "lambda x:x",
     "{1}", "1;2", "Symbol(x)", "x" * 3000, "𝑥+1"],
)  # fmt: skip
def test_what_sympys_parser_would_run_never_reaches_it(text: str) -> None:
    with pytest.raises(ValueError, match="formula"):
        gym.check_formula(text)


def test_plain_formulas_reach_it() -> None:
    for text in ("3*x**2 + 2*x*y - 1", "sin(2*x)*exp(-x) + C", "(1+2)*3/4", "1.5*x"):
        gym.check_formula(text)


# -- reading the answer ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "finish", "found"),
    [
        ("<answer>a</answer> no, <answer>\nb\nc</answer>", "", ("b\nc", "")),
        ("<think><answer>1</answer></think>so <answer>2</answer>", "", ("2", "")),
        ("<think>never ends <answer>1</answer>", "", (None, "truncated")),
        ("<answer>1</answer>", "length", (None, "truncated")),
        ("so it is \\boxed{7}", "", ("7", "")),
        ("I cannot say much about this puzzle.", "", (None, "no_answer")),
    ],
)
def test_the_last_answer_after_the_reasoning_counts(
    response: str, finish: str, found: tuple[str | None, str]
) -> None:
    assert answer_of(response, finish) == found


def test_a_puzzle_that_is_missing_is_unverifiable() -> None:
    for option in ({}, {"puzzle": None}, {"puzzle": {}}, {"puzzle": {"dataset": 3}}):
        verdict = verify("logic", tagged("1"), "1", **option)
        assert (verdict.verdict, verdict.reason) == ("unverifiable", "no_puzzle")


# -- reasoning-gym in its child --------------------------------------------------------------------


@pytest.fixture(scope="module")
def pool() -> Iterator[PuzzlePool]:
    made = PuzzlePool(timeout=20)
    yield made
    made.close()


def entry(question: str, answer: str | None, **metadata: Any) -> dict[str, Any]:
    return {"question": question, "answer": answer, "metadata": metadata}


COUNTDOWN = {
    "dataset": "countdown",
    "config": {},
    "entry": entry("make 24", "(8-2)*4", numbers=[8, 2, 4], target=24),
}
PUZZLE24 = {
    "dataset": "puzzle24",
    "config": {},
    "entry": entry("make 24", "4*6*1*1", numbers=[4, 6, 1, 1]),
}


@needs_gym
@pytest.mark.slow
@pytest.mark.parametrize(
    ("puzzle", "answer", "score"),
    [
        (COUNTDOWN, "(8-2)*4", 1.0),
        (COUNTDOWN, "4*(8 - 2)", 1.0),
        (COUNTDOWN, "24", 0.05),
        (COUNTDOWN, "8*4-2*4", 0.05),  # one number twice
        (PUZZLE24, "4*6*1*1", 1.0),
        (PUZZLE24, "3*8*1*1", 0.0),  # the library takes any four numbers in range
        (PUZZLE24, "4*6+1/1-1*0", 0.01),
        ({"dataset": "leg_counting", "config": {"seed": 7, "size": 3}, "index": 0}, "0", 0.0),
    ],
)
def test_scores_are_the_librarys_with_its_false_positives_vetoed(
    pool: PuzzlePool, puzzle: dict[str, Any], answer: str, score: float
) -> None:
    found = pool.score(puzzle, answer, None)
    assert (found.outcome, found.score) == ("scored", pytest.approx(score))


@needs_gym
@pytest.mark.slow
def test_answers_that_the_library_would_run_as_python_do_nothing(
    pool: PuzzlePool, tmp_path: Path
) -> None:
    canary = tmp_path / "ran"
    code = f"__import__('os').mkdir({str(canary)!r})"
    for name in ("spiral_matrix", "binary_matrix", "n_queens", "string_insertion", "countdown",
                 "puzzle24", "simple_integration", "polynomial_multiplication"):  # fmt: skip
        puzzle = {"dataset": name, "config": {"seed": 1, "size": 2}, "index": 0}
        for answer in (code, f"[{code}]", f"1 if {code} else 2"):
            found = pool.score(puzzle, answer, None)
            assert found.outcome in ("scored", "unparsed"), (name, found)
            assert (found.score or 0) < 1
    assert not canary.exists()


@needs_gym
@pytest.mark.slow
def test_damaged_puzzles_are_unverifiable_and_a_hang_is_ours(pool: PuzzlePool) -> None:
    for puzzle in (
        {"dataset": "no_such", "config": {}, "index": 0},
        {"dataset": "../os", "config": {}, "index": 0},
        {"dataset": "composite", "config": {"seed": 1}, "index": 0},
        {"dataset": "leg_counting", "config": {"no_knob": 1, "seed": 1}, "index": 0},
        {"dataset": "leg_counting", "config": {}, "index": 0},
        {"dataset": "leg_counting", "config": {"seed": 1}, "index": -1},
        {"dataset": "leg_counting", "config": {"seed": 1}, "entry": {"answer": "1"}},
    ):
        assert pool.score(puzzle, "1", None).outcome == "bad_puzzle", puzzle
    good = {"dataset": "leg_counting", "config": {"seed": 7, "size": 3}, "index": 0}
    assert pool.score(good, "1", "another reference").outcome == "bad_puzzle"
    hang = {"dataset": "simple_integration", "config": {"seed": 1, "size": 2}, "index": 0}
    started = time.monotonic()
    found = PuzzlePool.call(pool, "score", hang, "9**9**9**9**9*x", None, timeout=4.0)
    assert found.outcome in ("timeout", "crashed"), found
    assert time.monotonic() - started < 60


def test_without_the_library_puzzles_are_an_error_and_not_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert PuzzlePool().score(COUNTDOWN, "1", None).outcome == "library_missing"
    monkeypatch.setattr(PuzzlePool, "score", lambda *_: Scored("library_missing"))
    assert verify("logic", tagged("1"), None, puzzle=COUNTDOWN).verdict == "error"


# Tasks whose puzzles have no stored answer: any valid solution passes, so there is no gold to try.
NO_GOLD = {"boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour"}


@needs_gym
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_in_every_generator_the_gold_passes_and_changed_golds_fail() -> None:
    """The self-test that docs/logic.md tabulates, over all generators of the library."""
    lenient = {}
    for name in gym.names():
        found = gym.selftest(name, size=4)
        assert found["gold"] == found["with_gold"], (name, found)
        assert (found["with_gold"] == 0) == (name in NO_GOLD), name
        missed = {k: found[k] for k in ("foreign", "changed") if found[k][0] < found[k][1]}
        if missed:
            lenient[name] = missed
    assert set(lenient) <= KNOWN_LENIENT, lenient


# Generators whose scorers allow a rounding error, which the changed last digit is within.
KNOWN_LENIENT = {"codeio", "coin_flip", "decimal_arithmetic", "number_format", "pool_matrix"}


@needs_gym
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_agreement_with_reasoning_gyms_own_scores_on_its_1800_published_completions(
    pool: PuzzlePool,
) -> None:
    """docs/logic.md explains each of the six rows that differ."""
    import json

    root = os.environ.get("WHITTLE_REAL_DATA")
    if not root:
        pytest.skip("WHITTLE_REAL_DATA is not set")
    false_positive, false_negative, agree = [], [], 0
    for path in sorted(Path(root, "reasoning-gym-eval").glob("*/*/*.json")):
        run = json.loads(path.read_text())
        for index, row in enumerate(run["results"]):
            puzzle = {"dataset": run["name"], "config": run["config"], "index": index}
            for number, one in enumerate(row["completions"]):
                answer, _ = answer_of(one["full_model_response"] or "")
                found = pool.score(puzzle, answer, row["expected_answer"]) if answer else None
                right = found is not None and found.score == 1.0
                agree += right == (one["score"] >= 1.0)
                if right != (one["score"] >= 1.0):
                    key = (run["name"], index, number)
                    (false_positive if right else false_negative).append(key)
    assert agree == 1794
    assert false_positive == [("countdown", 13, 1)]
    assert sorted(false_negative) == [
        ("countdown", 24, 2), ("countdown", 31, 0), ("countdown", 31, 1), ("countdown", 49, 0),
        ("countdown", 49, 1),
    ]  # fmt: skip
