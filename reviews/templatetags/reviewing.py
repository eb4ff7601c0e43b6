"""Filters of the review pages."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.safestring import SafeString

from reviews import guidelines

register = template.Library()


@register.filter
def guideline(text: str) -> SafeString:
    """A guideline's Markdown as safe HTML."""
    return guidelines.render(text)


@register.filter
def upto(number: int) -> range:
    """1 to ``number``."""
    return range(1, int(number) + 1)


@register.filter
def figure(value: float | None) -> str:
    """A figure of agreement with two digits; – where it is not defined."""
    return "–" if value is None else f"{value:.2f}"


@register.filter
def last_days(rows: list[Any]) -> list[Any]:
    """The newest seven of a person's days."""
    return rows[-7:]


@register.filter
def words(code: str) -> str:
    """A reason code or decision as words."""
    return str(code).replace("_", " ")


@register.filter
def signed(change: int) -> str:
    """A change with its sign: +1, −2."""
    return f"+{change}" if change > 0 else f"−{-change}"


@register.filter
def share(value: float) -> str:
    """A share with two digits behind the point, since one row changes little."""
    return f"{100 * value:.2f} %"


@register.filter
def tone(decision: str) -> str:
    """The class of a chip for an outcome's decision."""
    return {"accept": "ok", "reject": "bad", "bad_problem": "bad"}.get(decision, "warn")


@register.filter
def moment(iso: str) -> str:
    """An ISO time (UTC) to the minute."""
    return f"{iso[:16].replace('T', ' ')} UTC"


_KINDS = {
    "mention": "mentions you",
    "reply": "reply",
    "recheck": "look again",
    "adjudicated": "settled",
}


@register.filter
def notice_kind(kind: str) -> str:
    """The kind of a notice in words."""
    return _KINDS.get(kind, kind)


_FLAGS = {
    "has_proposals": ("with proposals", "without proposals"),
    "verdicts_differ": ("verifiers disagree", "verifiers agree"),
    "reviews_differ": ("people disagree", "people agree"),
    "reviewed": ("reviewed", "not reviewed"),
    "truncated": ("cut off", "not cut off"),
}


@register.filter
def filter_words(filters: dict[str, Any]) -> str:
    """A queue's filters as a line: "verifiers disagree, pass rate from 0.2"."""
    return ", ".join(_filter_words(*pair) for pair in filters.items()) or "every trace"


def _filter_words(name: str, value: Any) -> str:
    if name in _FLAGS:
        return _FLAGS[name][not value]
    if name == "ids" and isinstance(value, list):
        return f"{len(value)} chosen trace{'s' if len(value) != 1 else ''}"
    if isinstance(value, list):
        value = " or ".join(map(str, value))
    for start, word in (("min_", "from"), ("max_", "up to")):
        if name.startswith(start):
            return f"{name.removeprefix(start).replace('_', ' ')} {word} {value}"
    return f"{name.replace('_', ' ')} {value}"
