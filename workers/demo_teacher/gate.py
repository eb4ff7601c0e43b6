"""The front of the served model: what it refuses, what it is called, and nothing else reachable."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

COMPLETIONS = ("/v1/chat/completions", "/v1/completions")
# The server behind also loads models by name and scans the hub's cache: not reachable from here.
PASSED = (*COMPLETIONS, "/health")
MAX_BODY = 1 << 20
# For each field that continuous batching cannot honour, the values that ask for nothing.
NEUTRAL: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "logprobs": (False, 0),
    "top_logprobs": (0,),
    "response_format": ({"type": "text"},),
    "stop": ("", []),
    "logit_bias": ({},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "tools": ([],),
    "functions": ([],),
    "generation_config": (),
}
# Taken and left out: a seed here would reset the one generator that all running requests share.
IGNORED = ("seed", "user", "stream_options", "store", "metadata", *NEUTRAL)


def unsupported(body: dict[str, Any]) -> list[str]:
    """The fields of a request that ask for something this server cannot do."""
    return sorted(
        name
        for name, neutral in NEUTRAL.items()
        if body.get(name) is not None and body[name] not in neutral
    )


def checked_body(raw: bytes) -> dict[str, Any]:
    """The request without the fields that change nothing; ValueError says what is wrong with it."""
    body = json.loads(raw)
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")
    if names := unsupported(body):
        raise ValueError(f"not supported by this server: {', '.join(names)}")
    return {name: value for name, value in body.items() if name not in IGNORED}


class Gate:
    """ASGI app in front of transformers' server for the one model ``name``."""

    def __init__(self, app: App, name: str) -> None:
        self.app, self.name = app, name

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass, answer or refuse one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"] == "/v1/models":
            models = [{"id": self.name, "object": "model", "created": 0, "owned_by": "whittle"}]
            await _answer(send, 200, {"object": "list", "data": models})
        elif scope["path"] not in PASSED:
            await _answer(send, 404, _error(f"no such path: {scope['path']}"))
        elif scope["path"] in COMPLETIONS and scope["method"] == "POST":
            await self._complete(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _complete(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            body = json.dumps(checked_body(await _read(receive))).encode()
        except ValueError as error:
            await _answer(send, 422, _error(str(error)))
            return
        headers = [pair for pair in scope["headers"] if pair[0] != b"content-length"]
        headers.append((b"content-length", str(len(body)).encode()))
        await self.app({**scope, "headers": headers}, _replay(body, receive), send)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive that gives ``body`` first and then what the client does, such as disconnecting."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


async def _read(receive: Receive) -> bytes:
    raw = bytearray()
    while True:
        message = await receive()
        raw += message.get("body", b"")
        if len(raw) > MAX_BODY:
            raise ValueError(f"the body is longer than {MAX_BODY} bytes")
        if not message.get("more_body"):
            return bytes(raw)


def _error(text: str) -> dict[str, Any]:
    return {"error": {"message": text, "type": "invalid_request_error"}}


async def _answer(send: Send, status: int, content: dict[str, Any]) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})
