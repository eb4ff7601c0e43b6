"""Jobs: creating, claiming, fencing, progress, cancelling, retrying, sweeping.

A job is a row with a lease on the database's clock and a fencing epoch (docs/architecture.md).
Whoever claims it raises the epoch; each write of a handler happens in a short transaction that
first locks the row under its own epoch, so that a process which lost its lease (killed, stopped,
swapped out) can write nothing more. Handlers are idempotent by unique keys and resume from what
the tables hold.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import close_old_connections, connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from curation.job_rules import JobError, Right, allowed_path, check_job
from curation.models import Job, JobLog, Outbox, Project
from curation.server_paths import Use

__all__ = ["JobError", "Right"]

log = logging.getLogger(__name__)
Handler = Callable[["JobContext"], None]
# What a value of a wrong type raises where it is read: the same again at each attempt.
MISREAD = (TypeError, ValueError, KeyError, AttributeError)
# Of those, what half an answer of another process gives.
PASSING = (OSError, json.JSONDecodeError)


class LeaseLost(Exception):
    """Another process owns the job now; nothing more may be written."""


class Cancelled(Exception):
    """A person asked for the job to stop."""


def worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def create_job(
    *,
    project: Project,
    kind: str,
    params: dict[str, Any] | None = None,
    user: Any = None,
    retry_of: Job | None = None,
    wake: bool = True,
    right: Right = Right.AUTHOR,
    **extra: Any,
) -> Job:
    """A queued job and the outbox row that wakes a worker, in the caller's transaction.

    ``right`` says on whose word its parameters name paths of the server. JobError (of
    ``job_rules.check_job``) for a job that cannot be; nothing is stored then.
    """
    given = {} if params is None else params
    check_job(project, kind, given, right=right, user=user)
    with transaction.atomic():
        job = Job.objects.create(
            project=project,
            kind=kind,
            params=given,
            created_by=user if user is not None and user.is_authenticated else None,
            retry_of=retry_of,
            operator_paths=right is Right.OPERATOR,
            **extra,
        )
        if wake:
            Outbox.objects.create(topic="job", payload={"job": job.pk})
    return job


def start_stored(
    *, project: Project, kind: Any, params: Any, user: Any = None, right: Right, **extra: Any
) -> Job:
    """A job of a stored chain or schedule. What may not be any more is made too, as failed: its
    reason then stands where people look, and webhooks tell of it."""
    try:
        return create_job(
            project=project, kind=kind, params=params, user=user, right=right, **extra
        )
    except JobError as error:
        job = Job.objects.create(
            project=project,
            kind=str(kind)[:32],
            params=params if isinstance(params, dict) else {},
            created_by=user,
            state=Job.State.FAILED,
            error_code=error.code,
            error=str(error),
            finished_at=Now(),
            **extra,
        )
    Outbox.objects.create(topic="event", payload={"job": job.pk, "event": "job.failed"})
    return job


def request_cancel(job: Job) -> None:
    """Ask a job to stop: a queued one at once, a running one at its next check."""
    Job.objects.filter(pk=job.pk, state=Job.State.QUEUED).update(
        state=Job.State.CANCELLED, cancel_requested=True, finished_at=Now()
    )
    Job.objects.filter(pk=job.pk, state=Job.State.RUNNING).update(cancel_requested=True)


def retry(job: Job, user: Any = None) -> Job:
    """A new job with the same parameters; what the old one stored is not done again.

    A command's right to any path ends with its job: such a job is tried again by the command.
    """
    if job.state not in Job.FINAL:
        raise JobError("not_finished", "only a finished job can be retried")
    right = Right.AUTHOR if job.operator_paths else Right.STORED
    try:
        return create_job(
            project=job.project,
            kind=job.kind,
            params=job.params,
            user=user,
            retry_of=job,
            right=right,
        )
    except JobError as error:
        if not job.operator_paths:
            raise
        raise JobError(
            "command_only",
            "this job was started by a command on the server, which may name any path; only that"
            f" command can do it again: run it there once more, or upload the file ({error})",
        ) from error


CLAIM = """
UPDATE curation_job SET state = 'running', lease_epoch = lease_epoch + 1, attempts = attempts + 1,
    lease_until = clock_timestamp() + make_interval(secs => %(lease)s), worker = %(worker)s,
    progress_at = clock_timestamp(),
    started_at = coalesce(started_at, clock_timestamp()), error = '', error_code = ''
WHERE id = %(job)s AND (
    (state = 'queued' AND (not_before IS NULL OR not_before <= clock_timestamp()))
    OR (state = 'running' AND lease_until < clock_timestamp()))
