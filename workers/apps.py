"""The Celery application. PostgreSQL owns the truth: messages here only wake workers."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "curation.settings")

from django.conf import settings

QUEUES = ("default", "llm")

app = Celery("whittle")
app.conf.update(
    broker_url=settings.REDIS_URL,
    result_backend=None,
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_soft_shutdown_timeout=10,
    worker_enable_soft_shutdown_on_idle=True,
    worker_max_tasks_per_child=200,
    worker_max_memory_per_child=1_500_000,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # a worker waits for Redis as long as it takes
    broker_connection_timeout=2,
    # A job longer than this is delivered again; the second delivery finds the lease and does
    # nothing (curation.jobs.claim).
    broker_transport_options={
        "visibility_timeout": 3600,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        "socket_timeout": 30,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 25,
        "global_keyprefix": "whittle:",
    },
    task_default_queue="default",
    task_create_missing_queues=True,
    beat_scheduler="workers.beat:Maintenance",
    beat_max_loop_interval=2,
    imports=["workers.tasks", "workers.signals"],
)
