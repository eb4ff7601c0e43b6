"""What every answer to a browser obeys: no copies of private pages, sessions that end.

Middleware. HTTPS, its cookies and HSTS are settings; see ``SECURE_COOKIES`` there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY, logout
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch

BEGAN, SEEN = "began", "seen"  # of a session, in seconds of the server's clock
NOT_WATCHED = {"healthz"}  # answers while the database, which holds the sessions, is away
NOT_USE = {"review_beat"}  # sent by a page on its own
Answer = Callable[[HttpRequest], HttpResponseBase]


class NoStore:
    """Tell browsers and proxies to keep no copy of an answer, unless its view said what to keep."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        kept = response.get("Cache-Control", "")
        if "no-store" not in kept and "public" not in kept:
            response["Cache-Control"] = "no-store, private"
        match = request.resolver_match
        if match is not None and match.url_name == "logout":
            response["Clear-Site-Data"] = '"storage"'  # browsers heed it over HTTPS only
        return response


class SessionLimits:
    """End a session that is too old, or that nobody used for too long; its owner signs in again."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        match = request.resolver_match
        if (match and match.url_name in NOT_WATCHED) or SESSION_KEY not in request.session:
            return
        now = time.time()
        if has_ended(request.session, now):
            logout(request)
        elif is_use(request, match):
            touch(request.session, now)


def has_ended(session: SessionBase, now: float) -> bool:
    """Whether the session is past one of its limits; one without times is new."""
    began, seen = session.get(BEGAN, now), session.get(SEEN, now)
    return bool(
        now - began > settings.SESSION_COOKIE_AGE or now - seen > settings.SESSION_IDLE_SECONDS
    )


def is_use(request: HttpRequest, match: ResolverMatch | None) -> bool:
    """Whether a person is behind this request, and not a page that asks for itself again."""
    polls = request.method == "GET" and "HX-Request" in request.headers
    return not polls and (match is None or match.url_name not in NOT_USE)


def touch(session: SessionBase, now: float) -> None:
    """Note the use; not each time, because each note is a write."""
    if BEGAN not in session:
        session[BEGAN] = now
    grain = min(60.0, settings.SESSION_IDLE_SECONDS / 10)
    if now - session.get(SEEN, 0.0) >= grain:
        session[SEEN] = now
        # The store and the cookie end with the session, not SESSION_COOKIE_AGE after each note.
        session.set_expiry(max(1, int(session[BEGAN] + settings.SESSION_COOKIE_AGE - now)))
