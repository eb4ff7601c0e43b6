"""What a queue hides stays hidden on the pages outside of queues."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from reviews import decisions, pruning
from tests.reviews.test_consequences import taken
from tests.reviews.test_queues import bob  # noqa: F401

pytestmark = pytest.mark.django_db


def test_the_pages_of_trace_and_problem_wait_for_the_first_judgement(
    project: Any,
    user: Any,
    bob: Any,  # noqa: F811
) -> None:
    assignment = taken(project, bob, hide=["teacher", "verdict"])
    trace = assignment.item.trace
    base = f"/p/{project.slug}"
    pages = [f"{base}/traces/{trace.pk}/", f"{base}/problems/{trace.problem_id}/"]
    judge, lead = Client(), Client()
    judge.force_login(bob)
    lead.force_login(user)
    for address in pages:
        held, seen = judge.get(address), lead.get(address)
        assert (held.status_code, seen.status_code) == (200, 200)
        assert "chip correct" in seen.content.decode()
        body = held.content.decode()
        assert "Hidden until you have judged" in body and "chip correct" not in body
        assert f"/review/{assignment.pk}/" in body
    decisions.commit(assignment, "sound", 1.0)
    for address in pages:
        assert "Hidden until" not in judge.get(address).content.decode()


def test_a_queue_that_hides_nothing_holds_nothing_back(project: Any, user: Any) -> None:
    assignment = taken(project, user)
    client = Client()
    client.force_login(user)
    body = client.get(f"/p/{project.slug}/traces/{assignment.item.trace_id}/").content.decode()
    assert "Hidden until" not in body


def test_what_the_verifier_says_of_the_rest_waits_for_the_first_judgement(
    project: Any,
    bob: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = {"verdict": "correct", "score": None, "reason": "", "extracted": "12"}
    monkeypatch.setattr(pruning, "judge", lambda *_: said)
    assignment = taken(project, bob, hide=["verdict"])
    address = f"/p/{project.slug}/review/{assignment.pk}/preview/"
    judge = Client()
    judge.force_login(bob)

    def asked() -> Any:
        cuts = {"cuts": [{"start": 0, "end": 4, "reason": "twice"}]}
        return judge.post(address, cuts, content_type="application/json").json()

    before = asked()
    assert before["hidden"] and not {"verdict", "extracted", "score"} & set(before)
    assert before["chars"] == assignment.item.trace.char_count - 4
    decisions.commit(assignment, "sound", 1.0)
    assert asked()["verdict"] == "correct"
