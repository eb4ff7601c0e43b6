"""`manage.py grade`: compute pass rates."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from workers.command import JobCommand


class Command(JobCommand):
    help = "compute pass rates"
    kind = "grade"

    def add_job_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--model")

    def params(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"model": options["model"]} if options["model"] else {}
