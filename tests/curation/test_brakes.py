"""Costly requests get slots, deadlines and limits that their callers cannot raise."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from django.test import Client

from curation.brakes import TOOLS, Slots, TooBusy
from curation.tokens import create_token
from curation.verifiers import deadline, verify
from curation.verifiers.pool import MathPool, default_pool, use_pool
from tests.curation.sandbox_holes import sandbox_here

ENDLESS = r"\boxed{5^{5^{5^{5^{5}}}}}"


def test_slots_are_bounded_for_one_user_and_for_all_and_given_back() -> None:
    slots = Slots(total=3, per_user=2)
    with slots.hold(1), slots.hold(1):
        with pytest.raises(TooBusy, match="Your last request"), slots.hold(1):
            raise AssertionError
        with slots.hold(2), pytest.raises(TooBusy, match="Too many"), slots.hold(3):
            raise AssertionError
    for _ in range(5):
        with pytest.raises(ZeroDivisionError), slots.hold(1):
            raise ZeroDivisionError
    with slots.hold(1), slots.hold(1), slots.hold(None):
        assert sum(slots._held.values()) == 3
    assert not slots._held


def test_no_more_than_the_slots_run_at_once() -> None:
    slots, running, most, refused = Slots(total=2, per_user=2), [0], [0], [0]
    lock, gate = threading.Lock(), threading.Barrier(8)

    def ask(user: int) -> None:
        gate.wait()
        try:
            with slots.hold(user):
                with lock:
                    running[0] += 1
                    most[0] = max(most[0], running[0])
                threading.Event().wait(0.2)
                with lock:
                    running[0] -= 1
        except TooBusy:
            with lock:
                refused[0] += 1

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most[0], refused[0]) == (2, 6)


@pytest.fixture
def reader(user: Any) -> Any:
    """Posts JSON with a token of somebody in no project who may only read."""
    _, secret = create_token(user=user, scopes=["read"])

    def post(path: str, data: Any) -> Any:
        return Client().post(
            f"/api/v1/{path}",
            json.dumps(data),
            content_type="application/json",
            headers={"Authorization": f"Bearer {secret}"},
        )

    return post


def asked(**options: Any) -> dict[str, Any]:
    return {"kind": "code", "response": "x", "reference": None, "options": options}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"tests": {"test_list": ["x"], "limits": {"seconds": 30}}}, "limit_too_high"),
        ({"tests": {"test_list": ["x"], "limits": {"memory_mb": 4096}}}, "limit_too_high"),
        ({"tests": {"inputs": [], "seconds": 6}}, "limit_too_high"),
        ({"tests": json.dumps({"inputs": [], "memory_mb": 1e9})}, "limit_too_high"),
        ({"deadline": 1000}, "limit_too_high"),
        ({"deadline": -1}, "limit_too_high"),
        ({"deadline": True}, "limit_invalid"),
        ({"tests": {"limits": {"seconds": "30"}}}, "limit_invalid"),
        ({"tests": {"limits": {"seconds": [30]}}}, "limit_invalid"),
    ],
)
def test_a_caller_may_not_raise_a_limit(reader: Any, options: Any, code: str) -> None:
    answer = reader("tools/verify/", asked(**options))
    assert (answer.status_code, answer.json()["code"]) == (400, code)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("tools/verify/", {"kind": "math", "response": "1", "reference": "1"}),
        ("tools/segment/", {"text": "one. two."}),
    ],
)
def test_every_tool_waits_in_no_page_thread(reader: Any, user: Any, path: str, data: Any) -> None:
    with TOOLS.hold(user.pk), TOOLS.hold(user.pk):
        answer = reader(path, data)
    assert (answer.status_code, answer.json()["code"]) == (429, "too_busy")
    assert answer["Retry-After"]
    assert reader(path, data).status_code == 200


@pytest.fixture
def one_child() -> Any:
    """A pool of one child whose own limit is a minute."""
    before, pool = default_pool(), MathPool(1, timeout=60.0)
    use_pool(pool)
    assert pool.compare("x+1", "1+x").name == "equal"
    yield pool
    use_pool(before)
    pool.close()


def test_a_deadline_ends_a_comparison_and_the_next_one_is_served(one_child: MathPool) -> None:
    verdict = verify("math", ENDLESS, "17+x", deadline=1.0)
    assert (verdict.verdict, verdict.reason) == ("error", "timeout")
    assert verdict.detail["limit_s"] == 1.0
    assert verify("math", r"\boxed{2y}", "y+y", deadline=30.0).verdict == "correct"


@pytest.mark.skipif(not sandbox_here(), reason="no sandbox here")
def test_a_deadline_is_spent_once_for_all_tests_and_runs() -> None:
    program = "```python\nimport time\ntime.sleep(9)\n```"
    tests = {"inputs": [""] * 50, "outputs": [""] * 50}
    verdict = verify("code", program, None, tests=tests, repeat=5, deadline=2.0)
    assert (verdict.verdict, verdict.reason) == ("error", "timeout")


def test_the_nearer_deadline_holds() -> None:
    assert deadline.remaining() is None
    with deadline.within(100.0), deadline.within(5.0):
        assert deadline.shorter_of(50.0) <= 5.0
        with deadline.within(70.0):
            assert deadline.shorter_of(50.0) <= 5.0
    assert deadline.shorter_of(50.0) == 50.0
