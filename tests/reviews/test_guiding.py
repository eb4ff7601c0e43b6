"""Guidelines: the rule by form, how many decisions it sends back, formulas, XSS, differences."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from curation.models import Membership, Project
from reviews import guidelines
from reviews.guideline_form import RuleForm, initial_of, reach_of
from reviews.guideline_text import compared, render
from reviews.models import Guideline, QueueItem
from reviews.submission import BadReview
from tests.e2e.review_world import HOSTILE
from tests.reviews.pageform import fields_of
from tests.reviews.test_people import judge
from tests.reviews.test_queues import bob, make_queue  # noqa: F401

ADDRESS = "/p/demo/guidelines/"
RULES: list[dict[str, Any]] = [
    {},
    {"everything": True},
    {"decisions": ["sound", "give_up"], "with_cuts": False, "with_steps": True},
    {"cut_reasons": ["filler", "one of before"], "spans": ["wrong"], "queues": ["gone", "q"]},
    {"labels": ["clarity", "asked_last_year"]},
]


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.sources: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.sources += [value or "" for name, value in attrs if name == "data-source"]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def curator(project: Project, client: Client) -> Client:
    person = get_user_model().objects.create_user("cleo", password="correct horse 2")
    Membership.objects.create(project=project, user=person, role="curator")
    client.force_login(person)
    return client


@pytest.mark.django_db
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_comes_back_from_its_fields_as_it_went_in(
    project: Project, curator: Client, rule: dict[str, Any]
) -> None:
    labels = [{"name": "clarity", "type": "text"}]
    project.settings = {"review": {"labels": labels}}
    project.save()
    make_queue(project, 1)
    sent = {"action": "json", "affects": guidelines_json(rule), "text": "x"}
    fields = fields_of(curator.post(ADDRESS, sent).content.decode(), "guide-form")
    fields.pop("affects")
    published = curator.post(ADDRESS, fields | {"action": ["publish"]})
    assert published.status_code == 302
    stored = Guideline.objects.get().affects
    assert {k: set(v) if isinstance(v, list) else v for k, v in stored.items()} == {
        k: set(v) if isinstance(v, list) else v for k, v in rule.items()
    }
    assert RuleForm(project, initial=initial_of(project, rule))["everything"].initial in (
        None,
        True,
    )


def guidelines_json(rule: dict[str, Any]) -> str:
    import json

    return json.dumps(rule)


@pytest.mark.django_db
def test_the_count_is_what_publishing_sends_back(
    project: Project,
    user: Any,
    bob: Any,  # noqa: F811
    curator: Client,
) -> None:
    queue = make_queue(project, 6)
    for person, decision, cuts in (
        (user, "sound", []), (user, "sound", [{"start": 8, "end": 12, "reason": "filler"}]),
        (bob, "flawed", []), (bob, "sound", []),
    ):  # fmt: skip
        judge(queue, person, decision, cuts=cuts)
    sent = {"part": "rule", "decisions": ["sound"]}
    said = curator.post(f"{ADDRESS}preview/", sent).content.decode()
    assert "<b>3 current decisions</b> would be asked again (alice 2, bob 1)" in said
    assert (
        "; 4 current decisions made so far" in said
        and "&quot;decisions&quot;: [&quot;sound&quot;]" in said
    )
    one = curator.post(f"{ADDRESS}preview/", sent | {"with_cuts": "yes"}).content.decode()
    assert "<b>1 current decision</b> would be asked again (alice 1)" in one
    nothing = curator.post(f"{ADDRESS}preview/", {"part": "rule"}).content.decode()
    assert "No current decision would be asked again" in nothing
    reach = reach_of(project, {"decisions": ["sound"]})
    assert (reach.total, reach.of) == (3, 4) and not Guideline.objects.exists()
    done = curator.post(ADDRESS, {"text": "# A", "decisions": ["sound"], "action": "publish"})
    assert done.status_code == 302 and QueueItem.objects.filter(only_for__isnull=False).count() == 3


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ({"action": "json", "affects": "{"}, "Not JSON"),
        ({"action": "json", "affects": '{"pk__in": [1]}'}, "pk__in is not one of"),
        ({"action": "json", "affects": '{"with_cuts": "no"}'}, "with_cuts needs yes or no"),
        ({"action": "json", "affects": '{"decisions": []}'}, "needs a list with something"),
        ({"action": "publish", "decisions": ["splendid"]}, "no such decision: splendid"),
        ({"action": "publish", "text": " "}, "characters are needed"),
    ],
)
def test_what_is_wrong_is_said_and_the_text_stays(
    project: Project, curator: Client, sent: dict[str, Any], why: str
) -> None:
    answer = curator.post(ADDRESS, {"text": "# Mine & <b>", "summary": "s"} | sent)
    page = answer.content.decode()
    assert answer.status_code == 200 and why in page and not Guideline.objects.exists()
    assert "# Mine &amp; &lt;b&gt;" in page or "text" in sent
    if sent.get("affects"):
        tag = re.search(r'<textarea[^>]*id="guide-affects"[^>]*>', page)
        assert tag and 'aria-invalid="true"' in tag[0]


@pytest.mark.django_db
def test_a_rule_of_yes_and_no_refuses_words() -> None:
    for rule in ({"with_cuts": "no"}, {"spans": []}, {"everything": 1}):
        with pytest.raises(BadReview):
            guidelines.check_rule(rule)


@pytest.mark.parametrize("text", [*HOSTILE.split("\n\n"), HOSTILE])
def test_hostile_text_makes_no_element_of_its_own(text: str) -> None:
    found = Tags(render(text))
    assert not found.tags & {"script", "img", "svg", "form", "iframe", "style", "base", "meta"}
    assert found.attributes <= {"href", "rel", "class", "data-source"}
    assert not re.search(r'href="(?!https?:)', render(text))


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        (r"is $a_1*b*c_2$ so \(x\_y \{1\}\)", ["$a_1*b*c_2$", r"\(x\_y \{1\}\)"]),
        ("so\n\\[\n- a\n\n= b\n\\]\nend", ["\\[\n- a\n\n= b\n\\]"]),
        ("> $$\n> # a\n> $$\n\nend", ["$$\n# a\n$$"]),
        ('$x<img src=x onerror=alert(1)>" y="$', ['$x<img src=x onerror=alert(1)>" y="$']),
        ("costs $5 and $6", []),
        (r"costs \$5 and \$6 of \$x\$", []),
        ("`$a$`\n\n```\n$b$\n```", []),
    ],
)
def test_formulas_are_kept_whole_for_the_browser(text: str, sources: list[str]) -> None:
    found = Tags(render(text))
    assert found.sources == sources
    assert all(source in found.text for source in sources)


@pytest.mark.parametrize("bad", ["$a ", "\\(", "\n$$ a", "$$", "$$a "])
def test_delimiters_that_open_nothing_take_no_time(bad: str) -> None:
    start = time.perf_counter()
    render(bad * (60_000 // len(bad)))
    assert time.perf_counter() - start < 5


def test_a_difference_holds_both_texts() -> None:
    old = "# A\n\none two three.\n" + "x\n" * 20 + "end <b>"
    new = "# A\n\none four three!\n" + "x\n" * 20 + "end <b> more"
    found = compared(old, new)
    assert [c.text for c in found if c.kind == "removed"] == ["two", "."]
    assert [c.text for c in found if c.kind == "added"] == ["four", "!", " more"]
    rest = "x\n" * 16
    for text, kind in ((old, "removed"), (new, "added")):
        parts = [
            c.text if c.kind != "skip" else rest for c in found if c.kind in ("same", "skip", kind)
        ]
        assert "".join(parts) == text
    assert next(c.lines for c in found if c.kind == "skip") == 16
    assert [c.kind for c in compared("a " * 5000, "b " * 5000)] == ["removed", "added"]


@pytest.mark.django_db
def test_versions_are_shown_side_by_side_and_escaped(project: Project, curator: Client) -> None:
    for text in ("Say <b>yes</b> to $x$.", "Say <i>no</i> to $x$."):
        curator.post(ADDRESS, {"text": text, "action": "publish"})
    page = curator.get(f"{ADDRESS}?v=2&against=1").content.decode()
    assert "</span>i</ins>" in page and "</span>yes</del>" in page and "<i>no" not in page
    assert "From version 1 to version 2" in page
    for odd in ("v=x", "v=99999999999999", "against=7", "v=²"):
        assert curator.get(f"{ADDRESS}?{odd}").status_code == 200
    text = curator.get(ADDRESS).content.decode()
    assert 'data-source="$x$"' in text and "katex.min.js" in text and "<script src" in text
    assert not re.search(r"<(?:script|link)[^>]*katex", text)  # asked for by the first formula
