"""Taking a review: checked, stored append-only, and turned into an outcome."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from curation.disputes import say_wrong
from curation.models import Outbox, Trace
from reviews import adjudication, consensus
from reviews.models import Assignment, Guideline, QueueItem, Review, StepLabel
from reviews.queues import LeaseExpired, places_left
from reviews.schema import BadSchema, check_values, schema_of
from reviews.submission import (
    BadReview,
    Submission,
    check_ranges,
    coverage_of,
    integer,
    list_of,
    parse,
    quote_hash,
)

__all__ = ["BadReview", "Submission", "check_ranges", "commit", "integer", "list_of", "parse",
           "quote_hash", "submit"]  # fmt: skip


def submit(assignment: Assignment, epoch: int, submission: Submission) -> Review:
    """Store a judgement and close the assignment; an outcome follows when enough people judged.

    A lease that ran out does no harm while the item still has a place. LeaseExpired when it has
    none, or when the assignment was taken anew elsewhere (another tab): the caller keeps the
    draft. A second submission of a finished assignment is a new row: a change of mind.
    """
    with transaction.atomic():
        item = (
            QueueItem.objects.select_for_update(of=("self",))
            .select_related("queue__project")
            .get(pk=assignment.item_id)
        )
        current = (
            Assignment.objects.select_for_update(of=("self",))
            .select_related("user")
            .get(pk=assignment.pk)
        )
        check_lease(current, epoch, item)
        trace = Trace.objects.get(pk=item.trace_id)
        seen = coverage_of(submission, trace.char_count)
        submission = replace(submission, coverage=seen)
        check_coverage(item, current, submission)
        review = store(item, trace, current, submission)
        Assignment.objects.filter(pk=current.pk).update(
            state=Assignment.State.DONE, finished_at=Now(), draft={}
        )
        if item.gold is None:
            finish(item, trace, review)
        announce(item, review)
        if review.adjudicates:
            adjudication.tell(item, review)
    return review


def check_lease(current: Assignment, epoch: int, item: QueueItem) -> None:
    if current.epoch != epoch:
        raise LeaseExpired("this item was opened again elsewhere")
    if current.adjudicates:
        return
    if current.state != Assignment.State.DONE and places_left(item, current.user) < 1:
        raise LeaseExpired("the lease ran out and others have judged this item meanwhile")


def check_coverage(item: QueueItem, current: Assignment, submission: Submission) -> None:
    """A queue may ask that so much of the text was on screen; a "give up" needs none."""
    wanted = item.queue.min_coverage
    if not wanted or submission.decision == Review.Decision.GIVE_UP or current.adjudicates:
        return
    if (submission.coverage or 0.0) + 1e-9 < wanted:
        have = 100 * (submission.coverage or 0.0)
        raise BadReview(
            "too_little_read",
            f"this queue asks that {100 * wanted:.0f} % is read; it is {have:.0f}",
        )


def finish(item: QueueItem, trace: Trace, review: Review) -> None:
    """Conclude once as many people as the overlap asks for have judged, or one adjudicated."""
    target = consensus.target_of(item, review.user)
    done = target.assignments.filter(state=Assignment.State.DONE, adjudicates=False).count()
    enough = done >= target.queue.overlap or review.adjudicates
    if enough or target.pk != item.pk:
        QueueItem.objects.filter(pk=item.pk).update(finished=True)
    if enough or target.finished:
        QueueItem.objects.filter(pk=target.pk).update(finished=True)
        consensus.conclude(target, trace)


def announce(item: QueueItem, review: Review) -> None:
    """A message for webhooks, in the transaction that stores the decision."""
    data = {
        "review": review.pk,
        "trace": review.trace_id,
        "queue": item.queue_id,
        "decision": review.decision,
        "cuts": len(review.cuts),
        "adjudicates": review.adjudicates,
    }
    payload = {"event": "review.decided", "project": item.queue.project_id, "data": data}
    Outbox.objects.create(topic="event", payload=payload)


def commit(assignment: Assignment, decision: str, seconds: float | None) -> dict[str, Any]:
    """Keep the first judgement, before hidden things are shown; the first one stays."""
    if decision not in Review.Decision.values:
        raise BadReview("bad_decision", f"decision: one of {', '.join(Review.Decision.values)}")
    first = {"decision": decision, "seconds": seconds}
    Assignment.objects.filter(pk=assignment.pk, committed__isnull=True).update(committed=first)
    assignment.refresh_from_db(fields=["committed"])
    return assignment.committed or first


def store(item: QueueItem, trace: Trace, assignment: Assignment, submission: Submission) -> Review:
    if submission.first_error is not None and submission.first_error >= max(1, trace.char_count):
        raise BadReview("bad_first_error", f"first_error: the text has {trace.char_count}")
    guideline = Guideline.objects.filter(project=trace.project_id).order_by("-version").first()
    first = (assignment.committed or {}).get("decision") or submission.decision
    if item.queue.hide and not assignment.committed:
        Assignment.objects.filter(pk=assignment.pk).update(
            committed={"decision": submission.decision, "seconds": submission.seconds}
        )
    review = Review.objects.create(
        item=item,
        trace=trace,
        user=assignment.user,
        decision=submission.decision,
        cuts=check_ranges(trace.text, submission.cuts, "cuts"),
        spans=check_ranges(trace.text, submission.spans, "spans", apart=False),
        kinds=check_ranges(trace.text, submission.kinds, "kinds"),
        kept=check_ranges(trace.text, submission.kept, "kept", apart=False),
        rejected=submission.rejected,
        values=answers(item, submission),
        dispute=submission.dispute,
        first_error=submission.first_error,
        flagged=submission.flagged,
        note=submission.note,
        guideline_version=guideline.version if guideline else None,
        coverage=submission.coverage,
        read=submission.read,
        seconds=submission.seconds,
        segmenter=submission.segmenter,
        first_decision=first,
        adjudicates=assignment.adjudicates,
    )
    store_steps(review, check_ranges(trace.text, submission.labels, "labels"))
    if submission.dispute:
        say_wrong(trace.problem, assignment.user, **submission.dispute)
    return review


def answers(item: QueueItem, submission: Submission) -> dict[str, Any]:
    complete = submission.decision != Review.Decision.GIVE_UP
    try:
        return check_values(schema_of(item.queue.project), submission.values, complete)
    except BadSchema as error:
        raise BadReview("bad_values", str(error)) from error


def store_steps(review: Review, labels: list[dict[str, Any]]) -> None:
    StepLabel.objects.bulk_create(
        StepLabel(
            review=review,
            start=label["start"],
            end=label["end"],
            label=label["label"],
            flagged=label["flagged"],
            alternative=label["alternative"],
            quote_sha256=label["quote_sha256"],
        )
        for label in labels
    )
