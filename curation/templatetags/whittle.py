"""Tags and filters of the templates: navigation, chips, numbers, times, model text."""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass
from typing import Any

from django import template
from django.template import RequestContext
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from curation import access, charts
from curation.models import Project

register = template.Library()

# Colour of a kind of segment: a family each, never a colour per kind.
HUE_OF = {
    "problem_setup": "restate",
    "consolidation": "restate",
    "plan": "plan",
    "transition": "plan",
    "fact": "exec",
    "computation": "exec",
    "self_checking": "check",
    "uncertainty": "back",
    "backtrack": "back",
    "final_answer": "final",
}

# Title of a group -> (label, route) in the order of the flow.
NAVIGATION: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Data",
        (
            ("Dashboard", "dashboard"),
            ("Sources", "sources"),
            ("Problems", "problems"),
            ("Duplicates", "duplicates"),
            ("Benchmark overlap", "decontamination"),
            ("Traces", "traces"),
            ("Structure", "structure"),
            ("Difficulty", "difficulty"),
            ("Verifiers", "verifiers"),
        ),
    ),
    (
        "People",
        (
            ("Queues", "queues"),
            ("Disputed references", "disputes"),
        ),
    ),
    (
        "Training sets",
        (
            ("Recipes", "recipes"),
            ("Selections", "selections"),
            ("Exports", "exports"),
            ("Training runs", "training"),
        ),
    ),
    (
        "Work",
        (
            ("Jobs", "jobs"),
            ("Teachers", "teachers"),
            ("Judges", "judges"),
            ("Schedules", "schedules"),
        ),
    ),
    ("Access", (("Members", "members"), ("Tokens", "tokens"), ("Webhooks", "webhooks"))),
)
EVIDENCE = 4000  # characters shown of one value
FOR_OWNERS = {"webhooks"}  # their page is refused to others


@dataclass(frozen=True, slots=True)
class NavItem:
    """One link of the navigation."""

    label: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class NavGroup:
    title: str
    items: list[NavItem]


def _nav_items(
    project: Project, path: str, routes: tuple[tuple[str, str], ...], owner: bool
) -> list[NavItem]:
    """Links of one group; a route that this installation does not have is left out."""
    found = []
    for label, route in routes:
        if route in FOR_OWNERS and not owner:
            continue
        try:
            href = reverse(route, args=[project.slug])
        except NoReverseMatch:
            continue
        current = path == href if route == "dashboard" else path.startswith(href)
        found.append(NavItem(label, href, current))
    return found


@register.inclusion_tag("components/_nav.html", takes_context=True)
def project_nav(context: RequestContext) -> dict[str, Any]:
    """The navigation of the project in the context."""
    path = context["request"].path
    project, owner = context["project"], bool(context.get("can_own"))
    groups = [NavGroup(t, _nav_items(project, path, r, owner)) for t, r in NAVIGATION]
    return {"groups": [g for g in groups if g.items]}


@register.inclusion_tag("components/_switcher.html", takes_context=True)
def project_switcher(context: RequestContext) -> dict[str, Any]:
    """The projects that the user may see, as a menu."""
    projects = access.projects_of(context["request"].user).order_by("name")[:50]
    return {"project": context["project"], "projects": projects}


@register.filter
def hue(kind: str) -> str:
    """The CSS class that colours a kind of segment."""
    return f"hue-{HUE_OF.get(kind, 'other')}"


@register.filter
def compact(value: float | None) -> str:
    """1234567 -> 1.23M; None -> –."""
    return "–" if value is None else charts.number(float(value))


@register.filter
def thousands(value: int | None) -> str:
    """1234567 -> 1,234,567; None -> –."""
    return "–" if value is None else f"{int(value):,}"


@register.filter
def percent(value: float | str | None) -> str:
    """0.123 -> 12 %; None, and what a template does not find -> –."""
    return "–" if value is None or value == "" else f"{100 * float(value):.0f} %"


@register.filter
def points(value: float) -> str:
    """A difference of shares in points, with its sign: 0.25 -> +25."""
    return f"{100 * value:+.0f}".replace("-", "−") if abs(value) >= 0.005 else "0"


@register.filter
def bytesize(value: int | None) -> str:
    """Bytes in a unit that people read."""
    if value is None:
        return "–"
    size = float(value)
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


@register.filter
def duration(seconds: float | None) -> str:
    """Seconds as 4.2 s, 3 min, 2 h 10 min."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@register.filter
def ago(moment: dt.datetime | None) -> str:
    """How long ago, with the exact time (UTC) as a tooltip."""
    if moment is None:
        return "–"
    seconds = max(0.0, (timezone.now() - moment).total_seconds())
    if seconds < 5:
        words = "just now"
    elif seconds < 86400 * 2:
        words = f"{duration(seconds)} ago"
    else:
        words = f"{seconds / 86400:.0f} days ago"
    exact = moment.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return format_html('<time title="{}">{}</time>', exact, words)


# Blank lines at the ends of a piece of text: kept in the page, but not drawn as blank lines.
EDGES = re.compile(r"(\A\s*\n\s*|\s*\n\s*\Z)")


# Characters that change how text looks without being seen: bidirectional and other controls.
DECEPTIVE = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def _shown(match: re.Match[str]) -> str:
    """A control character on its own, with its number beside it, so that it has no effect."""
    return f'<span class="ctl" data-code="U+{ord(match[0]):04X}">{match[0]}</span>'


def _exact(text: str) -> str:
    """Escaped text that survives the HTML parser whole: a carriage return stays one."""
    return DECEPTIVE.sub(_shown, str(escape(text)).replace("\r", "&#13;"))


@register.filter
def model_text(text: str | None) -> SafeString:
    """Text of models and sources, escaped; the text content of the result is exactly the text.

    Line breaks at its ends stand in a span of class ``edge``, which is drawn without blank lines;
    control characters stand in spans of class ``ctl``, which show what they are.
    """
    parts = EDGES.split(text or "")
    drawn = [
        f'<span class="edge">{_exact(part)}</span>' if i % 2 and part else _exact(part)
        for i, part in enumerate(parts)
    ]
    return mark_safe("".join(drawn))  # noqa: S308  each part is escaped


@register.filter
def evidence(value: Any) -> SafeString:
    """A value of a verdict's detail: texts as they are, lists and objects as indented JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
    return model_text(text[:EVIDENCE] + (" …" if len(text) > EVIDENCE else ""))


@register.filter
def text_piece(text: str | None) -> SafeString:
    """A piece of such a text: as ``model_text``, but all its line breaks are drawn."""
    return mark_safe(_exact(text or ""))  # noqa: S308  escaped


@register.filter
def deceptive(text: str | None) -> bool:
    """Whether the text holds characters that can make it look like another text."""
    return DECEPTIVE.search(text or "") is not None


@register.filter
def pretty(value: Any) -> str:
    """A JSON value, indented."""
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True, default=str)


@register.filter
def get(mapping: dict[Any, Any] | None, key: Any) -> Any:
    """``mapping[key]``, or None."""
    return (mapping or {}).get(key)


@register.filter
def short(text: str | None, size: int = 12) -> str:
    """The first characters of a hash or id."""
    return (text or "")[: int(size)]
