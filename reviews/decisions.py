"""Taking a review: checked, stored append-only, and turned into an outcome."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from curation.models import Trace
from reviews import consensus
from reviews.models import Assignment, Guideline, QueueItem, Review, StepLabel
from reviews.queues import LeaseExpired, places_left

MAX_CUTS = 5000
MAX_LABELS = 20_000


class BadReview(Exception):
    """A submission that cannot be taken: a reason code and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Submission:
    """A reviewer's judgement as sent; ranges are code points of the trace's text."""

    decision: str
    cuts: list[dict[str, Any]] = field(default_factory=list)
    labels: list[dict[str, Any]] = field(default_factory=list)
    first_error: int | None = None
    note: str = ""
    coverage: float | None = None
    seconds: float | None = None
    segmenter: str = ""


def quote_hash(text: str, start: int, end: int) -> str:
    return hashlib.sha256(text[start:end].encode("utf-8", "surrogatepass")).hexdigest()


def parse(data: Any) -> Submission:
    """A submission from JSON; BadReview names the field that is wrong."""
    if not isinstance(data, dict):
        raise BadReview("bad_json", "an object is needed")
    decision = data.get("decision")
    if decision not in Review.Decision.values:
        raise BadReview("bad_decision", f"decision: one of {', '.join(Review.Decision.values)}")
    return Submission(
        decision=decision,
        cuts=[range_of(cut, "cuts") for cut in list_of(data, "cuts", MAX_CUTS)],
        labels=[label_of(label) for label in list_of(data, "labels", MAX_LABELS)],
        first_error=integer(data, "first_error"),
        note=str(data.get("note") or "")[:20_000],
        coverage=number(data, "coverage", 1.0),
        seconds=number(data, "seconds", 1e6),
        segmenter=str(data.get("segmenter") or "")[:64],
    )


def list_of(data: dict[str, Any], name: str, most: int) -> list[Any]:
    value = data.get(name) or []
    if not isinstance(value, list) or len(value) > most:
        raise BadReview(f"bad_{name}", f"{name}: a list of at most {most} is needed")
    return value


def integer(data: dict[str, Any], name: str) -> int | None:
    value = data.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadReview(f"bad_{name}", f"{name}: a number >= 0 is needed")
    return value


def number(data: dict[str, Any], name: str, most: float) -> float | None:
    value = data.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise BadReview(f"bad_{name}", f"{name}: a number between 0 and {most:g} is needed")
    return float(value)


def range_of(item: Any, name: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise BadReview(f"bad_{name}", f"{name}: objects are needed")
    start, end = integer(item, "start"), integer(item, "end")
    if start is None or end is None or start >= end:
        raise BadReview(f"bad_{name}", f"{name}: start < end is needed")
    return {
        "start": start,
        "end": end,
        "reason": str(item.get("reason") or "")[:200],
        "quote_sha256": str(item.get("quote_sha256") or ""),
    }


def label_of(item: Any) -> dict[str, Any]:
    label = range_of(item, "labels")
    value = item.get("label")
    if value not in (-1, 0, 1) or isinstance(value, bool):
        raise BadReview("bad_labels", "labels: label is -1, 0 or 1")
    return label | {"label": value}


def check_ranges(text: str, ranges: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The ranges in order with the hash of what they quote; they may neither leave nor overlap."""
    checked = []
    end = 0
    for item in sorted(ranges, key=lambda r: int(r["start"])):
        if item["end"] > len(text):
            raise BadReview(f"bad_{name}", f"{name}: {item['end']} is past the end, {len(text)}")
        if item["start"] < end:
            raise BadReview(f"bad_{name}", f"{name}: ranges overlap at {item['start']}")
        end = item["end"]
        found = quote_hash(text, item["start"], item["end"])
        if item["quote_sha256"] and item["quote_sha256"] != found:
            raise BadReview("text_differs", f"{name}: {item['start']} quotes another text")
        checked.append(item | {"quote_sha256": found})
    return checked


def submit(assignment: Assignment, epoch: int, submission: Submission) -> Review:
    """Store a judgement and close the assignment; an outcome follows when enough people judged.

    A lease that ran out does no harm while the item still has a place. LeaseExpired when it has
    none, or when the assignment was taken anew elsewhere (another tab): the caller keeps the
    draft. A second submission of a finished assignment is a new row: a change of mind.
    """
    with transaction.atomic():
        item = (
            QueueItem.objects.select_for_update(of=("self",))
            .select_related("queue")
            .get(pk=assignment.item_id)
        )
        current = Assignment.objects.select_for_update().get(pk=assignment.pk)
        check_lease(current, epoch, item)
        trace = Trace.objects.get(pk=item.trace_id)
        review = store(item, trace, current, submission)
        Assignment.objects.filter(pk=current.pk).update(
            state=Assignment.State.DONE, finished_at=Now(), draft={}
        )
        done = item.assignments.filter(state=Assignment.State.DONE).count()
        if done >= item.queue.overlap:
            QueueItem.objects.filter(pk=item.pk).update(finished=True)
            consensus.conclude(item, trace)
    return review


def check_lease(current: Assignment, epoch: int, item: QueueItem) -> None:
    if current.epoch != epoch:
        raise LeaseExpired("this item was opened again elsewhere")
    if current.state == Assignment.State.OPEN and places_left(item, current.user) < 1:
        raise LeaseExpired("the lease ran out and others have judged this item meanwhile")


def store(item: QueueItem, trace: Trace, assignment: Assignment, submission: Submission) -> Review:
    cuts = check_ranges(trace.text, submission.cuts, "cuts")
    labels = check_ranges(trace.text, submission.labels, "labels")
    guideline = Guideline.objects.filter(project=trace.project).order_by("-version").first()
    review = Review.objects.create(
        item=item,
        trace=trace,
        user=assignment.user,
        decision=submission.decision,
        cuts=cuts,
        first_error=submission.first_error,
        note=submission.note,
        guideline_version=guideline.version if guideline else None,
        coverage=submission.coverage,
        seconds=submission.seconds,
        segmenter=submission.segmenter,
    )
    StepLabel.objects.bulk_create(
        StepLabel(
            review=review,
            start=label["start"],
            end=label["end"],
            label=label["label"],
            quote_sha256=label["quote_sha256"],
        )
        for label in labels
    )
    return review
