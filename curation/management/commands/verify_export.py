"""`manage.py verify_export DIR`: is an export whole and unchanged? Needs no database."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from curation.exports.manifest import verify_export


class Command(BaseCommand):
    help = "check every file of an export against its manifest"
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("dir", type=Path)
        parser.add_argument("--project", help="accepted and not needed")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        problems = verify_export(options["dir"])
        self.stdout.write(json.dumps({"ok": not problems, "problems": problems}))
        if problems:
            raise SystemExit(1)
