"""The lease machine: claiming, fencing, sweeping, cancelling."""

from __future__ import annotations

import datetime as dt
import threading
import time
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from curation import jobs
from curation.models import Job, JobLog, Outbox

pytestmark = pytest.mark.django_db


def expire(job: Job) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE curation_job SET lease_until = clock_timestamp() - interval '1s' WHERE id = %s",
            [job.pk],
        )


def test_a_new_job_is_queued_with_a_message_in_the_outbox(project: Any, user: Any) -> None:
    job = jobs.create_job(project=project, kind="verify", params={"a": 1}, user=user)
    assert job.state == "queued"
    assert Outbox.objects.get().payload == {"job": job.pk}


def test_only_one_claim_wins(project: Any) -> None:
    job = jobs.create_job(project=project, kind="verify")
    assert jobs.claim(job.pk) == 1
    assert jobs.claim(job.pk) is None


def test_an_expired_lease_can_be_claimed_with_a_higher_epoch(project: Any) -> None:
    job = jobs.create_job(project=project, kind="verify")
    jobs.claim(job.pk)
    expire(job)
    assert jobs.claim(job.pk) == 2


def test_a_zombie_cannot_write_after_its_lease_was_taken(project: Any) -> None:
    job = jobs.create_job(project=project, kind="verify")
    epoch = jobs.claim(job.pk)
    zombie = jobs.JobContext(Job.objects.get(pk=job.pk), epoch or 0)
    expire(job)
    jobs.claim(job.pk)
    with pytest.raises(jobs.LeaseLost), zombie.chunk():
        JobLog.objects.create(job=job, message="should not be stored")
    assert not JobLog.objects.exists()
    assert not jobs.finish(zombie, "done")
    assert Job.objects.get(pk=job.pk).state == "running"


def test_a_chunk_that_fails_stores_neither_rows_nor_progress(project: Any) -> None:
    job = jobs.create_job(project=project, kind="verify")
    context = jobs.JobContext(Job.objects.get(pk=job.pk), jobs.claim(job.pk) or 0)
    with pytest.raises(ZeroDivisionError), context.chunk():
        context.advance(5, good=5)
        JobLog.objects.create(job=job, message="x")
        _ = 1 / 0
    row = Job.objects.get(pk=job.pk)
    assert (row.done, row.counts, JobLog.objects.count()) == (0, {}, 0)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_heartbeat_keeps_a_job_longer_than_its_lease(project: Any) -> None:
    job = jobs.create_job(project=project, kind="verify")
    epoch = jobs.claim(job.pk) or 0
    ended = jobs.run_claimed(Job.objects.get(pk=job.pk), epoch, lambda context: time.sleep(4))
    assert ended.state == "done"
    assert ended.lease_epoch == epoch


def test_an_expected_error_fails_with_its_code(project: Any) -> None:
    job = jobs.create_job(project=project, kind="verify")

    def handler(context: jobs.JobContext) -> None:
        raise jobs.JobError("bad_input", "the file is empty")

    ended = jobs.run_claimed(Job.objects.get(pk=job.pk), jobs.claim(job.pk) or 0, handler)
    assert (ended.state, ended.error_code, ended.error) == (
        "failed",
        "bad_input",
        "the file is empty",
    )


def test_an_unexpected_error_is_tried_again_and_then_fails(project: Any, settings: Any) -> None:
    settings.JOB_MAX_ATTEMPTS = 2
    job = jobs.create_job(project=project, kind="verify")

    def handler(context: jobs.JobContext) -> None:
        raise RuntimeError("boom")

    ended = jobs.run_claimed(Job.objects.get(pk=job.pk), jobs.claim(job.pk) or 0, handler)
    assert ended.state == "queued"
    assert jobs.claim(job.pk) is None, "it waits before it is tried again"
    Job.objects.filter(pk=job.pk).update(not_before=None)
    ended = jobs.run_claimed(Job.objects.get(pk=job.pk), jobs.claim(job.pk) or 0, handler)
    assert (ended.state, ended.error_code) == ("failed", "attempts_used_up")


def test_a_running_job_stops_at_its_next_chunk_when_cancelled(project: Any) -> None:
    job = jobs.create_job(project=project, kind="verify")
    epoch = jobs.claim(job.pk) or 0

    def handler(context: jobs.JobContext) -> None:
        jobs.request_cancel(job)
        with context.chunk():
            pytest.fail("a cancelled job must not write")

    ended = jobs.run_claimed(Job.objects.get(pk=job.pk), epoch, handler)
    assert ended.state == "cancelled"


