"""A GET changes nothing: every route is asked for while the database refuses each write.

Inside a savepoint PostgreSQL is told that the transaction may only read; a view that writes, takes
a lock or draws a number of a sequence fails with the statement in its traceback. What a session
notes about its own use is written outside, and was written just before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import InternalError, connection, transaction
from django.test import Client
from django.urls import URLResolver, get_resolver
from django.utils.http import urlencode

from curation.models import Membership
from reviews import queues
from reviews.models import Assignment, Comment, Guideline, Notification, Queue, QueueItem
from tests.curation.views_world import World

pytestmark = pytest.mark.django_db
PLACE = re.compile(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)|<(?:\w+:)?(\w+)>")
# What the forms of the pages send; a GET with the same words is still only a look.
WORDS = urlencode({"action": "remove-0", "remove": "1", "item": "1", "notice": "1", "name": "new",
                   "enabled": "0", "reason": "no", "decision": "sound", "query": "state=open",
                   "role": "owner", "_method": "POST", "project": "demo"})  # fmt: skip
# Kinds of rows that this world has none of: their single rows cannot be asked for.
WITHOUT = {"probes", "refine-answers", "judge-votes", "pseudo-references", "disputes",
           "reward-series", "judge-prompts", "reviews", "preferences", "held-back", "grants",
           "set-password", "tokens"}  # fmt: skip


def routes(patterns: Any = None, before: str = "") -> Iterator[str]:
    """Every address of the site as its pattern says it."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        here = before + str(pattern.pattern).lstrip("^")
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, here)
        elif not here.startswith("static/"):
            yield "/" + here.rstrip("$")


def address_of(route: str, known: dict[str, Any]) -> str | None:
    """A route with the names and ids of this world in it; None where it has no such row."""
    address = ""
    for part in PLACE.sub(lambda m: f"<{m[1] or m[2]}>", route).split("/")[1:]:
        found = part
        if part.startswith("<"):
            above = address.rsplit("/", 1)[-1] if part != "<slug>" else "p"
            if above in WITHOUT:
                return None
            found = str(known[above])
        address += f"/{found}"
    return address


@contextmanager
def only_reads() -> Iterator[None]:
    """Let the database refuse every write, and forget the savepoint afterwards."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL transaction_read_only = on")
        yield
        transaction.set_rollback(True)


@pytest.fixture
def known(world: World, user: Any) -> dict[str, Any]:
    """The last part of an address before an id or a name -> the id or the name."""
    project = world.project
    queue = Queue.objects.create(project=project, name="q", hide=["verdict"], gold_share=0.5)
    items = [
        QueueItem.objects.create(queue=queue, trace=trace, position=i)
        for i, trace in enumerate((world.trace, world.derived))
    ]
    held = queues.take(items[0].pk, user)
    assert held is not None
    comment = Comment.objects.create(trace=world.trace, user=user, text="@alice see")
    guide = Guideline.objects.create(project=project, version=1, text="# A rule", author=user)
    notice = Notification.objects.create(user=user, project=project, kind="mention", url="/")
    hit = world.hit.pk
    return {
        "p": "demo", "projects": "demo", "sources": world.source.pk, "rejects": world.reject.pk,
        "problems": world.problem.pk, "duplicates": world.cluster.pk,
        "duplicate-clusters": world.cluster.pk, "decontamination": hit, "benchmark-hits": hit,
        "benchmarks": world.hit.item.benchmark_id, "traces": world.trace.pk, "read": world.trace.pk,
        "verifiers": "math", "judges": "solution-check", "jobs": world.job.pk,
        "teachers": world.teacher.pk,
        "schedules": world.schedule.pk, "recipes": world.recipe.pk, "webhooks": world.webhook.pk,
        "selections": world.selection.pk, "exports": world.export.pk, "files": "data/train.jsonl",
        "training": world.run.pk, "training-runs": world.run.pk, "queues": queue.pk,
        "members": Membership.objects.get(project=project, user=user).pk,
        "deliveries": world.delivery.pk, "webhook-deliveries": world.delivery.pk,
        "queue-items": items[0].pk, "assignments": held.pk, "review": held.pk,
        "comments": comment.pk, "guidelines": guide.pk, "notifications": notice.pk,
        "segments": world.trace.segmentations.get().segments.first().pk,
        "verdicts": world.trace.verdicts.first().pk,
        "difficulties": world.problem.difficulties.first().pk,
    }  # fmt: skip


def addresses(known: dict[str, Any], world: World) -> list[str]:
    found = [address_of(route, known) for route in routes()]
    digest = world.export.digest
    return [re.sub(r"(/api/v1/exports)/\d+", rf"\1/{digest}", a) for a in found if a]


def looks(client: Client, address: str) -> set[int]:
    """The answers to the ways in which a browser, a fragment or a script looks at an address."""
    told = address if "?" in address else f"{address}?project=demo"
    calls = [(client.get, told, {}), (client.get, f"{address}?{WORDS}", {}),
             (client.get, told, {"hx-request": "true"}), (client.head, told, {}),
             (client.options, told, {})]  # fmt: skip
    codes = set()
    for ask, where, headers in calls:
        with only_reads():
            answer = ask(where, headers=headers)
            codes.add(answer.status_code)
            if answer.streaming:
                b"".join(answer.streaming_content)
    return codes


def test_a_look_at_any_address_changes_nothing(
    owner: Client, world: World, known: dict[str, Any]
) -> None:
    owner.get("/p/demo/")  # the session notes its use
    every = addresses(known, world)
    assert len(every) > 190
    seen = {address: looks(owner, address) for address in every}
    assert not {a: codes for a, codes in seen.items() if 500 in codes or codes <= {403, 404}}
    assert len([a for a, codes in seen.items() if 200 in codes or 302 in codes]) > 120


def test_a_reviewers_look_changes_nothing(world: World, known: dict[str, Any]) -> None:
    rita = get_user_model().objects.create_user("rita")
    Membership.objects.create(project=world.project, user=rita, role="reviewer")
    client = Client()
    client.force_login(rita)
    client.get("/p/demo/")
    for address in addresses(known, world):
        assert not looks(client, address) & {500}, address
    assert not Assignment.objects.filter(user=rita).exists()


def test_a_write_is_seen_here(owner: Client, known: dict[str, Any]) -> None:
    owner.get("/p/demo/")
    for address in (f"/p/demo/queues/{known['queues']}/next/", "/p/demo/notices/"):
        with pytest.raises(InternalError, match="read-only"), only_reads():
            owner.post(address)
