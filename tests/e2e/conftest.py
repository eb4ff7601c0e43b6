"""One running copy and one browser for all browser tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.site import Site, running_site


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
