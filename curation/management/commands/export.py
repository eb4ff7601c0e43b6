"""`manage.py export`: write a selection to files."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from workers.command import JobCommand


class Command(JobCommand):
    help = "write a selection to files"
    kind = "export"

    def add_job_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("selection_or_recipe")
        parser.add_argument("--format", required=True)
        parser.add_argument("--out", required=True, help="folder to write the export folder into")

    def params(self, options: dict[str, Any]) -> dict[str, Any]:
        return {
            "selection_or_recipe": options["selection_or_recipe"],
            "format": options["format"],
            "out": str(Path(options["out"]).resolve()),
        }
