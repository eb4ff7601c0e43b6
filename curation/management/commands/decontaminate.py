"""`manage.py decontaminate`: find problems that overlap a benchmark."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from workers.command import JobCommand


class Command(JobCommand):
    help = "find problems that overlap a benchmark"
    kind = "decontaminate"

    def add_job_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--benchmark", required=True)

    def params(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"benchmark": options["benchmark"]}
