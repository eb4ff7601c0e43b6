"""Celery's beat, doing the upkeep itself.

Upkeep (sweeping leases, sending the outbox, firing schedules) is a few short queries. It runs in
the beat process and not as a task, so that it never waits behind long jobs and works while Redis
is empty or down. Several beats at once do no harm: leases, SKIP LOCKED and the unique key of a
schedule's run decide.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from typing import Any

import django
from celery.beat import Scheduler
from django.conf import settings

log = logging.getLogger(__name__)


class Maintenance(Scheduler):
    """A scheduler without entries: each tick is a sign of life, and now and then upkeep."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        django.setup()
        self.name = f"beat@{socket.gethostname()}:{os.getpid()}"
        self.next_round = 0.0
        super().__init__(*args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Seconds until the next tick."""
        from django.db import close_old_connections

        try:
            self.round()
        except Exception:
            log.warning("upkeep failed; it is tried again", exc_info=True)
            close_old_connections()
        return float(min(settings.PROCESS_BEAT_SECONDS, settings.JOB_SWEEP_SECONDS, 2))

    def round(self) -> None:
        from curation import processes
        from workers import dispatch

        processes.record("beat", self.name)
        if time.monotonic() >= self.next_round:
            self.next_round = time.monotonic() + settings.JOB_SWEEP_SECONDS
            done = dispatch.maintain()
            if any(done.values()):
                log.info("upkeep: %s", done)
        else:
            dispatch.flush_outbox()

    def close(self) -> None:
        from curation import processes

        try:
            processes.forget("beat", self.name)
        except Exception:
            log.warning("sign of life not removed", exc_info=True)
        super().close()
