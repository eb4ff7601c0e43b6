"""Guidelines in Markdown, versioned; a new version marks the decisions that it may affect."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.urls import reverse

from curation.models import Project
from reviews.guideline_text import MAX_TEXT, render
from reviews.models import Guideline, Notification, Queue, QueueItem, Review, StepLabel
from reviews.submission import BadReview, has_nul

__all__ = ["affected", "check_rule", "current_guideline", "history", "publish", "render", "stale"]
LISTS = ("decisions", "cut_reasons", "spans", "labels", "queues")


def _labelled(value: Any) -> Q:
    rows = StepLabel.objects.filter(review=OuterRef("pk"))
    return Q(Exists(rows)) if value else ~Q(Exists(rows))


# What a change may affect. Conditions of one rule are all asked for; only these keys are taken.
RULES: dict[str, Any] = {
    "decisions": lambda value: Q(decision__in=[str(v) for v in value]),
    "with_cuts": lambda value: ~Q(cuts=[]) if value else Q(cuts=[]),
    "cut_reasons": lambda value: _any(Q(cuts__contains=[{"reason": str(v)}]) for v in value),
    "spans": lambda value: _any(Q(spans__contains=[{"label": str(v)}]) for v in value),
    "with_steps": _labelled,
    "labels": lambda value: Q(values__has_any_keys=[str(v) for v in value]),
    "queues": lambda value: _in_queues([str(v) for v in value]),
    "everything": lambda value: Q() if value else Q(pk__in=[]),
}


def _in_queues(names: list[str]) -> Q:
    """Decisions of these queues, also where they were made again in a guideline's queue."""
    first = Review.objects.filter(
        trace=OuterRef("trace"), user=OuterRef("user"), item__queue__name__in=names
    )
    return Q(item__queue__name__in=names) | Q(Exists(first), item__only_for__isnull=False)


def _any(conditions: Any) -> Q:
    found = Q(pk__in=[])
    for condition in conditions:
        found |= condition
    return found


def current_guideline(project: Project) -> Guideline | None:
    return Guideline.objects.filter(project=project).order_by("-version").first()


def check_rule(rule: Any) -> dict[str, Any]:
    if not isinstance(rule, dict):
        raise BadReview("bad_rule", "affects: an object is needed")
    if has_nul(rule):
        raise BadReview("bad_rule", "affects: the character NUL cannot be stored")
    for name, value in rule.items():
        if name not in RULES:
            raise BadReview("bad_rule", f"affects: {name} is not one of {', '.join(RULES)}")
        if name in LISTS and not (isinstance(value, list) and value):
            raise BadReview("bad_rule", f"affects: {name} needs a list with something in it")
        if name not in LISTS and not isinstance(value, bool):
            raise BadReview("bad_rule", f"affects: {name} needs yes or no (true, false)")
    if unknown := {str(v) for v in rule.get("decisions", [])} - set(Review.Decision.values):
        raise BadReview("bad_rule", f"affects: no such decision: {', '.join(sorted(unknown))}")
    return rule


def affected(project: Project, rule: dict[str, Any], before: int) -> QuerySet[Review]:
    """Current reviews made under an older version that the rule names; none for an empty rule."""
    if not rule:
        return Review.objects.none()
    # What was made again in a guideline's queue replaces the first; another queue's does not.
    newer = Review.objects.filter(
        Q(item=OuterRef("item")) | Q(item__only_for=OuterRef("user"), trace=OuterRef("trace")),
        user=OuterRef("user"), pk__gt=OuterRef("pk"), item__queue__project=project,
    )  # fmt: skip
    found = Review.objects.filter(
        Q(guideline_version__lt=before) | Q(guideline_version=None),
        ~Exists(newer),
        item__queue__project=project,
        item__gold__isnull=True,
    )
    for name, value in rule.items():
        found = found.filter(RULES[name](value))
    return found


def publish(
    project: Project, user: Any, text: str, summary: str, rule: dict[str, Any]
) -> tuple[Guideline, int]:
    """A new version, and a queue of the decisions that it may affect; (version, how many)."""
    rule = check_rule(rule)
    text, summary = text.replace("\x00", ""), summary.replace("\x00", "")
    if not text.strip() or len(text) > MAX_TEXT:
        raise BadReview("bad_text", f"1 to {MAX_TEXT} characters are needed")
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)
        last = current_guideline(project)
        version = (last.version if last else 0) + 1
        row = Guideline.objects.create(
            project=project, version=version, text=text, summary=summary[:300], affects=rule,
            author=user,
        )  # fmt: skip
        return row, open_recheck(project, row)


def open_recheck(project: Project, guideline: Guideline) -> int:
    """One item for each affected decision, for the person who made it."""
    reviews = list(
        affected(project, guideline.affects, guideline.version)
        .order_by("pk")
        .only("pk", "user", "trace", "decision")
    )
    if not reviews:
        return 0
    people = sorted({r.user_id for r in reviews})
    # A queue holds a trace once; each person who judged it gets a queue of the few of their own.
    for person in people:
        recheck_queue(project, guideline, person, [r for r in reviews if r.user_id == person])
    return len(reviews)


def recheck_queue(
    project: Project, guideline: Guideline, person: int, reviews: list[Review]
) -> None:
    name = get_user_model().objects.get(pk=person).get_username()
    traces = list(dict.fromkeys(r.trace_id for r in reviews))
    # What an older version asked for and nobody has begun is asked for once, by the newer one.
    QueueItem.objects.filter(
        only_for=person, trace__in=traces, finished=False, assignments__isnull=True,
        queue__project=project,
    ).delete()  # fmt: skip
    queue, _ = Queue.objects.get_or_create(
        project=project,
        name=f"Guideline v{guideline.version}: {name}"[:100],
        defaults={"members": [name], "filters": {"ids": traces}},
    )
    QueueItem.objects.bulk_create(
        (
            QueueItem(
                queue=queue, trace_id=pk, position=i, only_for_id=person,
                reason=f"guideline v{guideline.version}: {guideline.summary}"[:200],
            )
            for i, pk in enumerate(traces)
        ),
        ignore_conflicts=True,
    )  # fmt: skip
    Notification.objects.create(
        user_id=person, project=project, kind="recheck",
        url=reverse("queue", args=[project.slug, queue.pk]),
        text=f"Guideline v{guideline.version} may change {len(traces)} of your decisions",
    )  # fmt: skip


def stale(project: Project) -> int:
    """Decisions that a newer guideline may affect and that nobody has made again since."""
    total = 0
    for version in Guideline.objects.filter(project=project).exclude(affects={}):
        again = Review.objects.filter(
            trace=OuterRef("trace"), user=OuterRef("user"), pk__gt=OuterRef("pk"),
            guideline_version__gte=version.version,
        )  # fmt: skip
        rows = affected(project, version.affects, version.version)
        total += rows.filter(~Exists(again)).count()
    return total


def history(project: Project) -> QuerySet[Guideline]:
    return Guideline.objects.filter(project=project).order_by(F("version").desc())
