"""Schedules: one job for each fire time, whoever looks, on the database's clock."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any

import pytest
from django.db import close_old_connections, connection

from curation import schedules
from curation.jobs import JobError
from curation.models import Job, Outbox, Project, Schedule, ScheduleRun

NOON = dt.datetime(2026, 3, 29, 12, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


def make(project: Any, cron: str = "0 12 * * *", **extra: Any) -> Schedule:
    row = Schedule.objects.create(
        project=project, name=cron, cron=cron, kind="verify", params={"source": "s"}, **extra
    )
    Schedule.objects.filter(pk=row.pk).update(created_at=NOON - dt.timedelta(days=30))
    return row


@pytest.mark.parametrize("cron", ["* * * * *", "0 3 * * 1-5", "*/15 0,12 1 JAN *"])
def test_a_line_of_five_fields_is_taken(cron: str) -> None:
    schedules.check_cron(cron)


@pytest.mark.parametrize(
    "cron", ["", "* * * *", "* * * * * *", "61 * * * *", "0 0 30 2 *", "@daily", "often"]
)
def test_any_other_line_is_refused(cron: str) -> None:
    with pytest.raises(JobError) as error:
        schedules.check_cron(cron)
    assert error.value.code == "bad_cron"


def test_a_due_schedule_makes_one_job_with_its_parameters(project: Any) -> None:
    schedule = make(project)
    (made,) = schedules.fire_due(NOON + 2 * MINUTE)
    job = Job.objects.get(pk=made)
    assert (job.kind, job.params, job.project) == ("verify", {"source": "s"}, project)
    assert job.schedule_run == ScheduleRun.objects.get(schedule=schedule, fire_time=NOON)
    assert Outbox.objects.get(topic="job").payload == {"job": made}


def test_looking_again_makes_no_second_job(project: Any) -> None:
    make(project)
    made = [schedules.fire_due(NOON + seconds * MINUTE / 60) for seconds in (0, 1, 30, 300)]
    assert [len(ids) for ids in made] == [1, 0, 0, 0]


def test_each_fire_time_makes_its_job(project: Any) -> None:
    make(project, "*/5 * * * *")
    for minute in range(21):
        schedules.fire_due(NOON + minute * MINUTE)
    times = ScheduleRun.objects.order_by("fire_time").values_list("fire_time", flat=True)
    assert list(times) == [NOON + minute * MINUTE for minute in (0, 5, 10, 15, 20)]


def test_nothing_fires_before_its_time_or_beyond_the_deadline(project: Any) -> None:
    make(project)
    assert schedules.fire_due(NOON - MINUTE / 60) == []
    assert schedules.fire_due(NOON + schedules.STARTING_DEADLINE + MINUTE) == []
    assert len(schedules.fire_due(NOON + schedules.STARTING_DEADLINE - MINUTE)) == 1


def test_fire_times_before_the_schedule_was_made_are_left_out(project: Any) -> None:
    schedule = make(project)
    Schedule.objects.filter(pk=schedule.pk).update(created_at=NOON + MINUTE)
    assert schedules.fire_due(NOON + 2 * MINUTE) == []


def test_a_schedule_that_is_switched_off_does_not_fire(project: Any) -> None:
    make(project, enabled=False)
    assert schedules.fire_due(NOON) == []


def test_a_bad_row_does_not_stop_the_others(project: Any) -> None:
    make(project, "not a cron line")
    make(project, "* * * * * *")
    good = make(project)
    (made,) = schedules.fire_due(NOON)
    assert Job.objects.get(pk=made).schedule_run.schedule == good


def test_the_clock_is_the_databases(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make(project, "* * * * *")
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now = cursor.fetchone()[0]
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOON)
    monkeypatch.setattr("time.time", lambda: 0.0)
    schedules.fire_due()
    assert abs(ScheduleRun.objects.get().fire_time - now) <= MINUTE


@pytest.mark.django_db(transaction=True)
def test_several_processes_at_once_make_one_job() -> None:
    project = Project.objects.create(slug="many", name="Many")
    make(project)
    start, made = threading.Barrier(3), []

    def look() -> None:
        try:
            start.wait(5)
            made.extend(schedules.fire_due(NOON))
        finally:
            close_old_connections()
            connection.close()

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(made) == Job.objects.count() == ScheduleRun.objects.count() == 1
