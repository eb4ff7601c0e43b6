"""The state of the processes, as a chip in every page's header."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from curation import processes

EXPECTED = ("worker", "beat", "verifier")


@dataclass(frozen=True, slots=True)
class Health:
    """What the chip says: its colour, its words, and what each process is doing."""

    css: str
    label: str
    detail: str


def _part(kind: str, found: list[dict[str, object]]) -> tuple[bool, str]:
    alive = sum(1 for p in found if p["alive"])
    if not found:
        return False, f"{kind}: not seen"
    if alive == len(found):
        return True, f"{kind}: {alive} running"
    return alive > 0, f"{kind}: {len(found) - alive} of {len(found)} silent"


def read_health() -> Health:
    """The processes' signs of life, summed up."""
    alive = processes.alive()
    kinds = [*EXPECTED, *sorted(set(alive) - set(EXPECTED))]
    parts = {kind: _part(kind, alive.get(kind, [])) for kind in kinds}
    detail = " · ".join(words for _, words in parts.values())
    dead = [kind for kind, (good, _) in parts.items() if not good]
    if not dead:
        silent = any("silent" in words for _, words in parts.values())
        return Health("warn" if silent else "ok", "one silent" if silent else "all running", detail)
    return Health("bad", f"{' and '.join(dead)} down", detail)


@login_required
@never_cache
def health_chip(request: HttpRequest) -> HttpResponse:
    """The chip alone; it asks for itself again."""
    return render(request, "components/_health.html", {"health": read_health()})
