"""The common part of Whittle's commands: make the job, run it here, print what it did.

A command makes the same job as the API and runs it in its own process under the same lease.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.text import slugify

from curation import jobs
from curation.models import Job, Project
from workers.handlers import run
from workers.services.ensure import ensure_services

EXIT = {Job.State.DONE: 0}


class JobCommand(BaseCommand):
    """A command that is one job; subclasses name the kind and turn arguments into parameters."""

    kind = ""
    makes_project = False
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("--json", action="store_true", help="last line of stdout is JSON")
        self.add_job_arguments(parser)

    def add_job_arguments(self, parser: ArgumentParser) -> None:
        """Arguments of this kind of job."""

    def params(self, options: dict[str, Any]) -> dict[str, Any]:
        """The job's parameters from the parsed arguments."""
        raise NotImplementedError

    needs_verifier = False

    def handle(self, *args: Any, **options: Any) -> None:
        ensure_services(verifier=self.needs_verifier)
        ensure_tables()
        project = find_project(options["project"], make=self.makes_project)
        try:
            params = self.params(options)
        except jobs.JobError as error:
            raise SystemExit(usage(str(error))) from error
        try:
            job = jobs.create_job(
                project=project,
                kind=self.kind,
                params=params,
                wake=False,
                right=jobs.Right.OPERATOR,
            )
        except jobs.JobError as error:
            raise SystemExit(usage(f"{error.code}: {error}")) from error
        job, seconds = run_here(job)
        self.report(job, seconds, as_json=options["json"])
        if job.state != Job.State.DONE:
            raise SystemExit(1)

    def report(self, job: Job, seconds: float, *, as_json: bool) -> None:
        counts = {name: value for name, value in job.counts.items()}
        if job.error and job.state != Job.State.DONE:
            self.stderr.write(f"{job.error_code}: {job.error}")
        if as_json:
            line = {
                "job": job.pk,
                "kind": job.kind,
                "state": job.state,
                "counts": counts,
                "seconds": round(seconds, 3),
            }
            if job.state != Job.State.DONE:
                line |= {"error_code": job.error_code, "error": job.error}
            self.stdout.write(json.dumps(line))
            return
        for name, value in counts.items():
            self.stdout.write(f"{name}: {value}")
        self.stdout.write(f"{job.kind}: {job.state} in {seconds:.1f} s (job {job.pk})")


def ensure_tables() -> None:
    """Make or update the tables, so that a command works on an empty home."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0)


def usage(message: str) -> int:
    sys.stderr.write(f"{message}\n")
    return 2


def find_project(slug: str, *, make: bool) -> Project:
    """The project, made when the command may; exit status 2 when there is none."""
    project = Project.objects.filter(slug=slug).first()
    if project is None and make:
        if slugify(slug) != slug:
            raise SystemExit(usage(f"not a slug: {slug!r}"))
        project, _ = Project.objects.get_or_create(slug=slug, defaults={"name": slug})
    if project is None:
        raise SystemExit(usage(f"no project {slug!r}"))
    return project


def run_here(job: Job) -> tuple[Job, float]:
    """Run the job in this process; a first Ctrl-C cancels it, a second one ends the process."""
    epoch = jobs.claim(job.pk)
    if epoch is None:
        raise SystemExit(usage(f"job {job.pk} was taken by another process"))
    job = Job.objects.select_related("project").get(pk=job.pk)

    def cancel(signum: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        sys.stderr.write("cancelling; Ctrl-C again to stop at once\n")
        # A pooled connection may be in use right here, so another process does the update.
        if os.fork() == 0:
            os.execv(sys.executable, [sys.executable, *cancel_argv(job.pk)])  # noqa: S606

    previous = signal.signal(signal.SIGINT, cancel)
    started = time.monotonic()
    try:
        while True:
            job = jobs.run_claimed(job, epoch, run, show, abandon=end_process)
            if job.state != Job.State.QUEUED:
                break
            # An unexpected error put it back; take it up again here when its pause is over.
            sys.stderr.write(f"attempt {job.attempts} failed: {job.error}\n")
            time.sleep(min(2**job.attempts, 60) + 0.5)
            taken = jobs.claim(job.pk)
            if taken is None:
                job.refresh_from_db()
                break
            epoch = taken
            job = Job.objects.select_related("project").get(pk=job.pk)
    finally:
        signal.signal(signal.SIGINT, previous)
    return job, time.monotonic() - started


def end_process() -> None:
    """The job was taken away and its work hangs: say so and end."""
    sys.stderr.write("the job was ended from outside while it hung\n")
    sys.stderr.flush()
    os._exit(1)


def cancel_argv(job_id: int) -> list[str]:
    manage = Path(__file__).resolve().parent.parent / "manage.py"
    return [str(manage), "cancel_job", str(job_id)]


def show(job: Job) -> None:
    """One line of progress on stderr."""
    total = f" of {job.total}" if job.total else ""
    sys.stderr.write(f"{job.kind}: {job.done}{total}\n")
