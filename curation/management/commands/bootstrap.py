"""`manage.py bootstrap`: the owner's login and, the first time, the demo project."""

from __future__ import annotations

import os
import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

from curation import embedded, paths, tokens
from workers import demo

OWNER = "owner"
AS_SET = "(as you set it)"


def trainer_token(owner: Any) -> None:
    """A token for the trainer of this copy, in a private file that the supervisor reads."""
    path = paths.secrets_dir() / "trainer.token"
    (paths.run_dir() / path.name).unlink(missing_ok=True)  # its place in older versions
    if path.exists() and tokens.find_token(path.read_text().strip()) is not None:
        return
    _, secret = tokens.create_token(user=owner, scopes=["read", "train"], name="trainer")
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(secret)


class Command(BaseCommand):
    help = "make the owner's login and the demo project if they are missing"
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        owner = self.owner()
        if owner is not None and os.environ.get("WHITTLE_DEMO", "1") not in {"0", "no", "off"}:
            demo.make_demo(owner)
        if owner is not None:
            trainer_token(owner)

    def owner(self) -> Any:
        """The owner; made with a drawn password when there is no user at all."""
        users = get_user_model()
        if not users.objects.exists():
            given = os.environ.get("OWNER_PASSWORD")
            password = given or secrets.token_urlsafe(12)
            users.objects.create_superuser(OWNER, password=password)
            login = {"username": OWNER, "password": password, "shown": bool(given)}
            embedded.write_login(login)
        owner = users.objects.filter(username=OWNER).first()
        login = embedded.read_login()
        known = str(login.get("password", ""))
        if known not in {"", AS_SET} and (owner is None or not owner.check_password(known)):
            # The password was changed: the old one opens nothing and would mislead.
            embedded.write_login({"username": OWNER, "password": AS_SET, "shown": True})
        return owner
