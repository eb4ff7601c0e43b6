"""Endpoints and keys are granted by an administrator, whichever door a user takes.

Each door is tried by everybody who is no administrator, with addresses and keys that were not
granted; then by an administrator, whose saving is the grant.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from curation import grants, jobs, paths, training
from curation.endpoints import endpoint_of, run_probe
from curation.jobs import JobError
from curation.models import (
    EndpointGrant,
    Export,
    Job,
    Membership,
    ModelEndpoint,
    Project,
    TrainingRun,
)
from tests.curation import views_world
from tests.curation.granting import granted
from tests.curation.test_api import client_of, post
from tests.curation.views_world import World
from tests.fakes.openai_server import Reply, ScriptedServer

pytestmark = pytest.mark.django_db
ADDRESS = "http://192.0.2.10:8000/v1"
KEY, CANARY = "PLANTED_API_KEY", "KEYCANARY-77"
OTHERS = (
    "http://127.0.0.1:6379/v1", "http://localhost:8000/v1", "http://192.0.2.10:8001/v1",
    "https://192.0.2.10:8000/v1", "http://192.0.2.10/v1", "http://192.0.2.11:8000/v1",
    "http://169.254.169.254/latest", "https://api.invalid/v1", "http://[::1]:8000/v1",
)  # fmt: skip
CROOKED = ("file:///etc/passwd", "http://u:p@192.0.2.10:8000/v1", "http://0x7f000001/v1",
           "http://2130706433:8000/v1", "http://192.0.2.10:8000/v1?a=b", "javascript:x", "http:///v1",
           "http://192.0.2.10:8000\\@127.0.0.1/", "http://127.1:8000/")  # fmt: skip


@pytest.fixture
def world(project: Project, user: Any, tmp_path: Any) -> World:
    return views_world.build(project, user, tmp_path)


def person(project: Project, role: str) -> Any:
    made = get_user_model().objects.create_user(f"a-{role}")
    Membership.objects.create(project=project, user=made, role=role)
    return made


def administrator() -> Any:
    return get_user_model().objects.create_superuser("root")


def signed_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def fields(base_url: str, key: str = "", name: str = "new") -> dict[str, str]:
    given = {"project": "demo", "name": name, "kind": "teacher", "model": "m"}
    return given | {"base_url": base_url, "api_key_env": key}


def page_add(user: Any, base_url: str, key: str) -> None:
    signed_in(user).post("/p/demo/teachers/add/", fields(base_url, key))


def rest_create(user: Any, base_url: str, key: str) -> None:
    post(client_of(user), "teachers/", fields(base_url, key))


def rest_change(user: Any, base_url: str, key: str, method: str) -> None:
    project = Project.objects.get(slug="demo")
    row = ModelEndpoint.objects.create(project=project, name="new", model="m", base_url=ADDRESS)
    body = fields(base_url, key) if method == "put" else {"base_url": base_url, "api_key_env": key}
    send = getattr(client_of(user), method)
    send(f"/api/v1/teachers/{row.pk}/", body, content_type="application/json")


DOORS = {
    "page": page_add,
    "create": rest_create,
    "patch": lambda *given: rest_change(*given, "patch"),
    "put": lambda *given: rest_change(*given, "put"),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("role", ["owner", "curator", "reviewer"])
@pytest.mark.parametrize(
    ("base_url", "key"),
    [*((url, "") for url in (*OTHERS, *CROOKED)), (ADDRESS, KEY), (ADDRESS, "SECRET_KEY"),
     (ADDRESS, "WHITTLE_KEY_X"), ("", "BOUND_API_KEY"), (OTHERS[0], "BOUND_API_KEY")],
)  # fmt: skip
def test_no_door_lets_a_user_save_what_was_not_granted(
    project: Project, door: str, role: str, base_url: str, key: str
) -> None:
    granted(project, ADDRESS)
    granted(project, "https://192.0.2.20/v1", "BOUND_API_KEY")
    DOORS[door](person(project, role), base_url, key)
    stored = ModelEndpoint.objects.filter(name="new").first()
    assert stored is None or (stored.base_url, stored.api_key_env) == (ADDRESS, "")
    assert EndpointGrant.objects.count() == 2


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("role", ["owner", "curator"])
def test_every_door_lets_a_curator_save_what_was_granted(
    project: Project, door: str, role: str
) -> None:
    granted(project, ADDRESS)
    granted(project, "https://192.0.2.20/v1", "BOUND_API_KEY")
    DOORS[door](person(project, role), "https://192.0.2.20/v1", "BOUND_API_KEY")
    stored = ModelEndpoint.objects.get(name="new")
    assert (stored.base_url, stored.api_key_env) == ("https://192.0.2.20/v1", "BOUND_API_KEY")


@pytest.mark.parametrize("door", DOORS)
def test_an_administrators_saving_is_the_grant(project: Project, door: str) -> None:
    admin = administrator()
    DOORS[door](admin, "http://127.0.0.1:8901/v1", KEY)
    row = EndpointGrant.objects.get()
    assert (str(row), row.private, row.granted_by) == (f"http://127.0.0.1:8901 {KEY}", True, admin)
    DOORS["create"](person(project, "curator"), "http://127.0.0.1:8901/v1/", "")
    assert ModelEndpoint.objects.filter(base_url__startswith="http://127.0.0.1:8901").exists()


@pytest.mark.parametrize("url", CROOKED)
def test_not_even_an_administrator_saves_a_crooked_address(project: Project, url: str) -> None:
    admin = administrator()
    DOORS["page"](admin, url, "")
    answer = post(client_of(admin), "teachers/", fields(url))
    assert answer.status_code == 400 and answer.json()["code"] == "bad_address"
    assert not ModelEndpoint.objects.exists() and not EndpointGrant.objects.exists()


def test_a_refusal_says_what_an_administrator_has_to_do(project: Project) -> None:
    user = person(project, "owner")
    answer = post(client_of(user), "teachers/", fields(ADDRESS))
    assert (answer.status_code, answer.json()["code"]) == (403, "endpoint_not_granted")
    assert "an administrator grants it" in answer.json()["detail"]
    page = signed_in(user).post("/p/demo/teachers/add/", fields(ADDRESS))
    assert "an administrator grants it" in page.content.decode()


def test_a_key_stays_with_its_host_when_only_the_address_is_changed(project: Project) -> None:
    granted(project, "https://192.0.2.20/v1", KEY)
    granted(project, ADDRESS)
    row = ModelEndpoint.objects.create(
        project=project, name="t", model="m", base_url="https://192.0.2.20/v1", api_key_env=KEY
    )
    api = client_of(person(project, "owner"))
    change = {"base_url": ADDRESS}
    answer = api.patch(f"/api/v1/teachers/{row.pk}/", change, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "key_not_granted")
    row.refresh_from_db()
    assert row.base_url == "https://192.0.2.20/v1"


def test_what_was_revoked_can_still_be_switched_off_and_renamed(project: Project) -> None:
    row = ModelEndpoint.objects.create(project=project, name="t", model="m", base_url=ADDRESS)
    api = client_of(person(project, "curator"))
    change = {"enabled": False, "name": "old"}
    answer = api.patch(f"/api/v1/teachers/{row.pk}/", change, content_type="application/json")
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("role", "status"), [("viewer", 403), ("reviewer", 403), ("curator", 200), ("owner", 200)]
)
def test_pages_and_rest_ask_the_same_role(world: World, role: str, status: int) -> None:
    user = person(world.project, role)
    address = f"teachers/{world.teacher.pk}/"
    page = signed_in(user).post(f"/p/demo/{address}switch/", follow=True)
    change = {"enabled": True}
    api = client_of(user).patch(f"/api/v1/{address}", change, content_type="application/json")
    assert (page.status_code, api.status_code) == (status, status)
    granted(world.project, ADDRESS)
    made = post(client_of(user), "teachers/", fields(ADDRESS)).status_code
    assert made == (201 if status == 200 else 403)
    assert (signed_in(user).get("/p/demo/teachers/add/").status_code) == status


# At use


@pytest.fixture
def inner() -> Iterator[ScriptedServer]:
    """Something on this machine that answers with a page of its own."""
    secret = Reply(status=404, parts=[b"INTERNALCANARY admin page"], content_type="text/html")
    with ScriptedServer(fallback=lambda body: secret) as server:
        yield server


@pytest.mark.parametrize("state", ["never granted", "revoked", "other project", "key elsewhere"])
def test_a_row_that_is_not_granted_is_never_asked_whatever_stored_it(
    project: Project,
    run_job: Any,
    inner: ScriptedServer,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
) -> None:
    monkeypatch.setenv(KEY, CANARY)
    other = Project.objects.create(slug="other", name="Other")
    ModelEndpoint.objects.create(
        project=project, name="t", model="m", base_url=inner.url, api_key_env=KEY
    )
    if state == "revoked":
        grants.revoke(granted(project, inner.url, KEY), None)
    elif state == "other project":
        granted(other, inner.url, KEY)
    elif state == "key elsewhere":
        granted(project, inner.url)
        granted(project, ADDRESS, KEY)
    with pytest.raises(JobError) as caught:
        run_job(run_probe, "probe", teacher="t")
    assert caught.value.code in grants.NOT_GRANTED
    assert inner.requests == [] and CANARY not in str(caught.value)


def test_a_granted_key_is_sent_to_its_host_and_shown_nowhere(
    project: Project, run_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, CANARY)
    with ScriptedServer() as server:
        granted(project, server.url, KEY)
        ModelEndpoint.objects.create(
            project=project, name="t", model="m", base_url=server.url, api_key_env=KEY
        )
        job = run_job(run_probe, "probe", teacher="t")
        assert server.requests[0].headers["authorization"] == f"Bearer {CANARY}"
    rows = [*Job.objects.values(), *ModelEndpoint.objects.values(), *EndpointGrant.objects.values()]
    assert job.state == "done" and CANARY not in str(rows)
    shown = signed_in(person(project, "owner")).get("/p/demo/teachers/grants/").content.decode()
    assert KEY in shown and CANARY not in shown


def test_an_error_quotes_no_page_of_the_address_it_came_from(
    project: Project, run_job: Any, inner: ScriptedServer
) -> None:
    granted(project, inner.url)
    row = ModelEndpoint.objects.create(
        project=project, name="t", model="m", base_url=inner.url, limits={"ready_timeout": 1}
    )
    with pytest.raises(JobError) as caught:
        run_job(run_probe, "probe", teacher="t")
    row.refresh_from_db()
    told = f"{caught.value} {row.paused_reason} {row.capabilities}"
    assert "HTTP 404" in told and "CANARY" not in told


def test_a_project_grant_is_the_projects_and_one_for_all_is_everybodys(project: Project) -> None:
    other = Project.objects.create(slug="other", name="Other")
    granted(project, ADDRESS)
    with pytest.raises(JobError):
        grants.check_endpoint(other, ADDRESS, "")
    grants.grant(None, ADDRESS, "", None)
    assert str(grants.check_endpoint(other, ADDRESS, "").address) == "http://192.0.2.10:8000"


@pytest.mark.parametrize(
    ("entry", "url", "key", "allowed"),
    [
        ("192.0.2.7", "http://192.0.2.7/v1", "", True),
        ("192.0.2.7", "https://192.0.2.7/v1", "", True),
        ("192.0.2.7", "http://192.0.2.7:8000/v1", "", False),
        ("192.0.2.7:8000", "http://192.0.2.7:8000/v1", "", True),
        ("192.0.2.7:8000", "http://192.0.2.7/v1", "", False),
        ("192.0.2.7:8000", "http://192.0.2.7:8000/v1", KEY, False),
        (f"192.0.2.7:8000={KEY}", "http://192.0.2.7:8000/v1", KEY, True),
        (f"192.0.2.7:8000={KEY}", "http://192.0.2.7:8000/v1", "B_API_KEY", False),
        (f"192.0.2.7:8000={KEY}", "http://192.0.2.8:8000/v1", KEY, False),
        ("gpu.invalid:8000", "http://agpu.invalid:8000/v1", "", False),
        ("gpu.invalid:8000", "http://gpu.invalid.x.invalid:8000/v1", "", False),
        ("[2001:db8::7]:8000", "http://[2001:db8:0::7]:8000/v1", "", True),
    ],
)
def test_what_the_operator_lists_is_granted_to_all(
    project: Project, settings: Any, entry: str, url: str, key: str, allowed: bool
) -> None:
    settings.TEACHER_HOSTS = [entry]
    if allowed:
        assert grants.check_endpoint(project, url, key).private
    else:
        with pytest.raises(JobError):
            grants.check_endpoint(project, url, key)


def test_the_demo_teacher_of_this_copy_is_granted_wherever_it_listens(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(paths, "run_dir", lambda: tmp_path)
    demo = ModelEndpoint(project=project, name="demo-teacher", model="m", base_url="")
    for port in (8801, 8802):
        (tmp_path / "teacher.port").write_text(f"{port}\n")
        assert endpoint_of(demo).base_url == f"http://127.0.0.1:{port}/v1"
        named = grants.check_endpoint(project, f"http://127.0.0.1:{port}/v1", "")
        assert named.private
    with pytest.raises(JobError):
        grants.check_endpoint(project, "http://127.0.0.1:8801/v1", "")
    with pytest.raises(JobError):
        grants.check_endpoint(project, "http://127.0.0.1:8802/v1", KEY)


def test_a_revoked_grant_cancels_what_runs_and_keeps_its_row(project: Project) -> None:
    row = granted(project, ADDRESS)
    ModelEndpoint.objects.create(project=project, name="t", model="m", base_url=ADDRESS)
    asked = [
        jobs.create_job(project=project, kind="generate", params={"teacher": "t"}),
        jobs.create_job(project=project, kind="judge", params={"judge": "t"}),
    ]
    other = jobs.create_job(project=project, kind="verify")
    grants.revoke(row, administrator())
    states = list(Job.objects.filter(pk__in=[job.pk for job in asked]).values_list("state"))
    assert states == [("cancelled",)] * 2
    assert Job.objects.get(pk=other.pk).state == "queued"
    row.refresh_from_db()
    assert row.revoked_at and row.revoked_by
    again = granted(project, ADDRESS)
    assert again.pk != row.pk and EndpointGrant.objects.count() == 2


# Training


def test_a_trainer_is_sent_to_granted_addresses_only(world: World) -> None:
    config = {"teacher": {"base_url": "http://127.0.0.1:6379/v1", "model": "m"}}
    user = person(world.project, "owner")
    digest = Export.objects.get(pk=world.export.pk).digest
    body = {"project": "demo", "export": digest, "config": config}
    assert post(client_of(user), "training-runs/", body).status_code == 403
    page = {"name": "x", "base_model": "demo-student-start", "method": "sft"}
    import json

    signed_in(user).post(
        f"/p/demo/exports/{world.export.pk}/train/", page | {"config": json.dumps(config)}
    )
    assert not TrainingRun.objects.filter(config__config__has_key="teacher").exists()


def test_a_run_whose_teacher_is_no_longer_granted_is_not_handed_out(world: World) -> None:
    row = granted(world.project, ADDRESS)
    config = {"teacher": {"base_url": ADDRESS, "model": "m"}}
    run = training.create_run(project=world.project, export=world.export, config=config)
    grants.revoke(row, None)
    with pytest.raises(training.NotYours, match="not granted"):
        training.take(run, "w", "{}")
    run.refresh_from_db()
    assert run.state == "failed" and "not granted" in run.error


def test_a_trainers_student_takes_over_no_other_model(world: World) -> None:
    run = training.create_run(project=world.project, export=world.export, config={})
    made = training.register_student(run, {"name": world.teacher.name})
    world.teacher.refresh_from_db()
    assert made.pk != world.teacher.pk and world.teacher.kind == "teacher"


# The page


def test_only_administrators_grant_and_revoke(project: Project) -> None:
    row = granted(project, ADDRESS)
    form = {"base_url": "http://192.0.2.30:1/v1", "api_key_env": KEY, "note": "n"}
    for role in ("owner", "curator", "reviewer", "viewer"):
        client = signed_in(person(project, role))
        assert client.post("/p/demo/teachers/grants/", form).status_code == 403
        assert client.post(f"/p/demo/teachers/grants/{row.pk}/revoke/").status_code == 403
    root = signed_in(administrator())
    root.post("/p/demo/teachers/grants/", form | {"everywhere": "on"})
    made = EndpointGrant.objects.get(port=1)
    assert (made.project, made.key_variable, made.note) == (None, KEY, "n")
    root.post(f"/p/demo/teachers/grants/{row.pk}/revoke/")
    assert not EndpointGrant.objects.filter(pk=row.pk, revoked_at=None).exists()
    assert "errorlist" in root.post("/p/demo/teachers/grants/", {"base_url": "x"}).content.decode()


def test_the_page_shows_grants_of_this_project_and_endpoints_without_one(project: Project) -> None:
    other = Project.objects.create(slug="other", name="Other")
    granted(other, "http://192.0.2.99:1/v1")
    granted(project, ADDRESS, KEY)
    ModelEndpoint.objects.create(project=project, name="lost", model="m", base_url=OTHERS[0])
    html = signed_in(person(project, "curator")).get("/p/demo/teachers/grants/").content.decode()
    assert "192.0.2.10:8000" in html and KEY in html and "lost" in html
    assert "192.0.2.99" not in html and "Revoke" not in html


# What was there before


def test_the_migration_grants_what_is_in_use_and_nothing_that_looks_like_an_attack(
    project: Project,
) -> None:
    other = Project.objects.create(slug="other", name="Other")
    answered = {"completes": "yes"}
    rows: list[tuple[Project, str, str, dict[str, str]]] = [
        (project, "http://gpu.invalid:8000/v1", "", answered),
        (project, "https://192.0.0.9/v1", "ONE_API_KEY", answered),
        (project, "http://127.0.0.1:6379/v1", "", {}),  # never answered as a model does
        (project, "https://api.invalid/v1", "TWO_API_KEY", answered),
        (other, "https://thief.invalid/v1", "TWO_API_KEY", answered),
        (other, "http://u:p@h.invalid/v1", "", answered),
        (other, "file:///etc/passwd", "", answered),
        (other, "http://0x7f000001/v1", "", answered),
        (other, "http://h.invalid/v1", "SECRET_KEY", answered),
        (other, "", "", answered),
    ]
    for number, (owner, url, key, found) in enumerate(rows):
        ModelEndpoint.objects.create(
            project=owner, name=str(number), model="m", base_url=url, api_key_env=key,
            capabilities=found, probed_at=timezone.now(),
        )  # fmt: skip
    migration = import_module("curation.migrations.0012_endpoint_grants")
    migration.grant_what_is_in_use(apps, None)
    made = {(str(row), row.private, row.note) for row in EndpointGrant.objects.all()}
    assert made == {
        ("http://gpu.invalid:8000", True, grants.BEFORE),
        ("https://192.0.0.9:443 ONE_API_KEY", False, grants.BEFORE),
    }
    assert grants.to_review(project) == 2
    html = signed_in(administrator()).get("/p/demo/teachers/").content.decode()
    assert "2 to review" in html
