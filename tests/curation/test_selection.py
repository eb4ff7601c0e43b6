"""Selection: who is taken, who is not, and why. No database."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.selection.candidates import Candidate, CandidateVerdict, Outcome
from curation.selection.core import select, select_problem
from curation.selection.digest import selection_sha256
from curation.selection.filters import held_back
from curation.selection.policies import POLICIES
from curation.selection.presets import PRESETS
from curation.selection.recipe import Recipe, RecipeError, recipe_from_dict

SFT = Recipe(name="t")
DPO = Recipe(name="t", kind="dpo")


def verdict(value: str, family: str = "rule", score: float | None = None) -> CandidateVerdict:
    return CandidateVerdict(value, family, score)


def make(trace_id: int, value: str = "correct", chars: int = 100, **more: Any) -> Candidate:
    given_verdicts = more.pop("verdicts", (verdict(value),))
    defaults = {"text_sha256": f"text{trace_id}", "problem_id": 1, "problem_sha256": "p1"}
    return Candidate(trace_id=trace_id, chars=chars, verdicts=given_verdicts, **(defaults | more))


def reasons(outcome: Outcome) -> dict[int, str]:
    return {e.trace_id: e.reason for e in outcome.exclusions}


def chosen(outcome: Outcome) -> list[int]:
    return [row.chosen.trace_id for row in outcome.rows]


def pairs(outcome: Outcome) -> list[tuple[int, int]]:
    return [(r.chosen.trace_id, r.rejected.trace_id) for r in outcome.rows if r.rejected]


def test_the_shortest_correct_trace_is_taken_and_the_others_get_a_reason() -> None:
    outcome = select_problem(
        [make(1, chars=300), make(2, chars=200), make(3, "incorrect", 10), make(4, "error")], SFT
    )
    assert chosen(outcome) == [2]
    assert reasons(outcome) == {1: "not_best", 3: "incorrect", 4: "error"}


@pytest.mark.parametrize(("tie", "wanted"), [("shortest", 2), ("first", 1)])
def test_the_tie_rule_decides_among_correct_traces(tie: Any, wanted: int) -> None:
    group = [make(2, chars=5, sample_no=1), make(1, chars=9, sample_no=0)]
    assert chosen(select_problem(group, replace(SFT, tie=tie))) == [wanted]


def test_the_random_tie_rule_depends_on_its_seed_and_not_on_the_order_given() -> None:
    group = [make(n) for n in range(1, 9)]
    picks = {}
    for seed in range(20):
        recipe = replace(SFT, tie="random", seed=seed)
        picks[seed] = chosen(select_problem(group, recipe))
        assert picks[seed] == chosen(select_problem(group[::-1], recipe))
    assert len({tuple(p) for p in picks.values()}) > 3


def test_several_per_problem_never_hold_the_same_text_twice() -> None:
    group = [make(1, text_sha256="same"), make(2, text_sha256="same"), make(3)]
    outcome = select_problem(group, replace(SFT, per_problem=None))
    assert chosen(outcome) == [1, 3]
    assert reasons(outcome) == {2: "not_best"}


SEEN = {"review": "accept", "review_coverage": 0.75, "review_speed": 30.0}


@pytest.mark.parametrize(
    ("change", "recipe", "reason"),
    [
        ({"truncated": True}, {}, "truncated"),
        ({"contaminated": True}, {}, "contaminated"),
        ({"duplicate": True}, {}, "duplicate_problem"),
        ({"held_back": True}, {}, "held_back"),
        ({"chars": 11}, {"max_chars": 10}, "too_long"),
        ({"chars": 9}, {"min_chars": 10}, "too_short"),
        ({"prompt_chars": 11}, {"max_prompt_chars": 10}, "prompt_too_long"),
        ({"tokens": 11}, {"max_tokens": 10}, "too_long"),
        ({"tokens": None}, {"max_tokens": 10}, "tokens_unknown"),
        ({"pass_rate": None}, {"min_pass_rate": 0.1}, "not_graded"),
        ({"pass_rate": 0.2}, {"min_pass_rate": 0.25}, "pass_rate_below"),
        ({"pass_rate": 0.7}, {"max_pass_rate": 0.625}, "pass_rate_above"),
        ({"model": "b"}, {"models": ("a",)}, "other_model"),
        ({"source": "b"}, {"sources": ("a",)}, "other_source"),
        ({"review": "reject"}, {}, "review_rejected"),
        ({"review": ""}, {"require_review": True}, "not_reviewed"),
        ({"review": "undecided"}, {"require_review": True}, "not_reviewed"),
        (SEEN, {"min_review_coverage": 0.8}, "coverage_below"),
        (SEEN | {"review_coverage": None}, {"min_review_coverage": 0.1}, "coverage_unknown"),
        (SEEN | {"review": ""}, {"min_review_coverage": 0.1}, "not_reviewed"),
        (SEEN, {"max_review_speed": 25.0}, "read_too_fast"),
        (SEEN | {"review_speed": None}, {"max_review_speed": 25.0}, "review_time_unknown"),
        ({"review": "bad_problem"}, {}, "bad_problem"),
        ({"derived_from": 7, "review": "accept"}, {"use_derived": False}, "derived"),
        ({"derived_from": 7}, {}, "derived_not_reviewed"),
        (
            {"derived_from": 7, "derivation": "policy"},
            {"derivations": ("turns",)},
            "derived_not_reviewed",
        ),
    ],
)
def test_each_filter_names_its_reason(
    change: dict[str, Any], recipe: dict[str, Any], reason: str
) -> None:
    outcome = select_problem([make(1, **change)], replace(SFT, **recipe))
    assert (chosen(outcome), reasons(outcome)) == ([], {1: reason})


@pytest.mark.parametrize("recipe", [{"min_review_coverage": 0.75}, {"max_review_speed": 30.0}])
def test_what_was_read_well_enough_is_taken(recipe: dict[str, Any]) -> None:
    assert chosen(select_problem([make(1, **SEEN)], replace(SFT, **recipe))) == [1]


@pytest.mark.parametrize("rate", [0.25, 0.625])
def test_both_ends_of_the_pass_rate_band_are_inside(rate: float) -> None:
    recipe = replace(SFT, min_pass_rate=0.25, max_pass_rate=0.625)
    assert chosen(select_problem([make(1, pass_rate=rate)], recipe)) == [1]


def test_a_bad_problem_takes_all_its_traces_with_it() -> None:
    outcome = select_problem([make(1, review="bad_problem"), make(2)], SFT)
    assert reasons(outcome) == {1: "bad_problem", 2: "bad_problem"}


def test_a_pruned_trace_that_was_accepted_takes_its_parents_place() -> None:
    group = [make(1, review="accept", chars=10), make(2, derived_from=1, review="accept", chars=20)]
    outcome = select_problem(group, SFT)
    assert chosen(outcome) == [2]
    assert reasons(outcome) == {1: "replaced_by_derived"}


def test_a_pruned_trace_that_is_wrong_leaves_its_parent_in_place() -> None:
    group = [make(1, review="accept"), make(2, "incorrect", derived_from=1, review="accept")]
    outcome = select_problem(group, SFT)
    assert chosen(outcome) == [1]
    assert reasons(outcome) == {2: "incorrect"}


@pytest.mark.parametrize(
    ("policy", "rule", "judge", "wanted"),
    [
        ("rule", "correct", "incorrect", "correct"),
        ("judge", "correct", "incorrect", "incorrect"),
        ("rule-and-judge", "correct", "correct", "correct"),
        ("rule-and-judge", "correct", "incorrect", "incorrect"),
        ("rule-and-judge", "correct", "error", "error"),
        ("rule-and-judge", "correct", None, "not_verified"),
        ("rule-or-judge", "incorrect", "correct", "correct"),
        ("rule-or-judge", "error", "incorrect", "incorrect"),
        ("rule-or-judge", "error", None, "error"),
        ("rule-or-judge", None, None, "not_verified"),
    ],
)
def test_policies_combine_families_as_they_say(
    policy: str, rule: str | None, judge: str | None, wanted: str
) -> None:
    given_verdicts = [(rule, "rule"), (judge, "judge")]
    verdicts = tuple(verdict(value, family) for value, family in given_verdicts if value)
    assert POLICIES[policy](verdicts) == wanted


def test_an_error_is_never_counted_as_incorrect() -> None:
    for policy in POLICIES.values():
        families = ("rule", "judge", "execution", "consensus")
        assert policy(tuple(verdict("error", f) for f in families)) == "error"


def test_verifiers_of_one_family_that_contradict_each_other_decide_nothing() -> None:
    both = (verdict("correct"), verdict("incorrect"))
    outcome = select_problem([make(1, verdicts=both)], SFT)
    assert reasons(outcome) == {1: "disagree"}


def test_a_pair_is_correct_against_incorrect_on_one_problem() -> None:
    group = [make(1), make(2, "incorrect"), make(3, "incorrect", 50), make(4, "unverifiable")]
    outcome = select_problem(group, DPO)
    assert pairs(outcome) == [(1, 3)]
    assert reasons(outcome) == {2: "not_best", 4: "unverifiable"}


def test_without_a_partner_there_is_no_pair() -> None:
    assert reasons(select_problem([make(1), make(2)], DPO)) == {1: "no_pair", 2: "no_pair"}


def test_a_trace_that_people_rejected_is_no_chosen_one() -> None:
    outcome = select_problem([make(1, review="reject"), make(2, "incorrect")], DPO)
    assert reasons(outcome) == {1: "review_rejected", 2: "no_pair"}


def test_pairs_can_be_limited_to_one_model() -> None:
    group = [make(1, model="a"), make(2, "incorrect", model="b")]
    assert pairs(select_problem(group, DPO)) == [(1, 2)]
    assert pairs(select_problem(group, replace(DPO, same_model=True))) == []


def test_concise_against_overlong_needs_the_ratio_and_two_correct_traces() -> None:
    recipe = replace(DPO, pairing="concise-overlong", overlong_ratio=2.0)
    exact = [make(1, chars=100), make(2, chars=200), make(3, "incorrect", 900)]
    assert pairs(select_problem(exact, recipe)) == [(1, 2)]
    close = [make(1, chars=100), make(2, chars=199)]
    assert pairs(select_problem(close, recipe)) == []


def test_a_pruned_trace_is_paired_with_its_own_parent() -> None:
    recipe = replace(DPO, pairing="concise-overlong")
    group = [
        make(1, chars=300, review="accept"),
        make(2, chars=100, derived_from=1, review="accept"),
    ]
    assert pairs(select_problem(group, recipe)) == [(2, 1)]


@pytest.mark.parametrize(
    ("high", "low", "taken"), [(1.0, 0.5, True), (0.9, 0.5, True), (1.0, 0.0, False)]
)
def test_score_pairs_follow_the_published_limits(high: float, low: float, taken: bool) -> None:
    group = [
        make(1, verdicts=(verdict("incorrect", "execution", high),)),
        make(2, verdicts=(verdict("incorrect", "execution", low),)),
    ]
    assert bool(pairs(select_problem(group, PRESETS["dpo-score-margin"]))) is taken


def test_each_trace_is_in_one_pair_at_most() -> None:
    group = [make(n, "correct" if n < 4 else "incorrect") for n in range(1, 9)]
    outcome = select_problem(group, replace(DPO, per_problem=None))
    used = [n for pair in pairs(outcome) for n in pair]
    assert len(pairs(outcome)) == 3
    assert len(used) == len(set(used))


VALUES = st.sampled_from(["correct", "incorrect", "unverifiable", "error"])
VERDICTS = st.lists(
    st.builds(verdict, VALUES, st.sampled_from(["rule", "judge"]), st.floats(0, 1)), max_size=3
)
CANDIDATES = st.lists(
    st.builds(
        dict,
        chars=st.integers(1, 500),
        verdicts=VERDICTS.map(tuple),
        truncated=st.booleans(),
        review=st.sampled_from(["", "", "accept", "reject", "undecided"]),
        derived_from=st.sampled_from([None, None, 1, 2]),
        problem_id=st.integers(1, 3),
        text_sha256=st.sampled_from("abcdefgh"),
        model=st.sampled_from("ab"),
    ),
    max_size=12,
)


@given(CANDIDATES, st.sampled_from(sorted(PRESETS)))
def test_each_candidate_is_in_one_row_or_has_one_reason(raw: list[Any], preset: str) -> None:
    everyone = [make(n, **more) for n, more in enumerate(raw, start=1)]
    everyone.sort(key=lambda c: c.problem_id)
    outcomes = list(select(everyone, PRESETS[preset]))
    taken = [c.trace_id for o in outcomes for r in o.rows for c in (r.chosen, r.rejected) if c]
    left = [e.trace_id for o in outcomes for e in o.exclusions]
    assert sorted(taken + left) == [c.trace_id for c in sorted(everyone, key=lambda c: c.trace_id)]
    assert all(e.reason for o in outcomes for e in o.exclusions)


@given(st.permutations(range(1, 7)), st.sampled_from(sorted(PRESETS)))
def test_the_order_of_candidates_does_not_change_a_selection(order: list[int], name: str) -> None:
    def rows(ids: Any) -> list[Any]:
        group = [make(n, "correct" if n % 2 else "incorrect", 40 * n) for n in ids]
        return list(select_problem(group, PRESETS[name]).rows)

    assert rows(order) == rows(sorted(order))


def test_candidates_must_come_together_by_problem() -> None:
    mixed = [make(1, problem_id=1), make(2, problem_id=2), make(3, problem_id=1)]
    with pytest.raises(ValueError, match="not ordered by problem"):
        list(select(mixed, SFT))


def test_the_digest_changes_with_a_text_a_row_or_the_recipe() -> None:
    rows = list(select_problem([make(1)], SFT).rows)
    base = selection_sha256(rows, SFT)
    other_text = list(select_problem([make(1, text_sha256="x")], SFT).rows)
    assert base == selection_sha256(rows, SFT)
    assert len({base, *(selection_sha256(r, SFT) for r in (other_text, []))}) == 3
    assert selection_sha256(rows, replace(SFT, seed=1)) != base


def test_the_held_back_share_is_near_what_was_asked_and_depends_on_the_seed() -> None:
    problems = [f"{n:064x}" for n in range(4000)]
    share = [p for p in problems if held_back(p, 0.1, 0)]
    assert 300 < len(share) < 500
    assert share != [p for p in problems if held_back(p, 0.1, 1)]
    assert not any(held_back(p, 0.0, 0) for p in problems)
    assert all(held_back(p, 1.0, 0) for p in problems)


@pytest.mark.parametrize("recipe", PRESETS.values(), ids=lambda r: r.name)
def test_each_preset_survives_being_stored(recipe: Recipe) -> None:
    assert recipe_from_dict(recipe.to_dict()) == recipe
    assert recipe.description


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x", "stranger": 1}, "stranger"),
        ({"name": "x", "kind": "rl"}, "kind"),
        ({"name": "x", "policy": "vibes"}, "policy"),
        ({"name": "x", "max_chars": "9"}, "max_chars"),
        ({"name": "x", "max_chars": True}, "max_chars"),
        ({"name": "x", "max_chars": 0}, "max_chars"),
        ({"name": "x", "min_pass_rate": 1.5}, "min_pass_rate"),
        ({"name": "x", "min_pass_rate": float("nan")}, "min_pass_rate"),
        ({"name": "x", "min_pass_rate": 0.9, "max_pass_rate": 0.1}, "min_pass_rate"),
        ({"name": "x", "seed": 2**70}, "seed"),
        ({"name": "x", "require_review": 1}, "require_review"),
        ({"name": "x", "min_review_coverage": 1.5}, "min_review_coverage"),
        ({"name": "x", "max_review_speed": 0}, "max_review_speed"),
        ({"name": "x", "max_review_speed": float("nan")}, "max_review_speed"),
        ({"name": "x", "models": "gpt"}, "models"),
        ({"name": "x", "overlong_ratio": 0.5}, "overlong_ratio"),
        ({"name": "x", "overlong_ratio": float("nan")}, "overlong_ratio"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused_by_field(
    data: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe_from_dict(data)


def test_selection_and_exports_load_neither_django_nor_torch() -> None:
    code = (
        "import sys, curation.selection.core, curation.selection.presets, "
        "curation.selection.digest, curation.exports.writers, curation.exports.formats;"
        "bad={'django','celery','torch','pyarrow'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
