"""Pages that let people in: members, passwords, tokens; and schedules and imports."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from curation import tokens
from curation.models import ApiToken, Job, Membership, Project, Schedule, Source

pytestmark = pytest.mark.django_db
User = get_user_model()
ROWS = b'{"question": "What is 1 + 1?", "answer": "2"}\n{"answer": "3"}\nnot json\n'


@pytest.fixture
def owner(client: Client, user: Any, project: Project) -> Client:
    client.force_login(user)
    return client


def add(project: Project, name: str, role: str = "reviewer") -> Any:
    person = User.objects.create_user(name, password="correct horse 3")
    return Membership.objects.create(project=project, user=person, role=role)


def invite(client: Client, name: str, role: str = "reviewer") -> str:
    form = {"username": name, "role": role}
    return client.post("/p/demo/members/invite/", form).content.decode()


def link_in(html: str) -> str:
    found = re.search(r"http://testserver(/account/set-password/[^<]+)", html)
    assert found, html
    return found.group(1)


def test_an_invited_person_sets_a_password_once_and_gets_in(owner: Client) -> None:
    link = link_in(invite(owner, "bob"))
    guest = Client()
    form_address = guest.get(link, follow=True).redirect_chain[-1][0]
    words = {"new_password1": "a long word 77", "new_password2": "a long word 77"}
    assert guest.post(form_address, words)["Location"] == "/login/"
    login = {"username": "bob", "password": "a long word 77"}
    assert guest.post("/login/", login)["Location"] == "/"
    assert guest.get("/p/demo/").status_code == 200
    assert "no longer works" in Client().get(link, follow=True).content.decode()


def test_inviting_somebody_who_has_an_account_gives_no_password_link(
    owner: Client, project: Project
) -> None:
    User.objects.create_user("carol", password="correct horse 4")
    html = invite(owner, "carol", "viewer")
    assert "set-password" not in html
    assert Membership.objects.get(user__username="carol").role == "viewer"


def test_inviting_a_member_again_changes_nothing(owner: Client, project: Project) -> None:
    add(project, "bob", "curator")
    assert "is curator here already" in invite(owner, "bob", "owner")
    assert Membership.objects.get(user__username="bob").role == "curator"


@pytest.mark.parametrize("name", ["", "a b", "x" * 151, "<b>"])
def test_a_name_that_cannot_be_one_is_refused(owner: Client, name: str) -> None:
    assert "errorlist" in invite(owner, name)
    assert User.objects.count() == 1


def test_a_role_is_changed_and_a_project_keeps_an_owner(owner: Client, project: Project) -> None:
    bob = add(project, "bob")
    alice = Membership.objects.get(user__username="alice")
    for role in ("viewer", "king"):
        owner.post(f"/p/demo/members/{bob.pk}/role/", {"role": role})
    bob.refresh_from_db()
    assert bob.role == "viewer"
    for act in ("role/", "remove/"):
        answer = owner.post(f"/p/demo/members/{alice.pk}/{act}", {"role": "viewer"}, follow=True)
        assert "needs an owner" in answer.content.decode()
    alice.refresh_from_db()
    assert alice.role == "owner"


def test_a_removed_member_gets_the_answer_of_a_stranger(owner: Client, project: Project) -> None:
    bob = add(project, "bob")
    client = Client()
    client.force_login(bob.user)
    assert client.get("/p/demo/").status_code == 200
    owner.post(f"/p/demo/members/{bob.pk}/remove/")
    assert client.get("/p/demo/").status_code == 404


def test_a_disabled_account_is_out_at_once_and_can_come_back(
    owner: Client, project: Project
) -> None:
    bob = add(project, "bob")
    _, secret = tokens.create_token(user=bob.user, scopes=["read"])
    client = Client()
    client.force_login(bob.user)
    owner.post(f"/p/demo/members/{bob.pk}/disable/")
    assert client.get("/p/demo/").status_code == 302
    assert tokens.find_token(secret) is None
    owner.post(f"/p/demo/members/{bob.pk}/disable/")
    assert tokens.find_token(secret) is not None


def test_an_owner_cannot_take_over_an_account_that_reaches_further(
    owner: Client, project: Project
) -> None:
    other = Project.objects.create(slug="other", name="Other")
    bob = add(project, "bob")
    Membership.objects.create(project=other, user=bob.user, role="viewer")
    root = User.objects.create_superuser("root", password="correct horse 5")
    chief = Membership.objects.create(project=project, user=root, role="viewer")
    for member in (bob, chief):
        answer = owner.post(f"/p/demo/members/{member.pk}/password/", follow=True)
        assert "set-password" not in answer.content.decode()
        owner.post(f"/p/demo/members/{member.pk}/disable/")
        member.user.refresh_from_db()
        assert member.user.is_active


def test_an_owner_resets_the_password_of_a_member_of_this_project_only(
    owner: Client, project: Project
) -> None:
    bob = add(project, "bob")
    assert link_in(owner.post(f"/p/demo/members/{bob.pk}/password/").content.decode())


def test_a_member_of_another_project_is_not_found_here(owner: Client, project: Project) -> None:
    other = Project.objects.create(slug="other", name="Other")
    stranger = add(other, "eve")
    for act in ("role/", "remove/", "disable/", "password/"):
        assert owner.post(f"/p/demo/members/{stranger.pk}/{act}").status_code == 404


def test_a_token_is_shown_once_works_and_is_revoked(owner: Client, project: Project) -> None:
    form = {"name": "trainer", "scopes": ["train", "read"], "days": 30}
    answer = owner.post("/p/demo/tokens/add/", form)
    secret = re.search(r"whl_[0-9a-f]{48}", answer.content.decode())
    assert secret and answer["Cache-Control"] == "no-store"
    row = ApiToken.objects.get()
    assert row.scopes == ["read", "train"] and row.project == project and row.expires_at
    assert secret[0] not in owner.get("/p/demo/tokens/").content.decode()
    assert tokens.find_token(secret[0]) == row
    owner.post(f"/p/demo/tokens/{row.pk}/revoke/")
    assert tokens.find_token(secret[0]) is None


def test_a_token_without_scopes_is_refused(owner: Client) -> None:
    answer = owner.post("/p/demo/tokens/add/", {"name": "x", "days": 30})
    assert "errorlist" in answer.content.decode()
    assert not ApiToken.objects.exists()


def test_tokens_of_others_are_seen_and_revoked_by_the_owner_alone(
    owner: Client, project: Project
) -> None:
    bob, eve = add(project, "bob"), add(project, "eve")
    row, _ = tokens.create_token(user=bob.user, scopes=["read"], name="bobs", project=project)
    client = Client()
    client.force_login(eve.user)
    assert "bobs" not in client.get("/p/demo/tokens/").content.decode()
    assert client.post(f"/p/demo/tokens/{row.pk}/revoke/").status_code == 404
    assert "bobs" in owner.get("/p/demo/tokens/").content.decode()
    assert owner.post(f"/p/demo/tokens/{row.pk}/revoke/").status_code == 302


def test_a_schedule_is_added_switched_and_deleted(owner: Client, project: Project) -> None:
    form = {"name": "nightly", "cron": "0 3 * * *", "kind": "export", "params": '{"recipe": "r"}'}
    owner.post("/p/demo/schedules/add/", form)
    row = Schedule.objects.get()
    assert row.params == {"recipe": "r"} and row.enabled
    assert "of this name already" in owner.post("/p/demo/schedules/add/", form).content.decode()
    owner.post(f"/p/demo/schedules/{row.pk}/switch/")
    row.refresh_from_db()
    assert not row.enabled
    owner.post(f"/p/demo/schedules/{row.pk}/delete/")
    assert not Schedule.objects.exists()


@pytest.mark.parametrize("cron", ["", "* * *", "61 * * * *", "0 0 31 2 *x"])
def test_a_schedule_that_never_fires_is_refused(owner: Client, cron: str) -> None:
    form = {"name": "n", "cron": cron, "kind": "export", "params": ""}
    assert "errorlist" in owner.post("/p/demo/schedules/add/", form).content.decode()


def upload(name: str = "rows.jsonl") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, ROWS)


def test_an_upload_is_looked_at_before_anything_is_stored(owner: Client) -> None:
    form = {"name": "mine", "file": upload(), "licence": "MIT", "adapter": ""}
    answer = owner.post("/p/demo/sources/import/", form, follow=True)
    html = answer.content.decode()
    assert "What is 1 + 1?" in html and "invalid_json" in html and "no_problem" in html
    assert "reference_answer" in html
    assert not Job.objects.exists() and not Source.objects.exists()


def look_address(owner: Client) -> str:
    form = {"name": "mine", "file": upload(), "licence": "", "adapter": ""}
    return str(owner.post("/p/demo/sources/import/", form)["Location"])


def test_a_changed_mapping_goes_into_the_job(owner: Client) -> None:
    address = look_address(owner)
    token = address.split("token=")[1].replace("%3A", ":")
    mapping = '{"problem": "answer"}'
    again = owner.post("/p/demo/sources/import/look/", {"token": token, "mapping": mapping})
    assert again.status_code == 200 and not Job.objects.exists()
    form = {"token": token, "mapping": mapping, "start": "1"}
    owner.post("/p/demo/sources/import/look/", form)
    job = Job.objects.get()
    assert job.kind == "import" and job.params["mapping"] == {"problem": "answer"}
    assert Path(job.params["path"]).read_bytes() == ROWS


@pytest.mark.parametrize("mapping", ['{"problem": 3}', '{"colour": "x"}', "[]", "{"])
def test_a_mapping_that_cannot_be_one_starts_nothing(owner: Client, mapping: str) -> None:
    token = look_address(owner).split("token=")[1].replace("%3A", ":")
    form = {"token": token, "mapping": mapping, "start": "1"}
    assert owner.post("/p/demo/sources/import/look/", form).status_code == 200
    assert not Job.objects.exists()


def test_a_token_of_one_project_imports_nothing_into_another(owner: Client, user: Any) -> None:
    other = Project.objects.create(slug="other", name="Other")
    Membership.objects.create(project=other, user=user, role="owner")
    address = look_address(owner).replace("/p/demo/", "/p/other/")
    assert owner.get(address)["Location"] == "/p/other/sources/import/"
    changed = look_address(owner) + "x"
    assert owner.get(changed)["Location"] == "/p/demo/sources/import/"


@pytest.mark.parametrize("name", ["../../../evil.jsonl", ".hidden", "a\u202eb.jsonl", "x" * 300])
def test_the_name_of_an_upload_is_no_path(owner: Client, name: str) -> None:
    form = {"name": "m", "file": upload(name), "at_once": "1", "licence": "", "adapter": ""}
    owner.post("/p/demo/sources/import/", form)
    path = Path(Job.objects.get().params["path"])
    assert "uploads/demo/" in str(path) and ".." not in path.parts
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,119}", path.name)


def test_a_path_of_the_server_is_for_administrators_and_import_roots(
    owner: Client, project: Project, settings: Any, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/rows.jsonl").write_bytes(ROWS)
    (tmp_path / "out.jsonl").write_bytes(ROWS)
    form = {"name": "m", "path": str(tmp_path / "in/rows.jsonl"), "at_once": "1", "adapter": ""}
    owner.post("/p/demo/sources/import/", form)
    assert not Job.objects.exists()
    settings.IMPORT_ROOTS = [tmp_path / "in"]
    owner.post("/p/demo/sources/import/", form)
    assert Job.objects.get().params["path"] == str(tmp_path / "in/rows.jsonl")
    for outside in ("../out.jsonl", "in/../../out.jsonl", "/etc/passwd"):
        owner.post("/p/demo/sources/import/", form | {"path": str(tmp_path / "in" / outside)})
    curator = Client()
    curator.force_login(add(project, "cur", "curator").user)
    curator.post("/p/demo/sources/import/", form)
    assert Job.objects.count() == 1


def test_a_file_and_a_path_at_once_or_neither_is_an_error(
    owner: Client, user: Any, settings: Any
) -> None:
    settings.IMPORT_ROOTS = [Path("/etc")]
    both = {"name": "m", "file": upload(), "path": "/etc/hosts", "adapter": ""}
    for form in (both, {"name": "m", "adapter": ""}):
        html = owner.post("/p/demo/sources/import/", form).content.decode()
        assert "one of them" in html
    assert not Job.objects.exists()
