"""How a queue and its people are doing: throughput, time, accuracy, agreement, coverage."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

from django.db.models import Avg, Count, Max, Sum
from django.db.models.functions import TruncDate

from curation.models import Trace
from reviews import agreement, coverage, gold, tokens
from reviews.models import Queue, Review, StepLabel
from reviews.schema import schema_of

TOKEN = re.compile(r"\S+")
TOLERANCES = (0, 100, 500, 2000)  # characters
MOST_DAYS = 90  # drawn
MOST_ITEMS = 500  # items with several reviews that the figures are made of, newest first


@dataclass(frozen=True)
class Person:
    """One reviewer in one queue."""

    name: str
    reviews: int
    seconds: float
    mean_seconds: float | None
    coverage: float | None
    right: int
    answered: int
    changed: int  # decisions that differ from the one before hidden things were shown
    # Share of the pairs with others' decisions on the same items that are equal; None: no pair.
    agrees: float | None = None
    pairs: int = 0
    screening: str = (
        ""  # "passed", "not through", "stopped", "let in"; empty where nothing is asked
    )
    per_day: list[tuple[dt.date, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Agreement:
    """Agreement of everybody on a queue's items; None: not defined (yet)."""

    items: int
    decision_percent: float | None
    decision_fleiss: float | None
    decision_alpha: float | None
    step_alpha: float | None
    steps: int
    mask_alpha: float | None
    mask_unit: str  # "token" of the student's tokenizer, or "word" without one
    first_error: list[tuple[int, float]]
    pairs: list[tuple[str, str, int, float | None]]


@dataclass(frozen=True)
class Day:
    """One day of a queue. Shared items count on the day of their last review."""

    day: dt.date
    reviews: int
    items: int  # judged by several people
    equal: float | None  # share of equal decisions on them
    alpha: float | None  # Krippendorff's, of all shared items up to this day


@dataclass(frozen=True)
class Seen:
    """What was on screen: for each of ``coverage.PARTS`` equal parts of a text, means over reviews.

    ``shares`` are of the part's characters, 0 to 1; ``seconds`` that it was on screen.
    """

    reviews: int
    shares: list[float]
    seconds: list[float]


def people(queue: Queue) -> list[Person]:
    """Everyone who has judged in the queue, most reviews first."""
    rows = (
        Review.objects.filter(item__queue=queue)
        .values("user", "user__username")
        .annotate(n=Count("pk"), total=Sum("seconds"), mean=Avg("seconds"), seen=Avg("coverage"))
        .order_by("-n")
    )
    changed = changed_minds(queue)
    days = per_day(queue)
    agreed = with_others(queue)
    answers: dict[int, list[bool]] = defaultdict(list)
    for review in gold.first_reviews(queue):
        answers[review.user_id].append(gold.expected(review.item, review))
    return [
        Person(
            row["user__username"], row["n"], row["total"] or 0.0, row["mean"], row["seen"],
            sum(answers[row["user"]]), len(answers[row["user"]]), changed.get(row["user"], 0),
            *agreed.get(row["user"], (None, 0)), screening_word(queue, row["user"]),
            days[row["user"]],
        )
        for row in rows
    ]  # fmt: skip


def people_for(queue: Queue, user: Any, *, curates: bool) -> list[Person]:
    """``people`` as ``user`` may see them: who does not curate sees their own figures, without
    those of gold items, which would tell what is gold."""
    everyone = people(queue)
    if curates:
        return everyone
    mine = [person for person in everyone if person.name == user.get_username()]
    return [replace(person, right=0, answered=0) for person in mine]


def with_others(queue: Queue) -> dict[int, tuple[float | None, int]]:
    """Person -> (share of equal decisions among the pairs with others, pairs)."""
    equal: dict[int, list[bool]] = defaultdict(list)
    for by in reviews_by_item(queue).values():
        if not all(review.item.finished for review in by.values()):
            continue  # who may still judge it would learn what others said
        for user, review in by.items():
            equal[user] += [review.decision == o.decision for u, o in by.items() if u != user]
    return {user: (sum(same) / len(same), len(same)) for user, same in equal.items()}


def screening_word(queue: Queue, user: int) -> str:
    """How a person stands with the queue's screening, in words; empty where nothing is asked."""
    found = gold.screening_of(queue, user)
    if not found.asked:
        return ""
    if found.passed and found.right < found.accuracy * found.counted:
        return "let in"
    return {True: "passed", False: "stopped", None: "not through"}[found.passed]


def changed_minds(queue: Queue) -> dict[int, int]:
    rows = Review.objects.filter(item__queue=queue).exclude(first_decision="")
    found: dict[int, int] = defaultdict(int)
    for user, first, last in rows.values_list("user", "first_decision", "decision"):
        found[user] += first != last
    return found


def per_day(queue: Queue) -> dict[int, list[tuple[dt.date, int]]]:
    rows = (
        Review.objects.filter(item__queue=queue)
        .values("user", day=TruncDate("created_at"))
        .annotate(n=Count("pk"))
        .order_by("day")
    )
    found: dict[int, list[tuple[dt.date, int]]] = defaultdict(list)
    for row in rows:
        found[row["user"]].append((row["day"], row["n"]))
    return found


