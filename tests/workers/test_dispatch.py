"""From the outbox to the workers: sent once, nothing lost, forgotten jobs woken again."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from curation import jobs
from curation.models import Job, Outbox, Schedule, Webhook, WebhookDelivery
from workers import dispatch, webhooks
from workers.tasks import run_job


class Broker:
    """Keeps what was published; ``left`` messages are taken before it goes down."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, str]] = []
        self.tried = 0
        self.left = 1000

    def apply_async(self, args: tuple[int], queue: str, retry: bool) -> None:
        self.tried += 1
        if self.left <= 0:
            raise ConnectionRefusedError("no broker")
        assert retry is False  # a page must not wait for it
        self.left -= 1
        self.messages.append((args[0], queue))

    @property
    def told(self) -> list[int]:
        return [job for job, _ in self.messages]


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    made = Broker()
    monkeypatch.setattr(run_job, "apply_async", made.apply_async)
    monkeypatch.setattr(webhooks, "deliver_in_background", lambda: None)
    return made


def make(project: Any, n: int = 1, kind: str = "verify") -> list[int]:
    return [jobs.create_job(project=project, kind=kind).pk for _ in range(n)]


def age(job: int, **fields: float) -> None:
    """Set times of a job to so many seconds ago."""
    now = timezone.now()
    times = {name: now - dt.timedelta(seconds=seconds) for name, seconds in fields.items()}
    Job.objects.filter(pk=job).update(**times)


def test_the_outbox_is_sent_once(project: Any, broker: Broker) -> None:
    ids = make(project, 3)
    assert (dispatch.flush_outbox(), dispatch.flush_outbox()) == (3, 0)
    assert sorted(broker.told) == ids
    assert not Outbox.objects.filter(sent_at=None).exists()
    assert not Job.objects.filter(woken_at=None).exists()


def test_each_kind_goes_to_its_queue(project: Any, broker: Broker) -> None:
    make(project, kind="verify")
    make(project, kind="generate")
    # No longer made, but a row may stand there from before the kind was removed.
    old = Job.objects.create(project=project, kind="unknown")
    Outbox.objects.create(topic="job", payload={"job": old.pk})
    dispatch.flush_outbox()
    assert sorted(queue for _, queue in broker.messages) == ["default", "default", "llm"]


def test_a_job_that_is_no_longer_queued_wakes_nobody(project: Any, broker: Broker) -> None:
    (job,) = make(project)
    jobs.request_cancel(Job.objects.get(pk=job))
    dispatch.flush_outbox()
    assert broker.messages == []


def test_a_transaction_that_is_rolled_back_wakes_nobody(project: Any, broker: Broker) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        make(project)
        raise RuntimeError
    assert dispatch.flush_outbox() == 0


def test_a_broker_that_is_down_is_asked_once_and_loses_nothing(
    project: Any, broker: Broker
) -> None:
    ids = make(project, 3)
    broker.left = 1
    dispatch.flush_outbox()
    assert broker.tried == 2  # not a second for each job
    assert Job.objects.filter(state="queued").count() == 3
    assert Job.objects.exclude(woken_at=None).count() == 1
    broker.left = 1000
    for job in ids:
        age(job, created_at=settings.JOB_REWAKE_SECONDS + 1)
    assert dispatch.maintain()["woken"] == 2
    assert sorted(broker.told) == ids


def test_a_request_goes_on_while_the_outbox_cannot_be_sent(
    project: Any, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(limit: int = 200) -> int:
        raise RuntimeError("database away")

    make(project)
    monkeypatch.setattr(dispatch, "flush_outbox", broken)
    dispatch.flush_quietly()
    assert Outbox.objects.filter(sent_at=None).count() == 1


def test_the_outbox_is_sent_after_the_commit_only(
    project: Any, broker: Broker, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        (job,) = make(project)
        dispatch.wake_after_commit()
        assert broker.messages == []
    assert broker.told == [job]


def test_upkeep_wakes_again_what_waited_too_long_and_only_that(
    project: Any, broker: Broker
) -> None:
    lost, fresh, later = make(project, 3)
    dispatch.flush_outbox()
    broker.messages.clear()
    old = settings.JOB_REWAKE_SECONDS + 1
    age(lost, woken_at=old, created_at=old)
    age(fresh, created_at=old)
    age(later, woken_at=old, not_before=-60)
    assert dispatch.maintain()["woken"] == 1
    assert broker.told == [lost]
    assert dispatch.maintain()["woken"] == 0


def test_upkeep_takes_up_a_job_whose_worker_died(project: Any, broker: Broker) -> None:
    (job,) = make(project)
    dispatch.flush_outbox()
    epoch = jobs.claim(job)
    age(job, lease_until=1, woken_at=settings.JOB_REWAKE_SECONDS + 1)
    broker.messages.clear()
    assert dispatch.maintain()["woken"] == 1
    row = Job.objects.get(pk=job)
    assert (row.state, row.lease_epoch) == ("queued", (epoch or 0) + 1)
    assert broker.told == [job]


def test_a_job_whose_worker_died_is_woken_in_the_same_round_however_fresh_its_message(
    project: Any, broker: Broker
) -> None:
    (job,) = make(project)
    dispatch.flush_outbox()
    jobs.claim(job)
    age(job, lease_until=1)
    broker.messages.clear()
    assert dispatch.maintain()["woken"] == 1
    assert broker.told == [job]
    assert dispatch.maintain()["woken"] == 0, "once, until that message counts as lost"


def test_a_job_that_waits_after_an_error_is_woken_when_its_pause_is_over(
    project: Any, broker: Broker
) -> None:
    (job,) = make(project)
    dispatch.flush_outbox()
    broker.messages.clear()
    age(job, woken_at=1, not_before=0.5)
    assert dispatch.maintain()["woken"] == 1
    assert broker.told == [job]


def test_upkeep_fires_schedules_and_sends_their_jobs(project: Any, broker: Broker) -> None:
    row = Schedule.objects.create(project=project, name="s", cron="* * * * *", kind="verify")
    Schedule.objects.filter(pk=row.pk).update(created_at=timezone.now() - dt.timedelta(hours=1))
    done = dispatch.maintain()
    assert (done["fired"], done["flushed"], len(broker.told)) == (1, 1, 1)


def test_the_end_of_a_job_becomes_one_delivery_for_each_webhook(
    project: Any, broker: Broker, run_job: Any
) -> None:
    Webhook.objects.create(project=project, url="http://hooks.invalid/", secret="s")
    job = run_job(lambda context: None, "verify")
    dispatch.flush_outbox()
    dispatch.flush_outbox()
    assert WebhookDelivery.objects.get().payload["data"]["job"] == job.pk


def test_a_message_that_comes_three_times_runs_the_job_once(
    project: Any, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []
    monkeypatch.setattr("workers.tasks.run", lambda context: ran.append(context.job.pk))
    monkeypatch.setattr(jobs.Heartbeat, "run", lambda self: None)
    (job,) = make(project)
    for _ in range(3):
        run_job(job)
    assert ran == [job]
    assert Job.objects.get(pk=job).state == "done"
