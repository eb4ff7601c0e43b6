"""Filling queues and handing out their items under renewable leases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce, Now

from curation.jobs import JobContext, JobError
from curation.models import Project, Trace
from reviews import gold
from reviews.drafts import save_draft
from reviews.filters import FILTERS, doubts, matching
from reviews.models import Assignment, Queue, QueueItem

BLOCK = 500
DEFAULT_LIMIT = 1000


__all__ = ["FILTERS", "LeaseExpired", "Progress", "matching", "save_draft"]


class LeaseExpired(Exception):
    """The assignment belongs to someone else now; what was typed is kept as its draft."""


@dataclass(frozen=True)
class Progress:
    """How far a queue is: items in all, finished, and in hands right now."""

    total: int
    finished: int
    open: int


def run_fill(ctx: JobContext) -> None:
    """Job ``queue``: put matching traces into a queue, longest proposed savings first.

    Params: ``queue`` (name; made if missing), ``filters``, ``limit``, ``overlap``. A trace that
    stands in the queue already is left where it is.
    """
    queue = queue_of(ctx.project, ctx.params)
    limit = int(ctx.params.get("limit") or DEFAULT_LIMIT)
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


def queue_of(project: Project, params: dict[str, Any]) -> Queue:
    name = str(params.get("queue") or "").strip()
    if not name:
        raise JobError("bad_params", "queue: a name is needed")
    defaults = {"filters": params.get("filters") or {}, "overlap": int(params.get("overlap") or 1)}
    queue, _ = Queue.objects.get_or_create(project=project, name=name, defaults=defaults)
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


ORDER = {
    Queue.Order.POSITION: ("position",),
    Queue.Order.LONGEST: ("-trace__char_count", "position"),
    Queue.Order.WASTE: ("-savings", "position"),
    Queue.Order.DOUBT: ("-doubt", "position"),
}
LIVE = Q(assignments__state=Assignment.State.OPEN, assignments__lease_until__gt=Now())
TAKEN = (Q(assignments__state=Assignment.State.DONE) | LIVE) & Q(assignments__adjudicates=False)


def next_assignment(queue: Queue, user: Any) -> Assignment | None:
    """The item this reviewer goes on with: the one in hand, else the next free one.

    An item is free while fewer people than its overlap have it or have judged it, and this
    reviewer is not one of them. The item's row is locked while the lease is written, so two
    reviewers who ask at once get different items.
    """
    if not may_take(queue, user):
        return None
    mine = (
        Assignment.objects.filter(
            item__queue=queue, user=user, state=Assignment.State.OPEN, adjudicates=False
        )
        .order_by("pk")
        .first()
    )
    if mine is not None and (kept := take_again(mine)) is not None:
        return kept
    while True:
        candidate = (
            gold.due(queue, user) or free_items(queue, user).values_list("pk", flat=True).first()
        )
        if candidate is None:
            return None
        if (assignment := take(candidate, user)) is not None:
            return assignment


def may_take(queue: Queue, user: Any) -> bool:
    """Whether this person is one of the queue's people, and was not stopped by its screening."""
    if not queue.enabled or (queue.members and user.get_username() not in queue.members):
        return False
    return gold.screened(queue, user) is not False


def free_items(queue: Queue, user: Any) -> QuerySet[QueueItem]:
    mine = Assignment.objects.filter(item__queue=queue, user=user).exclude(
        state=Assignment.State.OPEN, lease_until__lte=Now()
    )
    return (
        QueueItem.objects.filter(
            Q(only_for=None) | Q(only_for=user), queue=queue, finished=False, gold__isnull=True
        )
        .exclude(pk__in=mine.values("item"))
        .annotate(taken=Count("assignments", filter=TAKEN))
        .filter(taken__lt=queue.overlap)
        .order_by(*ORDER[Queue.Order(queue.order)])
    )


