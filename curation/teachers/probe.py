"""What an endpoint can do, found out by asking rather than by believing.

Servers differ in how they say no: some refuse a parameter, some ignore it. So each capability is
judged by its effect on the answer. ``yes`` and ``no`` are seen; ``unknown`` is not guessed away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from curation.teachers import outcome
from curation.teachers.client import ChatRequest, TeacherClient, completions
from curation.teachers.outcome import Answer, TeacherError
from curation.teachers.response import parse_json
from curation.teachers.sampling import Message, Sampling

VERSION = 1
YES, NO, UNKNOWN = "yes", "no", "unknown"
QUESTION: list[Message] = [{"role": "user", "content": "Compute 47 + 85 - 16 + 92."}]
PROBE_TOKENS = 48
SCHEMA = {
    "type": "object",
    "properties": {"probe": {"type": "string", "enum": ["rain", "snow"]}},
    "required": ["probe"],
    "additionalProperties": False,
}
RESPONSE_FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "probe", "schema": SCHEMA, "strict": True},
}
CANNOT_SAY = frozenset({outcome.UNAUTHORIZED, outcome.NOT_FOUND, outcome.PAUSED, outcome.DEFERRED})


@dataclass(frozen=True)
class Capabilities:
    """The stored result of a probe. Each capability is ``yes``, ``no`` or ``unknown``.

    ``context_length`` is in tokens. ``notes`` says in words what was seen where the answer is no.
    """

    version: int = VERSION
    models: tuple[str, ...] = ()
    serves_model: str = UNKNOWN
    context_length: int | None = None
    engine: str = ""
    completes: str = UNKNOWN
    n: str = UNKNOWN
    seed: str = UNKNOWN
    logprobs: str = UNKNOWN
    response_format: str = UNKNOWN
    streaming: str = UNKNOWN
    stream_usage: str = UNKNOWN
    usage: str = UNKNOWN
    reasoning_field: str = ""
    notes: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"models": list(self.models)}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any] | None) -> Capabilities:
        """Read a stored probe; an empty or older one gives ``unknown`` for what it lacks."""
        names = {item.name for item in fields(cls)}
        known = {name: value for name, value in (given or {}).items() if name in names}
        return cls(**known | {"models": tuple(known.get("models", ()))})


async def probe(client: TeacherClient) -> Capabilities:
    """Ask about a dozen short things; raises TeacherError when the endpoint cannot be used at all
    (unreachable, key refused)."""
    found = await _models(client)
    first = await _try(client, _request())
    if isinstance(first, TeacherError):
        if first.failure.code in CANNOT_SAY:
            raise first
        return _noted(found, "completes", NO, str(first))
    found = _basics(found, first)
    for check in (_n, _logprobs, _response_format, _streaming, _seed):
        found = await check(client, found)
    return found


def _request(**changes: Any) -> ChatRequest:
    sampling = Sampling(temperature=1.0, max_tokens=PROBE_TOKENS, seed=None)
    return replace(ChatRequest(QUESTION, sampling, stream=False), **changes)


async def _try(client: TeacherClient, request: ChatRequest) -> Answer | TeacherError:
    try:
        return await client.complete(request)
    except TeacherError as error:
        return error


def _noted(found: Capabilities, name: str, value: str, note: str = "") -> Capabilities:
    notes = found.notes | ({name: note} if note else {})
    changes: dict[str, Any] = {"notes": notes, name: value}
    return replace(found, **changes)


async def _models(client: TeacherClient) -> Capabilities:
    wanted = client.endpoint.model
    try:
        models = await client.models()
    except TeacherError as error:
        if error.failure.code == outcome.UNAUTHORIZED:
            raise
        client.breaker.reason = None  # some servers have no model list; that closes nothing
        return _noted(Capabilities(), "serves_model", UNKNOWN, str(error))
    names = tuple(str(item.get("id", ""))[:300] for item in models[:1000])
    mine = next((item for item in models if item.get("id") == wanted), {})
    return Capabilities(
        models=names,
        serves_model=YES if mine else UNKNOWN if not names else NO,
        context_length=_length(mine),
        engine=str(mine.get("owned_by", ""))[:100],
        notes={} if mine else {"serves_model": f"the list does not name {wanted}"[:300]},
    )


def _length(model: dict[str, Any]) -> int | None:
    for name in ("max_model_len", "context_length", "context_window", "max_context_length"):
        if isinstance(value := model.get(name), int) and value > 0:
            return value
    return None


def _basics(found: Capabilities, answer: Answer) -> Capabilities:
    done = completions(answer)
    named = next((c.metadata.get("reasoning_field", "") for c in done), "")
    return replace(
        found,
        completes=YES if done else NO,
        usage=YES if answer.usage.completion_tokens is not None else NO,
        reasoning_field=str(named),
        serves_model=YES if done else found.serves_model,
    )


async def _n(client: TeacherClient, found: Capabilities) -> Capabilities:
    got = await _try(client, _request(n=2))
    if isinstance(got, TeacherError):
        return _refused(found, "n", got)
    count = len(completions(got))
    return _noted(found, "n", YES if count == 2 else NO, "" if count == 2 else f"{count} of 2 came")


def _refused(found: Capabilities, name: str, error: TeacherError) -> Capabilities:
    value = UNKNOWN if error.failure.code in CANNOT_SAY else NO
    return _noted(found, name, value, str(error))


async def _logprobs(client: TeacherClient, found: Capabilities) -> Capabilities:
    got = await _try(client, _request(fields={"logprobs": True, "top_logprobs": 1}))
    if isinstance(got, TeacherError):
        return _refused(found, "logprobs", got)
    choice = got.raw["choices"][0]
    there = bool((choice.get("logprobs") or {}).get("content"))
    return _noted(found, "logprobs", YES if there else NO, "" if there else "asked, none came")


async def _response_format(client: TeacherClient, found: Capabilities) -> Capabilities:
    got = await _try(client, _request(fields={"response_format": RESPONSE_FORMAT}))
    if isinstance(got, TeacherError):
        return _refused(found, "response_format", got)
    text = next((choice.text for choice in completions(got)), "")
    good = _follows_schema(text.rpartition("</think>")[2])
    return _noted(found, "response_format", YES if good else NO, "" if good else "not followed")


def _follows_schema(text: str) -> bool:
    try:
        value = parse_json(text.encode())
    except TeacherError:
        return False
    return set(value) == {"probe"} and value["probe"] in {"rain", "snow"}


async def _streaming(client: TeacherClient, found: Capabilities) -> Capabilities:
    got = await _try(client, _request(stream=True))
    if isinstance(got, TeacherError) and got.failure.code == outcome.REFUSED:
        found = _noted(found, "stream_usage", NO, str(got))
        got = await _try(client, _request(stream=True, stream_usage=False))
    if isinstance(got, TeacherError):
        return _refused(found, "streaming", got)
    streamed = bool(completions(got)) and not got.raw
    counted = got.usage.completion_tokens is not None
    if found.stream_usage == UNKNOWN and streamed:
        found = replace(found, stream_usage=YES if counted else NO)
    return _noted(found, "streaming", YES if streamed else NO)


async def _seed(client: TeacherClient, found: Capabilities) -> Capabilities:
    """Equal seeds must give equal texts, also while other seeds are being answered."""
    alone = [await _text(client, seed) for seed in (1234, 1234, 77)]
    crowd = await asyncio.gather(*(_text(client, seed) for seed in (5, 1234, 6, 1234, 7)))
    same, other = [alone[0], alone[1], crowd[1], crowd[3]], [alone[2], crowd[0], crowd[2], crowd[4]]
    if None in same or None in other:
        return _noted(found, "seed", UNKNOWN, "a request with a seed was not answered")
    if alone[0] != alone[1]:
        return _noted(found, "seed", NO, "the same seed gave two texts")
    if len(set(same)) > 1:
        return _noted(found, "seed", NO, "honoured alone, not among other requests")
    if set(other) <= set(same):
        return _noted(found, "seed", UNKNOWN, "every seed gave the same text")
    return replace(found, seed=YES)


async def _text(client: TeacherClient, seed: int) -> str | None:
    got = await _try(client, _request(seed=seed))
    if isinstance(got, TeacherError):
        return None
    return next((choice.text for choice in completions(got)), None)
