"""REST of copies, benchmark overlap, webhook deliveries and the agreement of verdicts."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from curation.api import findings
from curation.models import Membership, Project, Trace, Verdict, WebhookDelivery
from tests.curation import views_world
from tests.curation.test_api import client_of

pytestmark = pytest.mark.django_db
JSON = "application/json"
RESOURCES = ("duplicate-clusters", "benchmark-hits", "webhook-deliveries")


@pytest.fixture
def api(user: Any) -> Client:
    return client_of(user)


def member(project: Project, role: str) -> Client:
    person = get_user_model().objects.create_user(role, password="correct horse 9")
    Membership.objects.create(project=project, user=person, role=role)
    return client_of(person)


def rows_of(client: Client, address: str) -> list[Any]:
    answer = client.get(f"/api/v1/{address}")
    assert answer.status_code == 200, answer.content
    return list(answer.json()["results"])


@pytest.mark.parametrize("name", RESOURCES)
def test_each_resource_is_closed_to_strangers_and_open_to_owners(
    name: str, world: views_world.World, api: Client, client: Client
) -> None:
    (row,) = rows_of(api, f"{name}/")
    stranger = client_of(get_user_model().objects.create_user("x", password="correct horse 9"))
    assert client.get(f"/api/v1/{name}/").status_code == 401
    assert rows_of(stranger, f"{name}/") == []
    assert api.get(f"/api/v1/{name}/{row['id']}/").json() == row
    assert stranger.get(f"/api/v1/{name}/{row['id']}/").status_code == 404
    assert f"/api/v1/{name}/" in api.get("/api/schema/?format=json").json()["paths"]


def test_webhooks_and_deliveries_are_the_owners_alone(
    world: views_world.World, api: Client
) -> None:
    curator = member(world.project, "curator")
    for name in ("webhooks/", "webhook-deliveries/"):
        assert rows_of(curator, name) == []
        assert rows_of(api, name)
    address = f"/api/v1/webhook-deliveries/{world.delivery.pk}/again/"
    assert curator.post(address).status_code == 404
    answer = api.post(address)
    assert (answer.status_code, answer.json()["attempts"]) == (202, 0)
    again = WebhookDelivery.objects.get(pk=world.delivery.pk)
    assert again.delivered_at is None


def test_a_cluster_lists_its_copies_and_takes_decisions_of_curators(
    world: views_world.World, api: Client
) -> None:
    kept, copy = world.cluster.kept_id, world.cluster.members.all()[0].problem_id
    (row,) = rows_of(api, f"duplicate-clusters/?method=near&problem={copy}")
    assert (row["kept"], len(row["members"])) == (kept, 2)
    assert row["members"][0] == {"problem": copy, "score": 0.75}
    assert rows_of(api, "duplicate-clusters/?method=exact") == []
    address = f"/api/v1/duplicate-clusters/{row['id']}/decide/"
    asked = {"problem": copy, "decision": "keep"}
    assert member(world.project, "reviewer").post(address, asked, JSON).status_code == 403
    assert api.post(address, asked | {"problem": 10**9}, JSON).status_code == 400
    assert api.post(address, asked | {"decision": "drop"}, JSON).status_code == 400
    assert api.post(address, asked, JSON).json() == {"changed": 1}
    assert rows_of(api, "duplicate-clusters/")[0]["kept"] == copy


def test_a_large_cluster_is_cut_short_and_says_its_size(
    world: views_world.World, api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "MOST_MEMBERS", 1)
    (row,) = rows_of(api, "duplicate-clusters/?method=near")
    assert (row["size"], len(row["members"])) == (2, 1)


def test_a_hit_shows_the_newest_decision(world: views_world.World, api: Client) -> None:
    (row,) = rows_of(api, "benchmark-hits/?benchmark=exam")
    assert (row["problem"], row["decision"], row["score"]) == (world.problem.pk, None, 0.875)
    assert rows_of(api, "benchmark-hits/?benchmark=other") == []
    address = f"/api/v1/benchmark-hits/{row['id']}/decide/"
    assert (
        member(world.project, "viewer").post(address, {"decision": "clear"}, JSON).status_code
        == 403
    )
    assert api.post(address, {"decision": "maybe"}, JSON).status_code == 400
    for said in ("contaminated", "clear"):
        assert api.post(address, {"decision": said}, JSON).json()["decision"] == said
    assert rows_of(api, "benchmark-hits/")[0]["decision"] == "clear"


def test_a_verifier_is_compared_and_its_disagreements_are_listed(
    world: views_world.World, api: Client
) -> None:
    trace = Trace.objects.filter(verdicts__verdict="incorrect").order_by("pk")[0]
    Verdict.objects.create(trace=trace, verifier="exact", version="1", reference_sha256="x",
                           verdict="correct", extracted="12")  # fmt: skip
    address = "agreement/?project=demo&verifier=exact"
    found = {row["voice"]: row for row in rows_of(api, address)}
    assert found["math 1"]["more"] == found["source"]["same"] == 1
    (row,) = rows_of(api, f"{address}&voice=math 1&way=more")
    assert (row["trace"], row["verdict"], row["extracted"]) == (trace.pk, "correct", "12")
    assert rows_of(api, f"{address}&voice=math 1&way=less") == []
    assert rows_of(api, f"{address}&voice=math 1&way=more&after={row['id']}") == []
    assert rows_of(api, "agreement/?project=demo&verifier=none") == []
    for bad in ("way=sideways", "after=-1", "after=x"):
        assert api.get(f"/api/v1/{address}&voice=source&{bad}").status_code == 400
    stranger = client_of(get_user_model().objects.create_user("x", password="correct horse 9"))
    assert stranger.get(f"/api/v1/{address}").status_code == 404
