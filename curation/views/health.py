"""The state of the processes, as a chip in every page's header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from curation.views.common import signed_in
from workers.health import health

# Many open pages ask at once; a second is short beside the time a process takes to be missed.
KEPT_SECONDS = 1
PARTS = ("database", "redis", "workers", "beat", "verifier", "sandbox", "teacher")


@dataclass(frozen=True, slots=True)
class Chip:
    """What the chip says: its colour, its words, and the state of each part."""

    css: str
    label: str
    detail: str


def chip(report: dict[str, Any]) -> Chip:
    """A health report as a chip: the first problem is named, the rest are in the tooltip."""
    detail = " · ".join(f"{part} {report[part]}" for part in PARTS if part in report)
    problems: list[str] = report.get("problems", [])
    if problems:
        first = problems[0] if len(problems[0]) <= 40 else f"{problems[0][:39]}…"
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        if report["status"] == "starting":
            return Chip("warn", "starting", " · ".join([*problems, detail]))
        return Chip("bad", f"{first}{more}", " · ".join([*problems, detail]))
    if restarted := report.get("restarted"):
        words = [f"{r['part']} was started again {r['seconds']} s ago" for r in restarted]
        return Chip("warn", words[0], " · ".join([*words, detail]))
    if report["status"] == "starting":
        return Chip("warn", "teacher starting", detail)
    return Chip("ok", "all running", detail)


@signed_in
@never_cache
def health_chip(request: HttpRequest) -> HttpResponse:
    """The chip alone; it asks for itself again."""
    report: dict[str, Any] = cache.get("health") or health()
    cache.set("health", report, KEPT_SECONDS)
    return render(request, "components/_health.html", {"health": chip(report)})
