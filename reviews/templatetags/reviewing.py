"""Filters of the review pages."""

from __future__ import annotations

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
