"""`manage.py up`: start everything, as `make run` does after installing."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "start the embedded services, web, workers, beat, verifier service and demo teacher"
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        import os
        import sys

        os.execv(sys.executable, [sys.executable, "-m", "workers.supervisor"])  # noqa: S606
