"""Pass rates, intervals, pass@k, variation and bands, against published values."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.difficulty.stats import (
    Tally,
    coefficient_of_variation,
    kodcode_band,
    pass_at_k,
    wilson,
)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 8, 0.0, 0.3244),
        (8, 8, 0.6756, 1.0),
        (4, 8, 0.2152, 0.7848),
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_intervals_match_published_ones(
    successes: int, trials: int, low: float, high: float
) -> None:
    interval = wilson(successes, trials)
    assert interval is not None
    assert interval == pytest.approx((low, high), abs=6e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_wilson_interval_holds_its_rate_and_stays_inside_0_and_1(pair: tuple[int, int]) -> None:
    successes, trials = pair
    interval = wilson(successes, trials)
    assert interval is not None
    assert 0 <= interval.low <= successes / trials <= interval.high <= 1


def test_without_trials_there_is_no_interval_and_impossible_counts_are_refused() -> None:
    assert wilson(0, 0) is None
    for successes, trials in ((-1, 3), (4, 3)):
        with pytest.raises(ValueError):
            wilson(successes, trials)


@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), st.data())
def test_pass_at_k_is_the_share_of_draws_with_a_success(
    pair: tuple[int, int], data: st.DataObject
) -> None:
    trials, successes = pair
    k = data.draw(st.integers(1, trials))
    draws = list(combinations([1] * successes + [0] * (trials - successes), k))
    exact = Fraction(sum(any(draw) for draw in draws), len(draws))
    assert pass_at_k(trials, successes, k) == pytest.approx(float(exact))


def test_pass_at_k_needs_k_trials_and_pass_at_1_is_the_pass_rate() -> None:
    assert pass_at_k(4, 2, 5) is None
    assert pass_at_k(200, 50, 1) == pytest.approx(0.25)
    assert pass_at_k(10, 3, 8) == 1.0
    with pytest.raises(ValueError):
        pass_at_k(4, 2, 0)


@pytest.mark.parametrize(
    ("values", "population", "sample"),
    [
        ([0.9, 0.1, 0.7, 0.3, 0.5], 0.5657, 0.6325),
        ([0.6, 0.8, 0.7, 0.7, 0.7], 0.0904, 0.1010),
        ([0.3, 0.5, 0.4, 0.4, 0.4], 0.1581, 0.1768),
    ],
)
def test_variation_matches_deepdistills_equation_and_its_example(
    values: list[float], population: float, sample: float
) -> None:
    assert coefficient_of_variation(values, ddof=0) == pytest.approx(population, abs=5e-5)
    assert coefficient_of_variation(values, ddof=1) == pytest.approx(sample, abs=5e-5)


@pytest.mark.parametrize(("values", "ddof"), [([], 0), ([0.0, 0.0], 0), ([0.5], 1)])
def test_variation_is_undefined_rather_than_invented(values: list[float], ddof: int) -> None:
    assert coefficient_of_variation(values, ddof) is None


@pytest.mark.parametrize(
    ("successes", "trials", "code", "paper"),
    [
        (2, 3, "easy", "medium"),
        (1, 3, "medium", "medium"),
        (0, 3, "fail", "fail"),
        (7, 10, "easy", "easy"),
        (3, 10, "hard", "hard"),
        (8, 12, "easy", "medium"),
        (10, 10, "easy", "easy"),
    ],
)
def test_kodcodes_bands_in_both_variants(
    successes: int, trials: int, code: str, paper: str
) -> None:
    assert kodcode_band(successes, trials) == code
    assert kodcode_band(successes, trials, "paper") == paper


def test_errors_and_unverifiable_ones_are_outside_the_pass_rate() -> None:
    tally = Tally(correct=3, incorrect=1, unverifiable=10, error=20)
    assert tally.pass_rate == 0.75
    assert tally.interval == wilson(3, 4)
    assert Tally(unverifiable=2, error=1).pass_rate is None
    assert Tally(error=4).band() is None
