"""Signs of life of a Celery worker."""

from __future__ import annotations

import json
import logging
import threading
from typing import Any

from celery.signals import worker_ready, worker_shutting_down
from django.conf import settings
from django.db import connection

from curation import processes

log = logging.getLogger(__name__)
stopping = threading.Event()
_name: list[str] = []


def beat_on(name: str, info: str) -> None:
    """Record this worker until it stops.

    The connection is closed after each sign, so that a pool child forked meanwhile does not
    inherit it.
    """
    while not stopping.is_set():
        try:
            processes.record("worker", name, info)
        except Exception:
            log.warning("sign of life not recorded", exc_info=True)
        finally:
            connection.close()
        stopping.wait(settings.PROCESS_BEAT_SECONDS)


@worker_ready.connect
def start(sender: Any = None, **_: Any) -> None:
    name = str(sender.hostname)
    _name.append(name)
    info = json.dumps({"concurrency": getattr(sender.pool, "limit", 1)})
    threading.Thread(target=beat_on, args=(name, info), daemon=True).start()


@worker_shutting_down.connect
def stop(**_: Any) -> None:
    stopping.set()
    for name in _name:
        try:
            processes.forget("worker", name)
        except Exception:
            log.warning("sign of life not removed", exc_info=True)
        finally:
            connection.close()
