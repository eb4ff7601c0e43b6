"""What is asked, built by form in a browser and answered on the review screen."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.e2e.review_world import SLUG
from tests.e2e.reviewing import AXE, READY, SERIOUS, opened, press, review
from tests.e2e.site import Site

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_a_question_built_by_form_is_answered_on_the_review_screen(
    entered: Any,
    site: Site,
    world: dict[str, Any],
) -> None:
    with opened(entered("cleo"), site, "review-schema/") as page:
        page.click("#asked-add")
        row = page.locator("fieldset.asked-row", has_text="Question 3")
        row.wait_for()
        row.locator("input:focus").first.wait_for()  # it gets the focus a moment after it is there
        page.keyboard.type("Which tone <b>?")
        assert row.locator(".for-rating").is_hidden()
        row.locator("textarea").fill("dry")
        page.click("#asked-form > .btn.go")
        fault = page.locator("#id_q-2-choices_error", has_text="two choices or more")
        fault.wait_for()
        page.wait_for_load_state()  # the preview follows the form once the scripts have run
        page.locator("#id_q-2-choices").fill("dry\nwarm")
        shown = page.locator("#asked-preview [data-label=which_tone_b]")
        shown.locator("text=warm").click()
        assert shown.locator("text=warm").get_attribute("aria-pressed") == "true"
        page.focus("#q-2-up")
        press(page, "Enter")
        page.locator("#q-1-up:focus").wait_for()
        press(page, "Enter")
        page.locator("#q-0-down:focus").wait_for()
        assert "question 1 of 3" in page.inner_text("#asked-said")
        page.evaluate(AXE.read_text())
        assert page.evaluate(SERIOUS, "main") == []
        page.click("#asked-form > .btn.go")
        page.locator(".note.success", has_text="Saved").wait_for()
    with review(entered("ann"), site, world, "asked") as page:
        page.wait_for_selector(READY)
        page.click("#labels [data-label=which_tone_b] >> text=warm")
        press(page, "s", "Control+Enter")
        page.wait_for_url(re.compile("/next/"))
    found = entered("ann").request.get(f"{site.url}/api/v1/reviews/?project={SLUG}").json()
    assert {"which_tone_b": "warm"} in [row["values"] for row in found["results"]]
