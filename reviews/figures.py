"""The pictures of a queue's quality page, as SVG made on the server."""

from __future__ import annotations

from curation import charts
from curation.difficulty.stats import wilson
from reviews.coverage import PARTS
from reviews.quality import Day, Person, Seen


def agreement_picture(days: list[Day]) -> charts.Svg:
    """Equal decisions of each day, and alpha of everything up to it."""
    known = [d for d in days if d.items]
    if not known:
        return charts.empty("Agreement over time")
    equal = charts.DayLine(
        "equal decisions",
        [d.equal for d in known],
        [f"{d.day:%d %b}: {d.equal or 0:.0%} of the pairs on {d.items} items" for d in known],
    )
    alpha = charts.DayLine(
        "α of all so far",
        [d.alpha for d in known],
        [f"{d.day:%d %b}: α {d.alpha or 0:.2f}" for d in known],
    )
    return charts.over_days([d.day for d in known], [equal, alpha], "Agreement over time")


def throughput_picture(days: list[Day]) -> charts.Svg:
    """Reviews of each day."""
    notes = [f"{d.day:%d %b}: {d.reviews} reviews" for d in days]
    return charts.day_bars(
        [d.day for d in days], [d.reviews for d in days], notes, "Reviews by day"
    )


def coverage_picture(seen: Seen | None) -> charts.Svg:
    """How much of each part of the texts was on screen, from the beginning to the end."""
    if seen is None:
        return charts.empty("What was on screen")
    width = 100 / PARTS
    rows = [
        charts.Bin(
            i * width, (i + 1) * width, round(100 * share),
            f"{i * width:.0f} to {(i + 1) * width:.0f} % of the text: {share:.0%} on screen,"
            f" {seconds:.1f} s a review",
        )
        for i, (share, seconds) in enumerate(zip(seen.shares, seen.seconds, strict=True))
    ]  # fmt: skip
    return charts.histogram(
        rows,
        "What was on screen",
        x_label="% of the way through the text",
        y_label="% of its characters on screen",
    )


def gold_picture(people: list[Person]) -> charts.Svg:
    """Right answers on gold items, with their Wilson 95 % intervals: few answers say little."""
    rows = []
    for person in people:
        span = wilson(person.right, person.answered)
        if span is None:
            continue
        share = person.right / person.answered
        note = f"{person.right} of {person.answered} right"
        if person.screening:
            note += f", {person.screening}"
        rows.append(charts.Estimate(person.name[:14], share, span.low, span.high, note))
    return charts.intervals(rows, "Right on gold items")
