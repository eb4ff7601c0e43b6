"""Celery tasks: ids in, one domain call."""

from __future__ import annotations

import logging
import os
import signal

from celery import shared_task

from curation.jobs import claim, run_claimed
from curation.models import Job
from workers.dispatch import flush_quietly
from workers.handlers import run

log = logging.getLogger(__name__)


@shared_task(name="workers.run_job")
def run_job(job_id: int) -> None:
    """Run a job if it is free; a message that comes twice finds the lease and does nothing."""
    epoch = claim(job_id)
    if epoch is None:
        log.info("job %s: not free, nothing to do", job_id)
        return
    job = Job.objects.select_related("project").get(pk=job_id)
    log.info("job %s: %s started (attempt %s)", job_id, job.kind, job.attempts)
    job = run_claimed(job, epoch, run, abandon=end_process)
    log.info("job %s: %s", job_id, job.state)
    flush_quietly()


def end_process() -> None:
    """End this pool process, which hangs; Celery starts another in its place."""
    os.kill(os.getpid(), signal.SIGKILL)
