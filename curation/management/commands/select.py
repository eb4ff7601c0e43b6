"""`manage.py select`: freeze a selection by a recipe."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from workers.command import JobCommand


class Command(JobCommand):
    help = "freeze a selection by a recipe"
    kind = "select"

    def add_job_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("recipe")

    def params(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"recipe": options["recipe"]}
