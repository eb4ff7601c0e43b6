"""What people decide of disputed references; decisions are append-only."""

from __future__ import annotations

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


def open_disputes(project: Project) -> QuerySet[ReferenceDispute]:
    """Disputes whose newest decision is none, or to look again."""
    newest = DisputeDecision.objects.filter(dispute=OuterRef("pk")).order_by("-pk")
    found = ReferenceDispute.objects.filter(problem__project=project)
    found = found.annotate(current=Subquery(newest.values("decision")[:1]))
    return found.filter(Q(current=None) | Q(current=DisputeDecision.Decision.REOPEN))


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
