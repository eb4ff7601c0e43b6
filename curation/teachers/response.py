"""From a server's bytes to an Answer: JSON bodies and event streams, both treated as hostile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from curation.teachers.outcome import (
    BAD_RESPONSE,
    CONTENT_FILTER,
    INCOMPLETE,
    RAW_MESSAGE,
    UNAVAILABLE,
    Answer,
    Completion,
    Failure,
    TeacherError,
    Usage,
    clean,
    fail,
)

# vLLM: ``reasoning`` since late 2025, ``reasoning_content`` before and in other servers.
REASONING_FIELDS = ("reasoning", "reasoning_content")
FINISHED = frozenset({"stop", "length", "tool_calls", "function_call", "eos", "eos_token"})
MAX_CHOICES = 1024


def parse_json(body: bytes) -> dict[str, Any]:
    """The object in a response body; TeacherError(bad_response) for anything else."""
    if not body.strip():
        raise fail(BAD_RESPONSE, "empty body")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise fail(BAD_RESPONSE, f"{described(body)} where JSON belongs ({where})") from None
    if not isinstance(value, dict):
        raise fail(BAD_RESPONSE, f"JSON {type(value).__name__} where an object belongs")
    return value


def parse_completion(body: bytes, wanted: int) -> Answer:
    """Read a whole chat completion with ``wanted`` choices (fewer is a failure for the rest)."""
    value = parse_json(body)
    if "error" in value and not value.get("choices"):
        raise stream_error(value["error"])
    choices = _choices(value)
    found = {_index(item, at): item for at, item in enumerate(choices)}
    return Answer(
        choices=tuple(_whole_choice(found.get(index), index) for index in range(wanted)),
        raw=value,
        **_envelope(value),
    )


def _choices(value: dict[str, Any]) -> list[dict[str, Any]]:
    choices = value.get("choices")
    if not isinstance(choices, list) or not choices:
        raise fail(BAD_RESPONSE, "no choices in the answer")
    if len(choices) > MAX_CHOICES or not all(isinstance(item, dict) for item in choices):
        raise fail(BAD_RESPONSE, "choices are not a short list of objects")
    return choices


def _index(choice: dict[str, Any], default: int) -> int:
    index = choice.get("index", default)
    return index if isinstance(index, int) and 0 <= index < MAX_CHOICES else default


def _whole_choice(choice: dict[str, Any] | None, index: int) -> Completion | Failure:
    if choice is None:
        return Failure(BAD_RESPONSE, f"the answer has no choice {index}")
    message = choice.get("message")
    if message is None and isinstance(choice.get("text"), str):  # of /completions
        return settle(index, choice["text"], "", None, choice.get("finish_reason"))
    if not isinstance(message, dict):
        return Failure(BAD_RESPONSE, f"choice {index} has no message")
    name, reasoning = reasoning_of(message)
    return settle(index, message.get("content"), name, reasoning, choice.get("finish_reason"))


def reasoning_of(message: dict[str, Any]) -> tuple[str, Any]:
    """The first non-empty reasoning field of a message or delta: (its name, its value)."""
    for name in REASONING_FIELDS:
        if message.get(name):
            return name, message[name]
    return "", None


def settle(
    index: int, content: Any, field_name: str, reasoning: Any, finish_reason: Any
) -> Completion | Failure:
    """A choice whose parts are all there becomes a completion, or a failure that says why not."""
    if not all(part is None or isinstance(part, str) for part in (content, reasoning)):
        return Failure(BAD_RESPONSE, f"choice {index}: the text is not a string")
    if not isinstance(finish_reason, str) or not finish_reason:
        return Failure(INCOMPLETE, f"choice {index} ended without a finish_reason")
    if finish_reason == "content_filter":
        return Failure(CONTENT_FILTER, f"choice {index} was withheld by the server's filter")
    if finish_reason not in FINISHED:
        return Failure(INCOMPLETE, clean(f"choice {index} ended with {finish_reason!r}"))
    if content is None and not reasoning:
        return Failure(BAD_RESPONSE, f"choice {index} has no text")
    return _completion(index, content or "", field_name, reasoning or "", finish_reason)


def _completion(
    index: int, content: str, field_name: str, reasoning: str, finish_reason: str
) -> Completion | Failure:
    text, metadata = compose(content, field_name, reasoning, finish_reason)
    if "\x00" in text:
        # PostgreSQL cannot hold it and the text may not be changed.
        return Failure(BAD_RESPONSE, f"choice {index} contains a NUL character")
    return Completion(text, finish_reason, index, metadata)


def compose(
    content: str, field_name: str, reasoning: str, finish_reason: str
) -> tuple[str, dict[str, Any]]:
    """One text from separate reasoning and answer; positions refer to this text from then on.

    Reasoning cut off by the token limit stays open: closing it would invent a decision to answer.
    """
    if not reasoning:
        return content, {}
    metadata: dict[str, Any] = {"composed": True, "reasoning_field": field_name}
    if finish_reason == "length" and not content:
        return f"<think>\n{reasoning}", metadata | {"closed": False}
    return f"<think>\n{reasoning}\n</think>\n\n{content}", metadata


def _envelope(value: dict[str, Any]) -> dict[str, Any]:
    return {
        "usage": parse_usage(value.get("usage")),
        "model": _text(value.get("model")),
        "system_fingerprint": _text(value.get("system_fingerprint")),
        "response_id": _text(value.get("id")),
    }


def _text(value: Any) -> str:
    return clean(value) if isinstance(value, str) else ""


def parse_usage(value: Any) -> Usage:
    """Token counts as reported; anything that is not a count is left out."""
    if not isinstance(value, dict):
        return Usage()
    return Usage(
        prompt_tokens=_count(value.get("prompt_tokens")),
        completion_tokens=_count(value.get("completion_tokens")),
        reasoning_tokens=_nested(value, "completion_tokens_details", "reasoning_tokens"),
        cached_tokens=_nested(value, "prompt_tokens_details", "cached_tokens"),
    )


def _nested(value: dict[str, Any], outer: str, inner: str) -> int | None:
    details = value.get(outer)
    return _count(details.get(inner)) if isinstance(details, dict) else None


def _count(value: Any) -> int | None:
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
    return value if good else None


def described(body: bytes) -> str:
    """What a body looks like, without a word of it: not every address named here is a model's."""
    if not body.strip():
        return "no body"
    form = "an html page" if body.lstrip()[:1] == b"<" else "text that is no JSON"
    return f"{form} of {len(body):,} bytes"


