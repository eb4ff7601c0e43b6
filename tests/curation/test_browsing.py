"""HTTPS, cookies, caches and the end of sessions, as a browser meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.curation.test_views import member, pages
from tests.curation.views_world import World

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.django_db
HOUR = 3600.0
# What a copy with these variables answers to its login page, and what it calls its cookies.
LOGIN = """
import json, django
django.setup()
from django.conf import settings
from django.test import Client
client = Client(enforce_csrf_checks=True)
answer = client.get("/login/", headers={"host": "127.0.0.1"})
found = client.cookies[settings.CSRF_COOKIE_NAME]
foreign = client.post("/p/x/", headers={"host": "127.0.0.1", "origin": "https://evil.invalid"})
print(json.dumps({
    "status": answer.status_code, "headers": dict(answer.items()), "foreign": foreign.status_code,
    "csrf": [found.key, found["path"], found["domain"], bool(found["secure"])],
    "session": [settings.SESSION_COOKIE_NAME, settings.SESSION_COOKIE_SECURE,
                settings.SESSION_COOKIE_HTTPONLY, settings.SESSION_COOKIE_DOMAIN],
}))
"""


def login_page(tmp_path: Path, **told: str) -> dict[str, Any]:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "curation.settings", "PORT": "8123",
                   "WHITTLE_HOME": str(tmp_path), **told}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", LOGIN],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_a_copy_behind_https_binds_its_cookies_to_its_host(tmp_path: Path) -> None:
    found = login_page(tmp_path, SECURE_COOKIES="1")
    assert found["status"] == 200 and found["foreign"] == 403
    assert found["csrf"] == ["__Host-whittle_csrf_8123", "/", "", True]
    assert found["session"] == ["__Host-whittle_session_8123", True, True, None]
    assert found["headers"]["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"


def test_a_copy_on_plain_http_works_and_promises_no_https(tmp_path: Path) -> None:
    found = login_page(tmp_path, SECURE_COOKIES="")
    assert found["status"] == 200
    assert found["csrf"] == ["whittle_csrf_8123", "/", "", False]
    assert found["session"] == ["whittle_session_8123", False, True, None]
    assert "Strict-Transport-Security" not in found["headers"]


def test_hsts_can_be_left_out(tmp_path: Path) -> None:
    found = login_page(tmp_path, SECURE_COOKIES="1", HSTS_SECONDS="0")
    assert "Strict-Transport-Security" not in found["headers"]


def test_no_answer_is_kept_by_browsers_or_proxies(owner: Client, world: World) -> None:
    api = [f"/api/v1/{name}/?project=demo" for name in ("traces", "problems", "exports", "jobs")]
    files = [f"/p/demo/exports/{world.export.pk}/files/data/train.jsonl"]
    other = ["/login/", "/healthz", "/p/no-such/", "/api/v1/nothing/", "/api/docs/"]
    for address in [*pages(world), *api, *files, *other]:
        answer = owner.get(address)
        assert "no-store" in answer["Cache-Control"], address
    assert "no-store" in Client().get("/p/demo/")["Cache-Control"]


def test_signing_out_lets_the_browser_empty_its_storage(owner: Client) -> None:
    assert owner.post("/logout/")["Clear-Site-Data"] == '"storage"'


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The time that sessions see; move it by ``clock.now += seconds``."""

    class Clock:
        now = time.time()

    monkeypatch.setattr("curation.browsing.time.time", lambda: Clock.now)
    return Clock


def is_in(client: Client) -> bool:
    page, rest = client.get("/p/demo/"), client.get("/api/v1/projects/")
    assert (page.status_code, rest.status_code) in {(200, 200), (302, 401)}
    return page.status_code == 200


def test_a_session_ends_when_nobody_uses_it(owner: Client, world: World, clock: Any) -> None:
    assert is_in(owner)
    clock.now += 11 * HOUR
    assert is_in(owner)
    clock.now += 11 * HOUR
    assert is_in(owner)
    key = owner.cookies[settings.SESSION_COOKIE_NAME].value
    clock.now += 12 * HOUR + 61
    assert not is_in(owner)
    owner.cookies[settings.SESSION_COOKIE_NAME] = key  # as somebody who had copied it
    assert not is_in(owner)


def test_a_session_ends_after_fourteen_days_of_use(owner: Client, clock: Any, world: World) -> None:
    began = clock.now
    assert is_in(owner)
    while clock.now - began < 14 * 24 * HOUR - 6 * HOUR:
        clock.now += 6 * HOUR
        assert is_in(owner)
    clock.now += 6 * HOUR + 1
    assert not is_in(owner)


def test_what_a_page_asks_on_its_own_keeps_no_session_alive(
    owner: Client, world: World, clock: Any
) -> None:
    assert is_in(owner)
    for _ in range(13):
        clock.now += HOUR
        owner.get("/health/chip/", headers={"hx-request": "true"})
        owner.post("/p/demo/review/1/beat/", {}, content_type="application/json")
    assert not is_in(owner)


def test_what_a_person_sends_by_script_is_use(owner: Client, world: World, clock: Any) -> None:
    assert is_in(owner)
    for _ in range(2):
        clock.now += 11 * HOUR
        owner.post("/p/demo/review/1/draft/", {}, content_type="application/json")
    clock.now += 11 * HOUR
    assert is_in(owner)


def test_an_ended_session_changes_nothing_any_more(world: World, clock: Any) -> None:
    curator = member(world.project, "owner")
    assert curator.get("/p/demo/").status_code == 200
    clock.now += 13 * HOUR
    answer = curator.post("/p/demo/webhooks/add/", {"url": "https://x.invalid/"})
    assert answer.status_code == 302 and answer["Location"].startswith("/login/")
    assert not world.project.webhooks.filter(url="https://x.invalid/").exists()


def test_each_look_writes_no_session(owner: Client, world: World, clock: Any) -> None:
    assert is_in(owner)
    with CaptureQueriesContext(
        connection,
    ) as seen:
        assert is_in(owner)
    assert not [q for q in seen.captured_queries if "UPDATE" in q["sql"]]
