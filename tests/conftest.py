"""Shared fixtures. One embedded PostgreSQL serves a whole run, in the home of ``tests.home``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Start the embedded PostgreSQL before pytest-django makes its test databases."""
    if os.environ.get("DATABASE_URL"):
        return
    from workers.services.postgres import EmbeddedPostgres

    EmbeddedPostgres(durable=False).start()  # tests.home ends it


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """A quarter of a second for each password would be most of what many tests take."""
    quick = "django.contrib.auth.hashers.MD5PasswordHasher"
    with override_settings(PASSWORD_HASHERS=[quick, *settings.PASSWORD_HASHERS]):
        yield


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

        # As a row that stands there already: handlers also meet what today's rules refuse.
        job = Job.objects.create(project=project, kind=kind, params=params, operator_paths=True)
        epoch = jobs.claim(job.pk)
        assert epoch is not None
        context = jobs.JobContext(Job.objects.get(pk=job.pk), epoch)
        handler(context)
        jobs.finish(context, Job.State.DONE)
        return Job.objects.get(pk=job.pk)

    return run


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One Chromium for all browser tests of this process: Playwright runs once in a process."""
    from playwright.sync_api import sync_playwright

    from tests.e2e.site import CHROMIUM, chromium

    path = chromium()
    if path is None:
        pytest.skip("no Chromium on this machine; make install names how to get it")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM))
        yield found
        found.close()
