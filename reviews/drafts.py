"""Drafts: what a reviewer has so far, kept as it grows; see ``static/js/review-store.js``."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from reviews.models import Assignment, DraftCopy
from reviews.submission import BadReview

COPIES = 50  # kept of one assignment; the newest ones
FIELDS = frozenset(
    {"decision", "cuts", "labels", "spans", "kinds", "kept", "rejected", "values", "dispute",
     "first_error", "flagged", "note", "read", "seconds", "coverage", "segmenter", "epoch"}
)  # fmt: skip
LISTS = frozenset({"cuts", "labels", "spans", "kinds", "kept", "read"})
MOST = 30_000  # rows of one list


def save_draft(
    assignment: Assignment,
    draft: dict[str, Any],
    base: int | None = None,
    force: bool = True,
) -> tuple[int, dict[str, Any] | None]:
    """Keep what a reviewer has so far; always allowed to its owner, whatever the lease says.

    ``draft`` is the whole, or ``{"patch": {...}}``, the difference to revision ``base``. When
    another tab has saved since, what was sent is kept as a DraftCopy and (revision, the other
    draft) comes back, unless ``force``: then the other one is kept as the copy. Else
    (new revision, None).
    """
    with transaction.atomic():
        row = Assignment.objects.select_for_update().get(pk=assignment.pk)
        behind = base is not None and base != row.draft_rev and bool(row.draft)
        patch = draft.get("patch")
        if behind and not force:
            keep_copy(row, draft, "sent by a tab that was behind")
            return row.draft_rev, row.draft
        if behind or (force and base is not None and row.draft):
            keep_copy(row, row.draft, "replaced from another tab")
        now = patched(row.draft, patch) if isinstance(patch, dict) else draft
        rev = row.draft_rev + 1
        Assignment.objects.filter(pk=row.pk).update(draft=now, draft_saved_at=Now(), draft_rev=rev)
    return rev, None


def patched(draft: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """A draft after ``{"set": {field: value}, "put": {list: rows}, "drop": {list: keys}}``.

    A row of a list is known by its range (and label): putting one replaces the one with its key.
    """
    found = dict(draft)
    for name, value in part(patch, "set").items():
        if name in FIELDS:
            found[name] = value
    for name in LISTS & (set(part(patch, "put")) | set(part(patch, "drop"))):
        gone, new = part(patch, "drop").get(name) or [], part(patch, "put").get(name) or []
        if not isinstance(gone, list) or not isinstance(new, list):
            raise BadReview("bad_patch", f"{name}: lists are needed")
        rows = {key_of(name, row): row for row in found.get(name) or []}
        for key in gone:
            rows.pop(str(key), None)
        rows |= {key_of(name, row): row for row in new}
        if len(rows) > MOST:
            raise BadReview("bad_patch", f"{name}: at most {MOST} rows")
        found[name] = sorted(rows.values(), key=start_of)
    return found


def part(patch: dict[str, Any], name: str) -> dict[str, Any]:
    value = patch.get(name) or {}
    if not isinstance(value, dict):
        raise BadReview("bad_patch", f"{name}: an object is needed")
    return value


def start_of(row: Any) -> tuple[int, int]:
    values = row if isinstance(row, list) else [row.get("start"), row.get("end")]
    good = [v if type(v) is int else 0 for v in values[:2]]
    return good[0], good[1]


def key_of(name: str, row: Any) -> str:
    """The same key as the page's script makes."""
    if isinstance(row, list) and len(row) > 1:
        return f"{row[0]}-{row[1]}"
    if not isinstance(row, dict):
        raise BadReview("bad_patch", f"{name}: ranges are needed")
    key = f"{row.get('start')}-{row.get('end')}"
    return f"{key}-{row.get('label')}" if name == "spans" else key


def keep_copy(row: Assignment, draft: dict[str, Any], why: str) -> None:
    """Put a draft aside, unless the same stands there already."""
    if row.copies.filter(draft=draft).exists():
        return
    DraftCopy.objects.create(assignment=row, draft=draft, why=why)
    old = row.copies.order_by("-pk").values_list("pk", flat=True)[COPIES:]
    DraftCopy.objects.filter(pk__in=[*old]).delete()