def test_the_sweeper_requeues_an_expired_job_and_gives_up_after_the_last_attempt(
    project: Any, settings: Any
) -> None:
    first = jobs.create_job(project=project, kind="verify")
    last = jobs.create_job(project=project, kind="verify")
    for job in (first, last):
        jobs.claim(job.pk)
        expire(job)
    Job.objects.filter(pk=last.pk).update(attempts=settings.JOB_MAX_ATTEMPTS)
    swept = jobs.sweep()
    assert swept == {"wake": [first.pk], "failed": [last.pk], "cancelled": []}
    assert Job.objects.get(pk=last.pk).error_code == "worker_lost"


def test_the_next_job_of_a_chain_starts_only_after_success(project: Any) -> None:
    then = [{"kind": "grade", "params": {"model": "m"}}, {"kind": "segment", "params": {}}]
    job = jobs.create_job(project=project, kind="verify", params={"then": then})
    jobs.run_claimed(Job.objects.get(pk=job.pk), jobs.claim(job.pk) or 0, lambda context: None)
    following = Job.objects.exclude(pk=job.pk).get()
    assert following.kind == "grade"
    assert following.params == {"model": "m", "then": then[1:]}


def stand_still(job: Job, seconds: float) -> None:
    moved = timezone.now() - dt.timedelta(seconds=seconds)
    Job.objects.filter(pk=job.pk).update(progress_at=moved)


def test_a_job_that_hangs_under_a_living_lease_is_ended_from_outside(project: Any) -> None:
    job = jobs.create_job(project=project, kind="verify")
    epoch = jobs.claim(job.pk)
    assert epoch is not None
    stand_still(job, settings.JOB_STALL_SECONDS + 1)
    assert jobs.extend(job.pk, epoch) is False, "its heartbeat goes on"
    assert jobs.sweep()["failed"] == [job.pk]
    job.refresh_from_db()
    assert (job.state, job.error_code, job.lease_epoch) == ("failed", "no_progress", epoch + 1)
    assert jobs.extend(job.pk, epoch) is None, "and its worker has lost it"
    assert Outbox.objects.filter(payload={"job": job.pk, "event": "job.failed"}).count() == 1


def test_a_heartbeat_alone_is_no_progress_and_the_work_moving_is(project: Any) -> None:
    job = jobs.create_job(project=project, kind="verify")
    epoch = jobs.claim(job.pk)
    assert epoch is not None
    stand_still(job, 1000)
    before = Job.objects.get(pk=job.pk).progress_at
    jobs.extend(job.pk, epoch, progressed=False)
    assert Job.objects.get(pk=job.pk).progress_at == before
    context = jobs.JobContext(job, epoch, jobs.Heartbeat(job.pk, epoch))
    assert context.heartbeat is not None and not context.heartbeat.take_progress()
    context.check()
    assert context.heartbeat.take_progress() and not context.heartbeat.take_progress()
    jobs.extend(job.pk, epoch, progressed=True)
    moved = Job.objects.get(pk=job.pk).progress_at
    assert moved is not None and before is not None and moved > before


def test_a_cancel_that_the_work_never_sees_is_done_from_outside(project: Any) -> None:
    job = jobs.create_job(project=project, kind="verify")
    jobs.claim(job.pk)
    jobs.request_cancel(job)
    assert jobs.sweep()["cancelled"] == [], "it gets some time to stop by itself"
    stand_still(job, settings.JOB_CANCEL_SECONDS + 1)
    assert jobs.sweep()["cancelled"] == [job.pk]
    job.refresh_from_db()
    assert job.state == Job.State.CANCELLED


def test_a_cancelled_job_whose_worker_died_does_not_start_again(project: Any) -> None:
    job = jobs.create_job(project=project, kind="verify")
    jobs.claim(job.pk)
    jobs.request_cancel(job)
    expire(job)
    assert jobs.sweep()["cancelled"] == [job.pk]
    assert Job.objects.get(pk=job.pk).state == Job.State.CANCELLED


@pytest.mark.django_db(transaction=True)
def test_the_process_of_a_hanging_job_is_ended_and_others_are_not(
    project: Any, settings: Any
) -> None:
    settings.JOB_GRACE_SECONDS = 0.2
    ended, released = threading.Event(), threading.Event()

    def hang(context: jobs.JobContext) -> None:
        stand_still(context.job, settings.JOB_STALL_SECONDS + 1)
        jobs.sweep()
        assert ended.wait(60), "nothing ended the process"
        released.set()

    job = jobs.create_job(project=project, kind="verify")
    epoch = jobs.claim(job.pk)
    assert epoch is not None
    job = jobs.run_claimed(job, epoch, hang, abandon=ended.set)
    assert released.is_set()
    assert (job.state, job.error_code) == ("failed", "no_progress")

    ended.clear()
    done = jobs.create_job(project=project, kind="verify")
    epoch = jobs.claim(done.pk)
    assert epoch is not None
    jobs.run_claimed(done, epoch, lambda context: None, abandon=ended.set)
    assert not ended.wait(1), "work that ends in time keeps its process"
