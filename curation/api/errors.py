"""Errors of the API: ``{"code", "detail"}`` with a 4xx status."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions
from rest_framework import status as http
from rest_framework.response import Response
from rest_framework.views import exception_handler

from curation.brakes import TooBusy
from curation.grants import NOT_GRANTED
from curation.jobs import JobError

# Reasons of the domain that are about what somebody may do, not about what was sent.
NOT_YOURS = {"owner_needed", "path_not_allowed", "command_only"}
FORBIDDEN = http.HTTP_403_FORBIDDEN


class Conflict(exceptions.APIException):
    status_code = http.HTTP_409_CONFLICT
    default_code = "conflict"


class Unprocessable(exceptions.APIException):
    status_code = http.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "unprocessable"


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's handler, with a code beside every message."""
    if isinstance(error, JobError):
        number = FORBIDDEN if error.code in NOT_YOURS | NOT_GRANTED else http.HTTP_400_BAD_REQUEST
        return Response({"code": error.code, "detail": str(error)}, status=number)
    if isinstance(error, TooBusy):
        told = {"code": error.code, "detail": str(error)}
        return Response(told, status=429, headers={"Retry-After": str(error.retry_after)})
    response = exception_handler(error, context)
    if response is None:
        return None
    code = getattr(error, "default_code", "error")
    if isinstance(error, Http404):
        code = "not_found"
    elif isinstance(error, PermissionDenied):
        code = "permission_denied"
    if isinstance(response.data, dict) and set(response.data) == {"detail"}:
        response.data = {"code": code, "detail": str(response.data["detail"])}
    else:
        response.data = {"code": "invalid", "detail": "see fields", "fields": response.data}
    return response
