"""Brakes on sign-in: how often a password may be tried, and how many are checked at once.

Every door that checks a password goes through :class:`BrakedBackend`. A try is stored before the
password is looked at, so that tries side by side count each other; the table is in PostgreSQL,
which all processes share. Three limits in one window of time:

- an account from one address,
- one address, whatever the account,
- one account, whatever the address; not for an address from which this account has signed in, so
  that strangers cannot keep the owner out of a known place.

Hashing costs a processor for tens of milliseconds on purpose. At most ``SIGN_IN_AT_ONCE`` threads
of a process do it; others are told to come back, so that pages keep their threads.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from curation.models import SignInAttempt

log = logging.getLogger(__name__)
# How long a place from which an account signed in is known.
KEPT = timedelta(days=30)
_hashing = threading.BoundedSemaphore(settings.SIGN_IN_AT_ONCE)


class SignInRefused(Exception):
    """The password was not looked at. ``retry_after`` is in seconds."""

    def __init__(self, code: str, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Limit:
    """So many failed tries that match ``rows`` within the window."""

    rows: Q
    most: int


class BrakedBackend(ModelBackend):
    """Django's check of a password, behind the limits."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        """The user, None for a wrong password; :class:`SignInRefused` over a limit."""
        if username is None or password is None:
            return None
        attempt = _note(username, client_address(request))
        if not _hashing.acquire(blocking=False):
            attempt.delete()  # not looked at, so it tells nobody anything
            raise SignInRefused("busy", "Many people sign in at this moment.", 2)
        try:
            user = super().authenticate(request, username=username, password=password, **kwargs)
        finally:
            _hashing.release()
        if user is not None:
            _forgive(attempt)
        return user


def client_address(request: HttpRequest | None) -> str:
    """Where a request comes from: the peer, or what a trusted proxy says of it.

    ``X-Forwarded-For`` is read from its end, as far as the addresses are of ``TRUSTED_PROXIES``.
    """
    if request is None:
        return "command"
    address = str(request.META.get("REMOTE_ADDR") or "unknown")
    for earlier in reversed(str(request.META.get("HTTP_X_FORWARDED_FOR", "")).split(",")):
        if address not in settings.TRUSTED_PROXIES or not earlier.strip():
            break
        address = earlier.strip()
    return address[:45]


def _note(username: str, address: str) -> SignInAttempt:
    """The stored try; SignInRefused if a limit is reached without it."""
    account = username.replace("\x00", "")[:150].casefold()
    since = timezone.now() - timedelta(seconds=settings.SIGN_IN_WINDOW_SECONDS)
    for limit in _limits(account, address):
        failed = SignInAttempt.objects.filter(limit.rows, at__gt=since, succeeded=False)
        times = list(failed.order_by("-at").values_list("at", flat=True)[: limit.most])
        if len(times) >= limit.most:
            wait = (times[-1] - since).total_seconds()
            log.warning("sign-in refused: too many tries for %r from %s", account, address)
            raise SignInRefused(
                "too_many_attempts",
                "Too many wrong passwords.",
                max(1, round(wait)),
            )
    return SignInAttempt.objects.create(account=account, address=address)


def _forgive(attempt: SignInAttempt) -> None:
    """The right password: this place is known, and its wrong ones for this account are over."""
    pair = SignInAttempt.objects.filter(account=attempt.account, address=attempt.address)
    pair.filter(succeeded=False).exclude(pk=attempt.pk).delete()
    SignInAttempt.objects.filter(pk=attempt.pk).update(succeeded=True)


def _limits(account: str, address: str) -> list[Limit]:
    pair, place = Q(account=account, address=address), Q(address=address)
    limits = [
        Limit(pair, settings.SIGN_IN_ATTEMPTS),
        Limit(place, settings.SIGN_IN_ATTEMPTS_PER_ADDRESS),
    ]
    if not SignInAttempt.objects.filter(pair, succeeded=True).exists():
        limits.append(Limit(Q(account=account), settings.SIGN_IN_ATTEMPTS_PER_ACCOUNT))
    return limits


def forget_attempts() -> int:
    """Delete tries that no limit needs any more; how many there were."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM curation_signinattempt WHERE at < %s OR (NOT succeeded AND at < %s)",
            [timezone.now() - KEPT, timezone.now() - timedelta(days=1)],
        )
        return int(cursor.rowcount)
