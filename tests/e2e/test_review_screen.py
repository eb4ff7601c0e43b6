"""The review screen in a real browser: reading, working by keyboard and mouse, saving."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.e2e import review_world
from tests.e2e.review_world import SLUG
from tests.e2e.reviewing import READY, TAKE, draft_of, log_in, opened, press, review, saved
from tests.e2e.site import Site

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
CHOOSE = """() => {
  const text = document.querySelector('.seg .model-text');
  const walker = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
  let first = null;
  while (!first && walker.nextNode())
  if (walker.currentNode.data.includes('😀')) first = walker.currentNode;
  const formula = document.querySelectorAll('.seg .maths')[1];
  const range = document.createRange();
  range.setStart(first, first.data.indexOf('😀'));
  range.setEnd(formula.querySelector('.katex').firstChild, 0);
  getSelection().removeAllRanges(); getSelection().addRange(range);
  return getSelection().toString().length;
}"""  # from an emoji into the second formula


def test_every_character_is_on_the_page_and_the_page_says_so(
    entered: Any, site: Site, world: dict[str, Any]
) -> None:
    with review(entered("ann"), site, world, "long") as page:
        page.wait_for_selector("#review[data-shown]")
        text = review_world.long_text()
        assert page.get_attribute("#review", "data-shown") == str(len(text))
        assert f"shown {len(text):,} of {len(text):,} characters" in page.inner_text("#all")
        assert len(text) > 120_000
        texts = "[...document.querySelectorAll('.seg .model-text')]"
        whole = f"{texts}.map(e => whittleMaths.sourceOf(e)).join('')"
        assert page.evaluate(whole) == text
        # The browser's own find reaches the end, far outside of what is drawn.
        assert page.evaluate("window.find('ZZENDMARK')")
        press(page, "Escape", "End")
        for part in ("#where", "#submit", ".rv-foot", "[data-decision=sound]"):
            box = page.locator(part).bounding_box()
            assert box and box["y"] >= 0 and box["y"] + box["height"] <= 850, part
        total = page.locator(".seg").count()
        assert f"segment {total} of {total}" in page.inner_text("#where")
        press(page, "Home")
        page.locator(".seg .katex").first.wait_for()
        drawn = page.locator(".seg .katex").count()
        assert 0 < drawn < 100, "only what is near the screen is drawn"
        press(page, "g", "t")
        page.fill("#goto-n", "99999")
        press(page, "Enter")
        assert "There is no" in page.inner_text("#goto-why")
        press(page, "Escape", "z")
        page.wait_for_url(re.compile(r"#s\d+$"))


def test_everything_is_done_by_keyboard_undone_and_found_again(
    entered: Any, site: Site, world: dict[str, Any]
) -> None:
    with review(entered("ann"), site, world, "keys") as page:
        page.wait_for_selector(READY)
        address = page.url.split("#")[0]
        press(page, "j", "1", "j", "3", "*", "e", "s", "!")
        press(page, "A")
        page.keyboard.type("a better step")
        press(page, "Control+Enter", "j", "t", "2", "q", "1", "y")
        press(page, "Home", "n", "a")
        page.locator("[data-label=clarity] [data-value='4']").click()
        press(page, "i")
        page.keyboard.type("jk sfb 0")  # letters in a field are letters
        press(page, "Escape")
        assert page.get_attribute("[data-decision=sound]", "aria-checked") == "true"
        before = page.evaluate("document.querySelectorAll('.seg.cut').length")
        assert before >= 1
        press(page, "u", "u", "u")  # the note is one step, then the rating, then the proposal
        assert page.locator(".seg.cut").count() == 0
        press(page, "r", "r", "r")
        assert page.locator(".seg.cut").count() == before
        saved(page)
        press(page, "u")
        assert "undone: note" in page.inner_text("#where-flags")
        press(page, "r", "Home", "g", "Shift+D")  # a real capital: Shift comes as a key of its own
        assert "none above" in page.inner_text("#where-flags")
        press(page, "g", "q")
        assert "no such key" in page.inner_text("#where-flags")
        page.locator("[data-decision=sound]").focus()
        press(page, "ArrowDown")
        assert page.evaluate("document.activeElement.dataset.decision") == "flawed"
        page.evaluate("document.activeElement.blur()")
        press(page, "?")
        page.get_by_text("first correct answer", exact=True).wait_for()
        press(page, "j", "c", "?")  # an open dialog keeps keys away from the trace
        assert page.locator(".seg.cut").count() == before
        saved(page)
        page.goto("about:blank")
    stored = draft_of(entered("ann"), site, world["queues"]["keys"])
    assert stored["note"] == "jk sfb 0" and stored["values"] == {"clarity": 4}
    assert {x["label"] for x in stored["labels"]} == {1, -1}
    wrong = next(x for x in stored["labels"] if x["label"] == -1)
    assert wrong["alternative"] == "a better step" and wrong["flagged"]
    assert stored["first_error"] == wrong["start"] and stored["flagged"]
    assert stored["spans"] and stored["kinds"] and stored["kept"] and stored["cuts"]
    with opened(entered("ann"), site, address.split(f"/p/{SLUG}/")[1]) as page:
        page.wait_for_selector(READY)
        assert page.input_value("#note") == "jk sfb 0"
        assert page.locator(".seg[data-label='-1']").count() == 1
        page.locator("#after", has_text="correct").wait_for()
        page.evaluate("document.activeElement.blur()")
        press(page, "d")
        page.locator("#diff .dr.cut").first.wait_for()
        press(page, "Escape", "u", "u")
        assert "nothing more to be undone" in page.inner_text("#where-flags")
        page.locator("[data-label=clarity] [data-value='4']").focus()  # as after a click
        press(page, "Control+Enter", "Control+Enter")
        page.wait_for_url("**/next/")


def test_a_selection_through_formulas_and_emoji_is_code_points_of_the_stored_text(
    entered: Any, site: Site, world: dict[str, Any]
) -> None:
    with review(entered("ann"), site, world, "odd") as page:
        page.wait_for_selector(READY)
        page.locator(".seg .katex").first.wait_for()
        chosen = page.evaluate(CHOOSE)
        assert chosen
        page.locator("#pop >> text=cut, why").wait_for()
        press(page, "l")
        page.keyboard.type("half of a shorter step")
        press(page, "Escape", "l")  # left by mistake: neither the words nor the selection are gone
        assert page.input_value("#words-text") == "half of a shorter step"
        press(page, "Escape", "y")
        page.locator("#pop").wait_for(state="hidden")
        assert "must stay" in page.inner_text("#where-flags")
        press(page, "c")  # what is cut is not also said to have to stay
        assert "no longer has to stay" in page.inner_text("#where-flags")
        press(page, "u", "u")
        page.evaluate(CHOOSE)
        press(page, "c")
        saved(page)
    (cut,) = draft_of(entered("ann"), site, world["queues"]["odd"])["cuts"]
    text = review_world.ODD
    assert text[cut["start"] : cut["end"]] == "😀 is $\\frac{a}{b}$ and e\u0301 then $y^2$"


def test_what_was_typed_without_a_network_is_offered_again(
    entered: Any, site: Site, world: dict[str, Any]
) -> None:
    ann = entered("ann")
    with review(ann, site, world, "offline", quiet=False) as page:
        page.wait_for_selector(READY)
        address = page.url.split("#")[0].split(f"/p/{SLUG}/")[1]
        press(page, "s", "1")
        saved(page)
        ann.set_offline(True)
        press(page, "m")
        page.keyboard.type("said in a tunnel")
        press(page, "Control+Enter")
        page.locator("#words-help", has_text="cannot be reached").wait_for()
        assert page.input_value("#words-text") == "said in a tunnel"
        press(page, "Escape")
        press(page, "i")
        page.keyboard.type("typed in a tunnel")
        page.locator("#saved", has_text="kept in this browser").wait_for()
        press(page, "Control+Enter")
        page.locator("#problem", has_text="Your work is kept").wait_for()
        page.on("dialog", lambda dialog: dialog.accept())
        page.close(run_before_unload=False)
        ann.set_offline(False)
    with opened(ann, site, address) as page:
        page.wait_for_selector(READY)
        assert page.input_value("#note") == "typed in a tunnel"
        saved(page)
        page.goto("about:blank")
    assert draft_of(ann, site, world["queues"]["offline"])["note"] == "typed in a tunnel"


def test_two_people_who_ask_at_once_get_different_traces(
    entered: Any, site: Site, world: dict[str, Any]
) -> None:
    address = f"{site.url}/p/{SLUG}/queues/{world['queues']['race']}/"
    pages = [entered(name).new_page() for name in ("ann", "ben", "cleo")]
    for page in pages:
        page.goto(address)
    for page in pages:  # all three ask before any has an answer
        page.evaluate(
            "form => { setTimeout(() => document.querySelector(form).submit(), 0) }",
            TAKE.removesuffix(" .btn.go"),
        )
    for page in pages:
        page.wait_for_url(re.compile("/(review/[0-9]+|next)/"))
        page.wait_for_selector("h1", state="attached")
    heads = sorted(page.inner_text("h1") for page in pages)
    assert len(set(heads)) == 3 and heads[-1] == "race", heads  # the third finds nothing left
    for page in pages:
        page.close()


def test_two_tabs_do_not_overwrite_each_other(
    entered: Any, site: Site, world: dict[str, Any]
) -> None:
    ann = entered("ann")
    with review(ann, site, world, "tabs", quiet=False) as one:
        one.wait_for_selector(READY)
        address = one.url.split("#")[0].split(f"/p/{SLUG}/")[1]
        with opened(ann, site, address, quiet=False) as two:
            two.wait_for_selector(READY)
            press(two, "s")
            saved(two)
            press(one, "f")
            one.locator("#conflict[open]").wait_for()
            assert "sound" in one.inner_text("#conflict-theirs")
            one.click("#keep-mine")
            saved(one)
            press(two, "1")
            two.locator("#conflict[open]").wait_for()
            two.click("#take-theirs")
            assert two.get_attribute("[data-decision=flawed]", "aria-checked") == "true"


def test_an_ended_session_keeps_the_text_until_one_is_in_again(
    browser: Any, site: Site, world: dict[str, Any]
) -> None:
    context = browser.new_context()
    log_in(context, site, "ben")
    with review(context, site, world, "session", quiet=False) as page:
        page.wait_for_selector(READY)
        context.clear_cookies()
        press(page, "s", "i")
        page.keyboard.type("after the end")
        page.locator("#saved", has_text="signed out").wait_for()
        log_in(context, site, "ben")
        page.locator("#saved", has_text=re.compile("^saved$")).wait_for(timeout=15000)
    assert draft_of(context, site, world["queues"]["session"])["note"] == "after the end"
    context.close()


def test_a_stale_lease_refuses_the_old_tab_and_keeps_what_it_sent(
    entered: Any, site: Site, world: dict[str, Any]
) -> None:
    ann = entered("ann")
    with review(ann, site, world, "stale", quiet=False) as old:
        old.wait_for_selector(READY)
        with review(ann, site, world, "stale", quiet=False) as new:  # the lease is taken anew
            new.wait_for_selector(READY)
        press(old, "f", "Control+Enter")
        old.locator("#problem", has_text="kept as a draft").wait_for()
    assert draft_of(ann, site, world["queues"]["stale"])["decision"] == "flawed"


def test_hidden_things_show_after_the_first_judgement_and_both_are_kept(
    entered: Any, site: Site, world: dict[str, Any]
) -> None:
    with review(entered("ann"), site, world, "blind") as page:
        page.wait_for_selector(READY)
        side = page.inner_text("#evidence")
        assert "Hidden until you decide" in side and "model-short7" not in side
        assert page.locator(".prop, .seg[data-first]").count() == 0
        press(page, "j", "c")
        page.locator("#after", has_text="hidden until you decide").wait_for()
        press(page, "u", "E")  # a judgement by whatever key shows what was hidden
        page.locator("#evidence >> text=model-short7").wait_for()
        assert page.locator(".prop").count() >= 1
        press(page, "s", "Control+Enter")
        page.wait_for_url("**/next/")
    with site.api(site.token()) as client:
        stored = client.get("reviews/", params={"project": SLUG}).json()["results"]
    mine = next(r for r in stored if r["trace"] == world["traces"]["short7"])
    assert (mine["first_decision"], mine["decision"]) == ("flawed", "sound")
    assert mine["finish_reason"] == "solution"


def test_hostile_text_is_text(entered: Any, site: Site, world: dict[str, Any]) -> None:
    context = entered("ben")
    asked: list[str] = []
    context.on("request", lambda r: asked.append(r.url))
    with review(context, site, world, "hostile") as page:
        page.on("dialog", lambda dialog: asked.append(f"dialog {dialog.message}"))
        page.add_init_script(
            "addEventListener('securitypolicyviolation',"
            " e => { window.__csp = e.violatedDirective })"
        )
        page.reload()
        page.wait_for_selector("#review[data-shown]")
        assert page.get_attribute("#review", "data-shown") == str(len(review_world.HOSTILE))
        for _ in range(12):
            press(page, "j")
        page.wait_for_timeout(300)
        assert page.evaluate("[window.__owned, window.__csp]") == [None, None]
        assert (
            page.locator(
                "#boxes script, #boxes img, #boxes a:not(.n), #boxes form, #boxes svg[onload]"
            ).count()
            == 0
        )
        assert page.locator("#review").count() == 1 and page.locator("#cookie").count() == 0
        shown = page.text_content("#boxes")
        assert "{{7*7}} {% debug %}" in shown and "<script>window" in shown
        assert page.locator(".ctl[data-code='U+202E']").count() == 1
        page.locator(".chip.code", has_text="Python: runs").wait_for()
        assert page.locator(".tbl .td").count() >= 4 and page.locator("code.block .py-n").count()
    assert not [url for url in asked if not url.startswith(site.url)], asked
