"""What a trainer may send: leases, metrics, counts, ends."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from curation import training
from curation.jobs import JobError
from curation.models import Export, ModelEndpoint, Recipe, Selection, TrainingRun


@pytest.fixture
def run(project: Any) -> TrainingRun:
    recipe = Recipe.objects.create(project=project, name="r", spec={}, spec_sha256="0" * 64)
    selection = Selection.objects.create(
        project=project, recipe=recipe, sha256="1" * 64, candidates=0, selected=0
    )
    export = Export.objects.create(
        project=project, selection=selection, format="trl_dpo", digest="2" * 64, path="/none",
        manifest={}, rows=0, bytes=0,
    )  # fmt: skip
    return training.create_run(project=project, export=export, config={"lr": 1})


def expire(run: TrainingRun) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE curation_trainingrun SET lease_until = clock_timestamp() - interval '1 second'"
        )


def test_the_method_follows_the_format(run: TrainingRun) -> None:
    assert run.config["method"] == "dpo"
    assert run.config["config"] == {"lr": 1}


def test_a_run_is_taken_by_another_only_after_its_lease(run: TrainingRun) -> None:
    training.take(run, "a", "{}")
    with pytest.raises(training.NotYours):
        training.take(run, "b", "{}")
    training.take(run, "a", "{}")  # the same trainer started again
    expire(run)
    training.take(run, "b", "{}")
    assert (run.worker, run.epoch, run.state) == ("b", 3, "running")
    with pytest.raises(training.NotYours):
        training.finish(run, {"state": "done", "worker": "a"})


def test_a_post_renews_the_lease(run: TrainingRun) -> None:
    training.take(run, "a", "{}")
    expire(run)
    training.record_metrics(run, [{"step": 1, "name": "loss", "value": 2.5}])
    with pytest.raises(training.NotYours):
        training.take(run, "b", "{}")


def test_a_trainer_that_was_thought_dead_writes_nothing_any_more(run: TrainingRun) -> None:
    training.take(run, "a", "{}")
    first = run.epoch
    expire(run)
    training.take(run, "b", "{}")
    loss = [{"step": 1, "name": "loss", "value": 2.5}]
    with pytest.raises(training.NotYours):
        training.record_metrics(run, loss, first)
    with pytest.raises(training.NotYours):
        training.record_evaluation(run, {"role": "student", "correct": 9}, first)
    assert not run.metrics.exists()
    assert not run.results.exists()
    assert training.record_metrics(run, loss, run.epoch) == 1


def test_a_repeated_metric_overwrites_and_none_that_is_not_finite_is_kept(
    run: TrainingRun,
) -> None:
    nan = {"step": 9, "name": "loss", "value": float("nan")}
    for value in (2.0, 1.0):
        assert training.record_metrics(run, [{"step": 3, "name": "loss", "value": value}, nan]) == 1
    assert list(run.metrics.values_list("step", "name", "value")) == [(3, "loss", 1.0)]
    run.refresh_from_db()
    assert run.step == 3


@pytest.mark.parametrize("step", [-1, 2**31, "x"])
def test_a_step_that_cannot_be_is_refused(step: Any, run: TrainingRun) -> None:
    with pytest.raises(ValueError):
        training.record_metrics(run, [{"step": step, "name": "loss", "value": 1}])


def test_an_absurd_total_of_steps_is_bounded(run: TrainingRun) -> None:
    training.record_metrics(run, [{"step": 0, "name": "steps_total", "value": 1e300}])
    run.refresh_from_db()
    assert run.total_steps == training.MAX_STEP


@pytest.mark.parametrize("count", ["many", -1, 2**40, 1.5, [1]])
def test_a_count_that_is_none_is_refused(count: Any, run: TrainingRun) -> None:
    with pytest.raises(JobError) as error:
        training.record_evaluation(run, {"role": "student", "correct": count})
    assert error.value.code == "bad_counts"


def test_a_repeated_evaluation_overwrites(run: TrainingRun) -> None:
    for correct in (1, 7):
        training.record_evaluation(run, {"role": "student", "correct": correct})
    result = run.results.get()
    assert (result.correct, result.incorrect) == (7, 0)


def test_a_cancelled_run_stays_cancelled_and_makes_no_student(run: TrainingRun) -> None:
    training.take(run, "a", "{}")
    training.cancel(run)
    training.finish(run, {"state": "done", "worker": "a", "model": {"name": "s"}})
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert not ModelEndpoint.objects.exists()
