"""What people decide of disputed references; decisions are append-only."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.db import transaction
from django.db.models import OuterRef, Q, QuerySet, Subquery

from curation.models import (
    DisputeDecision,
    Problem,
    Project,
    ReferenceDispute,
    ReviewOutcome,
    Trace,
)
from curation.verification import reference_hash


def open_disputes(project: Project) -> QuerySet[ReferenceDispute]:
    """Disputes whose newest decision is none, or to look again."""
    newest = DisputeDecision.objects.filter(dispute=OuterRef("pk")).order_by("-pk")
    found = ReferenceDispute.objects.filter(problem__project=project)
    found = found.annotate(current=Subquery(newest.values("decision")[:1]))
    return found.filter(Q(current=None) | Q(current=DisputeDecision.Decision.REOPEN))


def say_wrong(problem: Problem, user: Any, answer: str, why: str) -> ReferenceDispute:
    """A reviewer says that the reference is wrong: one dispute per reference, one say per person.

    ``answer`` and ``why`` may be empty, not both. A new say about a decided dispute opens it again.
    """
    with transaction.atomic():
        Problem.objects.select_for_update().get(pk=problem.pk)
        dispute, _ = ReferenceDispute.objects.get_or_create(
            problem=problem,
            reason=ReferenceDispute.Reason.REVIEWER,
            reference_sha256=reference_hash(problem.reference_answer),
            defaults={"reference": problem.reference_answer, "suggestion": "look"},
        )
        mine = {"by": user.get_username(), "answer": answer.strip(), "why": why.strip()}
        if mine in dispute.said:
            return dispute
        dispute.said = [said for said in dispute.said if said["by"] != mine["by"]] + [mine]
        counts = Counter(said["answer"] for said in dispute.said if said["answer"])
        dispute.table = [list(row) for row in counts.most_common()]
        dispute.majority, dispute.votes = counts.most_common(1)[0] if counts else (None, 0)
        dispute.total = len(dispute.said)
        dispute.save()
        if dispute.decisions.exists() and not open_disputes(problem.project).contains(dispute):
            DisputeDecision.objects.create(
                dispute=dispute,
                decision=DisputeDecision.Decision.REOPEN,
                old_reference=problem.reference_answer,
                note=mine["why"][:10_000],
                author=user,
            )
    return dispute


def decide_dispute(
    dispute: ReferenceDispute, user: Any, decision: str, *, new_reference: str = "", note: str = ""
) -> DisputeDecision:
    """Record a person's decision and do what it says; ValueError for what cannot be decided.

    ``replace`` changes the problem's reference (the old one stays in the decision's row; verdicts
    against it stay, and the next verification judges against the new one). ``bad_problem`` keeps
    every trace of the problem out of selections.
    """
    if decision not in DisputeDecision.Decision.values:
        raise ValueError(f"{decision!r} is no decision")
    new = new_reference.strip()
    if decision == DisputeDecision.Decision.REPLACE and not new:
        raise ValueError("a new reference is needed")
    with transaction.atomic():
        problem = Problem.objects.select_for_update().get(pk=dispute.problem_id)
        row = DisputeDecision.objects.create(
            dispute=dispute,
            decision=decision,
            old_reference=problem.reference_answer,
            new_reference=new or None,
            note=note[:10_000],
            author=user,
        )
        if decision == DisputeDecision.Decision.REPLACE:
            Problem.objects.filter(pk=problem.pk).update(reference_answer=new)
        if decision == DisputeDecision.Decision.BAD_PROBLEM:
            _mark_bad(problem)
    return row


def _mark_bad(problem: Problem) -> None:
    trace = Trace.objects.filter(problem=problem).order_by("pk").first()
    if trace is not None:
        bad = ReviewOutcome.Decision.BAD_PROBLEM
        ReviewOutcome.objects.create(trace=trace, decision=bad, policy="reference-dispute")
