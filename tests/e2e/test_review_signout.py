"""What the review screen keeps in a browser belongs to one account, and goes with it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.e2e.reviewing import READY, draft_of, log_in, review, saved
from tests.e2e.site import Site

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
KEPT = "Object.entries(localStorage).filter(([key]) => key.startsWith('whittle-draft-'))"


def typed(page: Any, words: str) -> None:
    page.wait_for_selector(READY)
    page.keyboard.press("i")
    page.keyboard.type(words)


def sign_out(page: Any) -> None:
    page.click("header details.menu summary >> nth=-1")
    page.click("text=Log out")


def test_signing_out_saves_what_was_typed_and_leaves_nothing_in_the_browser(
    browser: Any, site: Site, world: dict[str, Any]
) -> None:
    context = browser.new_context()
    log_in(context, site, "ann")
    with review(context, site, world, "leaving") as page:
        typed(page, "kept")
        saved(page)
        other = context.new_page()  # a second tab, whose last words the server never got
        other.goto(page.url)
        other.route("**/draft/", lambda route: route.abort())
        typed(other, " elsewhere")
        other.locator("#saved", has_text="not saved").wait_for()
        ((key, _),) = other.evaluate(KEPT)
        assert re.match(r"whittle-draft-\d+-/p/", key)
        page.keyboard.type(" and more")
        sign_out(page)
        page.wait_for_url("**/login/")
        other.wait_for_url(re.compile("/login/"))
        assert page.evaluate(KEPT) == []
        other.close()
        log_in(context, site, "ann")
    draft = draft_of(context, site, world["queues"]["leaving"])
    assert draft["note"] == "kept and more"
    context.close()


def test_another_account_never_finds_what_was_kept(
    browser: Any, site: Site, world: dict[str, Any]
) -> None:
    context = browser.new_context()
    log_in(context, site, "ben")
    # Its answer would lead a page without unsaved work to the login before anything is typed.
    context.route("**/health/chip/", lambda route: route.abort())
    with review(context, site, world, "leaving", quiet=False) as page:
        page.wait_for_selector(READY)
        context.clear_cookies()  # the session ended by itself
        typed(page, "of ben alone")
        page.locator("#saved", has_text="signed out").wait_for()
        assert "of ben alone" in str(page.evaluate(KEPT))
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto(f"{site.url}/login/")
        assert "of ben alone" in str(page.evaluate(KEPT))  # ben may sign in again
        page.fill("[name=username]", "cleo")
        page.fill("[name=password]", "correct horse 77")
        page.click("main form button")
        page.wait_for_url(f"{site.url}/")
        page.wait_for_load_state()
        assert page.evaluate(KEPT) == []
    context.close()
