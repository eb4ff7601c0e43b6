"""Shared fixtures. One embedded PostgreSQL and Redis serve a whole run, in a home of its own."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Settings are read before any fixture runs, so the home is made at import.
if "WHITTLE_TEST_HOME" in os.environ:
    _HOME = Path(os.environ["WHITTLE_TEST_HOME"])
else:
    _HOME = Path(tempfile.mkdtemp(prefix="whittle-test-"))
    os.environ["WHITTLE_TEST_HOME"] = str(_HOME)
    atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ["WHITTLE_HOME"] = str(_HOME)
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
# Leases and sweeps are short in tests.
os.environ.setdefault("JOB_LEASE_SECONDS", "3")
os.environ.setdefault("JOB_HEARTBEAT_SECONDS", "0.5")
os.environ.setdefault("JOB_SWEEP_SECONDS", "1")
os.environ.setdefault("PROCESS_BEAT_SECONDS", "0.5")
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """Start the embedded PostgreSQL before pytest-django makes its test database."""
    if os.environ.get("DATABASE_URL"):
        return
    from workers.services.embedded import EmbeddedPostgres

    server = EmbeddedPostgres()
    server.start()
    atexit.register(server.stop)


@pytest.fixture
def user(db: None) -> Any:
    from django.contrib.auth import get_user_model

    return get_user_model().objects.create_user("alice", password="correct horse 1")


@pytest.fixture
def project(db: None, user: Any) -> Any:
    from curation.models import Membership, Project

    project = Project.objects.create(slug="demo", name="Demo")
    Membership.objects.create(project=project, user=user, role="owner")
    return project


@pytest.fixture
def run_job(db: None, project: Any) -> Callable[..., Any]:
    """Run a handler as a job in this process: run_job(handler, kind, **params) -> Job."""

    def run(handler: Any, kind: str, **params: Any) -> Any:
        from curation import jobs
        from curation.models import Job

        job = jobs.create_job(project=project, kind=kind, params=params)
        epoch = jobs.claim(job.pk)
        assert epoch is not None
        context = jobs.JobContext(Job.objects.get(pk=job.pk), epoch)
        handler(context)
        jobs.finish(context, Job.State.DONE)
        return Job.objects.get(pk=job.pk)

    return run
