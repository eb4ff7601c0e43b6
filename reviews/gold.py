"""Gold items: what is known already, mixed in to see how well a reviewer judges.

A gold item has an expected answer. Everyone gets it once, it makes no outcome, and its reviews
count for nothing but the reviewer's accuracy. A queue may screen: the first items of a reviewer
are gold, and who falls short of the asked accuracy gets no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model

from reviews.models import Assignment, Queue, QueueItem, Review


def due(queue: Queue, user: Any) -> int | None:
    """The gold item that this reviewer gets next, if one is due now."""
    unseen = (
        QueueItem.objects.filter(queue=queue)
        .filter(gold__isnull=False)
        .exclude(pk__in=Assignment.objects.filter(item__queue=queue, user=user).values("item"))
        .order_by("position")
        .values_list("pk", flat=True)
    )
    rows = Assignment.objects.filter(item__queue=queue, user=user, adjudicates=False)
    seen_gold = rows.filter(item__gold__isnull=False).count()
    wanted = int((queue.screening or {}).get("items") or 0)
    if seen_gold >= wanted and queue.gold_share:
        wanted = int((rows.count() + 1) * queue.gold_share) + (wanted if queue.screening else 0)
    return unseen.first() if seen_gold < wanted else None


def expected(item: QueueItem, review: Review) -> bool:
    """Whether a review of a gold item says what is known.

    The decision must be equal; a first error (where one is known) must lie within the tolerance
    ``within`` (characters, 0 if not given).
    """
    gold = item.gold or {}
    if gold.get("decision") and review.decision != gold["decision"]:
        return False
    at = gold.get("first_error")
    if at is None or gold.get("decision") == Review.Decision.SOUND:
        return True
    return review.first_error is not None and abs(review.first_error - at) <= gold.get("within", 0)


def first_reviews(queue: Queue, user: Any = None) -> list[Review]:
    """The first review by each person of each gold item: a second look does not mend accuracy.

    Who wrote the review that an item's answer was taken from is not measured by it.
    """
    rows = Review.objects.filter(item__queue=queue).filter(item__gold__isnull=False)
    if user is not None:
        rows = rows.filter(user=user)
    rows = rows.order_by("item", "user", "pk").distinct("item", "user").select_related("item")
    return [r for r in rows if (r.item.gold or {}).get("author") != r.user_id]


def accuracy(queue: Queue, user: Any) -> tuple[int, int]:
    """(right, answered) on gold items."""
    rows = first_reviews(queue, user)
    return sum(expected(r.item, r) for r in rows), len(rows)


@dataclass(frozen=True)
class Screening:
    """How one person stands: gold items asked for (at most what the queue has), right, counted."""

    asked: int
    right: int
    counted: int
    accuracy: float  # asked for
    passed: bool | None  # None: not through yet


def screening_of(queue: Queue, user: Any) -> Screening:
    """A skipped gold item counts as one that was not right until enough others are answered.

    Else who skips them all would never be measured. Whom a curator lets in has passed.
    """
    asked = int((queue.screening or {}).get("items") or 0)
    if asked:
        asked = min(asked, queue.items.filter(gold__isnull=False).count())
    wanted = float((queue.screening or {}).get("accuracy") or 0)
    if not asked:
        return Screening(0, 0, 0, wanted, True)
    right, answered = accuracy(queue, user)
    skipped = Assignment.objects.filter(
        item__queue=queue, item__gold__isnull=False, user=user, state=Assignment.State.SKIPPED
    ).count()
    counted = max(answered, min(answered + skipped, asked))
    passed = None if counted < asked else right / counted >= wanted
    if passed is False and name_of(user) in queue.screening.get("let_in", []):
        passed = True
    return Screening(asked, right, counted, wanted, passed)


def name_of(user: Any) -> str:
    """The user name of a person, given as such or by number."""
    if hasattr(user, "get_username"):
        return str(user.get_username())
    return str(get_user_model().objects.values_list("username", flat=True).get(pk=user))


def screened(queue: Queue, user: Any) -> bool | None:
    """True: passed, or nothing is asked; None: not through yet; False: fell short."""
    return screening_of(queue, user).passed
