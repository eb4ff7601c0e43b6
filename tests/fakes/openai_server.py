"""A scripted OpenAI-compatible server on a real socket, for every way a server can misbehave.

``ScriptedServer`` runs in its own thread. Each chat request takes the next ``Reply`` of the script;
when the script is empty, ``fallback`` answers like vLLM would. Nothing here depends on a library,
so that bytes can be cut, delayed and mislabelled at will.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Recorded:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float = field(default_factory=time.monotonic)


@dataclass
class Reply:
    """How to answer one request.

    ``parts`` go out one by one, ``pause`` seconds apart. ``length``: "auto" sends the true
    Content-Length, "chunked" uses chunked encoding, an int lies. ``cut_after`` parts the connection
    is reset; ``hang`` waits that long before the first byte.
    """

    status: int = 200
    parts: list[bytes] = field(default_factory=list)
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    length: int | str = "auto"
    pause: float = 0.0
    hang: float = 0.0
    cut_after: int | None = None
    reset: bool = False  # close before any byte


def sampled_text(body: dict[str, Any], index: int = 0, nonce: int = 0) -> str:
    """A text that depends on what was asked, as a seeded model's would."""
    asked = json.dumps([body.get("messages"), body.get("seed"), index, nonce], sort_keys=True)
    word = hashlib.sha256(asked.encode()).hexdigest()[:12]
    return f"<think>\n{word}\n</think>\n\nThe answer is {int(word[:4], 16) % 100}."


