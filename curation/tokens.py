"""API tokens: shown once, stored as SHA-256, with scopes and a checksum against typing errors."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
import zlib
from typing import Any

from django.utils import timezone

from curation.models import ApiToken, Project

MARK = "whl"
# read: all GETs. write: sources, recipes, endpoints, uploads. jobs: start and stop work.
# review: queues and reviews. train: training runs and their metrics. admin: members and tokens.
SCOPES = ("read", "write", "jobs", "review", "train", "admin")
USED_EVERY = dt.timedelta(minutes=1)


class TokenError(Exception):
    """A token that cannot be made as asked."""


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"


def create_token(
    *,
    user: Any,
    scopes: list[str],
    name: str = "",
    project: Project | None = None,
    days: int | None = None,
) -> tuple[ApiToken, str]:
    """A token and its secret, which is not kept: (row, ``whl_<32 hex><crc32>``)."""
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise TokenError(f"unknown scopes: {', '.join(unknown)}" if unknown else "no scopes given")
    body = secrets.token_hex(20)
    secret = f"{MARK}_{body}{checksum(body)}"
    token = ApiToken.objects.create(
        user=user,
        project=project,
        name=name,
        prefix=secret[:12],
        digest=digest(secret),
        scopes=sorted(set(scopes)),
        expires_at=timezone.now() + dt.timedelta(days=days) if days else None,
    )
    return token, secret


def well_formed(secret: str) -> bool:
    mark, _, rest = secret.partition("_")
    return mark == MARK and len(rest) == 48 and checksum(rest[:-8]) == rest[-8:]


def find_token(secret: str) -> ApiToken | None:
    """The living token of ``secret``: not revoked, not expired, its user active."""
    if not well_formed(secret):
        return None
    token = ApiToken.objects.select_related("user").filter(digest=digest(secret)).first()
    if token is None or token.revoked_at or not token.user.is_active:
        return None
    now = timezone.now()
    if token.expires_at and token.expires_at <= now:
        return None
    if token.last_used_at is None or now - token.last_used_at > USED_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


def revoke(token: ApiToken) -> None:
    ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now())
