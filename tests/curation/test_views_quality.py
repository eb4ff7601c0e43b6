"""Pages of copies, benchmark overlap, webhooks and schedules: what people do on them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from curation.models import (
    Benchmark,
    BenchmarkItem,
    DuplicateChoice,
    DuplicateCluster,
    Job,
    Membership,
    OverlapDecision,
    Project,
    Schedule,
    Source,
    Webhook,
    WebhookDelivery,
)
from curation.views.pieces import differences, pieces
from tests.curation import views_world
from tests.curation.views_world import World
from workers import webhooks

pytestmark = pytest.mark.django_db
RECEIVER = "http://127.0.0.1:9/hook"


@pytest.fixture
def closed_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receivers may stand on this machine."""
    monkeypatch.setenv("WEBHOOKS_ALLOW_PRIVATE", "1")
    monkeypatch.setenv("WEBHOOK_PORTS", "9")


def marked(html: str) -> list[str]:
    return re.findall(r"<mark>(.*?)</mark>", html, re.DOTALL)


def test_words_that_differ_are_found_by_code_point() -> None:
    text = "𝑥 The old Farmer\r\nhas 12 cows."
    ranges = differences(text, "𝑥 the farmer has 13 cows")
    assert [text[a:b] for a, b in ranges] == ["old", "12", "."]
    assert "".join(piece.text for piece in pieces(text, ranges)) == text
    assert differences(text, text.upper()) == []
    assert differences("a " * 601, "b") == [], "too long to compare on a page"


def test_copies_stand_side_by_side_with_their_differing_words_marked(
    owner: Client, world: World
) -> None:
    html = owner.get("/p/demo/duplicates/").content.decode()
    assert html.count('<article class="side') == 3
    assert {"2", "3"} <= set(marked(html))
    assert "near" in html and "2 copies" in html


def test_another_problem_of_a_cluster_is_named_and_one_is_called_no_copy(
    owner: Client, world: World, user: Any
) -> None:
    first, second, third = sorted(
        [world.cluster.kept_id, *world.cluster.members.values_list("problem_id", flat=True)]
    )
    address = "/p/demo/duplicates/problems/{}/decide/?method=near"
    answer = owner.post(address.format(second), {"decision": "keep"})
    assert answer["Location"] == "/p/demo/duplicates/?method=near"
    world.cluster.refresh_from_db()
    assert world.cluster.kept_id == second
    assert {m.problem_id for m in world.cluster.members.all()} == {first, third}
    form = {"decision": "distinct", "cluster": world.cluster.pk}
    assert owner.post(address.format(third), form)["Location"].endswith(f"/{world.cluster.pk}/")
    assert owner.post(address.format(first), form)["Location"].endswith("/duplicates/?method=near")
    assert not DuplicateCluster.objects.exists()
    said = DuplicateChoice.objects.order_by("pk").values_list("problem_id", "decision", "user")
    assert list(said) == [
        (second, "keep", user.pk), (third, "distinct", user.pk), (first, "distinct", user.pk)
    ]  # fmt: skip
    assert owner.post(address.format(first), {"decision": "erase"}).status_code == 400


def test_looking_for_copies_is_a_job_with_the_forms_values(owner: Client, world: World) -> None:
    owner.post("/p/demo/duplicates/run/", {"method": "near", "threshold": "0.7"})
    owner.post("/p/demo/duplicates/run/", {"method": "exact", "threshold": ""})
    jobs = Job.objects.filter(kind="dedup").order_by("pk").values_list("params", flat=True)
    assert list(jobs) == [{"method": "near", "threshold": 0.7}, {"method": "exact"}]
    for form in ({"method": "magic"}, {"method": "near", "threshold": "7"}):
        answer = owner.post("/p/demo/duplicates/run/", form)
        assert answer.status_code == 400 and "errorlist" in answer.content.decode()


def test_shared_words_are_marked_in_problem_and_item(owner: Client, world: World) -> None:
    html = owner.get("/p/demo/decontamination/").content.decode()
    problem, item = marked(html)
    assert problem == item and problem.startswith("Problem 1: what is 1 + 1")
    assert "Of the exam. " in html and "8-gram 0.88" in html


