"""Where reviewers of one trace disagree, and the person who settles it."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from django.urls import reverse

from curation.models import Project
from reviews.agreement import differing_ranges
from reviews.consensus import current_reviews
from reviews.models import Assignment, Notification, QueueItem, Review
from reviews.queues import reopen
from reviews.submission import BadReview


def disputed(project: Project) -> QuerySet[QueueItem]:
    """Finished items whose reviewers chose different decisions and that nobody has settled.

    What counts is the newest review of each: who changes their mind does not disagree with anyone.
    """
    newer = Review.objects.filter(
        item=OuterRef("item"), user=OuterRef("user"), pk__gt=OuterRef("pk")
    )
    current = Review.objects.filter(~Exists(newer), item=OuterRef("pk")).order_by().values("item")
    kinds = current.annotate(n=Count("decision", distinct=True)).values("n")
    return (
        QueueItem.objects.filter(queue__project=project, gold__isnull=True, finished=True)
        .annotate(kinds=Subquery(kinds))
        .filter(kinds__gt=1)
        .exclude(pk__in=Review.objects.filter(adjudicates=True).values("item"))
        .select_related("queue", "trace__problem")
        .defer("trace__text", "trace__messages", "trace__problem__text")
        .order_by("pk")
    )


def begin(item: QueueItem, user: Any) -> Assignment:
    """A place beyond the overlap for the person who settles the item.

    BadReview where there is nothing to settle: a gold item, or one that nobody has judged.
    """
    if item.gold is not None or not item.reviews.exists():
        raise BadReview("nothing_to_settle", "nobody has judged this item, or it is gold")
    with transaction.atomic():
        row, made = Assignment.objects.get_or_create(
            item=item, user=user, defaults={"adjudicates": True, "lease_until": item.created_at}
        )
        if not made and not row.adjudicates:
            # Somebody who judged the item before settles it: the old review stays as it is.
            Assignment.objects.filter(pk=row.pk).update(adjudicates=True)
    return reopen(row.pk)


def tell(item: QueueItem, settled: Review) -> None:
    """A notice for each reviewer whose decision was another than the one that settles."""
    name, project = settled.user.get_username(), item.queue.project
    Notification.objects.bulk_create(
        Notification(
            user_id=review.user_id, project=project, kind="adjudicated",
            url=reverse("read", args=[project.slug, item.trace_id]),
            text=f"{name} settled trace {item.trace_id} as {settled.get_decision_display()};"
            f" you said {review.get_decision_display()}",
        )
        for review in current_reviews(item)
        if review.user_id != settled.user_id and review.decision != settled.decision
    )  # fmt: skip


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
