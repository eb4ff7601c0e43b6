"""Comments on ranges of a trace, mentions, and what waits for a person."""

from __future__ import annotations

import re
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models.functions import Now
from django.urls import reverse

from curation.models import Project, Trace
from reviews.models import Comment, Notification
from reviews.submission import BadReview, integer, quote_hash, text_of

MENTION = re.compile(r"(?<![\w@])@([\w.+-]{1,150})")
MOST = 2000  # comments shown on one trace


def comments_json(trace: Trace, user: Any) -> list[dict[str, Any]]:
    """The comments of a trace in order."""
    rows = Comment.objects.filter(trace=trace).select_related("user").order_by("pk")[:MOST]
    return [comment_json(row, user) for row in rows]


def comment_json(row: Comment, user: Any) -> dict[str, Any]:
    return {
        "id": row.pk,
        "parent": row.parent_id,
        "start": row.start,
        "end": row.end,
        "text": row.text,
        "author": row.user.get_username(),
        "mine": row.user_id == user.pk,
        "resolved": row.resolved_at is not None,
        "at": row.created_at.isoformat(timespec="seconds"),
    }


def add_comment(trace: Trace, user: Any, data: dict[str, Any]) -> Comment:
    """Store a comment and tell those whom it mentions, and the author of what it answers."""
    text = text_of(data, "text").strip()
    if not text:
        raise BadReview("bad_text", "text: some words are needed")
    start, end = integer(data, "start"), integer(data, "end")
    if (start is None) != (end is None) or (
        start is not None and end is not None and not start < end <= trace.char_count
    ):
        raise BadReview("bad_range", "start < end inside of the text is needed, or neither")
    parent = parent_of(trace, data.get("parent"))
    quote = quote_hash(trace.text, start, end) if start is not None and end is not None else ""
    with transaction.atomic():
        row = Comment.objects.create(
            trace=trace, user=user, parent=parent, start=start, end=end, quote_sha256=quote,
            text=text,
        )  # fmt: skip
        tell(row)
    return row


def parent_of(trace: Trace, pk: Any) -> Comment | None:
    if pk is None:
        return None
    found = Comment.objects.filter(trace=trace, pk=pk if type(pk) is int else 0).first()
    if found is None:
        raise BadReview("bad_parent", "parent: no such comment on this trace")
    return found.parent or found


def tell(comment: Comment) -> None:
    """A notice for each member that is mentioned, and for the author of what is answered."""
    project = comment.trace.project
    names = set(MENTION.findall(comment.text))
    people = get_user_model().objects.filter(memberships__project=project)
    told = {u.pk: "mention" for u in people.filter(username__in=names)}
    if comment.parent is not None:
        told.setdefault(comment.parent.user_id, "reply")
    told.pop(comment.user_id, None)
    url = reverse("read", args=[project.slug, comment.trace_id])
    place = f"#c{comment.start}-{comment.end}" if comment.start is not None else ""
    author = comment.user.get_username()
    Notification.objects.bulk_create(
        Notification(
            user_id=pk, project=project, kind=kind, url=url + place,
            text=f"{author}: {comment.text}"[:300],
        )
        for pk, kind in told.items()
    )  # fmt: skip


def resolve(comment: Comment, resolved: bool) -> None:
    Comment.objects.filter(pk=comment.pk).update(resolved_at=Now() if resolved else None)


def notices(project: Project, user: Any) -> list[Notification]:
    """What waits for this person, newest first."""
    return list(Notification.objects.filter(project=project, user=user).order_by("-pk")[:100])


def mark_read(project: Project, user: Any) -> int:
    rows = Notification.objects.filter(project=project, user=user, read_at=None)
    return rows.update(read_at=Now())