RETURNING lease_epoch
"""


def claim(job_id: int, worker: str | None = None) -> int | None:
    """Take the job if it is free; the new epoch, or None when someone else has it."""
    values: dict[str, int | float | str] = {
        "job": job_id,
        "lease": settings.JOB_LEASE_SECONDS,
        "worker": worker or worker_name(),
    }
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, values)
        row = cursor.fetchone()
    return int(row[0]) if row else None


EXTEND = """
UPDATE curation_job SET lease_until = clock_timestamp() + make_interval(secs => %s),
    progress_at = CASE WHEN %s THEN clock_timestamp() ELSE progress_at END
WHERE id = %s AND lease_epoch = %s AND state = 'running' RETURNING cancel_requested
"""


def extend(job_id: int, epoch: int, *, progressed: bool = False) -> bool | None:
    """Renew the lease; whether a cancel was asked for, or None when the lease is lost.

    ``progressed``: the work has moved since the last renewal.
    """
    with connection.cursor() as cursor:
        cursor.execute(EXTEND, [settings.JOB_LEASE_SECONDS, progressed, job_id, epoch])
        row = cursor.fetchone()
    return bool(row[0]) if row else None


class Heartbeat(threading.Thread):
    """Renews a lease in the background, and says when it is lost or a cancel was asked for.

    ``abandon`` is called when the lease is lost and the work does not stop: it hangs in a call
    that only the end of the process ends. Without it the work is waited for.
    """

    def __init__(self, job_id: int, epoch: int, abandon: Callable[[], None] | None = None) -> None:
        super().__init__(name=f"job-{job_id}-heartbeat", daemon=True)
        self.job_id, self.epoch, self.abandon = job_id, epoch, abandon
        self.stop, self.lost, self.cancel = threading.Event(), threading.Event(), threading.Event()
        self.progressed = threading.Event()

    def run(self) -> None:
        while not self.stop.wait(settings.JOB_HEARTBEAT_SECONDS):
            try:
                state = extend(self.job_id, self.epoch, progressed=self.take_progress())
            except Exception:  # the database may be restarting; the lease decides
                log.warning("job %s: heartbeat failed", self.job_id, exc_info=True)
                close_old_connections()
                continue
            if state is None:
                self.lost.set()
                break
            if state:
                self.cancel.set()
        connection.close()
        if self.lost.is_set() and self.abandon and not self.stop.wait(settings.JOB_GRACE_SECONDS):
            log.error("job %s: lost its lease and hangs; its process ends", self.job_id)
            self.abandon()

    def take_progress(self) -> bool:
        """Whether the work has moved since the last call."""
        progressed = self.progressed.is_set()
        self.progressed.clear()
        return progressed


@dataclass
class JobContext:
    """What a handler sees of its job."""

    job: Job
    epoch: int
    heartbeat: Heartbeat | None = None
    on_progress: Callable[[Job], None] | None = None
    _told: float = field(default=0.0, repr=False)

    # Whether this attempt has stored anything yet.
    wrote: bool = field(default=False, repr=False)

    @property
    def params(self) -> dict[str, Any]:
        return dict(self.job.params)

    @property
    def right(self) -> Right:
        """On whose word the job names paths: a command's own, or what was stored with it."""
        return Right.OPERATOR if self.job.operator_paths else Right.STORED

    def allowed_path(self, given: object, use: Use) -> Path:
        """The resolved path that this job may use now; JobError. Open what it gives, not ``given``:
        a link put there since is then not followed."""
        operator = self.right is Right.OPERATOR
        return allowed_path(self.project, given, use, operator=operator)

    @property
    def project(self) -> Project:
        return self.job.project

    @property
    def checkpoint(self) -> dict[str, Any]:
        """Small state kept between attempts; saved with the next chunk."""
        checkpoint: dict[str, Any] = self.job.checkpoint
        return checkpoint

    def set_total(self, total: int | None) -> None:
        self.job.total = total

    def advance(self, n: int = 1, **counts: int) -> None:
        """Count ``n`` items as done, and add to the named counters; saved with the chunk."""
        self.job.done += n
        self.count(**counts)

    def count(self, **counts: int) -> None:
        for name, value in counts.items():
            self.job.counts[name] = self.job.counts.get(name, 0) + value

    def count_reason(self, counter: str, reason: str, n: int = 1) -> None:
        """Add to a counter of reasons, e.g. ``reject_reasons``."""
        reasons = self.job.counts.setdefault(counter, {})
        reasons[reason] = reasons.get(reason, 0) + n

    def restart_counts(self, **counts: Any) -> None:
        """Begin the counters anew, for handlers that go through everything on each attempt."""
        self.job.done = 0
        self.job.counts = dict(counts)

    def check(self) -> None:
        """Raise when the job was cancelled or belongs to someone else; cheap, call it often."""
        if self.heartbeat is not None:
            self.heartbeat.progressed.set()
            if self.heartbeat.lost.is_set():
                raise LeaseLost(f"job {self.job.pk}")
            if self.heartbeat.cancel.is_set():
                raise Cancelled

    @contextlib.contextmanager
    def chunk(self) -> Iterator[None]:
        """One short transaction under this job's epoch; progress is saved with it."""
        self.check()
        with transaction.atomic():
            self._fence()
            yield
            self._save()
        self.wrote = True
        self._tell()

    def log(self, message: str, level: str = "info") -> None:
        JobLog.objects.create(job_id=self.job.pk, message=message, level=level)

    def _fence(self) -> None:
        row = (
            Job.objects.select_for_update()
            .filter(pk=self.job.pk, lease_epoch=self.epoch, state=Job.State.RUNNING)
            .values_list("cancel_requested", flat=True)
            .first()
        )
        if row is None:
            raise LeaseLost(f"job {self.job.pk}")
        if row:
            raise Cancelled

    def _save(self) -> None:
        Job.objects.filter(pk=self.job.pk).update(
            done=self.job.done,
            total=self.job.total,
            counts=self.job.counts,
            checkpoint=self.job.checkpoint,
        )

    def _tell(self) -> None:
        now = time.monotonic()
        if self.on_progress is not None and now - self._told >= 1:
            self._told = now
            self.on_progress(self.job)


