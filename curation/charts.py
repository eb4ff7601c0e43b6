"""Charts as SVG text, made on the server: classes only, so that a strict CSP holds.

Pure: no Django. Each function returns `Svg`, a str that templates insert as it is (it has
``__html__``); everything that comes from data is escaped here. Sizes are user units of the
viewBox; the style sheet scales the picture and colours it by class.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 540


class Svg(str):
    """Finished SVG markup."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True)
class Stage:
    """A bar of a funnel; ``href`` makes its label a link, ``note`` stands behind the count."""

    label: str
    count: int
    note: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class Bin:
    """A bar of a histogram over [low, high); ``label`` replaces the range in its tooltip."""

    low: float
    high: float
    count: int
    label: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """A dot of a scatter plot; ``css`` is a class such as a verdict."""

    x: float
    y: float
    label: str = ""
    css: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """A named line through (x, y) points; points that are not finite break the line."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class DayLine:
    """A named line over days: a value (None: not known) and what its dot says, for each day."""

    name: str
    values: Sequence[float | None]
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share with its interval, all in [0, 1]; ``note`` gives the counts behind it."""

    label: str
    value: float
    low: float
    high: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map of data [low, high] onto drawing [start, stop]; a flat range maps midway."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        if self.high == self.low:
            return (self.start + self.stop) / 2
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(1.0, max(0.0, share)) * (self.stop - self.start)


@dataclass(frozen=True, slots=True)
class Frame:
    """The plotting area inside a picture of ``height``."""

    height: int
    left: int = 46
    right: int = WIDTH - 10
    top: int = 12
    below: int = 34

    @property
    def bottom(self) -> int:
        return self.height - self.below


def three_digits(value: float) -> str:
    """At least three digits, never with an exponent: 1,513, 12.3, 4."""
    whole = value == int(value) or abs(value) >= 99.95
    return f"{value:,.0f}" if whole else f"{value:.3g}"


