"""Looking after a queue: its settings, bulk actions on its items, saved views, gold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, urlencode

from django.db import transaction
from django.db.models import (
    BooleanField,
    Count,
    Exists,
    ExpressionWrapper,
    F,
    Max,
    OuterRef,
    Q,
    Subquery,
)
from django.db.models.functions import Coalesce, Now

from curation.models import Project, ReviewOutcome
from reviews import consensus
from reviews.consensus import POLICIES
from reviews.models import Assignment, Queue, QueueItem, Review, SavedView
from reviews.submission import BadReview

ACTIONS = ("to the front", "to the end", "remove", "release", "offer again", "make gold",
           "no longer gold")  # fmt: skip
HIDEABLE = ("teacher", "verdict", "proposals", "others")
VIEW_KEYS = ("state", "decision", "person", "verdict", "doubt")
MOST_OVERLAP = 20


def configure(queue: Queue, data: dict[str, Any]) -> Queue:
    """Change settings; BadReview names the one that is wrong and nothing is stored."""
    changes = checked(queue.project, data)
    before = (queue.overlap, queue.policy)
    for name, value in changes.items():
        setattr(queue, name, value)
    with transaction.atomic():
        queue.save(update_fields=[*changes])
        if before != (queue.overlap, queue.policy):
            settle(queue)
    return queue


def checked(project: Project, data: dict[str, Any]) -> dict[str, Any]:
    """Settings as they are stored; BadReview names the one that is wrong."""
    if unknown := set(data) - set(CHECKS):
        raise BadReview("bad_setting", f"no such setting: {', '.join(sorted(unknown))}")
    changes = {name: CHECKS[name](value) for name, value in data.items()}
    names = {*changes.get("members", []), *changes.get("screening", {}).get("let_in", [])}
    known = project.memberships.filter(user__username__in=names).values_list(
        "user__username", flat=True
    )
    if strangers := names - set(known):
        raise BadReview("bad_members", f"members: not in this project: {', '.join(strangers)}")
    return changes


def settle(queue: Queue, only: list[int] | None = None) -> None:
    """After another overlap or policy: what is finished, and its outcome, from the reviews there.

    Of all items, or of ``only`` these ids. An outcome is a new row, and only made where it differs
    from the one that the same reviews made before; one that is there stays where more reviews are
    asked for now.
    """
    rows = queue.items.select_for_update(of=("self",)).filter(gold__isnull=True)
    rows = rows.filter(Exists(Review.objects.filter(item=OuterRef("pk"))))
    if only is not None:
        rows = rows.filter(pk__in=only)
    for item in rows.select_related("queue", "trace").defer("trace__text", "trace__messages"):
        said = item.reviews.filter(adjudicates=False).values("user").distinct().count()
        settled = item.reviews.filter(adjudicates=True).exists()
        finished = settled or said >= queue.overlap
        if finished != item.finished:
            QueueItem.objects.filter(pk=item.pk).update(finished=finished)
        if finished and item.only_for_id is None:
            renew_outcome(item)


def renew_outcome(item: QueueItem) -> None:
    """The outcome of an item anew, unless the trace's newest says the same or is another's."""
    wanted = consensus.outcome_of(item, item.trace, consensus.current_reviews(item))
    newest = ReviewOutcome.objects.filter(trace=item.trace_id).order_by("-pk").first()
    if newest is not None:
        mine = set(item.reviews.values_list("pk", flat=True)) | set(wanted.reviews)
        same = (newest.decision, newest.cuts, newest.policy, sorted(newest.reviews)) == (
            wanted.decision, wanted.cuts, wanted.policy, sorted(wanted.reviews),
        )  # fmt: skip
        if same or not mine & set(newest.reviews):
            return
    consensus.conclude(item, item.trace)


def _overlap(value: Any) -> int:
    if not is_number(value) or not 1 <= int(value) <= MOST_OVERLAP:
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
    found = {"items": items, "accuracy": _share("accuracy")(value.get("accuracy"))}
    return found | ({"let_in": names} if (names := _members(value.get("let_in") or [])) else {})


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
    items = post.get("screening_items") or ""
    accuracy = post.get("screening_accuracy") or 0
    let_in = post.getlist("screening_let_in")
    screening = {"items": whole(items), "accuracy": accuracy, "let_in": let_in}
    return {
        "overlap": post.get("overlap"),
        "order": post.get("order"),
        "policy": post.get("policy"),
        "hide": post.getlist("hide"),
        "members": post.getlist("members"),
        "gold_share": post.get("gold_share"),
        "min_coverage": post.get("min_coverage"),
        "screening": screening if items not in ("", "0") else {},
        "enabled": bool(post.get("enabled")),
    }


def whole(value: Any) -> Any:
    """A number of a form as an int; anything else stays, for the check to refuse."""
    return int(value) if is_number(value) else value


def is_number(value: Any) -> bool:
    """Whether it is a whole number from 0 that the database can hold as an id."""
    text = str(value)
    return text.isascii() and text.isdigit() and len(text) < 19


def bulk(queue: Queue, action: str, chosen: Any, data: Any) -> int:
    """Do one action to items of the queue; how many it changed."""
    if action not in ACTIONS:
        raise BadReview("bad_action", f"action: one of {', '.join(ACTIONS)}")
    if (
        not isinstance(chosen, list)
        or not chosen
        or not all(type(i) is int and is_number(i) for i in chosen)
    ):
        raise BadReview("bad_items", "items: choose at least one, by its id")
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
        if action == "offer again":
            skipped = Assignment.objects.filter(item__in=[i.pk for i in items], state="skipped")
            return skipped.update(state="open", lease_until=Now(), finished_at=None)
        if action == "make gold":
            return sum(make_gold(item, data.get("decision")) for item in items)
        ids = [item.pk for item in items if item.gold is not None]
        rows.filter(pk__in=ids).update(gold=None)
        settle(queue, ids)
        return len(ids)


def move(queue: Queue, items: list[QueueItem], first: bool) -> int:
    """Positions before (or behind) all others."""
    ends = queue.items.aggregate(last=Max("position"))
    lowest = queue.items.order_by("position").values_list("position", flat=True).first() or 0
    start = lowest - len(items) if first else (ends["last"] or 0) + 1
    for i, item in enumerate(items):
        QueueItem.objects.filter(pk=item.pk).update(position=start + i)
    return len(items)


def remove(items: list[QueueItem]) -> int:
    """Take items out that nobody has judged or begun: what is typed there is somebody's work."""
    kept = set(Review.objects.filter(item__in=items).values_list("item", flat=True))
    begun = Assignment.objects.filter(item__in=items, state="open")
    begun = begun.filter(Q(lease_until__gt=Now()) | ~Q(draft={}))
    kept |= set(begun.values_list("item", flat=True))
    free = [item.pk for item in items if item.pk not in kept]
    QueueItem.objects.filter(pk__in=free).delete()
    return len(free)


