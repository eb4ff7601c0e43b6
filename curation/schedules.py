"""Schedules: which are due, and the one job each firing makes."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

from cronsim import CronSim, CronSimError
from django.db import connection, transaction

from curation.job_rules import check_job
from curation.jobs import JobError, Right, start_stored
from curation.models import Project, Schedule, ScheduleRun

log = logging.getLogger(__name__)
# A firing missed by more than this (everything was down) is left out; docs/operations.md.
STARTING_DEADLINE = dt.timedelta(minutes=10)


def check_cron(cron: str) -> None:
    """Raise JobError when ``cron`` is not a five-field cron line."""
    try:
        if len(cron.split()) != 5:  # CronSim takes a sixth, for seconds: finer than upkeep looks
            raise CronSimError("Wrong number of fields")
        CronSim(cron, dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    except CronSimError as error:
        raise JobError("bad_cron", f"not a cron line: {cron!r} ({error})") from error


def check_work(project: Project, kind: object, params: object, user: Any) -> None:
    """JobError for work that ``user`` may not store in a schedule of the project."""
    check_job(project, kind, params, right=Right.AUTHOR, user=user)


def database_now() -> dt.datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: dt.datetime = cursor.fetchone()[0]
    return now.astimezone(dt.UTC)


def last_fire_time(schedule: Schedule, now: dt.datetime) -> dt.datetime | None:
    """The latest fire time (UTC) not after ``now`` and within the deadline, or None."""
    start = max(now - STARTING_DEADLINE, schedule.created_at)
    latest = None
    for moment in CronSim(schedule.cron, start.astimezone(dt.UTC)):
        if moment > now:
            break
        latest = moment
    return latest


def next_fire_time(schedule: Schedule, now: dt.datetime) -> dt.datetime | None:
    """The first fire time (UTC) after ``now``; None when it is off or never fires."""
    if not schedule.enabled:
        return None
    try:
        return next(CronSim(schedule.cron, now.astimezone(dt.UTC)), None)
    except CronSimError:
        return None


def fire_due(now: dt.datetime | None = None) -> list[int]:
    """Make one job for each schedule that is due; safe to run in several processes at once."""
    now = now or database_now()
    made = []
    for schedule in Schedule.objects.filter(enabled=True).select_related("project"):
        try:
            check_cron(schedule.cron)
            fire_time = last_fire_time(schedule, now)
        except (JobError, CronSimError) as error:  # one bad row must not stop the others
            log.warning("schedule %s does not fire: %s", schedule.pk, error)
            continue
        if fire_time is not None and (job_id := fire(schedule, fire_time)):
            made.append(job_id)
    return made


def fire(schedule: Schedule, fire_time: dt.datetime) -> int | None:
    """Make the job of one firing; None when another process has made it.

    What the schedule asks for and may not be (any more) is a failed job that says why.
    """
    with transaction.atomic():
        run, created = ScheduleRun.objects.get_or_create(schedule=schedule, fire_time=fire_time)
        if not created:
            return None
        job = start_stored(
            project=schedule.project,
            kind=schedule.kind,
            params=schedule.params,
            right=Right.STORED,
            schedule_run=run,
        )
    return job.pk
