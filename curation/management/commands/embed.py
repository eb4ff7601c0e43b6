"""`manage.py embed`: embed problems for search by meaning."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from workers.command import JobCommand


class Command(JobCommand):
    help = "embed problems for search by meaning"
    kind = "embed"

    def add_job_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--source")

    def params(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"source": options["source"]} if options["source"] else {}
