"""Grading in the database: groups, idempotence, newest verdicts, stale rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from curation.difficulty.grade import run_grade
from curation.difficulty.stats import wilson
from curation.jobs import JobError
from curation.models import Difficulty, Job, Problem, Source, Trace, Verdict

pytestmark = pytest.mark.django_db
Run = Callable[..., Job]


@pytest.fixture
def problem(project: Any) -> Problem:
    source = Source.objects.create(project=project, name="sums")
    return Problem.objects.create(
        project=project, source=source, text="1 + 1", text_sha256="x", norm_sha256="x"
    )


def attempt(problem: Problem, verdict: str | None, **given: Any) -> Trace:
    number = Trace.objects.count()
    values: dict[str, Any] = {
        "project": problem.project,
        "problem": problem,
        "source": problem.source,
        "origin": "generated",
        "identity": str(number),
        "model": "m",
        "text": "2",
        "text_sha256": "x",
        "char_count": 1,
        "sample_no": number,
        "sampling_hash": "s",
        "sampling": {"max_tokens": 512},
    }
    trace = Trace.objects.create(**values | given)
    if verdict:
        judge(trace, verdict)
    return trace


def judge(trace: Trace, verdict: str, verifier: str = "math", version: str = "1") -> None:
    Verdict.objects.create(
        trace=trace, verifier=verifier, version=version, reference_sha256="r", verdict=verdict
    )


def test_a_pass_rate_has_its_interval_and_the_counts_that_are_not_in_it(
    run_job: Run, problem: Problem
) -> None:
    for verdict in ("correct", "correct", "incorrect", "error", "unverifiable"):
        attempt(problem, verdict)
    job = run_job(run_grade, "grade")
    row = Difficulty.objects.get()
    assert (row.correct, row.incorrect, row.unverifiable, row.error) == (2, 1, 1, 1)
    assert row.pass_rate == pytest.approx(2 / 3)
    assert (row.wilson_low, row.wilson_high) == wilson(2, 3)
    assert row.policy == "checked"
    assert job.counts["graded"] == 1
    assert job.counts["traces"] == 5


def test_grading_again_changes_no_row(run_job: Run, problem: Problem) -> None:
    for verdict in ("correct", "incorrect", "incorrect", None):
        attempt(problem, verdict)
    run_job(run_grade, "grade")
    before = list(Difficulty.objects.values())
    again = run_job(run_grade, "grade")
    assert (again.counts["graded"], again.counts["changed"]) == (1, 0)
    assert list(Difficulty.objects.values()) == before


def test_models_and_samplings_are_graded_apart(run_job: Run, problem: Problem) -> None:
    attempt(problem, "correct")
    attempt(problem, "incorrect", model="other")
    attempt(problem, "incorrect", sampling_hash="long", sampling={"max_tokens": 8192})
    run_job(run_grade, "grade")
    rates = {(d.model, d.sampling_hash): d.pass_rate for d in Difficulty.objects.all()}
    assert rates == {("m", "s"): 1.0, ("other", "s"): 0.0, ("m", "long"): 0.0}
    budgets = {d.sampling_hash: d.detail["token_budgets"] for d in Difficulty.objects.all()}
    assert budgets["long"] == [8192]


def test_imports_from_several_sources_say_that_their_budgets_may_differ(
    run_job: Run, problem: Problem
) -> None:
    other = Source.objects.create(project=problem.project, name="more")
    for source in (problem.source, other):
        attempt(problem, "correct", origin="imported", source=source, sampling={}, sampling_hash="")
    run_job(run_grade, "grade")
    detail = Difficulty.objects.get().detail
    assert detail["mixed_budgets"] is True
    assert detail["sources"] == ["more", "sums"]


def test_only_the_newest_verdict_of_a_verifier_counts(run_job: Run, problem: Problem) -> None:
    trace = attempt(problem, "incorrect")
    judge(trace, "correct", version="2")
    run_job(run_grade, "grade")
    assert Difficulty.objects.get().pass_rate == 1.0


def test_derived_traces_are_no_attempts(run_job: Run, problem: Problem) -> None:
    parent = attempt(problem, "incorrect")
    attempt(problem, "correct", origin="derived", parent=parent)
    run_job(run_grade, "grade")
    assert Difficulty.objects.get().correct == 0


def test_a_new_verdict_changes_its_row_alone_and_lost_evidence_removes_one(
    run_job: Run, problem: Problem
) -> None:
    attempt(problem, "correct")
    gone = attempt(problem, "correct", model="other")
    run_job(run_grade, "grade")
    attempt(problem, "incorrect")
    gone.delete()
    job = run_job(run_grade, "grade")
    assert (job.counts["changed"], job.counts["removed"]) == (1, 1)
    assert Difficulty.objects.get().pass_rate == 0.5


def test_one_model_can_be_graded_without_touching_the_others(
    run_job: Run, problem: Problem
) -> None:
    attempt(problem, "correct")
    attempt(problem, "correct", model="other")
    run_job(run_grade, "grade", model="other")
    assert [d.model for d in Difficulty.objects.all()] == ["other"]


def test_policies_stand_side_by_side_and_unknown_ones_are_refused(
    run_job: Run, problem: Problem
) -> None:
    judge(attempt(problem, "correct"), "incorrect", verifier="judge-x")
    run_job(run_grade, "grade")
    run_job(run_grade, "grade", policy="judge")
    assert {d.policy: d.pass_rate for d in Difficulty.objects.all()} == {
        "checked": 1.0,
        "judge": 0.0,
    }
    with pytest.raises(JobError) as caught:
        run_job(run_grade, "grade", policy="best")
    assert caught.value.code == "unknown_policy"


def test_other_projects_are_left_alone(run_job: Run, problem: Problem) -> None:
    from curation.models import Project

    elsewhere = Project.objects.create(slug="other", name="Other")
    theirs = Problem.objects.create(
        project=elsewhere,
        source=Source.objects.create(project=elsewhere, name="s"),
        text="x",
        text_sha256="x",
        norm_sha256="x",
    )
    attempt(theirs, "correct")
    run_job(run_grade, "grade")
    assert Difficulty.objects.count() == 0


def test_the_number_of_queries_does_not_grow_with_the_problems(
    run_job: Run, problem: Problem, django_assert_max_num_queries: Any
) -> None:
    for number in range(40):
        more = Problem.objects.create(
            project=problem.project,
            source=problem.source,
            text=str(number),
            text_sha256=str(number),
            norm_sha256=str(number),
        )
        attempt(more, "correct")
    with django_assert_max_num_queries(25):
        run_job(run_grade, "grade")
    assert Difficulty.objects.count() == 40
