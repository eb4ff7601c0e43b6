"""Agreement figures equal cases worked out by hand, the papers' examples and a second library."""

from __future__ import annotations

import random

import pytest

from reviews import agreement as ag


def test_cohen_by_hand() -> None:
    # 20 items: both yes, both no, split as (yes, no) and (no, yes): seen .7, chance .5.
    first = ["y"] * 25 + ["n"] * 25
    second = ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    assert ag.cohen(first, second) == pytest.approx(0.4)
    assert ag.cohen("aab", "aab") == 1
    assert ag.cohen("ab", "ba") == -1
    assert ag.cohen("aa", "aa") is None  # nobody ever chose a second value
    assert ag.cohen("", "") is None


def test_cohen_equals_scikit_learn_on_random_labels() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    dice = random.Random(4)
    for _ in range(5):
        a = [dice.choice("xyz") for _ in range(40)]
        b = [x if dice.random() < 0.5 else dice.choice("xyz") for x in a]
        assert ag.cohen(a, b) == pytest.approx(metrics.cohen_kappa_score(a, b))


def test_fleiss_of_his_own_example() -> None:
    # Fleiss 1971, also in the encyclopedia's article: 10 subjects, 14 raters, kappa 0.210.
    counts = [
        (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
    ]  # fmt: skip
    table = [[v for v, n in enumerate(row) for _ in range(n)] for row in counts]
    assert ag.fleiss(table) == pytest.approx(0.210, abs=5e-4)


def test_alpha_of_krippendorffs_own_example_with_missing_values() -> None:
    # Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C: nominal .743.
    a = [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None]
    b = [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3]
    c = [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None]
    d = [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None]
    table = list(zip(a, b, c, d, strict=True))
    assert ag.alpha(table) == pytest.approx(0.743, abs=5e-4)
    assert ag.alpha(table, "interval") == pytest.approx(0.849, abs=5e-4)
    assert ag.alpha([["x", "x"], ["x", "x"]]) is None


def test_equal_keys_with_different_values_are_a_disagreement() -> None:
    assert ag.percent([["sound", "flawed"], ["sound", "sound"]]) == 0.5
    assert ag.percent([["sound", None]]) is None


def test_cut_masks_are_compared_token_by_token() -> None:
    tokens = [0, 4, 9, 12, 20]
    assert ag.mask(tokens, [(4, 12)]) == [0, 1, 1, 0, 0]
    assert ag.mask(tokens, [(5, 9), (19, 30)]) == [0, 0, 0, 0, 1]
    assert ag.mask_overlap(tokens, [(4, 12)], [(9, 13)]) == pytest.approx(1 / 3)
    assert ag.mask_overlap(tokens, [], []) is None
    # By hand: units 00 11 11 10 00; 10 values, 5 zero and 5 one; disagreement 1/5 to 50/90... of
    # alpha = 1 - (n - 1) * mixed / (n0 * n1) = 1 - 9 * 1 / 25.
    assert ag.mask_alpha(tokens, [[(4, 13)], [(4, 12)]]) == pytest.approx(1 - 9 / 25)


def test_where_people_differ_is_the_symmetric_difference_of_their_cuts() -> None:
    assert ag.differing_ranges([[(0, 10)], [(5, 15)]]) == [(0, 5), (10, 15)]
    assert ag.differing_ranges([[(0, 10)], [(0, 10)]]) == []
    assert ag.differing_ranges([[(0, 10)], [], []]) == [(0, 10)]


def test_first_errors_agree_within_a_tolerance() -> None:
    pairs = [(None, None), (10, 60), (5, None), (7, 7)]
    assert ag.position_agreement(pairs, 0) == 0.5
    assert ag.position_agreement(pairs, 50) == 0.75
