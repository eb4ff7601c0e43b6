"""Many reviewers at once over HTTP: nobody gets what another has, nothing is lost, nothing breaks.

The short form runs with the services suite; ``make soak`` runs two minutes of it.
"""

from __future__ import annotations

import json
import os
import re
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client

from curation.models import Membership
from reviews.models import Assignment, Queue, Review
from tests.reviews.test_queues import make_queue
from workers.supervisor import parts

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]
PEOPLE = 20
SECONDS = 120.0 if os.environ.get("WHITTLE_SOAK") else 6.0


@dataclass
class Seen:
    """What one reviewer saw: times in seconds, items got and submitted, answers of 500 and over."""

    next: list[float] = field(default_factory=list)
    submit: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    got: list[int] = field(default_factory=list)
    stored: list[int] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def enter(base: str, person: Any) -> httpx.Client:
    """A browser's worth of cookies, without twenty slow password hashes."""
    inside = Client()
    inside.force_login(person)
    session = inside.cookies[settings.SESSION_COOKIE_NAME].value
    cookies = {f"whittle_session_{httpx.URL(base).port}": session}  # named by the copy's port
    return httpx.Client(base_url=base, timeout=60, follow_redirects=True, cookies=cookies)


def timed(times: list[float], call: Any) -> Any:
    start = time.perf_counter()
    answer = call()
    times.append(time.perf_counter() - start)
    return answer


def work(client: httpx.Client, queue: Queue, until: float, seen: Seen) -> None:
    base = f"/p/{queue.project.slug}/"
    while time.monotonic() < until:
        timed(seen.plain, lambda: client.get("/login/"))
        offer = client.get(f"{base}queues/{queue.pk}/next/")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', offer.text)
        form = {"csrfmiddlewaretoken": token[1] if token else ""}
        page = timed(
            seen.next, lambda f=form: client.post(f"{base}queues/{queue.pk}/next/", data=f)
        )
        if page.status_code >= 500:
            seen.broken.append(f"next {page.status_code}")
        found = re.search(r"/review/(\d+)/$", str(page.url))
        if not found:
            return
        state = re.search(r'<script id="state" type="application/json">(.*?)</script>', page.text)
        token = re.search(r'"X-CSRFToken": "([^"]+)"', page.text)
        assert state and token
        headers = {"X-CSRFToken": token[1], "Referer": str(page.url)}
        seen.got.append(int(found[1]))
        body = {"decision": "sound", "note": found[1], "epoch": json.loads(state[1])["epoch"]}
        patch = {"patch": {"set": {"note": "n"}}, "rev": json.loads(state[1])["draftRev"]}
        address = f"{base}review/{found[1]}/"
        client.post(f"{address}draft/", json=patch, headers=headers)
        answer = timed(
            seen.submit,
            lambda a=address, b=body, h=headers: client.post(f"{a}submit/", json=b, headers=h),
        )
        if answer.status_code != 200:
            seen.broken.append(f"submit {answer.status_code}")
        else:
            seen.stored.append(answer.json()["review"])


def p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1] * 1000 if len(values) > 1 else 0.0


def all_at_once(clients: list[httpx.Client], queue: Queue) -> list[Seen]:
    """What each saw, one thread a reviewer."""
    until = time.monotonic() + SECONDS
    everyone = [Seen() for _ in clients]
    threads = [
        threading.Thread(target=work, args=(client, queue, until, seen))
        for client, seen in zip(clients, everyone, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return everyone


@contextmanager
def product_server(folder: Path) -> Iterator[str]:
    """Address of the web server as the supervisor starts it, on this test's database."""
    dsn = connection.settings_dict
    host = quote(str(dsn["HOST"]), safe="")
    secret = f"{dsn['USER']}:{dsn['PASSWORD']}"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORT", str(port))
        part = parts.web()
    told = {"DATABASE_URL": f"postgresql://{secret}@{host}:{dsn['PORT']}/{dsn['NAME']}"}
    url = f"http://127.0.0.1:{port}"
    with (folder / "web.log").open("w") as log:
        server = subprocess.Popen(
            part.command, env={**part.environment, **told}, stdout=log, stderr=log
        )
        try:
            wait_for(url, folder / "web.log")
            yield url
        finally:
            server.terminate()
            server.wait(timeout=30)


def wait_for(url: str, log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if httpx.get(f"{url}/login/").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError(log.read_text()[-2000:])


@pytest.mark.django_db(transaction=True)
def test_twenty_reviewers_at_once_lose_and_share_nothing(project: Any, tmp_path: Path) -> None:
    queue = make_queue(project, int(40 * max(SECONDS, 8)))
    users = get_user_model()
    people: list[Any] = []
    for i in range(PEOPLE):
        person = users.objects.create_user(f"p{i}")
        Membership.objects.create(project=project, user=person, role="reviewer")
        people.append(person)
    with product_server(tmp_path) as url:
        everyone = all_at_once([enter(url, person) for person in people], queue)
    stored = [pk for seen in everyone for pk in seen.stored]
    assert not [b for seen in everyone for b in seen.broken]
    assert len(stored) >= PEOPLE and Review.objects.filter(pk__in=stored).count() == len(stored)
    assert Review.objects.count() == len(stored)
    items = Review.objects.values_list("item", flat=True)
    assert len(set(items)) == len(items), "an item was judged twice"
    held = Assignment.objects.values_list("item", flat=True)
    assert len(set(held)) == len(held), "an item was handed to two people"
    figures = {n: round(p95([v for s in everyone for v in getattr(s, n)]))
               for n in ("next", "submit", "plain")}  # fmt: skip
    print(json.dumps({"reviews": len(stored), "seconds": SECONDS, "p95_ms": figures}))
