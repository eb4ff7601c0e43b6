"""What the browser tests of review share: pages, keys, what the server holds, axe-core."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.review_world import PASSWORD, SLUG
from tests.e2e.site import Site

AXE = Path(__file__).with_name("vendor") / "axe.min.js"
READY = "#review[data-ready]"
SERIOUS = (
    "async (part) => (await axe.run(part, {resultTypes: ['violations'], exclude: [['.katex']]}))"
    ".violations.filter(v => ['serious', 'critical'].includes(v.impact))"
    ".map(v => [v.id, v.nodes.slice(0, 3).map(n => n.html.slice(0, 160))])"
)


def log_in(context: Any, site: Site, name: str) -> None:
    page = context.new_page()
    page.goto(f"{site.url}/login/")
    page.fill("[name=username]", name)
    page.fill("[name=password]", PASSWORD)
    page.click("main form button")
    page.wait_for_url(f"{site.url}/")
    page.close()


@contextmanager
def opened(context: Any, site: Site, path: str, quiet: bool = True) -> Iterator[Any]:
    """A page of the project; with ``quiet`` an error in its console fails the test."""
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{site.url}/p/{SLUG}/{path}")
    yield page
    page.close()
    assert not (quiet and faults), faults


TAKE = ".head form .btn.go"  # on the page of a queue


@contextmanager
def taken(context: Any, site: Site, queue: int, **kwargs: Any) -> Iterator[Any]:
    """The page of the queue's next item, as its button opens it."""
    with opened(context, site, f"queues/{queue}/", **kwargs) as page:
        page.click(TAKE)
        page.wait_for_url(re.compile("/(review/[0-9]+|next)/"))
        yield page


def review(context: Any, site: Site, world: dict[str, Any], queue: str, **kwargs: Any) -> Any:
    return taken(context, site, world["queues"][queue], **kwargs)


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def saved(page: Any) -> None:
    page.locator("#saved", has_text=re.compile("^saved$")).wait_for()


def draft_of(context: Any, site: Site, queue: int) -> dict[str, Any]:
    """What the server has, asked for past the page."""
    found = context.request.get(f"{site.url}/api/v1/assignments/?queue={queue}").json()
    return dict(found["results"][0]["draft"])
