"""Looking after a queue: its settings, bulk actions on its items, saved views, gold."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, urlencode

from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now

from reviews.consensus import POLICIES
from reviews.models import Assignment, Queue, QueueItem, Review, SavedView
from reviews.submission import BadReview

ACTIONS = ("to the front", "to the end", "remove", "release", "make gold", "no longer gold")
HIDEABLE = ("teacher", "verdict", "proposals", "others")
VIEW_KEYS = ("state", "decision", "person", "verdict", "doubt")
MOST_OVERLAP = 20


def configure(queue: Queue, data: dict[str, Any]) -> Queue:
    """Change settings; BadReview names the one that is wrong and nothing is stored."""
    changes = {name: CHECKS[name](value) for name, value in data.items() if name in CHECKS}
    if unknown := set(data) - set(CHECKS):
        raise BadReview("bad_setting", f"no such setting: {', '.join(sorted(unknown))}")
    for name, value in changes.items():
        setattr(queue, name, value)
    queue.save(update_fields=[*changes])
    if "overlap" in changes:
        settle(queue)
    return queue


def settle(queue: Queue) -> None:
    """After another overlap: which items are finished follows from the reviews there are."""
    with transaction.atomic():
        for item in queue.items.select_for_update().filter(gold__isnull=True):
            done = item.assignments.filter(state="done", adjudicates=False).count()
            finished = done >= queue.overlap
            if finished != item.finished:
                QueueItem.objects.filter(pk=item.pk).update(finished=finished)


def _overlap(value: Any) -> int:
    if not str(value).isdigit() or not 1 <= int(value) <= MOST_OVERLAP:
        raise BadReview("bad_overlap", f"overlap: 1 to {MOST_OVERLAP}")
    return int(value)


def _share(name: str) -> Any:
    def check(value: Any) -> float:
        try:
            number = float(value or 0)
        except (TypeError, ValueError):
            number = -1.0
        if not 0 <= number <= 1:
            raise BadReview(f"bad_{name}", f"{name}: 0 to 1")
        return number

    return check


def _one_of(name: str, choices: Iterable[str]) -> Any:
    allowed = list(choices)

    def check(value: Any) -> str:
        if value not in allowed:
            raise BadReview(f"bad_{name}", f"{name}: one of {', '.join(allowed)}")
        return str(value)

    return check


def _hide(value: Any) -> list[str]:
    if not isinstance(value, list) or set(value) - set(HIDEABLE):
        raise BadReview("bad_hide", f"hide: any of {', '.join(HIDEABLE)}")
    return value


def _members(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise BadReview("bad_members", "members: a list of user names is needed")
    return [v for v in value if v]


def _screening(value: Any) -> dict[str, Any]:
    if value in (None, "", {}):
        return {}
    items = value.get("items") if isinstance(value, dict) else None
    if not isinstance(items, int) or isinstance(items, bool) or not 1 <= items <= 100:
        raise BadReview("bad_screening", 'screening: {"items": 1 to 100, "accuracy": 0 to 1}')
    return {"items": items, "accuracy": _share("accuracy")(value.get("accuracy"))}


CHECKS: dict[str, Any] = {
    "overlap": _overlap,
    "order": _one_of("order", Queue.Order.values),
    "policy": _one_of("policy", POLICIES),
    "hide": _hide,
    "members": _members,
    "gold_share": _share("gold_share"),
    "min_coverage": _share("min_coverage"),
    "screening": _screening,
    "enabled": bool,
}


def from_form(post: Any) -> dict[str, Any]:
    """The settings of the page's form in the shape of the API."""
    try:
        screening = json.loads(post.get("screening") or "{}")
    except ValueError as error:
        raise BadReview("bad_screening", "screening: JSON is needed") from error
    return {
        "overlap": post.get("overlap"),
        "order": post.get("order"),
        "policy": post.get("policy"),
        "hide": post.getlist("hide"),
        "members": (post.get("members") or "").replace(",", " ").split(),
        "gold_share": post.get("gold_share"),
        "min_coverage": post.get("min_coverage"),
        "screening": screening,
        "enabled": bool(post.get("enabled")),
    }


def bulk(queue: Queue, action: str, chosen: list[int], data: Any) -> int:
    """Do one action to items of the queue; how many it changed."""
    if action not in ACTIONS:
        raise BadReview("bad_action", f"action: one of {', '.join(ACTIONS)}")
    with transaction.atomic():
        rows = queue.items.select_for_update().filter(pk__in=chosen)
        items = list(rows)
        if action.startswith("to the "):
            return move(queue, items, first=action == "to the front")
        if action == "remove":
            return remove(items)
        if action == "release":
            ids = [item.pk for item in items]
            held = Assignment.objects.filter(item__in=ids, state="open", lease_until__gt=Now())
            return held.update(lease_until=Now())
        if action == "make gold":
            return sum(make_gold(item, data.get("decision")) for item in items)
        return rows.filter(gold__isnull=False).update(gold=None)


def move(queue: Queue, items: list[QueueItem], first: bool) -> int:
    """Positions before (or behind) all others."""
    ends = queue.items.aggregate(last=Max("position"))
    lowest = queue.items.order_by("position").values_list("position", flat=True).first() or 0
    start = lowest - len(items) if first else (ends["last"] or 0) + 1
    for i, item in enumerate(items):
        QueueItem.objects.filter(pk=item.pk).update(position=start + i)
    return len(items)


def remove(items: list[QueueItem]) -> int:
    """Take items out that nobody has judged; a judged item stays, as its reviews do."""
    judged = set(Review.objects.filter(item__in=items).values_list("item", flat=True))
    free = [item.pk for item in items if item.pk not in judged]
    QueueItem.objects.filter(pk__in=free).delete()
    return len(free)


def make_gold(item: QueueItem, decision: Any = None) -> int:
    """Make an item's expected answer from what is given, else from its newest review."""
    review = item.reviews.order_by("-adjudicates", "-pk").first()
    gold: dict[str, Any] = {}
    if decision:
        gold = {"decision": _one_of("decision", Review.Decision.values)(decision)}
    elif review is not None:
        gold = {"decision": review.decision, "first_error": review.first_error, "within": 200}
    if not gold:
        raise BadReview("bad_gold", "a decision is needed for an item that nobody has judged")
    return QueueItem.objects.filter(pk=item.pk).update(gold=gold, finished=False)


def holders(items: Iterable[QueueItem]) -> dict[int, list[Assignment]]:
    """Item -> its assignments, for the page."""
    found: dict[int, list[Assignment]] = {}
    rows = Assignment.objects.filter(item__in=[i.pk for i in items]).select_related("user")
    for row in rows.defer("draft").order_by("pk"):
        found.setdefault(row.item_id, []).append(row)
    return found


def save_view(queue: Queue, user: Any, data: Any) -> None:
    """Keep a set of filters under a name; ``remove`` forgets it."""
    name = (data.get("name") or "").strip()[:100]
    mine = SavedView.objects.filter(queue=queue, user=user, name=name)
    if data.get("remove"):
        mine.delete()
        return
    query = {k: v for k, v in parse_qsl(data.get("query") or "") if k in VIEW_KEYS and v}
    if name:
        SavedView.objects.update_or_create(
            queue=queue, user=user, name=name,
            defaults={"project": queue.project, "query": urlencode(query)[:500],
                      "shared": bool(data.get("shared"))},
        )  # fmt: skip
