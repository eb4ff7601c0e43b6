"""`manage.py dedup`: find problems that are copies of one another."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from workers.command import JobCommand


class Command(JobCommand):
    help = "find problems that are copies of one another"
    kind = "dedup"

    def add_job_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--method", choices=["exact", "near", "semantic"], default="near")
        parser.add_argument("--threshold", type=float)

    def params(self, options: dict[str, Any]) -> dict[str, Any]:
        return {n: options[n] for n in ("method", "threshold") if options[n] is not None}