def number(value: float) -> str:
    """A count or measure in few characters: 1,234, 12.3k, 0.25, 4.2M."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    if size >= 999_500:
        return f"{three_digits(value / 1e6)}M"
    if size >= 9_999.5:
        return f"{three_digits(value / 1e3)}k"
    if size >= 1 or value == 0:
        return three_digits(value)
    return f"{value:.2g}"


def nice_ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round values that cover [low, high], about ``wanted`` of them; one value if it is flat."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low]
    raw = (high - low) / max(1, wanted)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _css(*names: str) -> str:
    """Class names with nothing in them but letters, digits and hyphens."""
    words = " ".join(names).split()
    return " ".join("".join(c for c in w if c.isalnum() or c in "-_") for w in words)


def _at(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _text(x: float, y: float, text: str, css: str = "", anchor: str = "start") -> str:
    return (
        f'<text x="{_at(x)}" y="{_at(y)}" class="{_css(css)}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )


def _rect(box: tuple[float, float, float, float], css: str = "", title: str = "") -> str:
    """A filled box given as (x, y, width, height)."""
    x, y, w, h = box
    size = f'x="{_at(x)}" y="{_at(y)}" width="{_at(max(0.0, w))}" height="{_at(max(0.0, h))}"'
    inside = f"<title>{escape(title)}</title>" if title else ""
    return f'<rect {size} class="{_css("mark", css)}">{inside}</rect>'


def _line(x1: float, y1: float, x2: float, y2: float, css: str = "axis") -> str:
    return (
        f'<line x1="{_at(x1)}" y1="{_at(y1)}" x2="{_at(x2)}" y2="{_at(y2)}" class="{_css(css)}"/>'
    )


def _svg(
    label: str, height: int, parts: Iterable[str], *, width: int = WIDTH, css: str = ""
) -> Svg:
    return Svg(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'class="{_css("chart", css)}" role="img" aria-label="{escape(label)}">'
        f"<title>{escape(label)}</title>{''.join(parts)}</svg>"
    )


def _axes(frame: Frame, x: Scale, y: Scale, x_label: str, y_label: str) -> list[str]:
    parts = [_line(frame.left, frame.bottom, frame.right, frame.bottom)]
    for tick in nice_ticks(y.low, y.high):
        parts.append(_line(frame.left, y(tick), frame.right, y(tick)))
        parts.append(_text(frame.left - 6, y(tick) + 4, number(tick), "tick", "end"))
    for tick in nice_ticks(x.low, x.high, 6):
        parts.append(_text(x(tick), frame.bottom + 15, number(tick), "tick", "middle"))
    parts.append(_text(frame.right, frame.bottom + 29, x_label, "note-text", "end"))
    parts.append(_text(0, frame.top - 2, y_label, "note-text"))
    return parts


def funnel(stages: Sequence[Stage], label: str = "From source to export") -> Svg:
    """Horizontal bars, one per stage, as long as its share of the largest count."""
    row, left, right = 28, 132, 132
    most = max((s.count for s in stages), default=0)
    width = Scale(0, most or 1, 0, WIDTH - left - right)
    parts: list[str] = []
    for i, stage in enumerate(stages):
        y = i * row + 4
        name = _text(left - 10, y + 16, stage.label, anchor="end")
        parts.append(f'<a href="{escape(stage.href)}">{name}</a>' if stage.href else name)
        parts.append(_rect((left, y + 2, max(width(stage.count), 1.5), row - 10)))
        count = f"{stage.count:,}"
        parts.append(_text(left + width(stage.count) + 8, y + 16, count))
        shift = left + width(stage.count) + 14 + 7.5 * len(count)
        parts.append(_text(shift, y + 16, stage.note, "note-text"))
    return _svg(label, row * max(1, len(stages)) + 6, parts)


def histogram(
    bins: Sequence[Bin],
    label: str,
    *,
    x_label: str = "",
    y_label: str = "",
    css: str = "",
    marks: Sequence[tuple[float, str]] = (),
) -> Svg:
    """Vertical bars over consecutive bins; ``marks`` are (value, class) of lines across them."""
    if not bins:
        return empty(label)
    frame = Frame(200)
    x = Scale(bins[0].low, bins[-1].high, frame.left, frame.right)
    y = Scale(0, max(1, *(b.count for b in bins)), frame.bottom, frame.top + 8)
    parts = _axes(frame, x, y, x_label, y_label)
    for b in bins:
        title = f"{b.label or f'{number(b.low)} to {number(b.high)}'}: {b.count:,}"
        left, top = x(b.low) + 0.75, y(b.count)
        parts.append(_rect((left, top, x(b.high) - x(b.low) - 1.5, frame.bottom - top), css, title))
    parts += [_line(x(at), frame.top, x(at), frame.bottom, name) for at, name in marks]
    return _svg(label, frame.height, parts)


def _finite(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(px, py) for px, py in points if math.isfinite(px) and math.isfinite(py)]


def _scales(points: Sequence[tuple[float, float]], frame: Frame, zero: bool) -> tuple[Scale, Scale]:
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    low, high = (min(0.0, *ys) if zero else min(ys)), max(ys)
    pad = (high - low) * 0.06
    x = Scale(min(xs), max(xs), frame.left, frame.right)
    return x, Scale(low if zero else low - pad, high + pad, frame.bottom, frame.top + 8)


def scatter(points: Sequence[Point], label: str, *, x_label: str = "", y_label: str = "") -> Svg:
    """Dots; those without finite coordinates are left out."""
    kept = [p for p in points if math.isfinite(p.x) and math.isfinite(p.y)]
    if not kept:
        return empty(label)
    frame = Frame(240)
    x, y = _scales([(p.x, p.y) for p in kept], frame, zero=True)
    parts = _axes(frame, x, y, x_label, y_label)
    for p in kept:
        title = f"<title>{escape(p.label)}</title>" if p.label else ""
        spot = f'cx="{_at(x(p.x))}" cy="{_at(y(p.y))}" r="3.2"'
        parts.append(f'<circle {spot} class="{_css("point", p.css)}">{title}</circle>')
    return _svg(label, frame.height, parts)


def _path(points: Iterable[tuple[float, float]], x: Scale, y: Scale) -> str:
    """SVG path data; a point that is not finite lifts the pen."""
    steps, pen = [], "M"
    for px, py in points:
        if not (math.isfinite(px) and math.isfinite(py)):
            pen = "M"
            continue
        steps.append(f"{pen}{_at(x(px))} {_at(y(py))}")
        pen = "L"
    return "".join(steps)


def line(series: Sequence[Series], label: str, *, x_label: str = "", y_label: str = "") -> Svg:
    """Lines over shared axes, named at the right end of the picture."""
    every = _finite(p for s in series for p in s.points)
    if not every:
        return empty(label)
    frame = Frame(220)
    x, y = _scales(every, frame, zero=False)
    parts = _axes(frame, x, y, x_label, y_label)
    for i, s in enumerate(series):
        css = _css("curve", f"s{i % 4}")
        parts.append(f'<path d="{_path(s.points, x, y)}" class="{css}"/>')
        last = _finite(s.points)[-1:]
        if len(series) > 1 and last:
            parts.append(_text(frame.right, y(last[0][1]) - 5, s.name, "note-text", "end"))
    return _svg(label, frame.height, parts)


def _day_axes(frame: Frame, days: Sequence[dt.date], y: Scale, y_label: str) -> list[str]:
    """The y axis of ``_axes`` over days, of which at most six are named."""
    x = _day_scale(frame, days)
    parts = [_line(frame.left, frame.bottom, frame.right, frame.bottom)]
    for tick in nice_ticks(y.low, y.high):
        parts.append(_line(frame.left, y(tick), frame.right, y(tick)))
        parts.append(_text(frame.left - 6, y(tick) + 4, number(tick), "tick", "end"))
    every = -(-len(days) // 6)
    for day in days[::every]:
        name = f"{day.day} {day:%b}"
        parts.append(_text(x(day.toordinal()), frame.bottom + 15, name, "tick", "middle"))
    parts.append(_text(0, frame.top - 2, y_label, "note-text"))
    return parts


def _day_scale(frame: Frame, days: Sequence[dt.date]) -> Scale:
    low, high = days[0].toordinal(), days[-1].toordinal()
    return Scale(low, high, frame.left + 18, frame.right - 18)


def over_days(
    days: Sequence[dt.date], lines: Sequence[DayLine], label: str, *, y_label: str = ""
) -> Svg:
    """Lines over consecutive days (oldest first) between 0, or the least value, and 1."""
    known = [v for each in lines for v in each.values if v is not None]
    if not known:
        return empty(label)
    frame = Frame(200)
    x, y = _day_scale(frame, days), Scale(min(0.0, *known), 1, frame.bottom, frame.top + 8)
    parts = _day_axes(frame, days, y, y_label)
    for i, each in enumerate(lines):
        spots = [
            (day.toordinal(), value, note)
            for day, value, note in zip(days, each.values, each.notes, strict=True)
            if value is not None
        ]
        css = _css("curve", f"s{i % 4}")
        path = _path([(at, value) for at, value, _ in spots], x, y)
        parts.append(f'<path d="{path}" class="{css}"/>')
        for at, value, note in spots:
            spot = f'cx="{_at(x(at))}" cy="{_at(y(value))}" r="3.2"'
            parts.append(f'<circle {spot} class="mark"><title>{escape(note)}</title></circle>')
        key = frame.left + 130 * i
        parts.append(f'<path d="M{key} {frame.height - 4}h18" class="{css}"/>')
        parts.append(_text(key + 24, frame.height, each.name, "note-text"))
    return _svg(label, frame.height + 6, parts)


def day_bars(
    days: Sequence[dt.date], counts: Sequence[int], notes: Sequence[str], label: str
) -> Svg:
    """One bar a day (oldest first); ``notes`` are what each says when pointed at."""
    if not days:
        return empty(label)
    frame = Frame(170)
    x, y = _day_scale(frame, days), Scale(0, max(1, *counts), frame.bottom, frame.top + 8)
    span = days[-1].toordinal() - days[0].toordinal() + 1
    width = min(28.0, 0.7 * (frame.right - frame.left) / span)
    parts = _day_axes(frame, days, y, "reviews a day")
    for day, count, note in zip(days, counts, notes, strict=True):
        left, top = x(day.toordinal()) - width / 2, y(count)
        parts.append(_rect((left, top, width, frame.bottom - top), "", note))
    return _svg(label, frame.height, parts)


def sparkline(values: Sequence[float], label: str) -> Svg:
    """A small line without axes; needs two finite values to draw anything."""
    points = _finite(enumerate(values))
    parts: list[str] = []
    if len(points) > 1:
        ys = [p[1] for p in points]
        x, y = Scale(points[0][0], points[-1][0], 1, 89), Scale(min(ys), max(ys), 18, 2)
        parts.append(f'<path d="{_path(points, x, y)}" class="curve"/>')
    return _svg(label, 20, parts, width=90, css="spark")


def intervals(rows: Sequence[Estimate], label: str) -> Svg:
    """Shares in [0, 1] as dots with their intervals as whiskers."""
    if not rows:
        return empty(label)
    row, left = 36, 80
    x = Scale(0, 1, left, WIDTH - 190)
    bottom = row * len(rows) + 8
    parts: list[str] = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(_line(x(tick), 4, x(tick), bottom))
        parts.append(_text(x(tick), bottom + 15, f"{tick:.0%}", "tick", "middle"))
    for i, r in enumerate(rows):
        y = i * row + row / 2 + 4
        parts.append(_text(left - 14, y + 4, r.label, anchor="end"))
        parts.append(_line(x(r.low), y, x(r.high), y, "whisker"))
        parts.append(f'<circle cx="{_at(x(r.value))}" cy="{_at(y)}" r="5" class="mark"/>')
        span = f"{r.value:.1%} ({r.low:.2f}–{r.high:.2f})"
        parts.append(_text(WIDTH - 178, y + 4, span))
        parts.append(_text(WIDTH - 178, y + 17, r.note, "note-text"))
    return _svg(label, bottom + 24, parts)


def stacked(parts_of_whole: Sequence[tuple[str, int, str]], label: str) -> Svg:
    """One bar cut into (name, count, css class) parts by their share."""
    total = sum(count for _, count, _ in parts_of_whole)
    parts, at = [], 0.0
    for name, count, css in parts_of_whole:
        width = WIDTH * count / total if total else 0.0
        title = f"{name}: {count:,}"
        parts.append(_rect((at, 0, width - 1, 12), css, title))
        at += width
    return _svg(label, 12, parts, css="stack-bar")


def minimap(
    spans: Sequence[tuple[int, int, str]], cuts: Sequence[tuple[int, int]], size: int
) -> Svg:
    """A text of ``size`` characters as one strip: (start, end, class) spans, cuts marked below."""
    x = Scale(0, max(1, size), 0, WIDTH)
    parts = [
        f'<rect x="{_at(x(a))}" y="0" width="{_at(max(0.4, x(b) - x(a)))}" height="14" '
        f'class="{_css(css)}"/>'
        for a, b, css in spans
    ]
    parts += [
        f'<rect x="{_at(x(a))}" y="9" width="{_at(max(0.6, x(b) - x(a)))}" height="5" '
        f'class="cutmark"/>'
        for a, b in cuts
    ]
    return Svg(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} 14" '
        f'preserveAspectRatio="none" class="map" role="img" aria-label="Map of the trace">'
        f"{''.join(parts)}</svg>"
    )


def empty(label: str) -> Svg:
    """What stands in place of a chart that has no data yet."""
    return _svg(
        f"{label}: no data yet", 60, [_text(WIDTH / 2, 34, "no data yet", "note-text", "middle")]
    )


def bins(values: Iterable[float], low: float, high: float, count: int) -> list[Bin]:
    """Counts of ``values`` in ``count`` equal bins; the last one is closed at ``high``."""
    width = (high - low) / count
    tally = [0] * count
    for value in values:
        if low <= value <= high:
            tally[min(count - 1, int((value - low) / width))] += 1
    return [Bin(low + i * width, low + (i + 1) * width, n) for i, n in enumerate(tally)]
