"""Where reviewers of one trace disagree, and the person who settles it."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Count, QuerySet

from curation.models import Project
from reviews.agreement import differing_ranges
from reviews.consensus import current_reviews
from reviews.models import Assignment, QueueItem, Review
from reviews.queues import reopen


def disputed(project: Project) -> QuerySet[QueueItem]:
    """Finished items whose reviewers chose different decisions and that nobody has settled."""
    return (
        QueueItem.objects.filter(queue__project=project, gold__isnull=True, finished=True)
        .annotate(kinds=Count("reviews__decision", distinct=True))
        .filter(kinds__gt=1)
        .exclude(pk__in=Review.objects.filter(adjudicates=True).values("item"))
        .select_related("queue", "trace__problem")
        .defer("trace__text", "trace__messages", "trace__problem__text")
        .order_by("pk")
    )


def begin(item: QueueItem, user: Any) -> Assignment:
    """A place beyond the overlap for the person who settles the item."""
    with transaction.atomic():
        row, made = Assignment.objects.get_or_create(
            item=item, user=user, defaults={"adjudicates": True, "lease_until": item.created_at}
        )
        if not made and not row.adjudicates:
            # Somebody who judged the item before settles it: the old review stays as it is.
            Assignment.objects.filter(pk=row.pk).update(adjudicates=True)
    return reopen(row.pk)


def views_of(item: QueueItem) -> list[dict[str, Any]]:
    """What each reviewer said, as the screen draws it: decision, cuts, labels, first error."""
    found = []
    for review in current_reviews(item):
        labels = review.step_labels.exclude(label=None).values("start", "end", "label")
        found.append(
            {"user": review.user.get_username(), "decision": review.decision,
             "cuts": [[c["start"], c["end"]] for c in review.cuts], "labels": list(labels),
             "first_error": review.first_error, "seconds": review.seconds, "note": review.note}
        )  # fmt: skip
    return found


def disagreement_of(assignment: Assignment) -> dict[str, Any] | None:
    """For the person who settles an item: what the others said and where they differ."""
    if not assignment.adjudicates:
        return None
    views = views_of(assignment.item)
    masks = [[(a, b) for a, b in view["cuts"]] for view in views]
    ranges = differing_ranges(masks)
    points = sorted({v["first_error"] for v in views if v["first_error"] is not None})
    if len({v["first_error"] for v in views}) > 1:
        ranges += [(at, at + 1) for at in points]
    labels: dict[tuple[int, int], set[int]] = {}
    for view in views:
        for label in view["labels"]:
            labels.setdefault((label["start"], label["end"]), set()).add(label["label"])
    ranges += [place for place, said in labels.items() if len(said) > 1]
    return {"reviews": views, "ranges": sorted(set(ranges))}
