"""Filling queues: which traces go in, checked before a job is made of it."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, F, Sum
from django.db.models.functions import Coalesce

from curation.jobs import JobContext, JobError
from curation.models import Project, Trace
from reviews import manage
from reviews.filters import doubts, matching
from reviews.models import Queue, QueueItem
from reviews.submission import BadReview

BLOCK = 500
DEFAULT_LIMIT = 1000
MOST_LIMIT = 100_000


def run_fill(ctx: JobContext) -> None:
    """Job ``queue``: put matching traces into a queue, longest proposed savings first.

    Params: ``queue`` (name; made if missing), ``filters``, ``limit``, and for a new queue any of
    its settings (``manage.CHECKS``). A trace that stands in the queue already is left where it is.
    """
    limit = checked_fill(ctx.project, ctx.params)
    queue = queue_of(ctx.project, ctx.params)
    wanted = wanted_traces(ctx.project, queue.filters, limit)
    ctx.set_total(len(wanted))
    added = ctx.job.counts.get("added", 0)  # by an attempt of this job that was killed
    ctx.restart_counts(wanted=len(wanted), existing=0, added=added)
    for start in range(0, len(wanted), BLOCK):
        with ctx.chunk():
            block = wanted[start : start + BLOCK]
            added += add_items(queue, block)
            ctx.advance(len(block))
            ctx.job.counts |= {"added": added, "existing": max(0, ctx.job.done - added)}


def checked_fill(project: Project, params: dict[str, Any]) -> int:
    """How many traces at most; JobError says what of a fill is not possible."""
    name, filters = name_of(params), params.get("filters") or {}
    matching(project, filters)
    there = Queue.objects.filter(project=project, name=name).first()
    if there is not None and filters and filters != there.filters:
        raise JobError(
            "other_filters",
            f"queue {name} is there and asks for other traces: choose another name, or give no"
            " filters to fill it with what it asks for",
        )
    settings_of(project, params)
    limit = params.get("limit") or DEFAULT_LIMIT
    if isinstance(limit, bool) or not str(limit).isdigit() or not 1 <= int(limit) <= MOST_LIMIT:
        raise JobError("bad_params", f"limit: 1 to {MOST_LIMIT}")
    return int(limit)


def name_of(params: dict[str, Any]) -> str:
    name = str(params.get("queue") or "").replace("\x00", "").strip()
    if not 1 <= len(name) <= 100:
        raise JobError("bad_params", "queue: a name of 1 to 100 characters is needed")
    return name


def settings_of(project: Project, params: dict[str, Any]) -> dict[str, Any]:
    """The settings of a new queue among the parameters."""
    given = {name: params[name] for name in manage.CHECKS if params.get(name) is not None}
    try:
        return manage.checked(project, given)
    except BadReview as error:
        raise JobError(error.code, str(error)) from error


def queue_of(project: Project, params: dict[str, Any]) -> Queue:
    defaults = settings_of(project, params) | {"filters": params.get("filters") or {}}
    queue, _ = Queue.objects.get_or_create(project=project, name=name_of(params), defaults=defaults)
    return queue


def wanted_traces(project: Project, filters: dict[str, Any], limit: int) -> list[tuple[int, int]]:
    """(trace id, characters that proposals would save), most savings first."""
    ids = matching(project, filters).values("pk")
    rows = (
        Trace.objects.filter(pk__in=ids)
        .annotate(
            savings=Coalesce(
                Sum(F("segmentations__proposals__end") - F("segmentations__proposals__start")), 0
            )
        )
        .order_by("-savings", "pk")
        .values_list("pk", "savings")[:limit]
    )
    return [(pk, int(savings)) for pk, savings in rows]


def add_items(queue: Queue, block: list[tuple[int, int]]) -> int:
    """Append items; how many were new."""
    have = set(
        queue.items.filter(trace__in=[pk for pk, _ in block]).values_list("trace", flat=True)
    )
    position = queue.items.aggregate(n=Count("pk"))["n"]
    new = [(pk, savings) for pk, savings in block if pk not in have]
    doubt = doubts([pk for pk, _ in new])
    items = [
        QueueItem(queue=queue, trace_id=pk, position=position + n, savings=savings, doubt=doubt[pk])
        for n, (pk, savings) in enumerate(new)
    ]
    QueueItem.objects.bulk_create(items, ignore_conflicts=True)
    return len(new)
