"""From the outbox to the workers: the only code that publishes to Celery."""

from __future__ import annotations

import logging
import threading
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import BooleanField
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now

from curation import jobs, processes, schedules
from curation.exports.run import sweep_exports
from curation.models import Job, Outbox
from curation.signin import forget_attempts
from curation.uploads import sweep_uploads
from workers import webhooks
from workers.handlers import queue_for

log = logging.getLogger(__name__)


def publish(job_id: int, kind: str) -> bool:
    """Tell the workers of a job; False when the broker cannot be reached (nothing is lost)."""
    from workers.tasks import run_job

    try:
        run_job.apply_async(args=(job_id,), queue=queue_for(kind), retry=False)
    except Exception as error:  # kombu raises many kinds; the sweeper comes back to it
        log.warning("job %s: broker not reached: %s", job_id, error)
        return False
    return True


def wake(job_ids: list[int]) -> int:
    """Publish these queued jobs and note the time; how many were told."""
    told = []
    for job in Job.objects.filter(pk__in=job_ids, state=Job.State.QUEUED).only("pk", "kind"):
        if not publish(job.pk, job.kind):
            break
        told.append(job.pk)
    Job.objects.filter(pk__in=told).update(woken_at=Now())
    return len(told)


def flush_outbox(limit: int = 200) -> int:
    """Send what stands in the outbox; rows that another process holds are left to it."""
    with transaction.atomic():
        rows = list(
            Outbox.objects.select_for_update(skip_locked=True)
            .filter(sent_at=None)
            .order_by("pk")[:limit]
        )
        wake([row.payload["job"] for row in rows if row.topic == "job"])
        for row in rows:
            if row.topic == "event":
                emit(row.payload)
        Outbox.objects.filter(pk__in=[row.pk for row in rows]).update(sent_at=Now())
    return len(rows)


def emit(payload: dict[str, Any]) -> None:
    """Hand an event to those who subscribed to it (webhooks)."""
    webhooks.enqueue(payload)


def wake_after_commit() -> None:
    """Flush the outbox once the caller's transaction has committed; a hint, never needed."""
    transaction.on_commit(_flushers[0].ask if _flushers else flush_quietly, robust=True)


class Flusher(threading.Thread):
    """Flushes beside the requests of a web process, which must not wait for a frozen broker."""

    def __init__(self) -> None:
        super().__init__(name="outbox", daemon=True)
        self.asked = threading.Event()

    def ask(self) -> None:
        """There is something in the outbox."""
        self.asked.set()

    def run(self) -> None:
        """Until the process ends."""
        while self.asked.wait():
            self.asked.clear()
            flush_quietly()
            connection.close()


_flushers: list[Flusher] = []  # of this process; at most one


def flush_in_background() -> None:
    """From now on this process leaves flushing to a thread."""
    if not _flushers:
        _flushers.append(Flusher())
        _flushers[0].start()


def flush_quietly() -> None:
    try:
        flush_outbox()
    except Exception:
        log.warning("outbox not flushed", exc_info=True)


# Not told of for long (the message may be lost), or put back into the queue since it was told.
STALE = """
coalesce(woken_at, created_at) < clock_timestamp() - make_interval(secs => %s)
OR woken_at < not_before
"""


def forget_sent() -> None:
    """Drop messages that were sent more than a day ago."""
    day_ago = RawSQL("clock_timestamp() - interval '1 day'", [])
    Outbox.objects.filter(sent_at__lt=day_ago).delete()


def maintain() -> dict[str, int]:
    """One round of upkeep: expired leases, lost messages, due schedules, old signs of life."""
    swept = jobs.sweep()
    fired = schedules.fire_due()
    flushed = flush_outbox()
    stale = RawSQL(STALE, [settings.JOB_REWAKE_SECONDS], output_field=BooleanField())  # noqa: S611
    again = Job.objects.filter(pk__in=swept["wake"]).annotate(stale=stale).filter(stale=True)
    woken = wake([*again.values_list("pk", flat=True)])
    webhooks.deliver_in_background()
    processes.forget_old()
    forget_sent()
    forget_attempts()
    sweep_exports()
    sweep_uploads()
    ended = {name: len(swept[name]) for name in ("failed", "cancelled")}
    return {"fired": len(fired), "flushed": flushed, "woken": woken} | ended