def places_left(item: QueueItem, besides: Any) -> int:
    """How many more people may have this locked item, not counting ``besides``."""
    if item.gold is not None:  # everyone answers it
        return 1
    taken = (
        Assignment.objects.filter(item=item, adjudicates=False)
        .exclude(user=besides)
        .filter(
            Q(state=Assignment.State.DONE) | Q(state=Assignment.State.OPEN, lease_until__gt=Now())
        )
        .count()
    )
    return item.queue.overlap - taken


LEASE = """
INSERT INTO reviews_assignment
    (item_id, user_id, state, epoch, lease_until, skip_reason, draft, draft_rev,
     adjudicates, started_at)
VALUES (%(item)s, %(user)s, 'open', 1,
    clock_timestamp() + make_interval(secs => %(lease)s), '', '{}', 0,
    false, clock_timestamp())
ON CONFLICT (item_id, user_id) DO UPDATE SET epoch = reviews_assignment.epoch + 1,
    lease_until = excluded.lease_until
    WHERE reviews_assignment.state = 'open'
RETURNING id
"""


def take(item_id: int, user: Any) -> Assignment | None:
    """Lease one item to a reviewer; None when someone else was faster."""
    with transaction.atomic():
        item = (
            QueueItem.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("queue")
            .filter(pk=item_id, finished=False)
            .first()
        )
        if item is None or places_left(item, besides=user) < 1:
            return None
        values = {"item": item_id, "user": user.pk, "lease": settings.ASSIGNMENT_LEASE_SECONDS}
        with connection.cursor() as cursor:
            cursor.execute(LEASE, values)
            row = cursor.fetchone()
    return Assignment.objects.select_related("item__queue").get(pk=row[0]) if row else None


REOPEN = """
UPDATE reviews_assignment SET epoch = epoch + 1,
    lease_until = clock_timestamp() + make_interval(secs => %s) WHERE id = %s
"""


def reopen(assignment_id: int) -> Assignment:
    """A fresh lease for somebody who has a place beyond the overlap."""
    with connection.cursor() as cursor:
        cursor.execute(REOPEN, [settings.ASSIGNMENT_LEASE_SECONDS, assignment_id])
    return Assignment.objects.select_related("item__queue").get(pk=assignment_id)


def take_again(assignment: Assignment) -> Assignment | None:
    """Go on with an item in hand: a living lease is renewed, an old one is taken anew."""
    return take(assignment.item_id, assignment.user)


RENEW = """
UPDATE reviews_assignment SET lease_until = clock_timestamp() + make_interval(secs => %s)
WHERE id = %s AND epoch = %s AND state = 'open' AND lease_until > clock_timestamp() RETURNING id
"""


def renew(assignment_id: int, epoch: int) -> bool:
    """Extend a living lease; False when it ran out or was taken anew elsewhere."""
    with connection.cursor() as cursor:
        cursor.execute(RENEW, [settings.ASSIGNMENT_LEASE_SECONDS, assignment_id, epoch])
        return cursor.fetchone() is not None


def seconds_left(assignment_id: int) -> float:
    """Seconds until the lease ends, on the database's clock; 0 when it has ended."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT greatest(0, extract(epoch FROM lease_until - clock_timestamp()))"
            " FROM reviews_assignment WHERE id = %s",
            [assignment_id],
        )
        row = cursor.fetchone()
    return float(row[0]) if row else 0.0


def skip(assignment: Assignment, reason: str) -> None:
    """Give an item back with a reason; this reviewer is not offered it again."""
    Assignment.objects.filter(pk=assignment.pk, state=Assignment.State.OPEN).update(
        state=Assignment.State.SKIPPED, skip_reason=reason[:200], finished_at=Now()
    )


def progress(queue: Queue) -> Progress:
    """Counts of the queue's items."""
    counts = queue.items.filter(gold__isnull=True).aggregate(
        total=Count("pk"), finished=Count("pk", filter=Q(finished=True))
    )
    in_hand = Assignment.objects.filter(
        item__queue=queue, state=Assignment.State.OPEN, lease_until__gt=Now()
    ).count()
    return Progress(counts["total"], counts["finished"], in_hand)
