"""`manage.py refine`: let a model split, label or smooth traces, and check what it gives back."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from curation.refine_units import TASKS
from workers.command import JobCommand

NAMES = ("teacher", "task", "policy", "tries", "limit", "source")


class Command(JobCommand):
    help = "let a model split, label or smooth traces; what is not faithful is refused"
    kind = "refine"

    def add_job_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--teacher", required=True)
        parser.add_argument("--task", choices=TASKS, required=True)
        parser.add_argument("--policy", help="whose cuts are smoothed")
        parser.add_argument("--tries", type=int, help="answers asked for until one is accepted")
        parser.add_argument("--limit", type=int, help="traces at most")
        parser.add_argument("--source")

    def params(self, options: dict[str, Any]) -> dict[str, Any]:
        return {name: options[name] for name in NAMES if options[name] is not None}
