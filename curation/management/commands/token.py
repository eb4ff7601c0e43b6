"""`manage.py token`: make an API token; its secret is printed once."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

from curation import tokens
from curation.models import Project
from workers.command import ensure_tables, usage
from workers.services.ensure import ensure_services


class Command(BaseCommand):
    help = "make an API token"
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", required=True)
        parser.add_argument("--scopes", required=True, help=",".join(tokens.SCOPES))
        parser.add_argument("--project", help="narrow the token to one project")
        parser.add_argument("--days", type=int)
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        ensure_services()
        ensure_tables()
        user = get_user_model().objects.filter(username=options["user"]).first()
        if user is None:
            raise SystemExit(usage(f"no user {options['user']!r}"))
        project = self.project(options["project"])
        scopes = [scope for scope in options["scopes"].split(",") if scope]
        try:
            token, secret = tokens.create_token(
                user=user, scopes=scopes, name="command line", project=project, days=options["days"]
            )
        except tokens.TokenError as error:
            raise SystemExit(usage(str(error))) from error
        line = {"token": secret, "user": user.get_username(), "scopes": token.scopes}
        self.stdout.write(json.dumps(line) if options["json"] else secret)

    def project(self, slug: str | None) -> Project | None:
        if slug is None:
            return None
        project = Project.objects.filter(slug=slug).first()
        if project is None:
            raise SystemExit(usage(f"no project {slug!r}"))
        return project
