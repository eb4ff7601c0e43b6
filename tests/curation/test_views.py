"""Every page, asked for as each role; what it shows and what it refuses."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver

from curation import training
from curation.models import Job, Membership, Problem, Project
from tests.curation import views_world
from tests.curation.views_world import HOSTILE, World

pytestmark = pytest.mark.django_db
QUERY_COUNTS = Path(__file__).with_name("query_counts.json")
LISTS = ("sources", "problems", "traces", "jobs", "teachers", "recipes", "selections", "exports",
         "training", "members", "tokens", "schedules", "duplicates", "decontamination",
         "webhooks", "verifiers", "difficulty", "difficulty/tiers", "structure", "judges", "queues",
         "disputes", "notices", "guidelines", "adjudicate", "review-schema")  # fmt: skip


def member(project: Project, role: str) -> Client:
    person = get_user_model().objects.create_user(f"a-{role}", password="correct horse 2")
    Membership.objects.create(project=project, user=person, role=role)
    client = Client()
    client.force_login(person)
    return client


def pages(world: World) -> dict[str, str]:
    """Address of every page -> a text of its own that must stand on it."""
    base = f"/p/{world.project.slug}/"
    return {
        "/": world.project.name,
        base: "From source to export",
        f"{base}sources/": "numbers",
        f"{base}sources/{world.source.pk}/": "bad_json",
        f"{base}sources/{world.source.pk}/rejects/{world.reject.pk}/": "812",
        f"{base}problems/": "Problem 1: what is",
        f"{base}problems/?by=meaning&q=what": "embedded",
        f"{base}problems/{world.problem.pk}/": "teacher-7b",
        f"{base}structure/": "Structure of the traces",
        f"{base}traces/": "teacher-7b",
        f"{base}traces/{world.trace.pk}/": "after a correct answer",
        f"{base}traces/{world.derived.pk}/": f"trace {world.trace.pk}",
        f"{base}verifiers/": "math",
        f"{base}verifiers/math/": "the source’s own flags",
        f"{base}jobs/": "import",
        f"{base}jobs/{world.job.pk}/": "four rows read",
        f"{base}teachers/": "demo",
        f"{base}teachers/{world.teacher.pk}/": "refused",
        f"{base}recipes/": "sft-verified",
        f"{base}recipes/{world.recipe.pk}/": "per_problem",
        f"{base}selections/": "not_correct",
        f"{base}selections/{world.selection.pk}/": "Problem 1: what is",
        f"{base}selections/{world.selection.pk}/?excluded=not_correct": "Left out: not_correct",
        f"{base}exports/": world.export.digest[:12],
        f"{base}exports/{world.export.pk}/": "data/train.jsonl",
        f"{base}training/": "first-run",
        f"{base}training/{world.run.pk}/": "61 of 100",
        f"{base}members/": "alice",
        f"{base}tokens/": "No tokens yet",
        f"{base}schedules/": "nightly",
        f"{base}schedules/{world.schedule.pk}/": "0 3 * * *",
        f"{base}duplicates/": "copy 0.75",
        f"{base}duplicates/{world.cluster.pk}/": "copy 0.75",
        f"{base}decontamination/": "Of the exam.",
        f"{base}webhooks/": "answered 500",
        f"{base}webhooks/{world.webhook.pk}/": "msg_",
    }


def test_every_page_shows_a_row_of_the_database(owner: Client, world: World) -> None:
    for address, expected in pages(world).items():
        answer = owner.get(address)
        assert answer.status_code == 200, address
        assert expected in answer.content.decode(), address


def test_no_page_has_inline_style_script_or_handlers(owner: Client, world: World) -> None:
    base = f"/p/{world.project.slug}/"
    more = [f"{base}{name}/add/" for name in ("teachers", "recipes", "decontamination")]
    more.append(f"{base}sources/import/")
    for address in [*pages(world), *more]:
        html = owner.get(address).content.decode()
        tags = re.findall(r"<[a-zA-Z][^>]*>", html)
        assert not [t for t in tags if re.search(r"\sstyle\s*=|\son[a-z]+\s*=", t)], address
        assert not re.search(r"<style|<script(?![^>]*\ssrc=)", html), address


def test_text_of_models_is_never_markup(owner: Client, world: World) -> None:
    for address in pages(world):
        html = owner.get(address).content.decode()
        assert "<script>document" not in html, address
        assert "<img src=x" not in html, address
    html = owner.get(f"/p/{world.project.slug}/traces/{world.trace.pk}/").content.decode()
    assert "{{7*7}}{% debug %}" in html
    assert "hidden control characters" in html


def test_a_stranger_gets_the_answer_of_a_project_that_does_not_exist(world: World) -> None:
    stranger = Client()
    stranger.force_login(get_user_model().objects.create_user("mallory"))
    for address in pages(world):
        if address == "/":
            continue
        found = stranger.get(address)
        missing = stranger.get(address.replace(f"/p/{world.project.slug}/", "/p/no-such/"))
        assert found.status_code == missing.status_code == 404, address
        assert re.sub(rb'X-CSRFToken[^}]*|value="[^"]*"', b"", found.content) == re.sub(
            rb'X-CSRFToken[^}]*|value="[^"]*"', b"", missing.content
        )


def test_who_is_not_logged_in_is_sent_to_the_login(client: Client, world: World) -> None:
    for address in pages(world):
        answer = client.get(address)
        assert answer.status_code == 302 and answer["Location"].startswith("/login/"), address


def test_objects_of_another_project_do_not_exist(
    owner: Client, world: World, user: Any, tmp_path: Path
) -> None:
    other = Project.objects.create(slug="other", name="Other")
    Membership.objects.create(project=other, user=user, role="owner")
    for address in pages(world):
        if re.search(r"/\d+/", address):
            moved = address.replace("/p/demo/", "/p/other/")
            assert owner.get(moved).status_code == 404, moved


POSTS_OF_CURATORS = (
    "jobs/start/", "jobs/{job}/cancel/", "jobs/{job}/retry/", "teachers/{teacher}/probe/",
    "teachers/{teacher}/switch/", "teachers/{teacher}/generate/", "teachers/add/", "recipes/add/",
    "recipes/{recipe}/run/", "selections/{selection}/export/", "exports/{export}/train/",
    "training/{run}/cancel/", "schedules/add/", "schedules/{schedule}/switch/",
    "schedules/{schedule}/delete/", "schedules/{schedule}/", "schedules/{schedule}/run/",
    "sources/import/", "duplicates/run/", "duplicates/problems/{problem}/decide/",
    "decontamination/run/", "decontamination/add/", "decontamination/{hit}/decide/",
)  # fmt: skip
POSTS_OF_OWNERS = (
    "members/invite/", "members/{member}/role/", "members/{member}/remove/",
    "members/{member}/disable/", "members/{member}/password/", "webhooks/add/",
    "webhooks/{webhook}/edit/", "webhooks/{webhook}/switch/", "webhooks/{webhook}/key/",
    "webhooks/{webhook}/delete/", "webhooks/{webhook}/test/",
    "webhooks/{webhook}/deliveries/{delivery}/again/",
)  # fmt: skip


def posts(world: World, patterns: tuple[str, ...]) -> list[str]:
    names = ("job", "teacher", "recipe", "selection", "export", "run", "schedule", "problem", "hit",
             "webhook", "delivery")  # fmt: skip
    ids = {name: getattr(world, name).pk for name in names}
    ids["member"] = Membership.objects.filter(project=world.project)[0].pk
    return [f"/p/{world.project.slug}/{p.format(**ids)}" for p in patterns]


@pytest.mark.parametrize("role", ["viewer", "reviewer"])
def test_who_may_not_change_things_is_refused_by_the_server(world: World, role: str) -> None:
    client = member(world.project, role)
    for address in posts(world, POSTS_OF_CURATORS + POSTS_OF_OWNERS):
        assert client.post(address).status_code == 403, address
    assert Job.objects.count() == 1


def test_a_curator_may_not_manage_members(world: World) -> None:
    client = member(world.project, "curator")
    for address in posts(world, POSTS_OF_OWNERS):
        assert client.post(address).status_code == 403, address


@pytest.mark.parametrize("role", ["viewer", "reviewer"])
def test_buttons_that_change_things_are_not_offered_to_readers(world: World, role: str) -> None:
    client = member(world.project, role)
    for address in pages(world):
        html = client.get(address).content.decode()
        for target in posts(world, POSTS_OF_CURATORS + POSTS_OF_OWNERS):
            assert f'action="{target}"' not in html, (address, target)


def test_pages_that_change_things_refuse_a_get(owner: Client, world: World) -> None:
    forms = ("teachers/add/", "recipes/add/", "sources/import/", "decontamination/add/",
             f"schedules/{world.schedule.pk}/")  # fmt: skip
    for address in posts(world, POSTS_OF_CURATORS + POSTS_OF_OWNERS):
        wanted = 200 if address.endswith(forms) else 405
        assert owner.get(address).status_code == wanted, address


def routes(patterns: Any, before: str = "") -> Iterator[tuple[str, str | None]]:
    for pattern in patterns:
        if hasattr(pattern, "url_patterns"):
            yield from routes(pattern.url_patterns, before + str(pattern.pattern))
        else:
            yield before + str(pattern.pattern), pattern.name


def test_no_page_hides_another() -> None:
    pages = [
        (path, name) for path, name in routes(get_resolver().url_patterns) if "api/" not in path
    ]
    assert len(pages) > 80
    for column in zip(*pages, strict=True):
        twice = {value for value, times in Counter(column).items() if times > 1}
        assert not twice


def count_queries(client: Client, address: str) -> int:
    client.get(address)  # the first request of a session may read what later ones have
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert client.get(address).status_code == 200
    return len(queries)


def test_list_pages_make_the_checked_in_number_of_queries_however_long_they_are(
    owner: Client, world: World
) -> None:
    base = f"/p/{world.project.slug}/"
    addresses = {name: f"{base}{name}/" for name in LISTS} | {"dashboard": base, "projects": "/"}
    before = {name: count_queries(owner, a) for name, a in addresses.items()}
    more = views_world.add_problems(world.project, world.source, 100, 40)
    views_world.add_traces(more, world.teacher, 2)
    for i in range(3, 12, 3):
        views_world.add_cluster(more[i : i + 3])
        views_world.add_hit(more[i])
        views_world.add_webhook(world.project)
    after = {name: count_queries(owner, a) for name, a in addresses.items()}
    assert after == before
    if os.environ.get("WHITTLE_WRITE_QUERY_COUNTS"):
        QUERY_COUNTS.write_text(json.dumps(before, indent=1, sort_keys=True) + "\n")
    assert before == json.loads(QUERY_COUNTS.read_text())


def test_list_pages_never_read_the_text_of_a_trace(owner: Client, world: World) -> None:
    base = f"/p/{world.project.slug}/"
    addresses = [f"{base}{name}/" for name in LISTS] + [base, f"{base}problems/{world.problem.pk}/"]
    for address in addresses:
        with CaptureQueriesContext(connection) as queries:
            owner.get(address)
        for query in queries:
            assert '"curation_trace"."text",' not in query["sql"], (address, query["sql"])
            assert '"curation_trace"."text" ' not in query["sql"], (address, query["sql"])


def ids_on(client: Client, address: str) -> tuple[list[int], str]:
    html = client.get(address).content.decode()
    found = [int(n) for n in re.findall(r'<td class="num"><a href="/p/demo/\w+/(\d+)/"', html)]
    link = re.search(r'href="(\?[^"]*)" data-key="n"', html)
    return found, link.group(1).replace("&amp;", "&") if link else ""


def test_following_next_shows_each_row_once(owner: Client, world: World) -> None:
    views_world.add_problems(world.project, world.source, 100, 120)
    seen: list[int] = []
    address, page = "/p/demo/problems/", "?"
    while page:
        found, page = ids_on(owner, f"{address}{page}")
        seen += found
    assert seen == list(Problem.objects.order_by("pk").values_list("pk", flat=True))


def test_previous_leads_back_to_the_same_rows(owner: Client, world: World) -> None:
    views_world.add_problems(world.project, world.source, 100, 120)
    first, link = ids_on(owner, "/p/demo/problems/")
    html = owner.get(f"/p/demo/problems/{link}").content.decode()
    back = re.search(r'href="(\?[^"]*)" data-key="p"', html)
    assert back
    again, _ = ids_on(owner, f"/p/demo/problems/{back.group(1).replace('&amp;', '&')}")
    assert again == first


def test_a_run_that_has_yet_to_start_stands_in_the_list(owner: Client, world: World) -> None:
    run = training.create_run(project=world.project, export=world.export, config={}, name="next")
    assert "next" in owner.get("/p/demo/training/").content.decode()
    assert owner.get(f"/p/demo/training/{run.pk}/").status_code == 200


@pytest.mark.parametrize(
    "query",
    ["after=x", "after=-1", "before=99999999999999999999999", "source=abc", "verdict=maybe",
     "difficulty=__", "q=%00", "q=%27%22%3B--", "by=meaning", "after=1&before=2", "held=perhaps"],
)  # fmt: skip
def test_a_query_string_that_means_nothing_is_no_error(
    owner: Client, world: World, query: str
) -> None:
    for name in LISTS:
        assert owner.get(f"/p/demo/{name}/?{query}").status_code == 200, name


def test_problems_are_filtered_by_verdict_difficulty_and_words(owner: Client, world: World) -> None:
    def shown(query: str) -> list[int]:
        return ids_on(owner, f"/p/demo/problems/?{query}")[0]

    first, second, third = Problem.objects.order_by("pk").values_list("pk", flat=True)
    assert shown("difficulty=never") == [first]
    assert shown("difficulty=edge") == [second, third]
    assert shown("verdict=unverifiable") == [second]
    assert shown("verdict=correct") == [first, third]
    assert shown("q=3+%2B+3") == [third]
    assert shown("difficulty=ungraded") == []


def test_pages_whose_address_is_wrong_are_404(owner: Client, world: World) -> None:
    assert owner.get("/p/demo/traces/99999999/").status_code == 404
    assert owner.get("/p/demo/nothing/").status_code == 404


def test_a_hostile_rejected_row_is_shown_as_text(owner: Client, world: World) -> None:
    address = f"/p/demo/sources/{world.source.pk}/rejects/{world.reject.pk}/"
    html = owner.get(address).content.decode()
    assert "&lt;script&gt;" in html and "\\xff" in html
    assert HOSTILE[:8] not in html.split("<pre")[1]


def test_the_dashboard_of_a_small_project_is_always_fresh(owner: Client, world: World) -> None:
    assert owner.get("/p/demo/").context["counts"]["problems"] == 3
    views_world.add_problems(world.project, world.source, 100, 2)
    assert owner.get("/p/demo/").context["counts"]["problems"] == 5


def test_costly_sums_are_kept_and_say_when_they_were_taken(
    owner: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.core.cache import cache

    from curation.views import dashboard_queries

    monkeypatch.setattr(dashboard_queries, "QUICK_SECONDS", -1.0)
    monkeypatch.setattr(dashboard_queries, "KEPT_TIMES", 1e6)
    first = owner.get("/p/demo/").context["facts"]
    views_world.add_problems(world.project, world.source, 100, 2)
    again = owner.get("/p/demo/").context["facts"]
    cache.delete(f"dashboard:{world.project.pk}")
    assert again.taken_at == first.taken_at and again.funnel["problems"] == 3


def test_the_funnel_counts_what_is_in_the_tables(owner: Client, world: World) -> None:
    counts = owner.get("/p/demo/").context["counts"]
    assert counts == {
        "rows": 4,  # three occurrences and a reject
        "problems": 3,
        "traces": 6,  # the derived one is left out
        "judged": 6,
        "correct": 2,
        "segmented": 1,
        "reviewed": 1,
        "selected": 1,
        "exported": 1,
    }


def test_savings_are_those_of_the_proposals_and_of_the_accepted_cuts(
    owner: Client, world: World
) -> None:
    saved = owner.get("/p/demo/").context["savings"]
    text = views_world.TEXT
    assert saved.proposed == len(text) - text.index("Wait")
    assert (saved.before, saved.after, saved.derived) == (len(text), 100, 1)
    assert sum(b.count for b in saved.bins) == 1