def run_claimed(
    job: Job,
    epoch: int,
    handler: Handler,
    on_progress: Callable[[Job], None] | None = None,
    abandon: Callable[[], None] | None = None,
) -> Job:
    """Run a claimed job to its end and record how it ended; returns the fresh row.

    ``abandon`` ends this process when the job was taken away and its work hangs.
    """
    heartbeat = Heartbeat(job.pk, epoch, abandon)
    context = JobContext(job, epoch, heartbeat, on_progress)
    heartbeat.start()
    try:
        check_job(job.project, job.kind, job.params, right=context.right)
        handler(context)
        finish(context, Job.State.DONE)
    except LeaseLost:
        log.warning("job %s: lease lost, stopped", job.pk)
    except Cancelled:
        finish(context, Job.State.CANCELLED)
    except JobError as error:
        finish(context, Job.State.FAILED, code=error.code, message=str(error))
    except Exception as error:
        log.exception("job %s failed", job.pk)
        if not connection.in_atomic_block:
            close_old_connections()
        retry_or_fail(context, error)
    finally:
        heartbeat.stop.set()
        heartbeat.join(timeout=5)
    job.refresh_from_db()
    return job


def finish(context: JobContext, state: str, *, code: str = "", message: str = "") -> bool:
    """Record the end of a job under its epoch; False when it belongs to someone else."""
    job = context.job
    with transaction.atomic():
        changed = Job.objects.filter(
            pk=job.pk, lease_epoch=context.epoch, state=Job.State.RUNNING
        ).update(
            state=state,
            done=job.done,
            total=job.total,
            counts=job.counts,
            checkpoint=job.checkpoint,
            error_code=code,
            error=message,
            finished_at=Now(),
            lease_until=None,
        )
        if changed:
            payload = {"job": job.pk, "event": f"job.{state}"}
            Outbox.objects.create(topic="event", payload=payload)
            if state == Job.State.DONE:
                start_next(job)
    return bool(changed)


def start_next(job: Job) -> Job | None:
    """The next job of a chain: ``params["then"]`` is a list of ``{"kind", "params"}``.

    A chain that a command made keeps the command's right to any path.
    """
    chain = job.params.get("then") or []
    if not chain:
        return None
    params = dict(chain[0].get("params") or {})
    if chain[1:]:
        params["then"] = chain[1:]
    right = Right.OPERATOR if job.operator_paths else Right.STORED
    return start_stored(
        project=job.project,
        kind=chain[0]["kind"],
        params=params,
        user=job.created_by,
        right=right,
    )


