"""From verdicts to a grade: policies, contradictions, and what is never merged in silence."""

from __future__ import annotations

import pytest

from curation.difficulty.outcomes import Attempt, decide, grade
from curation.difficulty.stats import Tally

RIGHT, WRONG = ("math", "correct"), ("math", "incorrect")


@pytest.mark.parametrize(
    ("verdicts", "policy", "decision"),
    [
        ([RIGHT], "checked", "correct"),
        ([RIGHT, ("judge-x", "incorrect")], "checked", "correct"),
        ([RIGHT, ("judge-x", "incorrect")], "judge", "incorrect"),
        ([RIGHT, ("code", "incorrect")], "checked", "disagree"),
        ([RIGHT, ("code", "incorrect")], "execution", "incorrect"),
        ([("math", "error"), ("exact", "correct")], "checked", "correct"),
        ([("math", "error"), ("exact", "unverifiable")], "checked", "unverifiable"),
        ([("math", "error")], "checked", "error"),
        ([("judge:m", "correct")], "checked", "not_verified"),
        ([], "rule", "not_verified"),
    ],
)
def test_a_policy_counts_its_own_families_and_indecision_never_outvotes(
    verdicts: list[tuple[str, str]], policy: str, decision: str
) -> None:
    assert decide(verdicts, policy) == decision


def test_a_grade_keeps_the_sequence_and_counts_the_undecided_beside() -> None:
    found = grade(
        [
            Attempt((RIGHT,)),
            Attempt((("math", "error"),)),
            Attempt((WRONG,), truncated=True),
            Attempt((("math", "unverifiable"),)),
            Attempt(()),
            Attempt((RIGHT, ("code", "incorrect"))),
        ],
        "checked",
    )
    assert found is not None
    assert found.tally == Tally(correct=1, incorrect=1, unverifiable=2, error=1)
    assert found.detail["sequence"] == [1, None, 0, None, None, None]
    assert (found.detail["disagree"], found.detail["not_verified"]) == (1, 1)
    assert found.detail["truncated"] == 1
    assert found.detail["pass_at"] == {"1": 0.5, "2": 1.0}


def test_attempts_without_any_verdict_have_no_grade() -> None:
    assert grade([Attempt(()), Attempt((("judge", "correct"),))], "checked") is None


@pytest.mark.parametrize(
    ("attempts", "mixed", "known"),
    [
        ([Attempt((RIGHT,), source="a"), Attempt((RIGHT,), source="a")], False, False),
        ([Attempt((RIGHT,), source="a"), Attempt((RIGHT,), source="b")], True, False),
        ([Attempt((RIGHT,), max_tokens=512), Attempt((RIGHT,), max_tokens=512)], False, True),
        ([Attempt((RIGHT,), max_tokens=512), Attempt((RIGHT,), max_tokens=4096)], True, True),
        ([Attempt((RIGHT,), max_tokens=512), Attempt((RIGHT,))], True, False),
    ],
)
def test_token_budgets_that_may_differ_are_flagged(
    attempts: list[Attempt], mixed: bool, known: bool
) -> None:
    found = grade(attempts, "checked")
    assert found is not None
    assert found.detail["mixed_budgets"] is mixed
    assert found.detail["token_budget_known"] is known
