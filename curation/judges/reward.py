"""Reward models over HTTP: chat completions that return scores, and vLLM's pooling addresses.

Served as ``chat`` (as NIM does) the answer's text holds the scores; served as ``pooling`` or
``classify`` (vLLM) the numbers come in ``data`` and are handed on as such a text, so that all three
are read, stored and retried in one way. ``steps`` is a process reward model behind ``pooling``: one
row of numbers for each step (``curation.judges.steps``).
"""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson

from curation.judges.steps import rows_as_text
from curation.teachers import outcome
from curation.teachers.client import (
    Answer,
    ChatRequest,
    Completion,
    Endpoint,
    TeacherClient,
    read_body,
)
from curation.teachers.outcome import fail
from curation.teachers.pacing import Limits
from curation.teachers.response import parse_json, parse_usage

CHAT, POOLING, CLASSIFY, STEPS = "chat", "pooling", "classify", "steps"
APIS = (CHAT, POOLING, CLASSIFY, STEPS)


def client_for(api: str) -> Any:
    """The maker of clients that ``RequestPool`` takes, for one of ``APIS``."""
    if api == CHAT:
        return TeacherClient
    return lambda endpoint, limits: PoolingClient(endpoint, limits, api)


class PoolingClient(TeacherClient):
    """Asks ``/pooling`` or ``/classify`` beside the endpoint's ``/v1``; everything else (pacing,
    retries, circuit breaker, caps) is the teacher's client."""

    def __init__(self, endpoint: Endpoint, limits: Limits, api: str) -> None:
        super().__init__(endpoint, limits)
        self._api = api

    async def _ask(self, request: ChatRequest, body: bytes) -> Answer:
        asked = {"model": self.endpoint.model, "messages": list(request.messages)}
        with self._borrowed() as http:
            post = http.build_request(
                "POST",
                address(self.endpoint.base_url, POOLING if self._api == STEPS else self._api),
                content=orjson.dumps(asked),
                headers={"Content-Type": "application/json"},
                timeout=self._timeout(stream=False),
            )
            async with self.exchange(http, post) as response:
                raw = parse_json(await read_body(response, self.limits.max_body))
        text = text_of(raw, self._api)
        return Answer((Completion(text, "stop"),), parse_usage(raw.get("usage")), raw=raw)


def address(base_url: str, api: str) -> str:
    """``http://host/v1`` and ``pooling`` make ``http://host/pooling``."""
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/").removesuffix("/v1")
    return urlunsplit((parts.scheme, parts.netloc, f"{path}/{api}", "", ""))


def text_of(raw: dict[str, Any], api: str) -> str:
    """The numbers of an answer as its text. TeacherError where there are none."""
    if api != STEPS:
        return repr(value_of(raw, api))
    if not (rows := rows_as_text(raw)):
        raise fail(outcome.BAD_RESPONSE, "the answer holds no rows of scores")
    return rows


def value_of(raw: dict[str, Any], api: str) -> float:
    """The reward in an answer: the last number of ``data[0]`` (vLLM pools every token, the last
    one scores the whole), or the probability of the last class. TeacherError for anything else."""
    data = raw.get("data")
    first = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else {}
    value: Any = first.get("probs" if api == CLASSIFY else "data")
    while isinstance(value, list) and value:
        value = value[-1]
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not math.isfinite(value):
        raise fail(outcome.BAD_RESPONSE, "the answer holds no score")
    return float(value)
