"""A review that was not submitted, taken as if it were: the outcome that would follow.

Nothing is stored. The outcome is made by ``consensus.outcome_of``, as for stored reviews, and the
trace without its cuts by ``traces.unsaved_derived``; selection then reads both in place of what is
stored (``selection.queries.Supposed``).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

from django.core.cache import cache

from curation.models import ReviewOutcome, Trace
from curation.policies import family_of
from curation.selection.candidates import CandidateVerdict
from curation.selection.queries import Supposed, outcome_values
from curation.traces import unsaved_derived
from reviews import consensus, decisions, pruning
from reviews.models import Assignment, QueueItem, Review
from reviews.submission import Submission, check_ranges, coverage_of

# Ids of what is not stored: behind all that are, as a row that is stored now would be.
NEW = 2**62
REMEMBERED = 3600  # seconds that the verdict on a trace without its cuts is kept


@dataclass(frozen=True)
class Reach:
    """How far one review goes: reviews that are still to come, and whether they are assumed."""

    waits: int
    assumed: bool


@dataclass(frozen=True)
class Supposition:
    """The outcome that would follow, as selection would read it."""

    outcome: ReviewOutcome
    supposed: Supposed
    reach: Reach
    shorter: Trace | None  # the trace without its cuts; unsaved when it is not stored yet
    verdict: str  # what the verifier says of it
    reason: str
    refused: str  # why a submission would not be taken


def suppose(assignment: Assignment, trace: Trace, submission: Submission) -> Supposition:
    """What submitting this would make of the trace. BadReview for ranges that cannot be."""
    submission = replace(submission, coverage=coverage_of(submission, trace.char_count))
    reach = reach_of(assignment)
    mine = unsaved_review(assignment, trace, submission)
    target = consensus.target_of(assignment.item, assignment.user)
    outcome = consensus.outcome_of(target, trace, beside(assignment, target, mine, reach))
    shorter, judged = None, {"verdict": "", "reason": "", "score": None}
    traces: list[Trace] = []
    verdicts: dict[int, tuple[CandidateVerdict, ...]] = {}
    if outcome.cuts:
        shorter, stored = derived_of(trace, outcome.cuts)
        outcome.derived = shorter
        judged = judged_of(trace, shorter)
        if not stored:
            traces.append(shorter)
        if not (stored and shorter.verdicts.exists()):
            verdicts[shorter.pk] = (verdict_of(trace, judged),)
    supposed = Supposed({trace.pk: outcome_values(outcome)}, traces, verdicts)
    verdict, reason = str(judged["verdict"]), str(judged["reason"] or "")
    refused = refusal(assignment, submission)
    return Supposition(outcome, supposed, reach, shorter, verdict, reason, refused)


def reach_of(assignment: Assignment) -> Reach:
    """What other people say is not told before a person has judged: it is assumed to be the same.

    A person who settles sees the other reviews, and decides alone. Gold items are treated as any
    other, so that nobody can tell them apart here.
    """
    item = consensus.target_of(assignment.item, assignment.user)
    if assignment.adjudicates or item.pk != assignment.item_id:
        return Reach(0, False)  # who looks again has judged before
    others = item.assignments.exclude(pk=assignment.pk)
    done = others.filter(state=Assignment.State.DONE, adjudicates=False).count()
    waits = max(0, item.queue.overlap - done - 1)
    alone = item.queue.overlap == 1 and (item.queue.policy == "single" or not done)
    return Reach(waits, not alone)


def beside(assignment: Assignment, target: QueueItem, mine: Review, reach: Reach) -> list[Review]:
    """The reviews of ``target`` that the outcome would stand on."""
    before = consensus.current_reviews(target)
    if target.pk != assignment.item_id:
        mine.adjudicates = any(r.adjudicates for r in before if r.user_id == mine.user_id)
    others = [r for r in before if r.user_id != mine.user_id]
    if not reach.assumed:
        return [*others, mine]
    settled = [r for r in others if r.adjudicates]
    return [*settled, *([mine] * max(assignment.item.queue.overlap, 2))]


def unsaved_review(assignment: Assignment, trace: Trace, submission: Submission) -> Review:
    return Review(
        pk=NEW,
        item=assignment.item,
        trace=trace,
        user=assignment.user,
        decision=submission.decision,
        cuts=check_ranges(trace.text, submission.cuts, "cuts"),
        coverage=submission.coverage,
        seconds=submission.seconds,
        adjudicates=assignment.adjudicates,
    )


def derived_of(trace: Trace, cuts: list[dict[str, Any]]) -> tuple[Trace, bool]:
    """The trace without its cuts, and whether it is stored already."""
    row = unsaved_derived(trace, pruning.prune(trace.text, cuts), cuts)
    found = Trace.objects.filter(problem_id=trace.problem_id, identity=row.identity).first()
    if found is not None:
        return found, True
    row.pk = NEW
    return row, False


def judged_of(trace: Trace, shorter: Trace) -> dict[str, Any]:
    """What the verifier says of the shorter text; remembered while somebody looks at it."""
    problem = trace.problem
    asked = [problem.pk, problem.reference_answer, problem.kind, shorter.text_sha256]
    key = f"pruned:{hashlib.sha256(json.dumps(asked).encode()).hexdigest()}"
    found: dict[str, Any] | None = cache.get(key)
    if found is None:
        found = pruning.judge(problem, shorter.text)
        if found["verdict"] != "error":
            cache.set(key, found, REMEMBERED)
    return found


def verdict_of(trace: Trace, judged: dict[str, Any]) -> CandidateVerdict:
    kind = trace.problem.kind
    return CandidateVerdict(str(judged["verdict"]), family_of(kind), judged["score"], kind)


def refusal(assignment: Assignment, submission: Submission) -> str:
    """Why the submission would not be taken as it is, else nothing."""
    try:
        decisions.check_coverage(assignment.item, assignment, submission)
        decisions.answers(assignment.item, submission)
    except decisions.BadReview as error:
        return str(error)
    return ""
