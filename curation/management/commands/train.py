"""`manage.py train EXPORT --config C`: queue a training run and train it here.

The trainer is a process of its own that speaks REST, so the web server must be running.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

from curation import tokens, training
from curation.models import Export, Membership, TrainingRun
from workers.command import ensure_tables, find_project, usage
from workers.services.ensure import ensure_services

TAKEN = 4  # exit status of a trainer that finds its run with another
POLL_SECONDS = 1.0
OPEN = (TrainingRun.State.QUEUED, TrainingRun.State.RUNNING)


class Command(BaseCommand):
    help = "train on an export"
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("export", help="id of a finished export, or its beginning")
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument("--config", default="{}", help="JSON, or a file that holds it")
        parser.add_argument("--url", help="address of the web server")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        ensure_services()
        ensure_tables()
        project = find_project(options["project"], make=False)
        found = Export.objects.filter(project=project, digest__startswith=options["export"])
        export = found.order_by("-pk").first()
        if export is None:
            raise SystemExit(usage(f"no export {options['export']!r} in this project"))
        run = training.create_run(
            project=project, export=export, config=read_config(options["config"])
        )
        url = options["url"] or f"http://127.0.0.1:{os.environ.get('PORT', '8000')}"
        begun = time.monotonic()
        status = train(run, url)
        run.refresh_from_db()
        self.report(run, time.monotonic() - begun, as_json=options["json"])
        raise SystemExit(status)

    def report(self, run: TrainingRun, seconds: float, *, as_json: bool) -> None:
        counts = {r.subject: [r.correct, r.correct + r.incorrect] for r in run.results.all()}
        line = {
            "job": run.pk,
            "kind": "train",
            "state": run.state,
            "counts": {"steps": run.step, "correct_of": counts},
            "seconds": round(seconds, 3),
        }
        self.stdout.write(json.dumps(line) if as_json else f"training run {run.pk}: {run.state}")


def read_config(given: str) -> dict[str, Any]:
    """JSON given on the command line or in a file; exit status 2 when it is neither."""
    path = Path(given)
    try:
        text = given if given.lstrip().startswith("{") else path.read_text()
        value = json.loads(text)
    except (OSError, ValueError) as error:
        raise SystemExit(usage(f"--config: {error}")) from error
    if not isinstance(value, dict):
        raise SystemExit(usage("--config: a JSON object is needed"))
    return value


def train(run: TrainingRun, url: str) -> int:
    """Run the trainer with a token that is revoked afterwards; 0 when it finished."""
    owner = Membership.objects.filter(project=run.project, role="owner").first()
    user = owner.user if owner else get_user_model().objects.filter(is_superuser=True).first()
    if user is None:
        return usage("the project has no owner for the trainer to speak as")
    token, secret = tokens.create_token(
        user=user, scopes=["read", "train"], name=f"training run {run.pk}", project=run.project
    )
    command = [sys.executable, "-m", "workers.trainer", "--url", url, "--run", str(run.pk)]
    try:
        # By environment, not by argument: everyone can list arguments.
        told = {**os.environ, "WHITTLE_TOKEN": secret}
        done = subprocess.run(command, env=told, stdout=sys.stderr, check=False)
    finally:
        tokens.revoke(token)
    if done.returncode == TAKEN:
        return follow(run)
    return 1 if done.returncode else 0


def follow(run: TrainingRun) -> int:
    """Wait for the end of a run that another trainer has, such as the one of ``make run``."""
    sys.stderr.write("another trainer has the run; waiting for its end\n")
    step = -1
    while True:
        run.refresh_from_db()
        if run.state not in OPEN:
            return 0 if run.state == TrainingRun.State.DONE else 1
        if run.step != step:
            step = run.step
            sys.stderr.write(f"step {step} of {run.total_steps or '?'}\n")
        time.sleep(POLL_SECONDS)