def retry_or_fail(context: JobContext, error: Exception) -> None:
    """An unexpected error: again after a pause, until the attempts are used up.

    Nothing stored yet, and an error that a value of a wrong type gives: the job would only fail
    in the same way again, so it ends here.
    """
    job = context.job
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, MISREAD) and not isinstance(error, PASSING) and not context.wrote:
        hint = "most likely a parameter that this kind of job cannot read; it is not tried again"
        finish(context, Job.State.FAILED, code="bad_parameter", message=f"{message} ({hint})")
        return
    attempts = Job.objects.values_list("attempts", flat=True).get(pk=job.pk)
    if attempts >= settings.JOB_MAX_ATTEMPTS:
        finish(context, Job.State.FAILED, code="attempts_used_up", message=message)
        return
    with transaction.atomic():
        changed = requeue(
            Q(pk=job.pk, lease_epoch=context.epoch, state=Job.State.RUNNING),
            seconds=min(2**attempts, 60),
            message=message,
        )
        if changed:
            JobLog.objects.create(job_id=job.pk, level="error", message=message)


REQUEUE_DELAY = "clock_timestamp() + make_interval(secs => %s)"


def requeue(which: Q, *, seconds: float, message: str) -> int:
    """Put matching jobs back into the queue, to be taken after ``seconds``."""
    from django.db.models import DateTimeField
    from django.db.models.expressions import RawSQL

    later = RawSQL(REQUEUE_DELAY, [seconds], output_field=DateTimeField())  # noqa: S611
    return Job.objects.filter(which).update(
        state=Job.State.QUEUED, lease_until=None, not_before=later, error=message
    )


def sweep() -> dict[str, list[int]]:
    """Take jobs away from workers that are lost or hang; what is then ready to run.

    A job whose lease ran out goes back to the queue, or fails after too many attempts. One whose
    lease is renewed while its work stands still fails (``no_progress``), or is cancelled when a
    person asked for that. Returns the ids that are ready to run (``wake``), those that were given
    up (``failed``) and those that were stopped for a person (``cancelled``).
    """
    with transaction.atomic():
        cancelled = end_hanging(
            Q(cancel_requested=True) & (still_for(settings.JOB_CANCEL_SECONDS) | EXPIRED),
            state=Job.State.CANCELLED,
            error="it did not stop by itself; its worker was taken away",
        )
        failed = end_hanging(
            still_for(settings.JOB_STALL_SECONDS) & ~EXPIRED,
            state=Job.State.FAILED,
            error_code="no_progress",
            error=f"nothing moved for {settings.JOB_STALL_SECONDS:.0f} s; retry goes on from there",
        )
        failed += end_hanging(
            EXPIRED & Q(attempts__gte=settings.JOB_MAX_ATTEMPTS),
            state=Job.State.FAILED,
            error_code="worker_lost",
            error="its worker died on every attempt",
        )
        # not_before is now: dispatch wakes at once what it woke before that moment.
        Job.objects.filter(EXPIRED, state=Job.State.RUNNING).update(
            state=Job.State.QUEUED,
            lease_epoch=F("lease_epoch") + 1,
            lease_until=None,
            not_before=Now(),
            error="its worker stopped answering; it will be taken up again",
        )
    ready = Job.objects.filter(state=Job.State.QUEUED).filter(
        Q(not_before=None) | Q(not_before__lte=Now())
    )
    wake = ready.order_by("woken_at", "pk").values_list("pk", flat=True)
    return {"wake": list(wake[:500]), "failed": failed, "cancelled": cancelled}


def count_stalled() -> int:
    """Running jobs that have not moved for a quarter of the time after which they are ended."""
    stalled = still_for(settings.JOB_STALL_SECONDS / 4)
    return Job.objects.filter(stalled, state=Job.State.RUNNING).count()


EXPIRED = Q(lease_until__lt=Now())


def still_for(seconds: float) -> Q:
    """Jobs whose work has not moved for so long."""
    return Q(progress_at__lt=Now() - dt.timedelta(seconds=seconds))


def end_hanging(which: Q, *, state: str, error: str, error_code: str = "") -> list[int]:
    """End running jobs whoever holds them; their worker can write nothing more. Returns ids."""
    running = Job.objects.select_for_update(skip_locked=True).filter(which, state=Job.State.RUNNING)
    ids = list(running.values_list("pk", flat=True))
    Job.objects.filter(pk__in=ids).update(
        state=state,
        lease_epoch=F("lease_epoch") + 1,
        lease_until=None,
        error_code=error_code,
        error=error,
        finished_at=Now(),
    )
    payloads = [{"job": pk, "event": f"job.{state}"} for pk in ids]
    Outbox.objects.bulk_create(Outbox(topic="event", payload=payload) for payload in payloads)
    return ids