def test_what_was_decided_leaves_the_open_list_and_can_be_decided_again(
    owner: Client, world: World
) -> None:
    address = f"/p/demo/decontamination/{world.hit.pk}/decide/"
    for decision in ("contaminated", "clear"):
        owner.post(address, {"decision": decision})
        assert not marked(owner.get("/p/demo/decontamination/").content.decode())
        found = owner.get(f"/p/demo/decontamination/?decision={decision}").content.decode()
        assert marked(found)
    assert OverlapDecision.objects.count() == 2
    assert not marked(owner.get("/p/demo/decontamination/?decision=contaminated").content.decode())
    assert owner.post(address, {"decision": "?"}).status_code == 400


def test_a_benchmark_is_made_from_texts_or_from_a_source_and_compared_at_once(
    owner: Client, world: World
) -> None:
    form = {"name": "mine", "texts": "What is 2 + 2?\n\nWhat is 3 + 3?\n"}
    owner.post("/p/demo/decontamination/add/", form)
    owner.post("/p/demo/decontamination/add/", {"name": "all", "source": world.source.pk})
    sizes = {b.name: b.items.count() for b in Benchmark.objects.all()}
    assert sizes == {"exam": 1, "mine": 2, "all": 3}
    asked = Job.objects.filter(kind="decontaminate").order_by("pk")
    assert [job.params["benchmark"] for job in asked] == ["mine", "all"]


@pytest.mark.parametrize(
    "changed", [{}, {"texts": "a\nb", "source": "1"}, {"name": "exam", "texts": "a"},
                {"source": "999999", "texts": ""}],
)  # fmt: skip
def test_a_benchmark_that_cannot_be_right_is_refused(
    owner: Client, world: World, changed: dict[str, str]
) -> None:
    form = {"name": "new"} | changed
    if form.get("source") == "1":
        form["source"] = str(world.source.pk)
    assert "errorlist" in owner.post("/p/demo/decontamination/add/", form).content.decode()
    assert (Benchmark.objects.count(), BenchmarkItem.objects.count()) == (1, 1)


def test_a_source_of_a_project_one_may_not_see_is_no_benchmark(owner: Client, world: World) -> None:
    hidden = Project.objects.create(slug="hidden", name="Hidden")
    source = Source.objects.create(project=hidden, name="secret")
    assert "secret" not in owner.get("/p/demo/decontamination/add/").content.decode()
    owner.post("/p/demo/decontamination/add/", {"name": "x", "source": source.pk})
    assert Benchmark.objects.count() == 1


@pytest.mark.usefixtures("closed_network")
def test_a_webhooks_key_is_shown_once_and_drawn_again(owner: Client, world: World) -> None:
    form = {"url": RECEIVER, "events": ["job.failed"]}
    html = owner.post("/p/demo/webhooks/add/", form)
    made = Webhook.objects.latest("pk")
    assert made.events == ["job.failed"] and made.secret.startswith("whsec_")
    assert len(webhooks.key_of(made.secret)) == 24
    assert made.secret in html.content.decode() and html["Cache-Control"] == "no-store"
    for address in ("webhooks/", f"webhooks/{made.pk}/"):
        assert made.secret not in owner.get(f"/p/demo/{address}").content.decode()
    again = owner.post(f"/p/demo/webhooks/{made.pk}/key/").content.decode()
    assert made.secret not in again
    made.refresh_from_db()
    assert made.secret in again


@pytest.mark.parametrize("url", ["http://127.0.0.1/x", "ftp://a.invalid/x", "https://u:p@h/x"])
def test_an_address_that_would_not_be_called_is_refused(
    owner: Client, world: World, url: str
) -> None:
    assert "errorlist" in owner.post("/p/demo/webhooks/add/", {"url": url}).content.decode()
    edit = f"/p/demo/webhooks/{world.webhook.pk}/edit/"
    assert "errorlist" in owner.post(edit, {"url": url}).content.decode()
    assert Webhook.objects.get().url == world.webhook.url


