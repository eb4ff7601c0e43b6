"""Difficulty as papers define it, with their own numbers."""

from __future__ import annotations

import itertools
import math

import pytest

from curation.difficulty.lengths import lengths_of, over_long, shorter_better
from curation.difficulty.levels import (
    LEVELS,
    WEIGHTS,
    largest_remainder,
    level_of,
    sample_to,
    shares_of,
)
from curation.difficulty.outcomes import Attempt, grade
from curation.difficulty.series import (
    fill,
    historical_variance,
    is_weakness,
    lim_scores,
    ranked,
    slope,
)
from curation.difficulty.stats import (
    coefficient_of_variation,
    kodcode_band,
    linear_fit,
    pass_at_k,
)
from curation.difficulty.tiers import (
    deepdistill_stage,
    group_answers,
    in_band,
    skywork,
    staged_tier,
    teachability,
)

# -- vectors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "population", "sample"),
    [
        ([0.9, 0.1, 0.7, 0.3, 0.5], 0.5657, 0.6325),
        ([0.6, 0.8, 0.7, 0.7, 0.7], 0.0904, 0.1010),
        ([0.3, 0.5, 0.4, 0.4, 0.4], 0.1581, 0.1768),
    ],
)
def test_deepdistills_formula_and_its_example_use_two_denominators(
    values: list[float], population: float, sample: float
) -> None:
    assert coefficient_of_variation(values, 0) == pytest.approx(population, abs=5e-5)
    assert coefficient_of_variation(values, 1) == pytest.approx(sample, abs=5e-5)


def test_lim_of_two_items() -> None:
    scores = lim_scores({"A": [0, 0, 1], "B": [0, 1, 1]})
    assert scores == {"A": pytest.approx(0.8), "B": pytest.approx(0.8)}


def test_lim_is_undefined_where_every_mean_is_one() -> None:
    assert lim_scores({"A": [1, 1], "B": [1, 1]}) == {"A": None, "B": None}
    assert lim_scores({}) == {}


@pytest.mark.parametrize(
    ("successes", "trials", "code", "paper"),
    [(2, 3, "easy", "medium"), (1, 3, "medium", "medium"), (0, 3, "fail", "fail"),
     (3, 3, "easy", "easy"), (1, 4, "hard", "hard")],
)  # fmt: skip
def test_kodcodes_bands_differ_at_two_thirds(
    successes: int, trials: int, code: str, paper: str
) -> None:
    assert kodcode_band(successes, trials, "code") == code
    assert kodcode_band(successes, trials, "paper") == paper


def test_pass_at_k_is_the_mean_over_all_subsets() -> None:
    for n, c in ((5, 2), (8, 1), (6, 6), (4, 0)):
        outcomes = [1] * c + [0] * (n - c)
        for k in range(1, n + 1):
            subsets = list(itertools.combinations(outcomes, k))
            assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


# -- reward series ---------------------------------------------------------------------------------


def test_gaps_at_the_start_are_filled_and_items_with_other_gaps_are_named() -> None:
    found = fill({"a": [None, None, 0.5], "b": [0, None, 1], "c": [0, 1], "d": [None] * 3,
                  "e": [0, 1, math.nan]})  # fmt: skip
    assert found.values == {"a": [0.5, 0.5, 0.5]}
    assert found.dropped == {"b": "gap", "c": "too_short", "d": "no_values", "e": "gap"}


def test_an_item_that_follows_the_mean_curve_scores_one() -> None:
    scores = lim_scores({"low": [0, 0, 0], "mean": [0.5, 0.5, 0.5], "high": [1, 1, 1]})
    assert scores["mean"] == pytest.approx(1.0)
    assert ranked(scores) == ["mean", "high", "low"]


def test_historical_variance_names_its_denominator() -> None:
    assert historical_variance([0, 1, None], 0) == 0.25
    assert historical_variance([0, 1], 1) == 0.5
    assert historical_variance([None], 0) is None
    assert historical_variance([0.3], 1) is None


@pytest.mark.parametrize(
    ("values", "weak"),
    [([0.4, 0.3, 0.1], True), ([0.6, 0.1, 0.0], False), ([0.1, 0.2, 0.3], False),
     ([0.2], None), ([None, None], None), ([0.4, None, 0.1], True)],
)  # fmt: skip
def test_a_weakness_never_reaches_half_and_falls(
    values: list[float | None], weak: bool | None
) -> None:
    assert is_weakness(values) is weak


