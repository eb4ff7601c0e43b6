"""The demo teacher as a server: what it answers, what it refuses, how it starts and stops."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from workers.demo_teacher.gate import Gate, checked_body, unsupported

ASK = {"messages": [{"role": "user", "content": "What is 12 + 30?"}], "model": "demo-teacher"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 8),
        ("logprobs", True),
        ("response_format", {"type": "json_object"}),
        ("stop", ["\n"]),
        ("frequency_penalty", 0.5),
        ("logit_bias", {"5": 1}),
    ],
)
def test_what_the_batch_cannot_honour_is_refused_by_name(field: str, value: object) -> None:
    assert unsupported({**ASK, field: value}) == [field]
    with pytest.raises(ValueError, match=field):
        checked_body(json.dumps({**ASK, field: value}).encode())


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff"])
def test_a_body_that_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):
        checked_body(raw)


def test_neutral_fields_and_the_seed_are_taken_out() -> None:
    body = {**ASK, "n": 1, "seed": 3, "user": "x", "temperature": 0.5, "response_format": None}
    assert checked_body(json.dumps(body).encode()) == {**ASK, "temperature": 0.5}


def call(gate: Gate, path: str, method: str = "POST", body: bytes = b"") -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(gate)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            return await client.request(method, path, content=body)

    return asyncio.run(ask())


def test_only_the_completions_and_the_health_reach_the_server_behind() -> None:
    reached: list[str] = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        reached.append(f"{scope['path']} {body.decode()}")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    gate = Gate(behind, "demo-teacher")
    for path in ("/load_model", "/reset", "/v1/responses", "/docs", "/"):
        assert call(gate, path, body=b"{}").status_code == 404
    assert call(gate, "/v1/models", "GET").json()["data"][0]["id"] == "demo-teacher"
    assert call(gate, "/v1/chat/completions", body=b'{"n": 2}').status_code == 422
    assert reached == []
    assert call(gate, "/v1/chat/completions", body=b'{"seed": 2, "a": 1}').status_code == 200
    assert reached == ['/v1/chat/completions {"a": 1}']


def test_a_body_without_end_is_refused() -> None:
    gate = Gate(lambda *args: None, "demo-teacher")  # type: ignore[arg-type, return-value]
    assert call(gate, "/v1/chat/completions", body=b" " * (1 << 21)).status_code == 422


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("transformers", reason="the demo extra is not installed")
    port_file = tmp_path_factory.mktemp("teacher") / "teacher.port"
    command = [sys.executable, "-m", "workers.demo_teacher", "serve", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--port-file", str(port_file)], stdout=subprocess.PIPE, text=True
    )
    watchdog = threading.Timer(100, process.kill)
    watchdog.start()
    assert process.stdout is not None
    line = next((x for x in process.stdout if " ready on " in x), "")
    assert line.startswith("demo-teacher ready on http://127.0.0.1:")
    assert port_file.read_text() == line.strip().rsplit(":", 1)[1].removesuffix("/v1")
    yield line.split()[-1]
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    watchdog.cancel()
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{line.split()[-1]}/models", trust_env=False)


def ask(url: str, **given: Any) -> httpx.Response:
    body = {**ASK, "max_tokens": 400, **given}
    return httpx.post(f"{url}/chat/completions", json=body, timeout=100, trust_env=False)


@pytest.mark.slow
@pytest.mark.services
def test_the_server_answers_with_reasoning_usage_and_a_reason_to_stop(server: str) -> None:
    answer = ask(server, temperature=0).json()
    text = answer["choices"][0]["message"]["content"]
    assert text.startswith("<think>\n") and "</think>" in text and "\\boxed{42}" in text
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] > 20
    cut = ask(server, max_tokens=5).json()
    assert cut["choices"][0]["finish_reason"] == "length"
    assert cut["usage"]["completion_tokens"] == 5


@pytest.mark.slow
@pytest.mark.services
def test_each_request_has_its_own_temperature(server: str) -> None:
    with ThreadPoolExecutor(12) as pool:
        heats = [0.0, 1.2] * 6
        texts = list(
            pool.map(
                lambda heat: ask(server, temperature=heat).json()["choices"][0]["message"][
                    "content"
                ],
                heats,
            )
        )
    assert len(set(texts[0::2])) == 1
    assert len(set(texts[1::2])) > 1


@pytest.mark.slow
@pytest.mark.services
def test_a_stream_ends_with_its_reason_and_spells_the_same_kind_of_answer(server: str) -> None:
    body = {**ASK, "max_tokens": 400, "temperature": 0, "stream": True}
    url, text, reasons = f"{server}/chat/completions", "", []
    with httpx.stream("POST", url, json=body, timeout=100, trust_env=False) as stream:
        for line in stream.iter_lines():
            if line.startswith("data: {"):
                choice = json.loads(line[6:])["choices"][0]
                text += choice["delta"].get("content") or ""
                reasons.append(choice.get("finish_reason"))
    assert "\\boxed{42}" in text and "<think>" in text
    assert [r for r in reasons if r] == ["stop"]


@pytest.mark.slow
@pytest.mark.services
def test_another_model_name_is_refused(server: str) -> None:
    assert ask(server, model="gpt-9").status_code == 400


def test_a_folder_without_a_model_is_refused_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "workers.demo_teacher", "serve", "--port", "0"]
    done = subprocess.run(
        [*command, "--model", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "no model in" in done.stderr
