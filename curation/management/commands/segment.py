"""`manage.py segment`: segment traces and propose cuts."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from workers.command import JobCommand


class Command(JobCommand):
    help = "segment traces and propose cuts"
    kind = "segment"

    def add_job_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--source")
        parser.add_argument("--policy", help="a policy, or all")
        parser.add_argument("--kinds", help="a classifier made by train_kinds")
        parser.add_argument(
            "--vectors", choices=("minilm", "static"), help="repeats by meaning too"
        )

    def params(self, options: dict[str, Any]) -> dict[str, Any]:
        return {n: options[n] for n in ("source", "policy", "kinds", "vectors") if options[n]}