def test_slopes_are_least_squares_over_the_known_epochs() -> None:
    assert slope([0.0, None, 1.0]) == pytest.approx(0.5)
    assert slope([1.0]) is None


# -- tiers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "stage"),
    [([0.2, 0.3, 0.1, 0.2], "drop"), ([1.0, 0.0, 0.0, 1.0], "keep_passing"),
     ([1.0, 1.0, 1.0, 1.0], "sample"), ([], None), ([0.99], "drop")],
)  # fmt: skip
def test_deepdistills_first_stage(scores: list[float], stage: str | None) -> None:
    assert deepdistill_stage(scores, 0.99, cv_limit=0.5, ddof=0) == stage


def test_skywork_counts_failures_and_names_what_teaches_nothing() -> None:
    hard, never, always = skywork(3, 16), skywork(0, 16), skywork(16, 16)
    assert hard is not None
    assert (hard.difficulty, hard.of, hard.excluded) == (13, 16, "")
    assert never is not None
    assert always is not None
    assert (never.excluded, always.excluded) == ("never", "always")
    assert skywork(0, 0) is None
    with pytest.raises(ValueError, match="correct"):
        skywork(3, 2)


@pytest.mark.parametrize(
    ("rates", "tier"),
    [((0.5, 1.0, 1.0, 1.0), "L1"), ((0.0, 0.5, 1.0, 1.0), "L2"), ((0.0, 0.0, 0.5, 1.0), "L3"),
     ((0.0, 0.0, 0.0, 0.5), "L3"), ((0.5, 0.5, 0.5, 0.0), "dropped"),
     ((1.0, 1.0, 1.0, 1.0), "easy"), ((0.0, None, 0.5, 1.0), None),
     ((0.5, 0.5, 0.5, None), None)],
)  # fmt: skip
def test_staged_tiers_compare_models_and_never_add_them(
    rates: tuple[float | None, ...], tier: str | None
) -> None:
    assert staged_tier(*rates) == tier


def test_bands_include_their_ends() -> None:
    assert in_band(0.25, 0.25, 0.625)
    assert in_band(0.626, 0.25, 0.625) is False
    assert in_band(None, 0, 1) is None


def test_teachability_is_the_weak_models_agreement_with_a_strong_plurality() -> None:
    strong = ["4", "4", "4", "5"]
    found = teachability(strong, {"w1": ["4", "5"], "w2": ["4", "4"], "w3": []}, 3, 0.5)
    assert found is not None
    assert (found.proxy, found.votes, found.share) == ("4", 3, 0.75)
    assert found.agreement == {"w1": 0.5, "w2": 1.0}
    assert found.mean == 0.75
    assert teachability(["4", "5"], {}, 1, 0.1) is None  # a tie
    assert teachability(strong, {}, 4, 0.5) is None
    assert teachability(strong, {}, 3, 0.8) is None
    assert teachability([], {}, 1, 0) is None


def test_equal_answers_are_grouped_with_few_comparisons() -> None:
    asked = []

    def same(a: str, b: str) -> bool:
        asked.append((a, b))
        return a.lower() == b.lower()

    answers = ["x", "X", "x", "y"] * 50
    assert group_answers(answers, same) == [("x", 150), ("y", 50)]
    assert len(asked) == 2


# -- levels for a named student --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("correct", "graded", "process", "level", "by"),
    [(3, 4, None, 1, "solved"), (0, 1, 0.8, 2, "process"), (0, 1, 0.75, 2, "process"),
     (0, 1, 0.6, 3, "process"), (0, 1, 0.3, 4, "process"), (0, 1, 0.0, 5, "process"),
     (2, 4, None, 3, "rate"), (0, 4, None, 5, "rate"), (1, 1, 0.1, 1, "solved")],
)  # fmt: skip
def test_what_a_student_solves_is_level_one_and_the_rest_by_process_score(
    correct: int, graded: int, process: float | None, level: int, by: str
) -> None:
    found = level_of(correct, graded, process)
    assert found is not None
    assert (found.level, found.by) == (level, by)


def test_no_attempts_have_no_level_and_cuts_must_fall() -> None:
    assert level_of(0, 0) is None
    with pytest.raises(ValueError, match="falling"):
        level_of(0, 1, 0.5, (0.2, 0.5, 0.7))


