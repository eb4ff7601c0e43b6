"""`manage.py import`: import problems and traces from a file or a folder."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from curation.jobs import JobError
from workers.command import JobCommand


class Command(JobCommand):
    help = "import problems and traces from a file or a folder"
    kind = "import"
    makes_project = True

    def add_job_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path")
        parser.add_argument("--name", required=True, help="name of the source")
        parser.add_argument("--adapter")
        parser.add_argument("--licence", default="")
        parser.add_argument("--mapping", help="JSON of a mapping, instead of the detected one")

    def params(self, options: dict[str, Any]) -> dict[str, Any]:
        mapping = read_mapping(options["mapping"])
        names = ("name", "adapter", "licence")
        given = {name: options[name] for name in names if options[name]}
        return given | {"path": str(Path(options["path"]).resolve())} | mapping


def read_mapping(text: str | None) -> dict[str, Any]:
    if not text:
        return {}
    try:
        return {"mapping": json.loads(text)}
    except ValueError as error:
        raise JobError("bad_mapping", f"--mapping is not JSON: {error}") from error
