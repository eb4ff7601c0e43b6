"""The REST API: who may see what, scopes, idempotency, bad input, the trainer's conversation."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from curation import tokens
from curation.models import Job, Membership, Project, Webhook
from tests.curation import views_world

pytestmark = pytest.mark.django_db

RESOURCES = (
    "projects", "sources", "problems", "benchmarks", "teachers", "traces", "verdicts",
    "difficulties", "segments", "queues", "assignments", "reviews", "recipes", "selections",
    "exports", "training-runs", "jobs", "schedules", "webhooks",
)  # fmt: skip


def client_of(user: Any, *scopes: str, project: Project | None = None) -> Client:
    _, secret = tokens.create_token(
        user=user, scopes=list(scopes or tokens.SCOPES), project=project
    )
    return Client(headers={"authorization": f"Bearer {secret}"})


def post(client: Client, path: str, data: Any, **headers: str) -> Any:
    return client.post(f"/api/v1/{path}", data, content_type="application/json", headers=headers)


@pytest.fixture
def api(user: Any, project: Project) -> Client:
    return client_of(user)


@pytest.fixture
def stranger(db: None) -> Any:
    return get_user_model().objects.create_user("mallory", password="correct horse 9")


@pytest.mark.parametrize("name", RESOURCES)
def test_every_resource_needs_a_token(name: str, client: Client) -> None:
    assert client.get(f"/api/v1/{name}/").status_code == 401


@pytest.mark.parametrize("name", RESOURCES)
def test_a_stranger_sees_an_empty_list_and_an_owner_sees_rows(
    name: str, project: Project, user: Any, stranger: Any, tmp_path: Any
) -> None:
    world = views_world.build(project, user, tmp_path)
    assert world is not None
    assert client_of(stranger).get(f"/api/v1/{name}/").json()["results"] == []
    mine = client_of(user).get(f"/api/v1/{name}/")
    assert mine.status_code == 200
    for row in mine.json()["results"][:1]:
        key = row.get("slug") if name == "projects" else row["id"]
        assert client_of(user).get(f"/api/v1/{name}/{key}/").status_code == 200
        assert client_of(stranger).get(f"/api/v1/{name}/{key}/").status_code == 404


def test_a_token_narrowed_to_one_project_sees_no_other(user: Any, project: Project) -> None:
    other = Project.objects.create(slug="other", name="Other")
    Membership.objects.create(project=other, user=user, role="owner")
    narrowed = client_of(user, "read", project=other)
    slugs = [p["slug"] for p in narrowed.get("/api/v1/projects/").json()["results"]]
    assert slugs == ["other"]


def test_scopes_are_needed_to_write(user: Any, project: Project) -> None:
    reader = client_of(user, "read")
    body = {"project": "demo", "kind": "verify"}
    assert post(reader, "jobs/", body).status_code == 403
    assert post(client_of(user, "jobs"), "jobs/", body).status_code == 202


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("reviewer", 403), ("curator", 202)])
def test_roles_decide_who_starts_work(
    project: Project, stranger: Any, role: str, status: int
) -> None:
    Membership.objects.create(project=project, user=stranger, role=role)
    answer = post(client_of(stranger), "jobs/", {"project": "demo", "kind": "verify"})
    assert answer.status_code == status


def test_only_an_owner_names_paths_of_the_server(project: Project, stranger: Any) -> None:
    Membership.objects.create(project=project, user=stranger, role="curator")
    params = {"path": "/etc/passwd", "name": "x"}
    body = {"project": "demo", "kind": "import", "params": params}
    assert post(client_of(stranger), "jobs/", body).status_code == 403
    assert not Job.objects.exists()


def test_the_same_idempotency_key_makes_one_job(api: Client) -> None:
    body = {"project": "demo", "kind": "verify", "params": {"source": "a"}}
    first = post(api, "jobs/", body, **{"idempotency-key": "k1"})
    again = post(api, "jobs/", body, **{"idempotency-key": "k1"})
    assert first.json()["id"] == again.json()["id"]
    assert Job.objects.count() == 1
    other = post(api, "jobs/", body | {"params": {}}, **{"idempotency-key": "k1"})
    assert other.status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"[]", b'"x"', b"null", b'{"project": "demo"}',
        b'{"project": "demo", "kind": "rm"}',
        b'{"project": "demo", "kind": "verify", "params": 3}',
        b'{"project": "demo", "kind": "verify", "params": {"a": "\\u0000"}}',
        b'{"project": "demo", "kind": "verify", "params": {"a": NaN}}',
        b'{"project": "demo", "kind": "verify", "params": {"a": "\\ud800"}}',
        b'{"project": 7, "kind": "verify"}', b"\xff\xfe",
    ],
)  # fmt: skip
def test_a_bad_body_is_a_400_or_404_and_makes_no_job(api: Client, body: bytes) -> None:
    answer = api.post("/api/v1/jobs/", body, content_type="application/json")
    assert answer.status_code in {400, 404}, answer.content
    assert not Job.objects.exists()


def test_a_queued_job_can_be_cancelled_and_retried(api: Client) -> None:
    made = post(api, "jobs/", {"project": "demo", "kind": "verify"}).json()
    assert post(api, f"jobs/{made['id']}/cancel/", {}).json()["state"] == "cancelled"
    again = post(api, f"jobs/{made['id']}/retry/", {}).json()
    assert again["retry_of"] == made["id"] and again["state"] == "queued"


def test_a_bad_cron_line_is_refused(api: Client) -> None:
    body = {"project": "demo", "name": "n", "cron": "every day", "kind": "verify"}
    assert post(api, "schedules/", body).status_code == 400
    assert post(api, "schedules/", body | {"cron": "0 3 * * *"}).status_code == 201
    assert post(api, "schedules/", body | {"cron": "0 3 * * *"}).status_code == 400  # name taken


PATHS = [{"path": "/etc/passwd"}, {"then": [{"kind": "export", "params": {"out": "/tmp/x"}}]}]


@pytest.mark.parametrize("params", PATHS)
def test_only_owners_name_paths_of_the_server(
    api: Client, project: Project, stranger: Any, params: dict[str, Any]
) -> None:
    Membership.objects.create(project=project, user=stranger, role="curator")
    curator, work = client_of(stranger), {"project": "demo", "kind": "verify", "params": params}
    schedule = work | {"name": "n", "cron": "0 3 * * *"}
    assert post(curator, "jobs/", work).status_code == 403
    assert post(curator, "schedules/", schedule).status_code == 403
    made = post(api, "schedules/", schedule | {"params": {}}).json()["id"]
    change = curator.patch(
        f"/api/v1/schedules/{made}/", {"params": params}, content_type="application/json"
    )
    assert change.status_code == 403
    # Nor does an owner name one outside of the folders that are meant for it.
    assert post(api, "schedules/", schedule | {"name": "m"}).status_code == 403
    assert post(api, "jobs/", work).status_code == 403


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/x", "http://[::1]/", "http://169.254.169.254/latest", "http://10.0.0.1/",
     "file:///etc/passwd", "http://user@hooks.invalid/", "http://2130706433/"],
)  # fmt: skip
def test_a_webhook_to_a_private_address_is_refused(api: Client, url: str) -> None:
    body = {"project": "demo", "url": url, "secret": "s", "events": []}
    assert post(api, "webhooks/", body).status_code == 400
    hook = Webhook.objects.create(
        project=Project.objects.get(slug="demo"), url="https://hooks.invalid/", secret="s"
    )
    change = api.patch(
        f"/api/v1/webhooks/{hook.pk}/", {"url": url}, content_type="application/json"
    )
    assert change.status_code == 400


def test_the_segment_tool_partitions_the_text(api: Client) -> None:
    text = (
        "<think>\n2 + 2 = 4. So the answer is 4.\n\nWait, let me check: 4.\n</think>\n\n\\boxed{4}"
    )
    found = post(api, "tools/segment/", {"text": text, "reference": "4"}).json()
    assert "".join(text[s["start"] : s["end"]] for s in found["segments"]) == text


def test_the_schema_describes_every_resource(api: Client) -> None:
    schema = api.get("/api/schema/?format=json").json()
    for name in RESOURCES:
        assert f"/api/v1/{name}/" in schema["paths"]


def test_a_token_is_stored_as_a_hash_only(user: Any) -> None:
    token, secret = tokens.create_token(user=user, scopes=["read"])
    assert secret not in str(vars(token)).replace(token.prefix, "")
    assert tokens.find_token(secret) == token
    assert tokens.find_token(secret[:-1] + ("0" if secret[-1] != "0" else "1")) is None
    tokens.revoke(token)
    assert tokens.find_token(secret) is None


def test_a_trainer_takes_reports_and_finishes_a_run(
    api: Client, project: Project, user: Any, tmp_path: Any
) -> None:
    views_world.build(project, user, tmp_path)
    export = api.get("/api/v1/exports/").json()["results"][0]["id"]
    run = post(api, "training-runs/", {"project": "demo", "export": export}).json()["id"]
    start = {"worker": "w1", "versions": {"trl": "1"}}
    assert post(api, f"training-runs/{run}/start/", start).json()["state"] == "running"
    assert post(api, f"training-runs/{run}/start/", {"worker": "w2"}).status_code == 409
    metrics = [
        {"step": 0, "name": "steps_total", "value": 10},
        {"step": 1, "name": "loss", "value": 2.5},
        {"step": 2, "name": "loss", "value": None},
    ]
    told = post(api, f"training-runs/{run}/metrics/", metrics).json()
    assert told == {"accepted": 2, "state": "running"}
    assert post(api, f"training-runs/{run}/metrics/", metrics).status_code == 200
    evaluation = {"role": "student", "correct": 6, "incorrect": 4, "model": "s"}
    assert post(api, f"training-runs/{run}/evaluations/", evaluation).status_code == 200
    for action, body in (("metrics", metrics), ("evaluations", evaluation)):
        assert post(api, f"training-runs/{run}/{action}/?epoch=0", body).status_code == 409
        assert post(api, f"training-runs/{run}/{action}/?epoch=1", body).status_code == 200
        assert post(api, f"training-runs/{run}/{action}/?epoch=x", body).status_code == 400
    end = {"worker": "w1", "state": "done", "model": {"name": "student-x", "path": "/m"}}
    done = post(api, f"training-runs/{run}/finish/", end).json()
    assert (done["state"], done["last_step"], done["total_steps"]) == ("done", 1, 10)
    assert post(api, f"training-runs/{run}/finish/", end).status_code == 200  # a repeat
    names = [t["name"] for t in api.get("/api/v1/teachers/?kind=student").json()["results"]]
    assert "student-x" in names
    assert post(api, f"training-runs/{run}/metrics/", metrics).status_code == 409


def test_the_files_of_an_export_come_by_their_names_only(
    api: Client, project: Project, user: Any, tmp_path: Any
) -> None:
    views_world.build(project, user, tmp_path)
    export = api.get("/api/v1/exports/").json()["results"][0]
    base = f"/api/v1/exports/{export['id']}/files/"
    answer = api.get(base + "manifest.json")
    assert answer.status_code == 200
    assert b"".join(answer.streaming_content).startswith(b"{")
    for path in ("../manifest.json", "/etc/passwd", "data/other.jsonl"):
        assert api.get(base + path).status_code in {301, 404}, path
