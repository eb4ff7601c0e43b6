"""Handing out the items of queues under renewable leases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now

from reviews import gold
from reviews.drafts import save_draft
from reviews.models import Assignment, Queue, QueueItem
from reviews.submission import BadReview

__all__ = ["LeaseExpired", "Progress", "save_draft"]


class LeaseExpired(Exception):
    """The assignment belongs to someone else now; what was typed is kept as its draft."""


@dataclass(frozen=True)
class Progress:
    """How far a queue is: items in all, finished, and in hands right now."""

    total: int
    finished: int
    open: int


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
    while (candidate := next_free(queue, user)) is not None:
        if (assignment := take(candidate, user)) is not None:
            return assignment
    return None


def next_free(queue: Queue, user: Any) -> int | None:
    """The item that would be handed to this reviewer now; nothing is written."""
    return gold.due(queue, user) or free_items(queue, user).values_list("pk", flat=True).first()


def in_hand(queue: Queue, user: Any) -> Assignment | None:
    """The item that this reviewer holds a living lease on; nothing is written."""
    rows = Assignment.objects.filter(
        item__queue=queue, user=user, state=Assignment.State.OPEN, adjudicates=False
    )
    return rows.filter(lease_until__gt=Now()).order_by("pk").first()


def may_take(queue: Queue, user: Any) -> bool:
    """Whether this person is one of the queue's people, and was not stopped by its screening."""
    if not queue.enabled or (queue.members and user.get_username() not in queue.members):
        return False
    return gold.screened(queue, user) is not False


def why_nothing(queue: Queue, user: Any) -> str:
    """Why ``next_assignment`` gave nothing, as a code; the page puts it into words."""
    if not queue.enabled:
        return "paused"
    if queue.members and user.get_username() not in queue.members:
        return "for_others"
    if gold.screened(queue, user) is False:
        return "screened"
    left = queue.items.filter(finished=False, gold__isnull=True)
    if not queue.items.exists():
        return "empty"
    return "none_for_you" if left.exists() else "all_done"


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
    """Give an item back with a reason; this reviewer is not offered it again.

    BadReview without a reason, or when the item was judged or given back already.
    """
    reason = reason.replace("\x00", "").strip()[:200]
    if not reason:
        raise BadReview("bad_reason", "reason: a few words are needed")
    given_back = Assignment.objects.filter(pk=assignment.pk, state=Assignment.State.OPEN).update(
        state=Assignment.State.SKIPPED, skip_reason=reason, finished_at=Now()
    )
    if not given_back:
        raise BadReview("not_open", "this item was judged or given back already")


def progress(queue: Queue) -> Progress:
    """Counts of the queue's items."""
    return progress_of([queue])[queue.pk]


def progress_of(queues: Sequence[Queue]) -> dict[int, Progress]:
    """Queue -> counts of its items, gold ones left out, in two queries for all of them."""
    ids = [queue.pk for queue in queues]
    items = (
        QueueItem.objects.filter(queue__in=ids, gold__isnull=True)
        .values("queue")
        .annotate(total=Count("pk"), done=Count("pk", filter=Q(finished=True)))
    )
    held = (
        Assignment.objects.filter(
            item__queue__in=ids, state=Assignment.State.OPEN, lease_until__gt=Now()
        )
        .values("item__queue")
        .annotate(n=Count("pk"))
    )
    counts = {row["queue"]: (row["total"], row["done"]) for row in items}
    open_ones = {row["item__queue"]: row["n"] for row in held}
    return {pk: Progress(*counts.get(pk, (0, 0)), open_ones.get(pk, 0)) for pk in ids}