def make_gold(item: QueueItem, decision: Any = None) -> int:
    """Make an item's expected answer from what is given, else from its newest review."""
    review = item.reviews.order_by("-adjudicates", "-pk").first()
    gold: dict[str, Any] = {}
    if decision:
        gold = {"decision": _one_of("decision", Review.Decision.values)(decision)}
    elif review is not None:
        gold = {"decision": review.decision, "first_error": review.first_error, "within": 200,
                "author": review.user_id}  # fmt: skip
    if not gold:
        raise BadReview("bad_gold", "a decision is needed for an item that nobody has judged")
    return QueueItem.objects.filter(pk=item.pk).update(gold=gold, finished=False)


def judged_enough() -> dict[str, Any]:
    """For ``annotate``: whether as many have judged an item as the queue asks for.

    A gold item is never finished, since everybody gets it; to who is measured by it, it must look
    like any other.
    """
    done = Assignment.objects.filter(
        item=OuterRef("pk"), state=Assignment.State.DONE, adjudicates=False
    )
    counted = done.order_by().values("item").annotate(n=Count("pk")).values("n")
    enough = Q(gold__isnull=False, judged_by__gte=F("queue__overlap"))
    return {
        "judged_by": Coalesce(Subquery(counted), 0),
        "judged_enough": ExpressionWrapper(Q(finished=True) | enough, output_field=BooleanField()),
    }


def readable(user: Any, curated: Any) -> Q:
    """Which reviews a person may read: in projects they curate (``curated``) all, else their own.

    Others' reviews follow when an item is finished: whoever may still judge it must not see what
    others said, and never what they said of a gold item.
    """
    own = Q(item__queue__project__in=curated) | Q(user=user)
    return own | Q(item__finished=True, item__gold__isnull=True)


def holders(items: Iterable[QueueItem], only: Any = None) -> dict[int, list[Assignment]]:
    """Item -> its assignments, for the page; with ``only`` those of one person.

    Each has ``expired``: open, but its lease has run out on the database's clock.
    """
    found: dict[int, list[Assignment]] = {}
    rows = Assignment.objects.filter(item__in=[i.pk for i in items]).select_related("user")
    rows = rows.annotate(expired=ExpressionWrapper(
        Q(state="open", lease_until__lte=Now()), output_field=BooleanField()
    ))  # fmt: skip
    if only is not None:
        rows = rows.filter(user=only)
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
