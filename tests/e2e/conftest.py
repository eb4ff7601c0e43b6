"""One running copy and one browser for all browser tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.reviewing import log_in
from tests.e2e.site import Site, running_site

MADE: dict[str, dict[str, Any]] = {}
BUILD = "from tests.e2e.review_world import build; build()"


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    with running_site() as found:
        yield found


@pytest.fixture(scope="session")
def demo(site: Site) -> Site:
    """The site once every job of the demo has ended."""
    with site.api(site.token()) as client:
        jobs = site.wait_for_jobs(client, "demo")
        bad = [(j["kind"], j["state"], j["error"]) for j in jobs if j["state"] != "done"]
        # Embedding distils a model on first use; the pages work without it.
        assert not [b for b in bad if b[0] != "embed"], bad
    return site


@pytest.fixture
def page(browser: Any, demo: Site) -> Iterator[Any]:
    """A page that is logged in; errors in its console fail the test."""
    context = browser.new_context(viewport={"width": 1360, "height": 850})
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{demo.url}/login/")
    page.fill("[name=username]", demo.login["username"])
    page.fill("[name=password]", demo.login["password"])
    page.click("main form button")
    page.wait_for_url(f"{demo.url}/")
    yield page
    context.close()
    assert not faults, faults


@pytest.fixture(scope="module")
def world(site: Site) -> dict[str, Any]:
    """The made project, made once; its ids."""
    if site.url not in MADE:
        said = site.manage("shell", "-v", "0", "-c", BUILD)
        MADE[site.url] = json.loads(said.splitlines()[-1])
    return MADE[site.url]


@pytest.fixture(scope="module")
def entered(browser: Any, site: Site) -> Iterator[Callable[[str], Any]]:
    """A browser context of a person: entered("ann")."""
    open_ones: dict[str, Any] = {}

    def enter(name: str) -> Any:
        if name not in open_ones:
            context = browser.new_context(viewport={"width": 1360, "height": 850})
            log_in(context, site, name)
            open_ones[name] = context
        return open_ones[name]

    yield enter
    for context in open_ones.values():
        context.close()
