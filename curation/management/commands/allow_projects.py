"""`manage.py allow_projects USER`: let an account make projects, or no longer."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management.base import BaseCommand

from workers.command import ensure_tables, usage
from workers.services.ensure import ensure_services


class Command(BaseCommand):
    help = "let an account make projects (see PROJECT_CREATION), or no longer"
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="name of the account")
        parser.add_argument("--revoke", action="store_true", help="take the right back")

    def handle(self, *args: Any, **options: Any) -> None:
        ensure_services()
        ensure_tables()
        name = options["user"]
        user = get_user_model().objects.filter(username=name).first()
        if user is None:
            raise SystemExit(usage(f"no account {name!r}"))
        right = Permission.objects.get(content_type__app_label="curation", codename="add_project")
        if options["revoke"]:
            user.user_permissions.remove(right)
        else:
            user.user_permissions.add(right)
        said = "no longer makes projects" if options["revoke"] else "may make projects now"
        self.stdout.write(f"{name} {said}")
