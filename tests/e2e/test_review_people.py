"""People around the review screen: comparing, settling, commenting, guidelines; and axe-core."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.review_world import SLUG
from tests.e2e.reviewing import AXE, READY, SERIOUS, opened, press, review
from tests.e2e.site import Site

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_traces_are_compared_in_step_and_ordered_by_keys(
    entered: Any,
    site: Site,
    world: dict[str, Any],
) -> None:
    one, two = world["traces"]["short10"], world["traces"]["long"]
    with opened(entered("ann"), site, f"compare/?t={one}&t={two}") as page:
        page.wait_for_selector("#compare[data-ready]")
        assert page.locator(".cmp-col").count() == 2
        tops = "[...document.querySelectorAll('.scroller')].map(s => s.scrollTop)"
        page.evaluate("document.querySelectorAll('.scroller')[1].scrollTop = 4000")
        page.wait_for_function(f"{tops}[1] > 0")
        page.locator(".cmp-col").nth(1).locator(".seg").nth(2).click()
        press(page, "e", "2", "1")
        assert "2 > 1" in page.inner_text("#order")
        press(page, "=", "u", "1")  # what was taken back is only the last
        assert page.inner_text("#order") == "2 > 1"
        assert "u takes back" in page.inner_text("#problem")
        press(page, "h", "?")
        assert page.locator(".seg.now").count() == 1
        assert "here this trace goes another way" in page.inner_text("#sheet-keys")
        press(page, "Escape")
        press(page, "Control+Enter")
        page.locator("#saved", has_text="saved").wait_for()
    found = entered("ann").request.get(f"{site.url}/api/v1/preferences/?project={SLUG}").json()
    row = found["results"][0]
    assert row["ranking"] == [[two], [one]] and list(row["diverges"]) == [str(two)]


def test_two_who_disagree_are_settled_by_a_third(
    entered: Any,
    site: Site,
    world: dict[str, Any],
) -> None:
    for name, keys in (("ann", "sc"), ("ben", "f")):
        with review(entered(name), site, world, "pair") as page:
            page.wait_for_selector(READY)
            press(page, "j", "j", *keys)
            if "c" in keys:
                page.locator("#after.chip").wait_for()  # the verifier has said what it thinks
            press(page, "Control+Enter")
            page.wait_for_url("**/next/")
    with opened(entered("cleo"), site, "adjudicate/") as page:
        assert "ann: sound" in page.inner_text("main") and "ben: flawed" in page.inner_text("main")
        page.click("text=Settle >> nth=-1")
        page.wait_for_selector(READY)
        assert "ann" in page.inner_text("#reviews-there")
        press(page, "N")
        assert "segment 3 of" in page.inner_text("#where")
        press(page, "f", "Control+Enter")
        page.wait_for_url("**/adjudicate/")
    reviews = entered("cleo").request.get(f"{site.url}/api/v1/reviews/?project={SLUG}").json()
    mine = [r for r in reviews["results"] if r["trace"] == world["traces"]["short8"]]
    assert sorted(r["decision"] for r in mine) == ["flawed", "flawed", "sound"]
    assert [r["adjudicates"] for r in mine].count(True) == 1


def test_a_comment_on_a_range_tells_whom_it_mentions(
    entered: Any,
    site: Site,
    world: dict[str, Any],
) -> None:
    with opened(entered("ann"), site, f"read/{world['traces']['short11']}/") as page:
        page.wait_for_selector(READY)
        press(page, "j", "m")
        page.keyboard.type("@ben is this <b>right</b>?")
        press(page, "Control+Enter")
        page.locator(".comment .words", has_text="<b>right</b>").wait_for()
        page.locator(".comment").get_by_text("edit", exact=True).click()
        page.keyboard.press("Control+a")
        page.keyboard.type("@ben is this <b>sound</b>?")
        press(page, "Control+Enter")
        page.locator(".comment .words", has_text="<b>sound</b>").wait_for()
        assert page.locator(".comment").get_by_text("(edited)").count() == 1
    with opened(entered("ben"), site, "notices/") as page:
        page.click("text=is this")
        page.wait_for_selector(READY)
        assert page.locator(".comment").count() == 1 and "segment 2 of" in page.inner_text("#where")
        assert page.locator(".comment").get_by_text("edit", exact=True).count() == 0
    with opened(entered("ann"), site, f"read/{world['traces']['short11']}/") as page:
        page.wait_for_selector(READY)
        page.on("dialog", lambda dialog: dialog.accept())
        page.locator(".comment").get_by_text("delete", exact=True).click()
        page.locator("#comments", has_text="None.").wait_for()
    with opened(entered("ben"), site, f"read/{world['traces']['short11']}/") as page:
        page.wait_for_selector(READY)
        assert page.locator(".comment").count() == 0


def test_a_new_guideline_opens_a_queue_of_what_it_may_affect(
    entered: Any,
    site: Site,
    world: dict[str, Any],
) -> None:
    with review(entered("ben"), site, world, "rules") as page:
        page.wait_for_selector(READY)
        press(page, "b", "Control+Enter")
        page.wait_for_url("**/next/")
    with opened(entered("cleo"), site, "guidelines/") as page:
        words = "# Rules\n\nOne **bold** rule of $x_1*y*z_2$. <script>alert(1)</script>"
        page.fill("#guide-text", words)
        page.locator("#guide-preview .katex").wait_for()
        page.fill("#guide-summary", "what a bad problem is")
        page.check("#guide-rule [name=decisions][value=bad_problem]")
        page.check("#guide-rule [name=queues][value=rules]")
        page.locator("#guide-said", has_text="1 current decision would be asked again").wait_for()
        page.click("button:text-is('Publish')")
        page.locator(".guideline-text strong", has_text="bold").first.wait_for()
        assert page.locator(".guideline-text script").count() == 0
    with opened(entered("ben"), site, "queues/") as page:
        page.locator("tr", has_text="Guideline v1: ben").locator("button.go").click()
        page.wait_for_selector(READY)
        page.wait_for_timeout(300)
        assert page.evaluate("typeof katex") == "undefined"  # nothing needs it yet
        press(page, "s", "w")
        page.locator(".guideline strong").wait_for()
        page.locator(".guideline .katex").wait_for()


def test_axe_finds_no_serious_fault_in_light_and_dark(
    entered: Any,
    site: Site,
    world: dict[str, Any],
) -> None:
    script = AXE.read_text()
    traces = world["traces"]
    looks = [
        (f"queues/{world['queues']['look']}/", "light"),
        (f"queues/{world['queues']['look']}/", "dark"),
        (f"queues/{world['queues']['look']}/next/", "light"),
        (f"queues/{world['queues']['look']}/next/", "dark"),
        (f"compare/?t={traces['short12']}&t={traces['short13']}", "dark"),
        (f"queues/{world['queues']['pair']}/", "light"),
        ("guidelines/", "dark"),
    ]
    for path, scheme in looks:
        with opened(entered("cleo"), site, path) as page:
            page.emulate_media(color_scheme=scheme)
            if "/next/" in path and scheme == "light":  # the page that offers it
                page.evaluate(script)
                assert page.evaluate(SERIOUS, "main") == []
                page.click("#take")
            if "/next/" in path:
                page.wait_for_selector(READY)
            # The check itself is no page of ours: it may be evaluated past the policy.
            page.evaluate(script)
            found = page.evaluate(
                "async () => (await axe.run(document, {resultTypes: ['violations'],"
                " exclude: [['.katex']]})).violations"
                ".filter(v => ['serious', 'critical'].includes(v.impact))"
                ".map(v => [v.id, v.nodes.slice(0, 3).map(n => n.html.slice(0, 160))])"
            )
            assert not found, (path, scheme, found)