@pytest.mark.parametrize("weights", [(1, 2, 1, 1, 1), (1, 1, 1), (0, 0, 0, 0, 0), (3, 2, 1, 0, -1)])
def test_weights_may_not_rise_with_difficulty(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="weights"):
        shares_of(weights)


def test_a_target_histogram_is_met_and_shortages_are_reported_not_filled() -> None:
    levels = {pk: 1 + pk % 5 for pk in range(100)} | {1000: 1}
    enough = sample_to(levels, 30, WEIGHTS, seed=3)
    assert {n: len(enough.chosen[n]) for n in LEVELS} == {1: 10, 2: 8, 3: 6, 4: 4, 5: 2}
    assert not enough.shortage
    assert enough.ids == sample_to(levels, 30, WEIGHTS, seed=3).ids
    assert enough.ids != sample_to(levels, 30, WEIGHTS, seed=4).ids
    short = sample_to({1: 1, 2: 3, 3: 5}, 15)
    assert short.wanted == {1: 5, 2: 4, 3: 3, 4: 2, 5: 1}
    assert short.shortage == {1: 4, 2: 4, 3: 2, 4: 2}
    assert short.ids == [1, 2, 3]


def test_rounding_keeps_the_total() -> None:
    for total in range(40):
        assert sum(largest_remainder(shares_of(WEIGHTS), total)) == total


# -- lengths ---------------------------------------------------------------------------------------


def test_the_shortest_correct_length_and_its_history() -> None:
    found = lengths_of([(False, 5), (True, 40), (True, 30), (False, 9), (True, 60)], "tokens")
    assert found is not None
    assert (found.shortest, found.history) == (30, (40, 30, 30))
    assert (found.mean_correct, found.mean_all, found.longest_ratio) == (43.33, 28.8, 2.0)


def test_where_nothing_is_correct_nothing_is_ranked_by_length() -> None:
    found = lengths_of([(False, 5), (False, 50)], "chars")
    assert found is not None
    assert (found.shortest, found.history, found.mean_all) == (None, (), 27.5)
    assert over_long([(False, 5), (False, 50)], 2.0) == []
    assert lengths_of([], "chars") is None


def test_over_long_is_correct_and_far_above_the_shortest() -> None:
    assert over_long([(True, 10), (True, 25), (False, 99), (True, 20)], 2.0) == [1, 3]


def test_shorterbetters_reward() -> None:
    assert shorter_better(True, 120, 100, alpha=2.0, beta=0.01) == pytest.approx(1.8)
    assert shorter_better(False, 100, 100, alpha=2.0, beta=0.01) == 0.0


def test_a_grade_holds_lengths_scores_and_skyworks_count() -> None:
    attempts = [
        Attempt((("logic", "correct", 1.0),), tokens=40, chars=100),
        Attempt((("logic", "incorrect", 0.2),), tokens=10, chars=50),
        Attempt((("logic", "error", None),), tokens=5, chars=5),
    ]
    found = grade(attempts, "checked")
    assert found is not None
    assert found.detail["lengths"]["unit"] == "tokens"
    assert found.detail["lengths"]["shortest_correct"] == 40
    assert found.detail["skywork"] == {"failed": 1, "of": 2, "excluded": ""}
    assert found.detail["best_score"] == 1.0
    assert found.detail["score_cv"]["population"] == pytest.approx(2 / 3)
    uncounted = [Attempt((("logic", "correct", 1.0),), chars=100), *attempts]
    again = grade(uncounted, "checked")
    assert again is not None
    assert again.detail["lengths"]["unit"] == "chars"  # never two units in one row


def test_a_grade_with_thresholds_decides_by_the_labels_of_the_problem() -> None:
    half = (("judge-j", "correct", 0.8),)
    rows = {label: grade([Attempt(half, labels=(label,))], "deepdistill") for label in
            ("chat", "math")}  # fmt: skip
    assert rows["chat"] is not None
    assert rows["math"] is not None
    assert (rows["chat"].tally.correct, rows["math"].tally.correct) == (1, 0)


def test_a_line_needs_three_points_that_vary() -> None:
    fit = linear_fit([(0, 1.0), (1, 0.5), (2, 0.0)])
    assert fit is not None
    assert fit == pytest.approx((-0.5, 1.0, 1.0))
    assert linear_fit([(0, 1), (1, 2)]) is None
    assert linear_fit([(1, 1), (1, 2), (1, 3)]) is None
    assert linear_fit([(1, 1), (2, 1), (3, 1)]) is None
