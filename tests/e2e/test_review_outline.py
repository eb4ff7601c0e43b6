"""The outline of a trace with many attempts: groups that follow the reader, by keys alone too."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.review_world import SLUG
from tests.e2e.reviewing import AXE, READY, SERIOUS, opened, press, taken
from tests.e2e.site import Site

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
BUILD = """
import json
from curation.models import Problem, Trace
from curation.segments import store_segmentation
from curation.traces import text_fields
from reviews.models import Queue, QueueItem
ways = [f"Alternatively, I can count on from {i}: {i} + {12 - i} = 12, one step and another. "
        f"So the answer is {12 if i % 3 else 13}." for i in range(50)]
text = "<think>\\nI need the sum.\\n\\n" + "\\n\\n".join(ways) + "\\n</think>\\n\\n\\\\boxed{12}"
problem = Problem.objects.get(project__slug="SLUG", text_sha256="p")
trace, made = Trace.objects.get_or_create(
    project=problem.project, problem=problem, source=problem.source, origin="imported",
    identity="ways", defaults=text_fields(text))
if made:
    store_segmentation(trace, "12")
queue, _ = Queue.objects.get_or_create(
    project=problem.project, name="ways", hide=["verdict"])
QueueItem.objects.get_or_create(queue=queue, trace=trace, position=0)
print(json.dumps([trace.pk, queue.pk]))
"""
OPEN = "[...document.querySelectorAll('#parts details')].map((d) => d.open)"
IN_VIEW = """() => {
  const link = document.querySelector('#parts a.on').getBoundingClientRect();
  const list = document.getElementById('parts').getBoundingClientRect();
  return link.height > 0 && link.top >= list.top - 1 && link.bottom <= list.bottom + 1;
}"""
SCROLL = "() => { const t = document.getElementById('text'); t.scrollTop = t.scrollHeight / 2; }"


@pytest.fixture(scope="module")
def ways(site: Site, world: dict[str, Any]) -> list[int]:
    """A trace of about fifty attempts and checks, and a queue that hides verdicts with it."""
    said = site.manage("shell", "-v", "0", "-c", BUILD.replace("SLUG", SLUG))
    return list(json.loads(said.splitlines()[-1]))


def test_the_group_of_the_present_part_is_open_and_in_view_as_one_reads(
    entered: Any, site: Site, ways: list[int]
) -> None:
    with opened(entered("cleo"), site, f"read/{ways[0]}/") as page:
        page.wait_for_selector(READY)
        groups = page.locator("#parts details")
        assert groups.count() == 3
        assert page.evaluate(OPEN) == [True, False, False]
        press(page, "G")
        page.locator("#parts details:nth-child(3) a.on").wait_for()
        assert page.evaluate(OPEN) == [False, False, True] and page.evaluate(IN_VIEW)
        assert page.locator("#parts a[aria-current]").count() == 1
        page.evaluate(SCROLL)  # reading on without a key
        page.locator("#parts details:nth-child(2) a.on").wait_for()
        assert page.evaluate(OPEN) == [False, True, False] and page.evaluate(IN_VIEW)
        page.evaluate(AXE.read_text())
        assert not page.evaluate(SERIOUS, "#parts")


def test_a_group_opens_by_keys_stays_open_and_its_parts_lead_into_the_text(
    entered: Any, site: Site, ways: list[int]
) -> None:
    with opened(entered("cleo"), site, f"read/{ways[0]}/") as page:
        page.wait_for_selector(READY)
        page.focus("#parts details:nth-child(3) summary")
        press(page, "Enter")
        page.locator("#parts details:nth-child(3) a").first.wait_for()
        press(page, "Tab")
        link = page.evaluate("document.activeElement.hash")
        press(page, "Enter")
        page.locator("#parts details:nth-child(3) a.on").wait_for()
        assert page.locator(".seg.now").get_attribute("id") == link[1:]
        press(page, "Home")
        page.locator("#parts details:nth-child(1) a.on").wait_for()
        assert page.evaluate(OPEN)[0] is True
        for _ in range(2):
            press(page, "J")
        page.locator("#parts a.on", has_text="Check 1").wait_for()
        assert page.inner_text("#where-part") == "Check 1"


def test_how_attempts_end_is_told_after_the_first_judgement_only(
    entered: Any, site: Site, ways: list[int]
) -> None:
    with taken(entered("ben"), site, ways[1]) as page:
        page.wait_for_selector(READY)
        assert page.locator("#parts b").count() == 0
        assert page.locator("#parts li").count() > 40
        press(page, "f")
        page.locator("#parts b.ok").first.wait_for()
        shown = page.evaluate(
            "() => [...document.querySelectorAll('#parts li')].map((li) =>"
            " [...li.querySelectorAll('b')].map((b) => b.textContent).join())"
        )
        page.reload()  # what the server says of the same parts
        page.wait_for_selector(READY)
        page.locator("#parts b.ok").first.wait_for()
        again = page.evaluate(
            "() => [...document.querySelectorAll('#parts li')].map((li) =>"
            " [...li.querySelectorAll('b')].map((b) => b.textContent).join())"
        )
        assert shown == again
        assert sum("that matches" in words for words in shown) > 20
        assert sum("does not match" in words for words in shown) > 10
