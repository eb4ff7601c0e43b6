"""Signs of life of the processes of this copy, on the database's clock."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connection

from curation.models import ProcessBeat

UPSERT = """
INSERT INTO curation_processbeat (kind, name, info, seen_at)
VALUES (%s, %s, %s::jsonb, clock_timestamp())
ON CONFLICT (kind, name) DO UPDATE SET info = excluded.info, seen_at = excluded.seen_at
"""


def record(kind: str, name: str, info: str = "{}") -> None:
    """Say that a process lives; ``info`` is a JSON object as text."""
    with connection.cursor() as cursor:
        cursor.execute(UPSERT, [kind, name, info])


def forget(kind: str, name: str) -> None:
    """A process ended as it should: it is not to be missed."""
    ProcessBeat.objects.filter(kind=kind, name=name).delete()


def forget_old() -> None:
    """Drop signs of life older than an hour."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM curation_processbeat WHERE seen_at < clock_timestamp() - interval '1 hour'"
        )


def alive() -> dict[str, list[dict[str, Any]]]:
    """Processes by kind with their age in seconds; ``alive`` is False for those gone silent."""
    found: dict[str, list[dict[str, Any]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT kind, name, info, extract(epoch FROM clock_timestamp() - seen_at)::float"
            " FROM curation_processbeat ORDER BY kind, name"
        )
        for kind, name, info, age in cursor.fetchall():
            item = {"name": name, "age": age, "alive": age <= settings.PROCESS_DEAD_SECONDS}
            found.setdefault(kind, []).append(item | {"info": info})
    return found
