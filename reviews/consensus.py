"""Several reviews become one outcome, by a named policy; selection reads nothing else of people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from django.db.models import F

from curation import jobs
from curation.models import ReviewOutcome, Trace
from reviews import pruning
from reviews.models import QueueItem, Review

Decision = ReviewOutcome.Decision
OUTCOME = {
    Review.Decision.SOUND: Decision.ACCEPT,
    Review.Decision.FLAWED: Decision.REJECT,
    Review.Decision.BAD_PROBLEM: Decision.BAD_PROBLEM,
    Review.Decision.GIVE_UP: Decision.UNDECIDED,
}


def current_reviews(item: QueueItem) -> list[Review]:
    """The newest review of each reviewer, also when it was made again under a newer guideline."""
    reviews = list(item.reviews.order_by("user", "-pk").distinct("user"))
    if item.only_for_id is not None or not reviews:
        return reviews
    again = Review.objects.filter(
        trace=item.trace_id, item__only_for=F("user"), item__queue__project=item.queue.project_id
    ).order_by("user", "-pk")
    later = {r.user_id: r for r in again.distinct("user")}
    return [newer_of(r, later.get(r.user_id)) for r in reviews]


def newer_of(review: Review, again: Review | None) -> Review:
    """A decision made again counts in place of the one before, also where that one settled."""
    if again is None or again.pk < review.pk:
        return review
    again.adjudicates = review.adjudicates
    return again


def target_of(item: QueueItem, user: Any) -> QueueItem:
    """The item whose outcome a review changes.

    Where a person looks again at a decision of their own (a guideline's queue), that is the item
    where they first made it: one person alone must not replace what several agreed on.
    """
    if item.only_for_id is None:
        return item
    first = (
        Review.objects.filter(trace=item.trace_id, user=user, item__only_for=None)
        .filter(item__queue__project=item.queue.project_id, item__gold__isnull=True)
        .select_related("item__queue")
        .order_by("-pk")
        .first()
    )
    return first.item if first else item


def single(reviews: list[Review]) -> str:
    """The newest review decides."""
    return str(OUTCOME[Review.Decision(max(reviews, key=lambda r: r.pk).decision)])


def majority(reviews: list[Review]) -> str:
    """More than half must agree; else the trace is undecided."""
    decision, votes = Counter(r.decision for r in reviews).most_common(1)[0]
    if votes * 2 <= len(reviews):
        return str(Decision.UNDECIDED)
    return str(OUTCOME[Review.Decision(decision)])


def unanimous(reviews: list[Review]) -> str:
    """All must agree; else the trace is undecided."""
    decisions = {r.decision for r in reviews}
    if len(decisions) > 1:
        return str(Decision.UNDECIDED)
    return str(OUTCOME[Review.Decision(decisions.pop())])


def strict(reviews: list[Review]) -> str:
    """One "flawed" or "bad problem" is enough to reject; else the majority."""
    for found in (Review.Decision.BAD_PROBLEM, Review.Decision.FLAWED):
        if any(r.decision == found for r in reviews):
            return str(OUTCOME[found])
    return majority(reviews)


POLICIES: dict[str, Callable[[list[Review]], str]] = {
    "single": single,
    "majority": majority,
    "unanimous": unanimous,
    "strict": strict,
}
ADJUDICATED = "adjudicated"  # the policy of an outcome that one person settled


def agreed_cuts(reviews: list[Review], length: int) -> list[dict[str, Any]]:
    """Ranges that more than half of the reviews cut, by a sweep over their ends."""
    change: Counter[int] = Counter()
    for review in reviews:
        for cut in review.cuts:
            change[cut["start"]] += 1
            change[cut["end"]] -= 1
    found: list[dict[str, Any]] = []
    depth, start = 0, None
    for position in sorted(change):
        depth += change[position]
        if depth * 2 > len(reviews) and start is None:
            start = position
        elif depth * 2 <= len(reviews) and start is not None:
            found.append({"start": start, "end": min(position, length), "reason": "agreed"})
            start = None
    return found


def conclude(item: QueueItem, trace: Trace) -> ReviewOutcome:
    """Write the outcome of an item; accepted cuts make a derived trace that is verified again."""
    outcome = outcome_of(item, trace, current_reviews(item))
    if outcome.cuts:
        outcome.derived = derive(trace, outcome.cuts)
    outcome.save()
    return outcome


def outcome_of(item: QueueItem, trace: Trace, everyone: list[Review]) -> ReviewOutcome:
    """What these reviews of an item make together; not saved, and without its derived trace."""
    reviews = everyone
    policy = item.queue.policy if item.queue.policy in POLICIES else "single"
    settled = [r for r in reviews if r.adjudicates]
    if settled:
        policy, reviews = ADJUDICATED, [max(settled, key=lambda r: r.pk)]
    decision = single(reviews) if settled else POLICIES[policy](reviews)
    judged = [r for r in reviews if OUTCOME[Review.Decision(r.decision)] == decision]
    if policy == "single":
        judged = judged[-1:] if len(judged) < 2 else [max(judged, key=lambda r: r.pk)]
    cuts = judged[0].cuts if len(judged) == 1 else agreed_cuts(judged, trace.char_count)
    versions = [r.guideline_version for r in reviews if r.guideline_version is not None]
    return ReviewOutcome(
        trace=trace,
        decision=decision,
        cuts=cuts if decision == Decision.ACCEPT else [],
        coverage=least([r.coverage for r in reviews]),
        seconds=least([r.seconds for r in reviews]),
        agreement=agreeing(everyone, decision) if len(everyone) > 1 else None,
        guideline_version=min(versions) if versions else None,
        policy=policy,
        reviews=[r.pk for r in reviews],
    )


def least(values: list[float | None]) -> float | None:
    """The smallest; None as soon as one is unknown, so that a recipe may rely on it for all."""
    known = [v for v in values if v is not None]
    return min(known) if known and len(known) == len(values) else None


def agreeing(reviews: list[Review], decision: str) -> float:
    """Share of the reviewers whose own decision is the outcome's."""
    return sum(OUTCOME[Review.Decision(r.decision)] == decision for r in reviews) / len(reviews)


def derive(trace: Trace, cuts: list[dict[str, Any]]) -> Trace:
    """The trace without the cuts, and the jobs that judge and segment it."""
    derived = pruning.derive(trace, cuts)
    then = [{"kind": "segment", "params": {"ids": [derived.pk]}}]
    jobs.create_job(
        project=trace.project, kind="verify", params={"ids": [derived.pk], "then": then}
    )
    return derived