def reviews_by_item(queue: Queue) -> dict[int, dict[int, Review]]:
    """Item -> person -> their first review: made before they could read what others said.

    The ``MOST_ITEMS`` items with several people that were judged last, without adjudications.
    """
    judged = Review.objects.filter(item__queue=queue, item__gold__isnull=True, adjudicates=False)
    people, newest = Count("user", distinct=True), Max("pk")
    several = judged.order_by().values("item").annotate(people=people, newest=newest)
    ids = several.filter(people__gt=1).order_by("-newest").values_list("item", flat=True)
    rows = (
        judged.filter(item__in=list(ids[:MOST_ITEMS]))
        .order_by("item", "user", "pk")
        .distinct("item", "user")
        .select_related("user", "item")
        .defer("read")
    )
    found: dict[int, dict[int, Review]] = defaultdict(dict)
    for row in rows:
        found[row.item_id][row.user_id] = row
    return dict(sorted(found.items(), reverse=True))


def agreement_of(queue: Queue) -> Agreement:
    """Every figure of agreement that the queue's reviews allow."""
    items = reviews_by_item(queue)
    tokenizer = tokens.tokenizer_of(schema_of(queue.project))
    who = sorted({user for by in items.values() for user in by})
    decisions = [[by[u].decision if u in by else None for u in who] for by in items.values()]
    steps = step_table(items, who)
    return Agreement(
        len(items),
        agreement.percent(decisions),
        agreement.fleiss(decisions),
        agreement.alpha(decisions),
        agreement.alpha(steps, "ordinal"),
        len(steps),
        masks_alpha(items, tokenizer),
        "word" if tokenizer is None else "token",
        [(t, agreement.position_agreement(error_pairs(items), t)) for t in TOLERANCES]
        if items
        else [],
        pairs_of(items),
    )


def step_table(items: dict[int, dict[int, Review]], who: list[int]) -> list[list[int | None]]:
    ids = {r.pk: (item, user) for item, by in items.items() for user, r in by.items()}
    cells: dict[tuple[int, int, int], dict[int, int]] = defaultdict(dict)
    rows = StepLabel.objects.filter(review__in=ids).exclude(label=None)
    for review, start, end, label in rows.values_list("review", "start", "end", "label"):
        if label is None:
            continue
        item, user = ids[review]
        cells[(item, start, end)][user] = label
    return [[cell.get(u) for u in who] for cell in cells.values() if len(cell) > 1]


def masks_alpha(items: dict[int, dict[int, Review]], tokenizer: Any = None) -> float | None:
    """Alpha of cut masks over all tokens of all items; words, where there is no tokenizer."""
    texts = dict(
        Trace.objects.filter(pk__in={r.trace_id for by in items.values() for r in by.values()})
        .values_list("pk", "text")
    )  # fmt: skip
    counts: list[dict[Any, int]] = []
    for by in items.values():
        reviews = list(by.values())
        places = starts_of(texts[reviews[0].trace_id], tokenizer)
        masks = [agreement.mask(places, [(c["start"], c["end"]) for c in r.cuts]) for r in reviews]
        for chosen in map(sum, zip(*masks, strict=True)):
            counts.append({1: chosen, 0: len(masks) - chosen})
    return agreement.alpha_of_counts(compress(counts))


def starts_of(text: str, tokenizer: Any) -> list[int]:
    if tokenizer is not None:
        return tokens.offsets(tokenizer, text)
    return [m.start() for m in TOKEN.finditer(text)]


def compress(counts: list[dict[Any, int]]) -> list[dict[Any, int]]:
    """Without zero counts, so that "nobody cut" is seen as one value only."""
    return [{value: n for value, n in row.items() if n} for row in counts]


def error_pairs(items: dict[int, dict[int, Review]]) -> list[tuple[int | None, int | None]]:
    found = []
    for by in items.values():
        reviews = list(by.values())
        for i, one in enumerate(reviews):
            found += [(one.first_error, two.first_error) for two in reviews[i + 1 :]]
    return found


def pairs_of(items: dict[int, dict[int, Review]]) -> list[tuple[str, str, int, float | None]]:
    """Cohen's kappa of each two people on the items that both judged."""
    shared: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for by in items.values():
        rows = sorted(by.values(), key=lambda r: r.user.get_username())
        for i, one in enumerate(rows):
            for two in rows[i + 1 :]:
                names = (one.user.get_username(), two.user.get_username())
                shared[names].append((one.decision, two.decision))
    return [
        (a, b, len(said), agreement.cohen([x for x, _ in said], [y for _, y in said]))
        for (a, b), said in sorted(shared.items())
    ]


def over_time(queue: Queue) -> list[Day]:
    """The newest ``MOST_DAYS`` days on which something was judged, oldest first."""
    counts: Counter[dt.date] = Counter()
    for of_person in per_day(queue).values():
        counts.update(dict(of_person))
    rows: dict[dt.date, list[list[str]]] = defaultdict(list)
    for by in reviews_by_item(queue).values():
        last = max(r.created_at for r in by.values()).date()
        rows[last].append([r.decision for r in by.values()])
    found, so_far = [], []
    for day in sorted(counts | Counter({d: 0 for d in rows})):
        so_far += rows.get(day, [])
        here = rows.get(day, [])
        share, alpha = agreement.percent(here), agreement.alpha(so_far) if here else None
        found.append(Day(day, counts[day], len(here), share, alpha))
    return found[-MOST_DAYS:]


def seen(queue: Queue) -> Seen | None:
    """Which parts of the texts were on screen, in the newest reviews that say; None: none does."""
    rows = (
        Review.objects.filter(item__queue=queue, trace__char_count__gt=0)
        .exclude(read=[])
        .order_by("-pk")
        .values_list("read", "trace__char_count")[:MOST_ITEMS]
    )
    profiles = [coverage.profile(read, chars) for read, chars in rows]
    if not profiles:
        return None
    shares, seconds = (
        [sum(column) / len(profiles) for column in zip(*each, strict=True)]
        for each in zip(*profiles, strict=True)
    )
    return Seen(len(profiles), shares, seconds)
