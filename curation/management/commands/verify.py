"""`manage.py verify`: let verifiers judge traces."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from workers.command import JobCommand


class Command(JobCommand):
    help = "let verifiers judge traces"
    kind = "verify"
    needs_verifier = True

    def add_job_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--source")
        parser.add_argument("--verifier")

    def params(self, options: dict[str, Any]) -> dict[str, Any]:
        return {n: options[n] for n in ("source", "verifier") if options[n]}
