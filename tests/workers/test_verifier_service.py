"""The verifier service over its real socket: batches, back-pressure, limits, secrets, its end."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from curation.sandbox.client import VerifierClient
from curation.verifiers import VERIFIERS
from tests.verifier import Running, running_service, start, wait_until_up


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    secrets = {"DATABASE_URL": "postgresql://canary", "REDIS_URL": "redis://canary"}
    secrets |= {"WHITTLE_KEY_LAB": "canary", "SOMETHING_NEW": "canary"}
    with running_service("--workers", "2", environment=secrets) as running:
        yield running


def raw(service: Running) -> httpx.Client:
    transport = httpx.HTTPTransport(uds=str(service.socket))
    return httpx.Client(transport=transport, base_url="http://verifier", timeout=30)


def item(answer: str, reference: str | None = "14", **options: Any) -> dict[str, Any]:
    response = rf"\boxed{{{answer}}}"
    return {"kind": "math", "response": response, "reference": reference, "options": options}


def test_a_batch_comes_back_in_its_order(service: Running) -> None:
    verdicts = service.client.verify_batch(
        [
            item("14"),
            item("15"),
            item("x+1", "1+x"),
            item("14", None),
            item("1", finish_reason="length"),
        ]
    )
    found = [(v.verdict, v.reason) for v in verdicts]
    assert found == [
        ("correct", ""),
        ("incorrect", ""),
        ("correct", ""),
        ("unverifiable", "no_reference"),
        ("incorrect", "truncated"),
    ]


def test_large_batches_are_split_and_keep_their_order(service: Running) -> None:
    items = [item(str(number), str(number - number % 2)) for number in range(1_200)]
    verdicts = service.client.verify_batch(items)
    assert [v.verdict for v in verdicts] == ["correct", "incorrect"] * 600


def test_health_names_sandbox_pool_and_versions(service: Running) -> None:
    deadline = time.monotonic() + 20
    health = service.client.health()
    while health and "not tested" in health["sandbox"] and time.monotonic() < deadline:
        time.sleep(0.1)
        health = service.client.health()
    assert health is not None
    assert health["status"] == "ok"
    assert health["sandbox"] == "ok" or health["sandbox"].startswith("unavailable: ")
    assert health["pool"]["workers"] == 2
    assert health["versions"] == {name: v.version for name, v in VERIFIERS.items()}


def test_a_bad_item_is_an_error_of_its_own(service: Running) -> None:
    items = [
        5,
        {"kind": "math"},
        {"kind": "math", "response": 1},
        item("14"),
        {**item("1"), "kind": "x"},
    ]
    items.append({**item("14"), "options": {"kind": "exact", "response": "no", "unknown": 1}})
    with raw(service) as http:
        verdicts = http.post("/verify", json={"items": items}).json()["verdicts"]
    found = [(v["verdict"], v["reason"]) for v in verdicts]
    bad = ("error", "bad_item")
    assert found == [bad, bad, bad, ("correct", ""), ("error", "unknown_kind"), ("correct", "")]
    assert verdicts[3]["version"] == VERIFIERS["math"].version


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"not json", 400),
        (b"[]", 400),
        (b'{"items": 5}', 400),
        (b'{"items": [' + b"[" * 100_000 + b"]}", 400),
        (json.dumps({"items": [0] * 2_001}).encode(), 413),
    ],
)
def test_a_malformed_request_is_refused_with_a_reason(
    service: Running, body: bytes, status: int
) -> None:
    with raw(service) as http:
        answer = http.post("/verify", content=body)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_a_body_over_the_limit_is_refused_without_reading_it_all(service: Running) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(70):
            yield b" " * 1024**2

    # The service may close the connection before everything is sent.
    with raw(service) as http, contextlib.suppress(httpx.WriteError):
        assert http.post("/verify", content=endless()).status_code == 413
    assert service.client.health() is not None


def test_only_its_own_user_may_open_the_socket(service: Running) -> None:
    assert stat.S_IMODE(service.socket.stat().st_mode) == 0o600


def test_no_credential_stays_in_the_service_or_its_children(service: Running) -> None:
    main = psutil.Process(service.process.pid)
    service.client.verify_batch([item("x+1", "1+x")])
    seen = [main, *main.children(recursive=True)]
    assert len(seen) >= 3
    for process in seen:
        content = Path(f"/proc/{process.pid}/environ").read_bytes()
        assert b"canary" not in content


@pytest.mark.slow
def test_a_hang_is_an_error_and_does_not_hold_up_the_others(service: Running) -> None:
    done: list[Any] = []
    stuck = [item(r"5^{5^{5^{5^5}}}", timeout=3)]
    thread = threading.Thread(target=lambda: done.extend(service.client.verify_batch(stuck)))
    thread.start()
    started = time.monotonic()
    quick = VerifierClient(service.socket).verify_batch([item("z+1", "1+z"), item("14")])
    assert [v.verdict for v in quick] == ["correct", "correct"]
    assert time.monotonic() - started < 30
    thread.join(timeout=15)
    assert [(v.verdict, v.reason) for v in done] == [("error", "timeout")]


def test_a_killed_child_is_replaced(service: Running) -> None:
    main = psutil.Process(service.process.pid)
    service.client.verify_batch([item("x+7", "7+x")])
    children = [p for p in main.children(recursive=True) if p.ppid() != main.pid]
    assert children
    for child in children:
        child.kill()
    verdicts = service.client.verify_batch([item(f"x+{n}", f"{n}+x") for n in range(50, 54)])
    assert {v.verdict for v in verdicts} == {"correct"}


def test_lone_surrogates_and_nul_reach_a_verdict(service: Running) -> None:
    response = "\ud800\x00 \\boxed{14}"
    assert service.client.verify("math", response, "14").verdict == "correct"


def test_an_overloaded_service_asks_to_come_back_and_is_never_incorrect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from workers.verifier_service.app import Limits, Service

    monkeypatch.setattr("curation.sandbox.client.FIRST_PAUSE", 0.001)
    application = Service(Limits(workers=1, queue=3))
    try:
        transport = httpx.ASGITransport(app=_routes(application))
        answer = _post(transport, {"items": [item("14")] * 4})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert _post(transport, {"items": [item("14")] * 3}).status_code == 200
    finally:
        application.close()


def _routes(application: Any) -> Any:
    from starlette.applications import Starlette
    from starlette.routing import Route

    return Starlette(routes=[Route("/verify", application.verify, methods=["POST"])])


def _post(transport: Any, data: dict[str, Any]) -> httpx.Response:
    import asyncio

    async def post() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://v") as http:
            return await http.post("/verify", json=data)

    return asyncio.run(post())


class Answering:
    """A server on a UNIX socket that gives each request the next of some raw answers."""

    def __init__(self, path: Path, answers: list[bytes]) -> None:
        self.answers, self.requests = answers, 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(1_000_000)
                answer = self.answers[min(self.requests, len(self.answers) - 1)]
                self.requests += 1
                connection.sendall(answer)


def http_answer(status: str, body: bytes = b"{}") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


GOOD = http_answer(
    "200 OK", json.dumps({"verdicts": [{"verdict": "correct", "score": 1}]}).encode()
)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([http_answer("503 Busy")], ("error", "overloaded")),
        ([http_answer("500 Oops")], ("error", "verifier_unreachable")),
        ([http_answer("200 OK", b"<html>")], ("error", "verifier_unreachable")),
        ([http_answer("200 OK", b'{"verdicts": []}')], ("error", "verifier_unreachable")),
        (
            [http_answer("200 OK", b'{"verdicts": [{"verdict": "pass"}]}')],
            ("error", "verifier_unreachable"),
        ),
        ([b""], ("error", "verifier_unreachable")),
        ([http_answer("413 Large")], ("error", "refused")),
        ([http_answer("503 Busy"), b"", GOOD], ("correct", "")),
    ],
)
def test_whatever_the_service_answers_is_never_incorrect(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answers: list[bytes],
    expected: tuple[str, str],
) -> None:
    monkeypatch.setattr("curation.sandbox.client.FIRST_PAUSE", 0.001)
    server = Answering(tmp_path / "s.sock", answers)
    with VerifierClient(tmp_path / "s.sock", attempts=3) as client:
        verdict = client.verify("math", r"\boxed{1}", "1")
    server.listener.close()
    assert (verdict.verdict, verdict.reason) == expected
    assert server.requests <= 3


def test_an_absent_service_is_an_error_after_a_bounded_time(tmp_path: Path) -> None:
    started = time.monotonic()
    client = VerifierClient(tmp_path / "nobody.sock", attempts=2)
    verdict = client.verify("math", r"\boxed{1}", "1")
    assert (verdict.verdict, verdict.reason) == ("error", "verifier_unreachable")
    assert client.health() is None
    assert time.monotonic() - started < 30


def test_a_stale_socket_is_replaced_and_a_second_service_steps_back(service: Running) -> None:
    second = start(service.socket)
    assert second.wait(timeout=30) == 1
    assert service.client.health() is not None


@pytest.mark.slow
def test_the_socket_is_gone_after_sigterm_and_usable_after_sigkill(tmp_path: Path) -> None:
    path = tmp_path / "v.sock"
    client = VerifierClient(path)
    first = start(path, "--workers", "1")
    wait_until_up(client, first)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert path.exists()
    second = start(path, "--workers", "1")
    wait_until_up(client, second)
    assert client.verify("math", r"\boxed{14}", "14").verdict == "correct"
    children = psutil.Process(second.pid).children(recursive=True)
    started = time.monotonic()
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=15) == 0
    assert time.monotonic() - started < 30
    assert not path.exists()
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []


def test_a_file_in_the_sockets_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "v.sock"
    path.write_text("mine")
    process = start(path)
    assert process.wait(timeout=30) != 0
    assert path.read_text() == "mine"


def test_the_service_loads_no_django_celery_or_database_driver() -> None:
    code = (
        "import sys, workers.verifier_service.__main__\n"
        "print([m for m in ('django', 'celery', 'psycopg', 'redis', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
