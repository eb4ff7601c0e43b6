"""Every page shows something true, and one journey goes through all of it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.site import Site

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

LISTS = {
    "sources/": "demo problems",
    "problems/": "table.list tbody tr",
    "traces/": "demo-teacher",
    "queues/": "Overlong but correct",
    "recipes/": "sft-verified",
    "selections/": "sft-verified",
    "exports/": "trl_sft",
    "jobs/": "generate",
    "teachers/": "demo-teacher",
    "members/": "owner",
    "tokens/": "command line",
    "training/": "first student",
    "schedules/": "nightly",
    "duplicates/": "in the end?",
    "decontamination/": "demo exam",
}


def test_every_list_page_shows_a_row_of_the_database(page: Any, demo: Site) -> None:
    for path, expected in LISTS.items():
        answer = page.goto(f"{demo.url}/p/demo/{path}")
        assert answer.status == 200, path
        if expected.startswith("table"):
            assert page.query_selector(expected), path
        else:
            assert expected in page.inner_text("main"), (path, page.inner_text("main")[:400])


def test_detail_pages_open_from_their_lists(page: Any, demo: Site) -> None:
    for path in ("sources/", "problems/", "traces/", "recipes/", "selections/", "exports/", "jobs/",
                 "teachers/"):  # fmt: skip
        page.goto(f"{demo.url}/p/demo/{path}")
        link = page.locator("main table.list tbody a").first
        link.click()
        page.wait_for_load_state()
        assert page.title() and "404" not in page.title(), path
        assert page.locator("h1").count() == 1, (path, page.url)


def test_the_dashboard_draws_the_funnel(page: Any, demo: Site) -> None:
    page.goto(f"{demo.url}/p/demo/")
    assert page.locator("svg.chart").count() >= 2
    assert "96" in page.inner_text("main")  # 24 problems x 4 traces


def test_the_review_screen_by_keyboard(page: Any, demo: Site) -> None:
    page.goto(f"{demo.url}/p/demo/queues/")
    page.locator("main").get_by_role("button", name="Review", exact=True).first.click()
    page.wait_for_selector("#review[data-ready]")
    first = page.url
    shown = page.evaluate(
        "[...document.querySelectorAll('.seg .model-text')]"
        ".map(e => window.whittleMaths.sourceOf(e)).join('')"
    )
    total = page.evaluate("JSON.parse(document.getElementById('state').textContent).chars")
    assert len(shown) == total
    for key in ("n", "a", "j", "1", "u", "s"):
        page.keyboard.press(key)
    page.locator("#saved", has_text=re.compile("^saved$")).wait_for()
    page.locator("#after", has_text=re.compile("^correct$")).wait_for()
    # What was done is on the server: a new page, not a reload, shows it.
    other = page.context.new_page()
    other.goto(first)
    other.wait_for_selector("#review[data-ready]")
    assert other.get_attribute("[data-decision=sound]", "aria-checked") == "true"
    assert other.locator(".seg.cut").count() >= 1
    other.close()
    page.keyboard.press("Control+Enter")
    page.wait_for_url(lambda url: url != first)
    with demo.api(demo.token()) as client:
        reviews = client.get("reviews/", params={"project": "demo"}).json()["results"]
        assert reviews[0]["decision"] == "sound" and reviews[0]["cuts"]
        jobs = demo.wait_for_jobs(client, "demo")
        assert jobs[0]["kind"] == "segment" and jobs[0]["state"] == "done"
        trace = reviews[0]["trace"]
        problem = client.get(f"traces/{trace}/").json()["problem"]
        found = client.get("traces/", params={"problem": problem, "origin": "derived"}).json()
        derived = found["results"][0]
        verdicts = client.get("verdicts/", params={"trace": derived["id"]}).json()["results"]
        assert derived["parent"] == trace and verdicts[0]["verdict"] == "correct"


def made_file(folder: Path) -> Path:
    """Twelve chain sums of our own."""
    sums = [(a, a + 3, 2 * a + 5) for a in range(11, 23)]
    lines = [
        json.dumps({"problem": f"What is {a} + {b} + {c}?", "answer": str(a + b + c)})
        for a, b, c in sums
    ]
    path = folder / "sums.jsonl"
    path.write_text("\n".join([*lines, "{not json"]) + "\n")
    return path


class Journey:
    """One person at one browser, with a token beside it to see what became of the clicks."""

    def __init__(self, page: Any, demo: Site, client: httpx.Client) -> None:
        self.page, self.demo, self.client = page, demo, client
        self.base = f"{demo.url}/p/demo"

    def settled(self, kind: str) -> dict[str, Any]:
        """The newest job of this kind, which must have ended well."""
        jobs = self.demo.wait_for_jobs(self.client, "demo")
        job = next(j for j in jobs if j["kind"] == kind)
        assert job["state"] == "done", job
        return dict(job)

    def imports(self, file: Path) -> None:
        """A file with one bad line, which stays visible."""
        page = self.page
        page.goto(f"{self.base}/sources/import/")
        page.fill("[name=name]", "my sums")
        page.set_input_files("[name=file]", str(file))
        page.click("[name=at_once]")
        counts = self.settled("import")["counts"]
        assert (counts["rows"], counts["accepted"], counts["rejected"]) == (13, 12, 1)
        page.goto(f"{self.base}/sources/")
        page.click("text=my sums")
        assert "13" in page.inner_text("main")

    def generates(self) -> None:
        page = self.page
        page.goto(f"{self.base}/teachers/")
        page.locator("main table.list").get_by_role("link", name="demo-teacher", exact=True).click()
        page.fill("[name=n]", "3")
        page.select_option("[name=source]", "my sums")
        page.fill("[name=max_tokens]", "400")
        page.click("text=Generate what is missing")
        generated = self.settled("generate")["counts"]
        assert generated["generated"] + generated["truncated"] >= 30

    def starts(self, kind: str) -> None:
        self.page.goto(f"{self.base}/jobs/")
        form = self.page.locator("form[action$='/jobs/start/']")
        form.locator("[name=kind]").select_option(kind)
        form.locator("button").click()
        self.settled(kind)

    def selects_and_exports(self) -> None:
        page = self.page
        page.goto(f"{self.base}/recipes/")
        page.click("text=sft-verified")
        page.click("form[action$='/run/'] button")
        selection = self.settled("select")["counts"]["selection"]
        page.goto(f"{self.base}/selections/{selection}/")
        page.select_option("[name=format]", "trl_sft_completion")
        page.click("main .btn.go")
        export = self.settled("export")["counts"]["export"]
        folder = next(self.demo.home.glob(f"exports/**/{export}"))
        assert json.loads(self.demo.manage("verify_export", str(folder)))["ok"]

    def trains(self) -> None:
        """A few steps."""
        page = self.page
        page.goto(f"{self.base}/exports/")
        page.click("main table.list tbody a")
        page.fill("form [name=name]", "journey")
        page.fill("form [name=base_model]", "demo-teacher")
        held_back = {"generator": "demo", "n": 12, "seed": 1}
        page.fill("form [name=config]", json.dumps({"max_steps": 4, "held_back": held_back}))
        page.click("text=Queue run")
        run = trained(self.client)
        assert run["state"] == "done", run
        page.goto(f"{self.base}/training/{run['id']}/")
        words = page.inner_text("main")
        assert "done" in words and page.locator("svg.chart").count() >= 1
        assert "student" in words and "start" in words


def test_a_journey_from_import_to_training(page: Any, demo: Site, tmp_path: Path) -> None:
    with demo.api(demo.token()) as client:
        journey = Journey(page, demo, client)
        journey.imports(made_file(tmp_path))
        journey.generates()
        for kind in ("verify", "segment"):
            journey.starts(kind)
        journey.selects_and_exports()
        journey.trains()


def trained(client: httpx.Client, seconds: float = 240) -> dict[str, Any]:
    """The newest run, once the trainer of this copy has taken it and is through with it."""
    deadline = time.monotonic() + seconds
    while True:
        run = client.get("training-runs/", params={"project": "demo"}).json()["results"][0]
        if run["state"] not in {"queued", "running"} or time.monotonic() > deadline:
            return dict(run)
        time.sleep(1)
