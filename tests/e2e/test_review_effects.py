"""What machines foretell and score: the effect on the next export, step scores."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.e2e.reviewing import AXE, READY, SERIOUS, opened, press, review
from tests.e2e.site import Site

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_the_effect_on_the_next_export_is_told_on_asking_and_after_a_decision(
    entered: Any, site: Site, world: dict[str, Any]
) -> None:
    with review(entered("ann"), site, world, "effects") as page:
        asked: list[str] = []
        page.on("request", lambda r: asked.append(r.url))
        page.wait_for_selector(READY)
        assert not [url for url in asked if "consequences" in url or "effects" in url]
        press(page, "D")
        page.locator("#effects-body", has_text="hides verdict").wait_for()
        assert "correct" not in page.inner_text("#effects-body")
        press(page, "Escape", "f")
        page.locator("#effects-open", has_text=re.compile("row|no change")).wait_for()
        press(page, "D")
        body = page.locator("#effects-body")
        body.locator(".fx-plan").first.wait_for()
        told = body.inner_text()
        assert "this trace" in told and "review rejected" in told and "sft-verified" in told
        page.evaluate(AXE.read_text())
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert not page.evaluate(SERIOUS, "#effects")
        press(page, "Escape", "s")
        page.locator("#effects-open").click()
        body.locator(".fx-head .chip", has_text="accept").wait_for()
        press(page, "Escape")


def test_step_scores_stand_beside_their_segments_and_keys_go_to_where_they_fall(
    entered: Any, site: Site, world: dict[str, Any]
) -> None:
    with review(entered("ann"), site, world, "scores") as page:
        page.wait_for_selector("#review[data-scored]")
        page.locator(".seg > .prm").first.wait_for()
        boxes = page.locator(".seg").count()
        page.wait_for_function(f"document.querySelectorAll('.seg > .prm').length == {boxes}")
        low = page.locator(".seg > .prm.low, .seg > .prm.drop")
        assert low.count() >= 2
        assert page.locator(".seg > .prm.unchecked").first.inner_text() == "–"
        assert "cannot be checked" in str(
            page.locator(".prm.unchecked").first.get_attribute("title")
        )
        press(page, "Home", "g", "d")
        here = page.locator(".seg.now")
        assert here.locator(".chip", has_text="step score 0.31, 0.66 lower").count() == 1
        assert "step score .31" in page.inner_text("#where-flags")
        text = "whittleMaths.sourceOf(document.querySelector('.seg.now .model-text'))"
        assert "Wait, let me check" in page.evaluate(text), "figures are no part of the text"
        press(page, "?")
        assert "next drop of the score" in page.inner_text("#sheet-keys")
        press(page, "Escape")
        page.evaluate(AXE.read_text())
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert not page.evaluate(SERIOUS, "#boxes")


def test_columns_of_a_comparison_show_what_machines_say_of_them(
    entered: Any, site: Site, world: dict[str, Any]
) -> None:
    ids = [world["traces"][name] for name in ("short16", "coded")]
    with opened(entered("ann"), site, f"compare/?t={ids[0]}&t={ids[1]}") as page:
        page.wait_for_selector("#compare[data-ran]")
        heads = page.locator(".cmp-col [data-evidence]")
        assert "2/3 equations" in heads.nth(0).inner_text()
        assert "lowest step 0.22+" in heads.nth(0).inner_text()
        assert "0/1 code" in heads.nth(1).inner_text()
        first = page.locator(".cmp-col").nth(0)
        assert first.locator(".chip", has_text="5 + 7 = 13: is 12").count() == 1
        assert first.locator(".chip", has_text="answer 12: matches the reference").count() == 1
        assert page.locator(".cmp-col").nth(1).locator(".chip.code.bad").count() == 1
        first.locator(".seg").first.click()
        press(page, "n")
        assert first.locator(".seg.now .chip.bad").count() >= 1
        page.evaluate(AXE.read_text())
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert not page.evaluate(SERIOUS, "#compare")
