"""Parts of a running copy that die or hang, as the header of a page and /healthz show them."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import Any

import httpx
import psutil
import psycopg
import pytest
import redis

from curation import embedded
from tests.e2e.site import Site, running_site
from tests.workers.stack import home_is, wait_for
from workers.services.embedded import EmbeddedPostgres, EmbeddedRedis

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
SECONDS = 15.0
# What health says of each part when it is silent, and of the part's place in the report.
SILENT = {
    "worker-default": "went silent",
    "beat": "beat unavailable",
    "verifier": "verifier unavailable",
}
# The times that Whittle has without any setting; nothing that a test of the header needs no model.
BARE = {
    "PROCESS_BEAT_SECONDS": "", "PROCESS_DEAD_SECONDS": "", "WHITTLE_DEMO": "0",
    "WHITTLE_TEACHER": "0", "WHITTLE_TRAINER": "0", "WHITTLE_WORKERS_LLM": "1",
    "WHITTLE_WORKERS_DEFAULT": "1",
}  # fmt: skip


@pytest.fixture(scope="module")
def copy() -> Iterator[Site]:
    """A copy of its own: what is stopped here must not disturb other tests."""
    with running_site(**BARE) as found:
        yield found


@pytest.fixture(scope="module")
def header(browser: Any, copy: Site) -> Iterator[Callable[[], tuple[str, str]]]:
    """The chip in the header of an open page: (words, all of its tooltip)."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{copy.url}/login/")
    page.fill("[name=username]", copy.login["username"])
    page.fill("[name=password]", copy.login["password"])
    page.click("main form button")
    page.wait_for_url(f"{copy.url}/")

    def read() -> tuple[str, str]:
        chip = page.locator("#health")
        return chip.inner_text(), chip.get_attribute("title") or ""

    yield read
    context.close()


def children(copy: Site) -> dict[str, dict[str, Any]]:
    """What the supervisor has noted of its parts."""
    record = embedded.read_json(copy.home / "run" / "supervisor.json")
    return dict(record["children"])


def health(copy: Site) -> dict[str, Any]:
    return dict(httpx.get(f"{copy.url}/healthz", timeout=10).json())


def within(seconds: float, done: Callable[[], object], what: str) -> float:
    """Seconds until ``done()`` is true; AssertionError after ``seconds``."""
    begun = time.monotonic()
    while not done():
        assert time.monotonic() - begun < seconds, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.2)
    return time.monotonic() - begun


def all_is_well(copy: Site, header: Callable[[], tuple[str, str]]) -> bool:
    return health(copy)["status"] == "ok" and header()[0] == "all running"


@pytest.mark.parametrize("part", SILENT)
def test_a_part_that_hangs_shows_in_the_header_and_in_healthz_within_15_seconds(
    copy: Site, header: Callable[[], tuple[str, str]], part: str
) -> None:
    within(60, lambda: health(copy)["status"] == "ok", "a healthy copy")
    group = int(children(copy)[part]["pid"])
    os.killpg(group, signal.SIGSTOP)  # it lives, so the supervisor does not start it again
    try:
        stopped = time.monotonic()
        within(SECONDS, lambda: SILENT[part] in header()[1], f"{part} in the header")
        report = health(copy)
        assert time.monotonic() - stopped <= SECONDS
        assert report["status"] == "degraded"
        assert any(SILENT[part] in problem for problem in report["problems"])
        assert header()[0] != "all running"
    finally:
        os.killpg(group, signal.SIGCONT)
    within(30, lambda: all_is_well(copy, header), f"{part} well again")


@pytest.mark.parametrize("part", SILENT)
def test_a_killed_part_is_started_again_and_the_header_says_so(
    copy: Site, header: Callable[[], tuple[str, str]], part: str
) -> None:
    within(60, lambda: health(copy)["status"] == "ok", "a healthy copy")
    before = children(copy)[part]
    os.kill(int(before["pid"]), signal.SIGKILL)

    def back() -> bool:
        now = children(copy)[part]
        return now["restarts"] > before["restarts"] and now["state"] == "running"

    within(SECONDS, back, f"{part} runs again")
    told = f"{part} was started again"
    within(SECONDS, lambda: told in header()[1], f"{part} in the header")
    within(30, lambda: health(copy)["status"] == "ok", f"{part} well again")
    assert {row["part"] for row in health(copy)["restarted"]} >= {part}
    assert children(copy)[part]["pid"] != before["pid"]