def usage(body: dict[str, Any], texts: list[str]) -> dict[str, int]:
    prompt = sum(len(str(m.get("content", "")).split()) for m in body.get("messages", []))
    completion = sum(len(text.split()) for text in texts)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def completion(body: dict[str, Any], texts: list[str], finish: str = "stop", **extra: Any) -> Reply:
    """A whole chat completion in vLLM's shape."""
    choices = [
        {
            "index": i,
            "message": {"role": "assistant", "content": text, "reasoning_content": None},
            "logprobs": None,
            "finish_reason": finish,
            "stop_reason": None,
        }
        for i, text in enumerate(texts)
    ]
    value = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body.get("model"),
        "choices": choices,
        "usage": usage(body, texts),
        "system_fingerprint": "vllm-fake",
    }
    return Reply(parts=[json.dumps(value | extra).encode()])


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def chunk(model: Any, index: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
    return event(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": model,
            "choices": [
                {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
            ],
        }
    )


def stream(body: dict[str, Any], texts: list[str], finish: str = "stop", size: int = 8) -> Reply:
    """A streamed completion in vLLM's shape: role, pieces, finish_reason, usage, [DONE]."""
    model = body.get("model")
    parts = [chunk(model, i, {"role": "assistant", "content": ""}) for i in range(len(texts))]
    for i, text in enumerate(texts):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        parts += [chunk(model, i, {"content": piece}) for piece in pieces]
        parts.append(chunk(model, i, {"content": ""}, finish))
    if (body.get("stream_options") or {}).get("include_usage"):
        parts.append(event({"choices": [], "model": model, "usage": usage(body, texts)}))
    parts.append(b"data: [DONE]\n\n")
    return Reply(parts=parts, content_type="text/event-stream", length="chunked")


def error(status: int, message: str = "no", headers: dict[str, str] | None = None) -> Reply:
    """An error in the shape that vLLM uses today."""
    value = {"error": {"message": message, "type": "Error", "param": None, "code": status}}
    return Reply(status=status, parts=[json.dumps(value).encode()], headers=headers or {})


def html(status: int = 200) -> Reply:
    return Reply(status=status, parts=[b"<html>Bad gateway</html>"], content_type="text/html")


def gzip_bomb(size: int) -> Reply:
    packed = gzip.compress(b" " * size)
    return Reply(parts=[packed], headers={"Content-Encoding": "gzip"})


Answerer = Callable[[dict[str, Any]], Reply]
Script = Iterable[Reply | Answerer]


def like_vllm(body: dict[str, Any], nonce: int = 0) -> Reply:
    """Honours n, seed, logprobs, response_format and streaming."""
    texts = [sampled_text(body, i, nonce) for i in range(body.get("n") or 1)]
    if body.get("response_format"):
        texts = ['{"probe": "rain"}' for _ in texts]
    if body.get("stream"):
        return stream(body, texts)
    reply = completion(body, texts)
    if body.get("logprobs"):
        value = json.loads(reply.parts[0])
        for choice in value["choices"]:
            content = [{"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}]
            choice["logprobs"] = {"content": content}
        reply.parts = [json.dumps(value).encode()]
    return reply


class LikeTransformersServe:
    """Ignores n, logprobs and response_format, and has one seed for the whole process."""

    def __init__(self) -> None:
        self.state = 0
        self.asked = 0

    def __call__(self, body: dict[str, Any]) -> Reply:
        self.asked += 1
        if body.get("seed") is not None:
            self.state = body["seed"]
        self.state += 1
        asked = {"messages": body.get("messages")}
        # Others that run at the same time draw from the same generator.
        text = sampled_text(asked, nonce=self.state * 1000 + self.asked)
        return stream(body, [text]) if body.get("stream") else completion(body, [text])


class ScriptedServer:
    """``with ScriptedServer([...]) as server:`` then talk to ``server.url``."""

    def __init__(
        self,
        script: Script = (),
        *,
        fallback: Answerer = like_vllm,
        models: list[dict[str, Any]] | Reply | None = None,
        latency: float = 0.0,
    ) -> None:
        self.script: deque[Reply | Answerer] = deque(script)
        self.fallback = fallback
        self.models = models if models is not None else [{"id": "fake", "max_model_len": 4096}]
        self.latency = latency
        self.requests: list[Recorded] = []
        self.keep_requests = True
        self.answered = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def chats(self) -> list[Recorded]:
        return [r for r in self.requests if r.path.endswith("/chat/completions")]

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the scripted server did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1024)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError
        ):
            while await self._one(reader, writer):
                pass
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await _read_request(reader)
        if request is None:
            return False
        if self.keep_requests:
            self.requests.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._answer(self._reply(request), writer)
        finally:
            self.in_flight -= 1

    def _reply(self, request: Recorded) -> Reply:
        if request.path.endswith("/models"):
            if isinstance(self.models, Reply):
                return self.models
            return Reply(parts=[json.dumps({"object": "list", "data": self.models}).encode()])
        step = self.script.popleft() if self.script else self.fallback
        return step if isinstance(step, Reply) else step(request.body)

    async def _answer(self, reply: Reply, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(reply.hang + self.latency)
        if reply.reset:
            writer.transport.abort()
            return False
        writer.write(_head(reply))
        for sent, part in enumerate(reply.parts):
            if reply.cut_after == sent:
                writer.transport.abort() if not reply.headers.get("X-Clean") else writer.close()
                return False
            writer.write(_framed(part) if reply.length == "chunked" else part)
            await writer.drain()
            if reply.pause:
                await asyncio.sleep(reply.pause)
        if reply.length == "chunked":
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        self.answered += 1
        return not isinstance(reply.length, int)  # who lies about the length closes


def _head(reply: Reply) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} X", f"Content-Type: {reply.content_type}"]
    if reply.length == "chunked":
        lines.append("Transfer-Encoding: chunked")
    elif reply.length != "none":
        size = sum(map(len, reply.parts)) if reply.length == "auto" else reply.length
        lines.append(f"Content-Length: {size}")
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _framed(part: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(part), part)


async def _read_request(reader: asyncio.StreamReader) -> Recorded | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    method, path, _ = first.split(" ", 2)
    raw = await reader.readexactly(int(headers.get("content-length", 0)))
    return Recorded(method, path, headers, json.loads(raw) if raw else {})
