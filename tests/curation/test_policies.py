"""Policies: how families of evidence become one decision, with thresholds by category."""

from __future__ import annotations

from typing import Any

import pytest

from curation.policies import POLICIES, Evidence, family_of, policy_of, score_of
from curation.selection.recipe import Recipe, RecipeError


def ev(rule: str = "", judge: str = "", **more: str) -> list[Evidence]:
    given = {"math": rule, "judge-j": judge, **more}
    return [Evidence(name.replace("_", "-"), v) for name, v in given.items() if v]


C, I, U, E = "correct", "incorrect", "unverifiable", "error"  # noqa: E741


@pytest.mark.parametrize(
    ("rule", "judge", "both_and", "either", "both"),
    [
        (C, C, C, C, C),
        (C, I, I, C, I),
        (I, C, I, C, I),
        (I, I, I, I, I),
        (C, "", "not_verified", C, "not_verified"),
        (I, "", I, I, "not_verified"),
        ("", C, "not_verified", C, "not_verified"),
        (C, E, E, C, E),
        (I, E, I, I, E),
        (E, C, E, C, E),
        (U, C, U, C, U),
        (U, I, I, I, U),
        (E, E, E, E, E),
        ("", "", "not_verified", "not_verified", "not_verified"),
    ],
)
def test_the_same_evidence_is_decided_in_the_papers_opposite_ways(
    rule: str, judge: str, both_and: str, either: str, both: str
) -> None:
    given = ev(rule, judge)
    assert POLICIES["rule-and-judge"](given) == both_and
    assert POLICIES["rule-or-judge"](given) == either
    assert POLICIES["both"](given) == both
    assert POLICIES["rule"](given) == (rule or "not_verified")


def test_execution_counts_as_a_check_and_form_and_rewards_do_not() -> None:
    given = [Evidence("code", C), Evidence("format", I), Evidence("reward-r", I, 0.1)]
    assert POLICIES["checked"](given) == C
    assert POLICIES["rule-or-judge"](given) == C
    assert POLICIES["rule"]([Evidence("format", C)]) == "not_verified"
    assert [family_of(n) for n in ("format", "reward-r", "json_schema", "logic", "regex")] == [
        "format", "reward", "rule", "rule", "rule",
    ]  # fmt: skip


def test_contradicting_rules_are_a_disagreement_and_never_a_coin() -> None:
    given = ev(C, C, exact=I)
    assert POLICIES["checked"](given) == "disagree"
    assert POLICIES["rule-and-judge"](given) == "disagree"
    assert POLICIES["both"](given) == "disagree"
    assert POLICIES["rule-or-judge"](given) == C


@pytest.mark.parametrize(
    ("labels", "score", "decision"),
    [
        (("math",), 1.0, C),
        (("math",), 0.99, I),  # above, not at
        (("code",), 0.995, C),
        (("science",), 0.997, I),
        (("science",), 1.0, C),
        (("other",), 0.7, I),
        (("chat", "exact"), 0.75, C),
        (("algebra", "math"), 0.75, I),  # an unknown category: the kind's threshold
        ((), 0.75, C),
    ],
)
def test_deepdistills_thresholds_hold_by_category(
    labels: tuple[str, ...], score: float, decision: str
) -> None:
    given = [Evidence("judge-j", C, score)]
    assert POLICIES["deepdistill"](given, *labels) == decision


def test_one_threshold_for_all_may_include_itself() -> None:
    policy = POLICIES["verify-score-0.9"]
    assert policy([Evidence("math", I, 0.9)], "math") == C
    assert policy([Evidence("math", I, 0.89)], "math") == I


def test_a_policys_name_carries_thresholds() -> None:
    policy = policy_of("rule-or-judge@science>=0.8, other=0.5")
    assert policy([Evidence("judge-j", C, 0.8)], "Science") == C
    assert policy([Evidence("judge-j", C, 0.79)], "science") == I
    assert policy([Evidence("judge-j", C, 0.5)], "math") == I
    assert policy([Evidence("judge-j", C, None)], "math") == C  # nothing to compare
    assert policy([Evidence("judge-j", E, 0.9)], "math") == E
    assert policy([Evidence("reward-r", I, 0.9)], "math") == C


@pytest.mark.parametrize(
    "name",
    ["best", "rule@", "rule@math", "rule@math=2", "rule@math=-1", "rule@=0.5", "rule@math=0.5,,",
     "rule@" + "x" * 80 + "=0.5", "", "rule@math=0.5;other=1"],
)  # fmt: skip
def test_names_that_are_no_policy_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"one of|threshold"):
        policy_of(name)


def test_recipes_take_policies_with_thresholds_and_no_others() -> None:
    assert Recipe(name="r", policy="both").policy == "both"
    assert Recipe(name="r", policy="rule-or-judge@math=0.99").policy
    with pytest.raises(RecipeError, match="policy"):
        Recipe(name="r", policy="rule@math")


def test_selection_decides_with_the_labels_of_the_problem() -> None:
    from curation.selection.candidates import Candidate, CandidateVerdict
    from curation.selection.core import select_problem

    def candidate(**fields: Any) -> Candidate:
        half = CandidateVerdict("incorrect", "judge", 0.8)
        return Candidate(1, "t", 1, "p", 10, verdicts=(half,), **fields)

    recipe = Recipe(name="r", policy="deepdistill")
    assert select_problem([candidate(labels=("chat",))], recipe).rows
    assert not select_problem([candidate(labels=("math",))], recipe).rows


def test_the_form_of_a_response_is_no_score_of_its_answer() -> None:
    assert score_of([Evidence("format", C, 1.0), Evidence("math", I, 0.2)], I) == 0.2
    assert score_of([Evidence("format", C, 1.0)], I) == 0.0