def error_message(body: bytes) -> str:
    """A server's own words about an error, where they stand in a field made for them: OpenAI's
    shape, vLLM's older one, FastAPI's. Any other body is described, never quoted."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return described(body)
    return clean(_said(value) or "JSON without an error message", RAW_MESSAGE)


def _said(value: Any, depth: int = 4) -> str:
    """The message in an error object, or ``""``; ``msg`` is how FastAPI lists what is wrong."""
    if isinstance(value, list):
        return "; ".join(filter(None, (_said(item, depth - 1) for item in value[:5] if depth)))
    if not isinstance(value, dict) or not depth:
        return ""
    for name in ("error", "message", "detail", "msg"):
        given = value.get(name)
        if words := given if isinstance(given, str) else _said(given, depth - 1):
            return words
    return ""


def stream_error(error: Any) -> TeacherError:
    """An error sent inside a 200: the server's fault unless it says that ours was a 4xx."""
    code = error.get("code") if isinstance(error, dict) else None
    words = error if isinstance(error, str) else _said(error) or "without a message"
    ours = isinstance(code, int) and 400 <= code < 500 and code not in {408, 429}
    return fail(BAD_RESPONSE if ours else UNAVAILABLE, f"error in the answer: {words}")


class EventReader:
    """Splits bytes into the data of server-sent events, wherever the network cut them."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The data of each event that ``chunk`` completes."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            yield from self._line(line.removesuffix(b"\r"))

    @property
    def pending(self) -> int:
        """Bytes of the unfinished line."""
        return len(self._rest)

    def close(self) -> Iterator[bytes]:
        """A last event whose closing blank line never came, if its line was whole."""
        yield from self._line(self._rest.removesuffix(b"\r"))
        yield from self._line(b"")
        self._rest = b""

    def _line(self, line: bytes) -> Iterator[bytes]:
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        elif not line and self._data:
            data, self._data = b"\n".join(self._data), []
            yield data


@dataclass
class _Partial:
    content: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    reasoning_field: str = ""
    finish_reason: str | None = None
    spoke: bool = False  # a content delta came, be it empty


class StreamAssembler:
    """Collects the chunks of one streamed completion. Finished means: finish_reason seen."""

    def __init__(self, wanted: int) -> None:
        self._parts = [_Partial() for _ in range(wanted)]
        self._seen: dict[str, Any] = {}
        self.done = False

    def feed(self, data: bytes) -> None:
        """Take one event's data; TeacherError for an error event or a chunk that is no chunk."""
        if data.strip() == b"[DONE]":
            self.done = True
            return
        value = parse_json(data)
        if value.get("error"):
            raise stream_error(value["error"])
        self._seen.update({k: v for k, v in value.items() if k != "choices" and v is not None})
        choices = value.get("choices") or []
        if not isinstance(choices, list):
            raise fail(BAD_RESPONSE, "a chunk whose choices are no list")
        for choice in choices:
            self._choice(choice)

    def _choice(self, choice: Any) -> None:
        index = choice.get("index", 0) if isinstance(choice, dict) else None
        if not isinstance(index, int) or not 0 <= index < len(self._parts):
            raise fail(BAD_RESPONSE, f"a chunk for choice {index!r} that was not asked")
        part, delta = self._parts[index], choice.get("delta") or {}
        if not isinstance(delta, dict):
            raise fail(BAD_RESPONSE, "a chunk whose delta is no object")
        self._delta(part, delta)
        part.finish_reason = choice.get("finish_reason") or part.finish_reason

    def _delta(self, part: _Partial, delta: dict[str, Any]) -> None:
        name, reasoning = reasoning_of(delta)
        content = delta.get("content")
        if part.finish_reason and (content or reasoning):
            raise fail(BAD_RESPONSE, "text after the finish_reason")
        if reasoning is not None:
            part.reasoning_field = name
            part.reasoning.append(_piece(reasoning))
        if content is not None:
            part.spoke = True
            part.content.append(_piece(content))

    @property
    def finished(self) -> bool:
        """Every choice has its finish_reason."""
        return all(part.finish_reason for part in self._parts)

    @property
    def any_finished(self) -> bool:
        return any(part.finish_reason for part in self._parts)

    def answer(self) -> Answer:
        """What came, choice by choice; a choice cut off is a failure, never a completion."""
        return Answer(
            choices=tuple(self._settled(i, part) for i, part in enumerate(self._parts)),
            **_envelope(self._seen),
        )

    @staticmethod
    def _settled(index: int, part: _Partial) -> Completion | Failure:
        content = "".join(part.content) if part.spoke else None
        reasoning = "".join(part.reasoning)
        return settle(index, content, part.reasoning_field, reasoning, part.finish_reason)


def _piece(value: Any) -> str:
    if not isinstance(value, str):
        raise fail(BAD_RESPONSE, "a chunk whose text is not a string")
    return value
