"""Comments on ranges of a trace, mentions, and what waits for a person."""

from __future__ import annotations

import re
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models.functions import Now
from django.urls import reverse

from curation.models import Project, Trace
from reviews.models import Comment, CommentVersion, Notification
from reviews.submission import BadReview, integer, quote_hash, text_of

MENTION = re.compile(r"(?<![\w@])@([\w.+-]{1,150})")
MOST = 2000  # comments shown on one trace


def comments_of(trace: Trace) -> list[Comment]:
    """The comments of a trace in order, with their authors and versions."""
    rows = Comment.objects.filter(trace=trace).select_related("user")
    return list(rows.prefetch_related("versions").order_by("pk")[:MOST])


def comments_json(trace: Trace, user: Any) -> list[dict[str, Any]]:
    """The comments of a trace in order, as the page takes them."""
    return [comment_json(row, user) for row in comments_of(trace)]


def versions_of(row: Comment) -> list[CommentVersion]:
    return sorted(row.versions.all(), key=lambda version: version.pk)


def deleted(row: Comment) -> bool:
    """Whether its author took it back; the words stay in the database."""
    versions = versions_of(row)
    return bool(versions and versions[-1].deleted)


def current_text(row: Comment) -> str:
    """What it says now: nothing when it was deleted."""
    versions = versions_of(row)
    return versions[-1].text if versions else row.text


def earlier(row: Comment) -> list[str]:
    """What it said before, oldest first; nothing of a deleted one is told."""
    if deleted(row):
        return []
    return [row.text, *(v.text for v in versions_of(row))][:-1]


def comment_json(row: Comment, user: Any) -> dict[str, Any]:
    return {
        "id": row.pk,
        "parent": row.parent_id,
        "start": row.start,
        "end": row.end,
        "text": current_text(row),
        "deleted": deleted(row),
        "earlier": earlier(row),
        "author": row.user.get_username(),
        "mine": row.user_id == user.pk,
        "resolved": row.resolved_at is not None,
        "at": row.created_at.isoformat(timespec="seconds"),
    }


def words_of(data: dict[str, Any]) -> str:
    text = text_of(data, "text").strip()
    if not text:
        raise BadReview("bad_text", "text: some words are needed")
    return text


def edit_comment(row: Comment, user: Any, data: dict[str, Any]) -> None:
    """New words for one's own comment; who is mentioned for the first time is told."""
    text = words_of(data)
    check_own(row, user)
    before = {name for said in [*earlier(row), current_text(row)] for name in MENTION.findall(said)}
    with transaction.atomic():
        row.versions.create(text=text)
        tell(row, text, set(MENTION.findall(text)) - before, reply=False)


def delete_comment(row: Comment, user: Any) -> None:
    """Take one's own comment back: the page shows it no more, the rows stay."""
    check_own(row, user)
    row.versions.create(deleted=True)


def check_own(row: Comment, user: Any) -> None:
    if row.user_id != user.pk:
        raise BadReview("not_yours", "only its author can change a comment")
    if deleted(row):
        raise BadReview("deleted", "this comment was deleted")


def add_comment(trace: Trace, user: Any, data: dict[str, Any]) -> Comment:
    """Store a comment and tell those whom it mentions, and the author of what it answers."""
    text = words_of(data)
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
        tell(row, text, set(MENTION.findall(text)), reply=True)
    return row


def parent_of(trace: Trace, pk: Any) -> Comment | None:
    if pk is None:
        return None
    found = Comment.objects.filter(trace=trace, pk=pk if type(pk) is int else 0).first()
    if found is None:
        raise BadReview("bad_parent", "parent: no such comment on this trace")
    return found.parent or found


def tell(comment: Comment, text: str, names: set[str], reply: bool) -> None:
    """A notice for each member that is mentioned, and for the author of what is answered."""
    project = comment.trace.project
    people = get_user_model().objects.filter(memberships__project=project)
    told = {u.pk: "mention" for u in people.filter(username__in=names)}
    if reply and comment.parent is not None:
        told.setdefault(comment.parent.user_id, "reply")
    told.pop(comment.user_id, None)
    url = reverse("read", args=[project.slug, comment.trace_id])
    place = f"#c{comment.start}-{comment.end}" if comment.start is not None else ""
    author = comment.user.get_username()
    Notification.objects.bulk_create(
        Notification(
            user_id=pk, project=project, kind=kind, url=url + place,
            text=f"{author}: {text}"[:300],
        )
        for pk, kind in told.items()
    )  # fmt: skip


def resolve(comment: Comment, resolved: bool) -> None:
    Comment.objects.filter(pk=comment.pk).update(resolved_at=Now() if resolved else None)


def notices(project: Project, user: Any) -> list[Notification]:
    """What waits for this person, newest first."""
    return list(Notification.objects.filter(project=project, user=user).order_by("-pk")[:100])


def mark_read(project: Project, user: Any, notice: int | None = None) -> str:
    """Mark one notice as read and return its address, or all of them ("")."""
    rows = Notification.objects.filter(project=project, user=user)
    if notice is None:
        rows.filter(read_at=None).update(read_at=Now())
        return ""
    rows.filter(pk=notice, read_at=None).update(read_at=Now())
    return rows.filter(pk=notice).values_list("url", flat=True).first() or ""
