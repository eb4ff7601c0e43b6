"""The answer to a request that failed: a page, or JSON for the REST API.

A database that is away, frozen or overloaded is 503 with ``Retry-After``: nothing is wrong with the
request, and the same one will do later. Everything else that was not foreseen is 500.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.views.defaults import page_not_found

from curation.brakes import TooBusy
from curation.uploads import UploadRefused

BAD = "The request cannot be read."
RETRY_AFTER = "5"
AWAY = "The database does not answer at the moment. Nothing was saved; try again."
FAULT = "Something failed on the server. It was logged."


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's ``handler500``; called while the exception is handled."""
    away = isinstance(sys.exc_info()[1], OperationalError | InterfaceError)
    code, status, words = ("unavailable", 503, AWAY) if away else ("server_error", 500, FAULT)
    if request.path.startswith("/api/"):
        response: HttpResponse = _json(code, status, words)
    else:  # no request: the page must not ask the database who is signed in
        page = render_to_string("500.html", {"away": away, "words": words})
        response = HttpResponse(page, status=status)
    if away:
        response["Retry-After"] = RETRY_AFTER
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's ``handler400``: what cannot be read, or is too large (413)."""
    status = 413 if isinstance(exception, RequestDataTooBig) else 400
    code = "too_large" if status == 413 else "bad_request"
    words = str(exception) if isinstance(exception, UploadRefused) else BAD
    if request.path.startswith("/api/"):
        return _json(code, status, words)
    page = render_to_string("400.html", {"words": words})
    return HttpResponse(page, status=status)


def too_busy(request: HttpRequest, problem: TooBusy) -> HttpResponse:
    """429 with ``Retry-After``, for a request that got no slot."""
    if request.path.startswith("/api/") or "application/json" in request.headers.get("Accept", ""):
        response: HttpResponse = _json(problem.code, 429, str(problem))
    else:
        response = HttpResponse(f"{problem} Try again in a moment.", "text/plain", 429)
    response["Retry-After"] = str(problem.retry_after)
    return response


class Busy:
    """Middleware that answers :class:`TooBusy` of a page's view."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, problem: Exception) -> HttpResponse | None:
        """See :func:`too_busy`."""
        return too_busy(request, problem) if isinstance(problem, TooBusy) else None


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's ``handler404``."""
    if request.path.startswith("/api/"):
        return _json("not_found", 404, "Not found.")
    return page_not_found(request, exception)


def _json(code: str, status: int, words: str) -> JsonResponse:
    return JsonResponse({"code": code, "detail": words}, status=status)
