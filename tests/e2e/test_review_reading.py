"""Reading: finding words, folding, focus, and keys that do nothing far away."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.reviewing import READY, press, review
from tests.e2e.site import Site

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
SEGMENT = "() => [...document.querySelectorAll('.seg')].findIndex(b => b.classList.contains('now'))"


def test_a_folded_attempt_is_one_row_that_says_what_it_hides(
    entered: Any, site: Site, world: dict[str, Any]
) -> None:
    with review(entered("ann"), site, world, "long") as page:
        page.wait_for_selector(READY)
        press(page, "j", "j", "j", "O")
        rows = page.locator(".seg.fold:not(.rest)")
        assert rows.count() == 1
        hidden = page.locator(".seg.fold").count()
        assert hidden > 300
        assert f"{hidden} segments" in rows.first.get_attribute("data-fold")
        assert f"{hidden} segments folded" in page.inner_text("#all")
        assert page.evaluate(SEGMENT) == 1
        press(page, "j")  # over the whole attempt
        assert page.evaluate(SEGMENT) == hidden + 1
        press(page, "k", "o")
        assert page.locator(".seg.fold").count() == 0
        press(page, "O", ".")  # focus opens what it shows
        assert page.locator(".seg.fold").count() == 0
        assert "focus: 1 of" in page.inner_text("#where-flags")
        press(page, ".")
        assert "focus" not in page.inner_text("#where-flags")


def test_a_proposal_elsewhere_is_shown_before_it_is_accepted(
    entered: Any, site: Site, world: dict[str, Any]
) -> None:
    with review(entered("ann"), site, world, "nearby") as page:
        page.wait_for_selector(READY)
        press(page, "Home", "a")
        assert page.locator(".seg.cut").count() == 0
        assert "once more" in page.inner_text("#where-flags")
        press(page, "a")
        assert page.locator(".seg.cut").count() > 0
        press(page, "End", "N")
        assert "none below" in page.inner_text("#where-flags")


def test_the_sheet_of_keys_opens_at_its_top(
    entered: Any, site: Site, world: dict[str, Any]
) -> None:
    with review(entered("ann"), site, world, "long") as page:
        page.wait_for_selector(READY)
        top = "document.getElementById('text').scrollTop"
        press(page, "PageDown")  # before anything was clicked
        assert page.evaluate(top) > 300
        press(page, "Shift+Space")
        assert page.evaluate(top) == 0
        press(page, "?")
        page.wait_for_selector("#sheet[open]")
        assert page.evaluate("document.getElementById('sheet').scrollTop") == 0