@pytest.mark.usefixtures("closed_network")
def test_a_webhook_is_changed_switched_off_and_deleted(owner: Client, world: World) -> None:
    base = f"/p/demo/webhooks/{world.webhook.pk}/"
    owner.post(f"{base}edit/", {"url": RECEIVER, "events": ["job.done", "job.failed"]})
    owner.post(f"{base}switch/")
    hook = Webhook.objects.get()
    assert (hook.url, hook.events, hook.enabled) == (RECEIVER, ["job.done", "job.failed"], False)
    assert ">held<" in owner.get(base).content.decode()
    owner.post(f"{base}switch/")
    assert Webhook.objects.get().enabled
    owner.post(f"{base}delete/")
    assert not Webhook.objects.exists() and owner.get(base).status_code == 404


def test_a_test_is_sent_like_any_delivery_and_its_failure_shows(
    owner: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "post", lambda row: 1 / 0)
    base = f"/p/demo/webhooks/{world.webhook.pk}/"
    owner.post(f"{base}test/")
    row = WebhookDelivery.objects.latest("pk")
    assert (row.event, row.attempts) == ("test", 0)
    assert "every 2s" in owner.get(base).content.decode()
    webhooks.deliver_due(limit=1)
    html = owner.get(base, headers={"HX-Request": "true"}).content.decode()
    assert "ZeroDivisionError" in html and "<h1" not in html
    owner.post(f"{base}deliveries/{world.delivery.pk}/again/")
    world.delivery.refresh_from_db()
    assert (world.delivery.attempts, world.delivery.last_status) == (0, None)


def test_a_delivery_of_another_webhook_is_not_found(owner: Client, world: World) -> None:
    other, _ = views_world.add_webhook(world.project)
    address = f"/p/demo/webhooks/{other.pk}/deliveries/{world.delivery.pk}/again/"
    assert owner.post(address).status_code == 404


@pytest.mark.parametrize("role", ["viewer", "reviewer", "curator"])
def test_webhooks_are_for_owners_and_others_are_not_led_there(world: World, role: str) -> None:
    person = get_user_model().objects.create_user("bob")
    Membership.objects.create(project=world.project, user=person, role=role)
    client = Client()
    client.force_login(person)
    assert client.get("/p/demo/webhooks/").status_code == 403
    assert client.get(f"/p/demo/webhooks/{world.webhook.pk}/").status_code == 403
    assert "/p/demo/webhooks/" not in client.get("/p/demo/").content.decode()


def test_a_schedule_is_changed_and_run_now(owner: Client, world: World) -> None:
    base = f"/p/demo/schedules/{world.schedule.pk}/"
    form = {"name": "hourly", "cron": "5 * * * *", "kind": "verify", "params": "{}"}
    assert owner.post(base, form)["Location"] == base
    assert "hourly" in owner.get(base).content.decode()
    assert re.search(r"next \d{4}-\d\d-\d\d \d\d:05 UTC", owner.get(base).content.decode())
    owner.post(f"{base}run/")
    assert Job.objects.latest("pk").kind == "verify"
    assert "errorlist" in owner.post(base, form | {"cron": "x"}).content.decode()
    world.schedule.refresh_from_db()
    assert world.schedule.cron == "5 * * * *"


def test_only_an_owner_schedules_work_on_paths_of_the_server(
    world: World, owner: Client, settings: Any, tmp_path: Path
) -> None:
    settings.IMPORT_ROOTS = [tmp_path]
    person = get_user_model().objects.create_user("cur")
    Membership.objects.create(project=world.project, user=person, role="curator")
    curator = Client()
    curator.force_login(person)
    form = {"name": "in", "cron": "0 1 * * *", "kind": "import", "params": ""}
    form["params"] = json.dumps({"path": str(tmp_path)})
    for address in ("add/", f"{world.schedule.pk}/"):
        answer = curator.post(f"/p/demo/schedules/{address}", form)
        assert "Only an owner" in answer.content.decode()
    assert Schedule.objects.get().kind == "export"
    owner.post("/p/demo/schedules/add/", form)
    assert Schedule.objects.get(name="in").params == {"path": str(tmp_path)}
    owner_made = Schedule.objects.get(name="in").pk
    assert (
        "Only an owner" in curator.post(f"/p/demo/schedules/{owner_made}/", form).content.decode()
    )
