"""``GET /healthz``."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse

from workers.health import health


def healthz(request: HttpRequest) -> JsonResponse:
    """Open to all, so it names parts and states only; 503 when the database is away."""
    report = health()
    return JsonResponse(report, status=200 if report["database"] == "ok" else 503)
