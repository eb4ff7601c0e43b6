"""Pages in a real browser: nothing runs that a model sent, and the text stays the text."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from curation.models import Job, Membership, Project, Trace
from tests.curation import views_world
from tests.curation.test_views import pages
from tests.curation.views_world import TEXT, World, sha

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
LIGHT, DARK = "rgb(251, 250, 248)", "rgb(20, 22, 26)"
HOSTILE_MATHS = (
    r"$\href{javascript:alert(1)}{click}$",
    r"$\includegraphics{http://attacker.test/x.png}$",
    r"$\htmlData{id=cookie}{x}$",
    r"$\htmlStyle{position:fixed}{x}$",
    r"$\edef\a{x}\edef\a{\a\a}\edef\a{\a\a}\def\b{\b\b}\b$",
    r"$\rule{9999em}{9999em}$",
    r"$\unknownmacro <img src=x onerror=alert(1)>$",
    r"$$\frac{1}{$$",
    "$" + "{" * 3000 + "}" * 3000 + "$",
    "costs $5 and $10, or \\$3 and $ 4",
    r"\(a\) \[b\] $c$ $$d$$",
)


@pytest.fixture
def world(transactional_db: None, tmp_path: Path) -> World:
    user = get_user_model().objects.create_user("alice", password="correct horse 1")
    project = Project.objects.create(slug="demo", name="Demo")
    Membership.objects.create(project=project, user=user, role="owner")
    return views_world.build(project, user, tmp_path)


class Watched:
    """A browser page that is logged in and remembers everything that went wrong in it."""

    def __init__(self, browser: Any, live_server: Any, **options: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1360, "height": 860}, **options)
        self.page = self.context.new_page()
        self.base = live_server.url
        self.faults: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda m: self.faults.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", self.refuse)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(f"{self.base}/login/")
        self.page.fill("#id_username", "alice")
        self.page.fill("#id_password", "correct horse 1")
        self.page.click(".login button")
        self.page.wait_for_url(f"{self.base}/")

    def refuse(self, dialog: Any) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def open(self, address: str) -> Any:
        self.page.goto(f"{self.base}{address}")
        return self.page

    def outside(self) -> list[str]:
        return [url for url in self.asked if not url.startswith((self.base, "data:"))]


@pytest.fixture
def watched(browser: Any, live_server: Any, world: World) -> Iterator[Watched]:
    found = Watched(browser, live_server)
    yield found
    found.context.close()
    assert not found.faults, found.faults
    assert not found.outside()


def test_every_page_is_drawn_in_light_and_dark_without_a_fault(
    watched: Watched, world: World
) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    for address in pages(world):
        page = watched.open(address)
        assert "owned" not in page.title(), address
        assert page.evaluate("document.documentElement.scrollWidth") <= 1360, address
        page.emulate_media(color_scheme="light")
        assert page.evaluate(ground) == LIGHT, address
        page.emulate_media(color_scheme="dark")
        assert page.evaluate(ground) == DARK, address


def source_of(page: Any) -> str:
    """The text that the page holds of a trace, as code points."""
    text: str = page.evaluate(
        "[...document.querySelectorAll('.reader .model-text')]"
        ".map((e) => whittleMaths.sourceOf(e)).join('')"
    )
    return text


def trace_of(world: World, text: str) -> Trace:
    return Trace.objects.create(
        project=world.project,
        problem=world.problem,
        origin="imported",
        identity=sha(text),
        text=text,
        text_sha256=sha(text),
        char_count=len(text),
    )


def test_the_page_holds_exactly_the_stored_text(watched: Watched, world: World) -> None:
    page = watched.open(f"/p/demo/traces/{world.trace.pk}/")
    page.wait_for_selector(".maths .katex")
    assert source_of(page) == TEXT


def test_copying_over_formulas_gives_their_source(watched: Watched, world: World) -> None:
    page = watched.open(f"/p/demo/traces/{world.trace.pk}/")
    page.wait_for_selector(".maths .katex")
    page.evaluate("""() => {
        const range = document.createRange();
        range.selectNodeContents(document.querySelector('.reader'));
        getSelection().removeAllRanges(); getSelection().addRange(range);
        document.addEventListener('copy', (e) => { window.copied = e.clipboardData; });
        const data = new DataTransfer();
        const event = new ClipboardEvent('copy', { clipboardData: data, bubbles: true });
        document.querySelector('.reader').dispatchEvent(event);
        window.copied = data.getData('text/plain');
    }""")
    assert page.evaluate("window.copied") == TEXT


def test_hostile_formulas_neither_act_nor_fetch_nor_grow(watched: Watched, world: World) -> None:
    trace = trace_of(world, "\n\n".join(HOSTILE_MATHS))
    page = watched.open(f"/p/demo/traces/{trace.pk}/")
    page.wait_for_selector(".maths .katex")
    assert page.evaluate("document.querySelectorAll('.reader .model-text a').length") == 0
    assert page.evaluate("document.querySelectorAll('.reader .model-text img').length") == 0
    assert page.evaluate("document.getElementById('cookie')") is None
    assert page.locator(".maths-error").count() >= 2
    assert page.evaluate("document.querySelector('.reader').scrollHeight") < 6000
    assert source_of(page) == trace.text
    assert page.locator(".reader .maths", has_text="$5").count() == 0


def test_a_formula_of_each_kind_is_drawn(watched: Watched, world: World) -> None:
    trace = trace_of(world, r"\(a\) then \[b\] then $c$ then $$d$$ but not \\(e\\) or \$f\$")
    page = watched.open(f"/p/demo/traces/{trace.pk}/")
    page.wait_for_selector(".maths .katex")
    assert page.locator(".reader .maths .katex").count() == 4
    assert page.locator(".reader .maths-display").count() == 2


def test_a_trace_of_a_hundred_thousand_formulas_opens_at_once(
    watched: Watched, world: World
) -> None:
    trace = trace_of(world, "".join(f"$x_{{{i}}}$ " for i in range(100_000)))
    started = time.monotonic()
    page = watched.open(f"/p/demo/traces/{trace.pk}/")
    page.wait_for_selector(".maths .katex")
    assert time.monotonic() - started < 10  # a second on a free machine; tests share theirs
    drawn = page.locator(".reader .katex").count()
    assert 0 < drawn < 5000
    page.keyboard.press("n")
    page.wait_for_url("**page=2**")


def test_the_theme_is_chosen_by_hand_and_remembered(watched: Watched, world: World) -> None:
    page = watched.open("/p/demo/")
    page.click("#theme")
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == DARK


def test_keys_move_search_and_explain(watched: Watched, world: World) -> None:
    page = watched.open("/p/demo/problems/")
    page.keyboard.press("?")
    assert page.locator("#keys[open]").count() == 1
    page.keyboard.press("?")
    assert page.locator("#keys[open]").count() == 0
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.getAttribute('href')").endswith(
        f"/problems/{world.problem.pk + 1}/"
    )
    page.keyboard.press("/")
    page.keyboard.type("j?")
    assert page.input_value("input[type=search]") == "j?"
    assert page.locator("#keys[open]").count() == 0


def test_a_running_job_moves_on_by_itself_and_a_finished_one_is_left_alone(
    watched: Watched, world: World
) -> None:
    page = watched.open(f"/p/demo/jobs/{world.job.pk}/")
    assert "4 of 10" in page.inner_text("main")
    Job.objects.filter(pk=world.job.pk).update(done=9)
    page.wait_for_selector("text=9 of 10")
    Job.objects.filter(pk=world.job.pk).update(done=10, state="done")
    page.wait_for_selector("main .chip.ok")
    watched.asked.clear()
    page.wait_for_timeout(3000)
    assert not [url for url in watched.asked if "/jobs/" in url]


def test_the_health_chip_names_what_is_wrong(watched: Watched, world: World) -> None:
    page = watched.open("/p/demo/")
    page.wait_for_selector("#health.bad")
    assert "unavailable" in (page.get_attribute("#health", "title") or "")


def test_pages_work_without_javascript(browser: Any, live_server: Any, world: World) -> None:
    watched = Watched(browser, live_server, java_script_enabled=False)
    page = watched.open("/p/demo/problems/")
    page.fill("input[name=q]", "3 + 3")
    page.click("text=Filter")
    page.wait_for_url("**q=3**")
    page.locator("table.list tbody tr").first.wait_for()
    assert page.locator("table.list tbody tr").count() == 1
    page.click("table.list tbody a >> nth=0")
    page.click("table.list tbody a >> nth=0")
    assert "First $3 + 4 = 7$" in page.inner_text("main")
    watched.open("/p/demo/jobs/")
    page.select_option("select[name=kind] >> nth=1", "segment")
    page.click("text=Start >> nth=-1")
    assert Job.objects.latest("pk").kind == "segment"
    watched.context.close()
    assert not watched.faults