@pytest.fixture
def outside() -> Iterator[dict[str, str]]:
    """A PostgreSQL and a Redis that belong to nobody's copy: their addresses."""
    home = Path(tempfile.mkdtemp(prefix="whittle-out-"))
    with home_is(home):
        servers: list[Any] = [EmbeddedPostgres(durable=False), EmbeddedRedis()]
        for server in servers:
            server.start()
        addresses = {
            "DATABASE_URL": embedded.database_url(),
            "REDIS_URL": embedded.redis_url(),
        }
    yield addresses
    with home_is(home):
        for server in reversed(servers):
            server.stop()
    rmtree(home, ignore_errors=True)


def users(address: str) -> set[str]:
    with psycopg.connect(address) as link:
        return {row[0] for row in link.execute("SELECT username FROM auth_user")}


def test_a_second_copy_on_outside_servers_beside_the_first(
    copy: Site, outside: dict[str, str]
) -> None:
    with running_site(**BARE, **outside) as second:
        within(60, lambda: health(second)["status"] == "ok", "the second copy")
        assert second.port != copy.port
        assert not (second.home / "postgres").exists() and not (second.home / "redis").exists()
        assert {"postgres", "redis"}.isdisjoint(children(second))
        assert {"postgres", "redis"} <= set(children(copy))
        assert users(outside["DATABASE_URL"]) == {"owner"}
        assert second.login["password"] != copy.login["password"]
        with redis.Redis.from_url(outside["REDIS_URL"]) as link:
            assert link.keys("*whittle*") or link.keys("_kombu*"), "its workers wait there"
        pids = [part["pid"] for part in children(second).values() if part["pid"]]
    assert not [pid for pid in pids if psutil.pid_exists(int(pid))]
    assert users(outside["DATABASE_URL"]) == {"owner"}, "what it wrote stays on the server"
    assert health(copy)["status"] == "ok", "stopping one leaves the other"


@contextmanager
def frozen(copy: Site, name: str) -> Iterator[None]:
    """An embedded server with all its processes stopped (SIGSTOP), as on a machine that swaps."""
    with home_is(copy.home):
        pid = {"postgres": EmbeddedPostgres, "redis": EmbeddedRedis}[name]().pid()
    server = psutil.Process(pid)
    every = [server, *server.children(recursive=True)]
    for process in every:
        process.suspend()
    try:
        yield
    finally:
        for process in every:
            if process.is_running():
                process.resume()


def test_a_frozen_database_gives_503_and_health_says_so(copy: Site) -> None:
    """Each answer has to come while the server is still frozen; without limits none would."""
    client = copy.api(copy.token())
    assert client.get("projects/").status_code == 200
    browser = httpx.Client(base_url=copy.url, timeout=30)
    browser.get("/login/")
    data = {**copy.login, "csrfmiddlewaretoken": next(iter(browser.cookies.values()))}
    assert browser.post("/login/", data=data).status_code == 302
    with frozen(copy, "postgres"), ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(client.get, "projects/") for _ in range(8)]
        page = browser.get("/")
        health = httpx.get(f"{copy.url}/healthz", timeout=30)
        answers = [one.result() for one in asked]
    assert {answer.status_code for answer in answers} == {503}
    assert answers[0].json()["code"] == "unavailable" and answers[0].headers["Retry-After"]
    assert page.status_code == 503 and "database does not answer" in page.text
    assert health.status_code == 503 and "database" in str(health.json()["problems"])
    wait_for("the database", lambda: client.get("projects/").status_code == 200)


def test_a_frozen_broker_keeps_nobody_from_making_a_job(copy: Site) -> None:
    client = copy.api(copy.token())
    copy.manage("shell", "-c", MADE)
    with frozen(copy, "redis"):
        made = client.post("jobs/", json={"project": "made", "kind": "grade", "params": {}})
        health = httpx.get(f"{copy.url}/healthz", timeout=30).json()
    assert made.status_code == 202, made.text
    assert "redis" in str(health["problems"])
    job = made.json()["id"]
    wait_for("the job", lambda: client.get(f"jobs/{job}/").json()["state"] == "done")


MADE = (
    "from curation.models import Project, Membership; from django.contrib.auth.models import User;"
    "p, _ = Project.objects.get_or_create(slug='made', name='made');"
    "Membership.objects.get_or_create(project=p, user=User.objects.get(username='owner'),"
    " role='owner')"
)
