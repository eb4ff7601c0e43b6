"""Which paths of the server a job may name: nothing but what is declared and allowed."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from curation import paths
from curation.job_rules import Right, check_job
from curation.jobs import JobError
from curation.models import Job, Project, Schedule
from curation.server_paths import PATH_PARAMS, Use
from curation.tokens import create_token

pytestmark = pytest.mark.django_db
NAMES = [
    (kind, name)
    for kind, params in PATH_PARAMS.items()
    for name, use in params.items()
    if use is not Use.NEVER
]
HOSTILE = (
    "{home}/secrets/login.json", "{home}/secrets/secret_key", "{home}/log/whittle.log", "{home}",
    "{home}/uploads/other/x/a.jsonl", "{home}/uploads", "/etc/passwd", "/proc/self/environ",
    "/sys/kernel", "/dev/zero", "/proc/kmsg", "{roots}/../home/secrets/login.json",
    "{roots}/leads_out", "{roots}/pipe.jsonl", "{roots}/socket", "~/.ssh/id_rsa", "$HOME/x",
    "file:///etc/passwd", "etc/passwd", "../../etc/passwd", "{roots}/a\x00.jsonl", "/" + "a" * 5000,
    "", 5, ["/etc/passwd"], {"path": "/etc/passwd"}, None, True,
)  # fmt: skip


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> dict[str, str]:
    """A home with secrets, and a folder of imports with traps in it."""
    home, roots = tmp_path / "home", tmp_path / "roots"
    for folder in ("secrets", "log", "uploads/other/x", "uploads/demo/y", "exports"):
        (home / folder).mkdir(parents=True)
    for name in ("secrets/login.json", "secrets/secret_key", "log/whittle.log",
                 "uploads/other/x/a.jsonl", "uploads/demo/y/a.jsonl"):  # fmt: skip
        (home / name).write_text("{}")
    roots.mkdir()
    (roots / "good.jsonl").write_text("{}")
    (roots / "leads_out").symlink_to(home / "secrets" / "login.json")
    os.mkfifo(roots / "pipe.jsonl")
    with socket.socket(socket.AF_UNIX) as trap:
        monkeypatch.chdir(roots)
        trap.bind("socket")
    monkeypatch.setattr(paths, "home", lambda: home)
    settings.IMPORT_ROOTS = [roots]
    settings.EXPORT_ROOT = home / "exports"
    return {"home": str(home), "roots": str(roots)}


def filled(given: Any, places: dict[str, str]) -> Any:
    return given.format(**places) if isinstance(given, str) else given


@pytest.mark.parametrize(("kind", "name"), NAMES)
@pytest.mark.parametrize("right", [Right.AUTHOR, Right.STORED])
@pytest.mark.parametrize("given", [h for h in HOSTILE if h not in ("", None)], ids=repr)
def test_a_hostile_path_is_refused_on_anybodys_word_but_the_servers(
    project: Project,
    user: User,
    places: dict[str, str],
    kind: str,
    name: str,
    right: Right,
    given: Any,
) -> None:
    params = {name: filled(given, places), "name": "x"}
    for by in (user, User.objects.create_superuser("boss")):
        with pytest.raises(JobError):
            check_job(project, kind, params, right=right, user=by)
        with pytest.raises(JobError):
            chain = {"then": [{"kind": kind, "params": params}]}
            check_job(project, "grade", chain, right=right, user=by)


@pytest.mark.parametrize("kind", [k for k in PATH_PARAMS if k not in {k for k, _ in NAMES}])
@pytest.mark.parametrize("name", ["path", "out"])
def test_a_kind_that_declares_no_path_takes_none(
    project: Project, user: User, places: dict[str, str], kind: str, name: str
) -> None:
    with pytest.raises(JobError):
        check_job(project, kind, {name: "/etc/passwd"}, right=Right.OPERATOR, user=user)


def test_what_is_allowed(project: Project, user: User, places: dict[str, str]) -> None:
    good = f"{places['roots']}/good.jsonl"
    own = f"{places['home']}/uploads/demo/y/a.jsonl"
    for path in (good, own):
        check_job(project, "import", {"path": path, "name": "x"}, right=Right.AUTHOR, user=user)
    for curator in (None, User.objects.create_user("carl")):
        with pytest.raises(JobError, match="Only an owner"):
            check_job(project, "import", {"path": good}, right=Right.AUTHOR, user=curator)
        check_job(project, "import", {"path": own}, right=Right.AUTHOR, user=curator)
    check_job(project, "import", {"path": "/etc/passwd"}, right=Right.OPERATOR)


@pytest.mark.parametrize("door", ["jobs", "schedules", "then"])
@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_the_takeover_is_refused_over_rest(
    project: Project, user: User, places: dict[str, str], door: str, kind: str, name: str
) -> None:
    _, secret = create_token(user=user, scopes=["read", "write", "jobs", "admin"])
    params = {name: f"{places['home']}/secrets/login.json", "name": "x"}
    body: dict[str, Any] = {"project": "demo", "kind": kind, "params": params}
    if door == "then":
        body |= {"kind": "grade", "params": {"then": [{"kind": kind, "params": params}]}}
    if door == "schedules":
        body |= {"name": "nightly", "cron": "0 3 * * *"}
    for more in ({}, {"operator_paths": True}):
        answer = Client().post(
            f"/api/v1/{'schedules' if door == 'schedules' else 'jobs'}/",
            json.dumps(body | more),
            content_type="application/json",
            headers={"Authorization": f"Bearer {secret}"},
        )
        assert answer.status_code in (400, 403), answer.content
        assert "login.json" not in answer.json().get("raw", "")
    assert not Job.objects.exists() and not Schedule.objects.exists()
