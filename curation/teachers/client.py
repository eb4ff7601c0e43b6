"""The OpenAI-compatible client: asks one endpoint many things at once, and never trusts it.

``complete`` either returns an Answer or raises TeacherError. Transient trouble (408, 429, 5xx, the
network, a cut stream) is asked again with jittered backoff until the deadline; everything else
stops and is shown. Redirects are never followed, so the API key goes to one host only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self, TypeVar

import httpx
import orjson
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from curation.addresses import PORTS, Address, AddressError, LookUpError, bracketed, parse_address
from curation.teachers import outcome
from curation.teachers.outcome import Answer, Completion, Failure, TeacherError, Usage, fail
from curation.teachers.pacing import (
    CircuitBreaker,
    Clock,
    Limits,
    RateWindow,
    parse_retry_after,
    wait_before_retry,
)
from curation.teachers.response import (
    EventReader,
    StreamAssembler,
    error_message,
    parse_completion,
    parse_json,
)
from curation.teachers.sampling import Message, Sampling
from curation.teachers.transport import CheckedTransport, Guard

T = TypeVar("T")
ERROR_BODY = 64 * 1024  # bytes of an error page that are read
MAX_LINE = 4 * 1024 * 1024  # bytes of one line of an event stream
BILLED = frozenset({outcome.INCOMPLETE, outcome.TIMEOUT})  # tokens were probably made already


@dataclass(frozen=True)
class Endpoint:
    """Where a teacher answers. ``base_url`` ends in ``/v1``; the key is never shown or logged.

    ``private``: the address may stand in a private network, or on this machine.
    """

    base_url: str
    model: str
    api_key: str = field(default="", repr=False)
    private: bool = False

    def __post_init__(self) -> None:
        parse_address(self.base_url)
        if not self.api_key.isascii() or not self.api_key.isprintable():
            raise ValueError("the API key holds characters that cannot be sent")

    @property
    def address(self) -> Address:
        """Scheme, host and port."""
        return parse_address(self.base_url)

    @property
    def host(self) -> str:
        """``host:port`` without credentials or path, for the manifest."""
        asked, name = self.address, bracketed(self.address.host)
        return name if asked.port == PORTS[asked.scheme] else f"{name}:{asked.port}"

    def url(self, path: str) -> str:
        return self.base_url.rstrip("/") + path

    def scrub(self, text: str) -> str:
        """``text`` without the key, should a server echo it."""
        return text.replace(self.api_key, "***") if self.api_key else text


@dataclass(frozen=True)
class ChatRequest:
    """One request for ``n`` samples of one conversation. ``seed`` is this request's own.

    ``sampling.n`` is not used here: how many samples go into one request is the caller's choice.
    """

    messages: Sequence[Message]
    sampling: Sampling
    n: int = 1
    seed: int | None = None
    stream: bool = True
    stream_usage: bool = True
    fields: dict[str, Any] = field(default_factory=dict)
    path: ClassVar[str] = "/chat/completions"  # below the endpoint's address

    def body(self, model: str) -> bytes:
        """The JSON sent; what is at its default is left out, since some servers refuse it."""
        drawn = self.sampling
        body: dict[str, Any] = dict(drawn.extra) | self.fields
        body |= {"model": model, "messages": list(self.messages)}
        body |= {"temperature": drawn.temperature, "top_p": drawn.top_p}
        if drawn.max_tokens is not None:
            body["max_tokens"] = drawn.max_tokens
        if self.n != 1:
            body["n"] = self.n
        if self.seed is not None:
            body["seed"] = self.seed
        if self.stream:
            body["stream"] = True
            if self.stream_usage:
                body["stream_options"] = {"include_usage": True}
        return orjson.dumps(body)

    def token_guess(self) -> int:
        """Upper guess of the tokens this will use, for the per-minute limit (4 characters each)."""
        prompt = sum(len(str(message.get("content", ""))) for message in self.messages)
        return prompt // 4 + 1 + self.n * (self.sampling.max_tokens or 1024)


class TeacherClient:
    """Asynchronous client of one endpoint; use as ``async with`` in one event loop."""

    def __init__(
        self,
        endpoint: Endpoint,
        limits: Limits | None = None,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.limits = limits or Limits()
        self._clock = clock or Clock()
        self._rng = rng or random.Random()  # noqa: S311  jitter, not a secret
        self._gate = asyncio.Semaphore(max(1, int(self.limits.concurrency)))
        self._rate = RateWindow(
            int(self.limits.requests_per_minute), int(self.limits.tokens_per_minute), self._clock
        )
        self.breaker = CircuitBreaker(
            int(self.limits.refusals_to_open), int(self.limits.outages_to_open)
        )
        # One httpx client per connection: its pool looks at every connection for every request,
        # which at 64 connections costs more than all the rest (benchmarks/generate.py).
        self._free: list[httpx.AsyncClient] = []
        self._all: list[httpx.AsyncClient] = []
        self._verify: ssl.SSLContext | bool = False
        self._guard = Guard(endpoint.address, private=endpoint.private)

    async def __aenter__(self) -> Self:
        self._verify = _tls(self.endpoint.base_url)
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._all:
            await client.aclose()

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[httpx.AsyncClient]:
        """An idle connection, the last one used first; a new one when all are busy."""
        if not self._free:
            self._free.append(self._http())
            self._all.append(self._free[-1])
        client = self._free.pop()
        try:
            yield client
        finally:
            self._free.append(client)

    def _http(self) -> httpx.AsyncClient:
        headers = {"Accept-Encoding": "identity", "User-Agent": "whittle"}
        if self.endpoint.api_key:
            headers["Authorization"] = f"Bearer {self.endpoint.api_key}"
        inner = httpx.AsyncHTTPTransport(
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
            trust_env=False,
            verify=self._verify,
        )
        return httpx.AsyncClient(
            headers=headers,
            timeout=self._timeout(stream=True),
            transport=CheckedTransport(inner, self._guard),
            follow_redirects=False,
            trust_env=False,  # no proxy or netrc may get hold of the key
        )

    async def models(self) -> list[dict[str, Any]]:
        """The endpoint's model list (``GET /models``), as it describes them."""
        value = parse_json(await self._retried(self._get_models))
        data = value.get("data")
        if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
            raise fail(outcome.BAD_RESPONSE, "the model list holds no data")
        return data

    async def _get_models(self) -> bytes:
        with self._borrowed() as http:
            request = http.build_request("GET", self.endpoint.url("/models"))
            async with _Exchange(self, http, request) as response:
                return await read_body(response, self.limits.max_body)

    async def complete(self, request: ChatRequest) -> Answer:
        """Ask until answered, refused or out of time; raises TeacherError."""
        body = request.body(self.endpoint.model)
        attempts = 0

        async def attempt() -> Answer:
            nonlocal attempts
            attempts += 1
            return await self._attempt(request, body)

        answer = await self._retried(attempt)
        self.breaker.succeeded()
        return replace(answer, attempts=attempts)

    async def _retried(self, attempt: Callable[[], Awaitable[T]]) -> T:
        start = self._clock.now()
        retrying = AsyncRetrying(
            retry=retry_if_exception(_is_transient),
            wait=self._wait,
            stop=lambda state: self._stop(state, start),
            sleep=self._clock.sleep,
            reraise=True,
        )
        made = 0
        try:
            async for turn in retrying:
                with turn:
                    made += 1
                    self.breaker.check()
                    return await self._timed(attempt, start)
        except TeacherError as error:
            raise self._final(error, made) from None
        raise AssertionError("tenacity ends by returning or raising")

    async def _timed(self, attempt: Callable[[], Awaitable[T]], start: float) -> T:
        left = max(0.001, self.limits.deadline - (self._clock.now() - start))
        try:
            async with asyncio.timeout(min(self.limits.attempt_timeout, left)):
                return await attempt()
        except TimeoutError:
            raise fail(outcome.TIMEOUT, "no whole answer within the time limit") from None

    def _wait(self, state: RetryCallState) -> float:
        asked = _error(state).retry_after
        wait = wait_before_retry(state.attempt_number, asked, self.limits, self._rng)
        if asked is not None:
            self._rate.hold(min(asked, self.limits.retry_after_cap))
        return wait

    def _stop(self, state: RetryCallState, start: float) -> bool:
        allowed = self.limits.max_attempts
        if _error(state).failure.code in BILLED:
            allowed = min(allowed, 1 + self.limits.max_cut_retries)
        spent = self._clock.now() - start + state.upcoming_sleep
        return state.attempt_number >= allowed or spent > self.limits.deadline

    def _final(self, error: TeacherError, attempts: int) -> TeacherError:
        """What is reported once there will be no further attempt."""
        words = outcome.clean(self.endpoint.scrub(error.failure.message))
        failure = replace(error.failure, message=words, attempts=attempts)
        if failure.code in {outcome.PAUSED, outcome.DEFERRED}:  # the breaker, not the server
            return TeacherError(replace(failure, attempts=attempts - 1))
        if failure.transient and failure.code != outcome.INCOMPLETE:
            failure = replace(failure, code=outcome.DEFERRED, cause=failure.code)
        self.breaker.failed(failure)
        return TeacherError(failure)

    async def _attempt(self, request: ChatRequest, body: bytes) -> Answer:
        async with self._gate:
            self.breaker.check()
            reservation = await self._rate.reserve(request.token_guess())
            used = 0
            try:
                answer = await self._ask(request, body)
                used = answer.usage.total or reservation.tokens
                return answer
            finally:
                reservation.settle(used)

    async def _ask(self, request: ChatRequest, body: bytes) -> Answer:
        started = time.perf_counter()
        with self._borrowed() as http:
            post = http.build_request(
                "POST",
                self.endpoint.url(request.path),
                content=body,
                headers={"Content-Type": "application/json"},
                timeout=self._timeout(request.stream),
            )
            async with _Exchange(self, http, post) as response:
                answer = await self._read(request, response)
        return replace(answer, latency=time.perf_counter() - started)

    def _timeout(self, stream: bool) -> httpx.Timeout:
        # Without a stream nothing comes until the last token is there.
        silent = self.limits.idle_timeout if stream else self.limits.attempt_timeout
        return httpx.Timeout(silent, connect=self.limits.connect_timeout, pool=None)

    async def _read(self, request: ChatRequest, response: httpx.Response) -> Answer:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "text/event-stream":
            return await read_stream(response, request.n, self.limits.max_body)
        body = await read_body(response, self.limits.max_body)
        return parse_completion(body, request.n)

    def exchange(self, http: httpx.AsyncClient, request: httpx.Request) -> _Exchange:
        """One request and its answer (see ``_Exchange``), for clients of other addresses."""
        return _Exchange(self, http, request)

    def refuse(self, response: httpx.Response, body: bytes) -> TeacherError:
        """The error for a status that is not 200."""
        status = response.status_code
        if 300 <= status < 400:
            return fail(outcome.REFUSED, f"HTTP {status}: redirects are not followed", status)
        error = fail(_code(status), f"HTTP {status}: {error_message(body)}", status)
        if error.failure.transient:
            headers = response.headers
            error.retry_after = parse_retry_after(
                headers.get("retry-after"), headers.get("date"), self._clock.wall()
            )
        return error


def _code(status: int) -> str:
    if status in {401, 403}:
        return outcome.UNAUTHORIZED
    if status in {404, 405}:
        return outcome.NOT_FOUND
    if status == 429:
        return outcome.RATE_LIMITED
    if status == 408 or status >= 500:
        return outcome.UNAVAILABLE
    return outcome.REFUSED if status >= 400 else outcome.BAD_RESPONSE


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, TeacherError) and error.failure.transient


def _error(state: RetryCallState) -> TeacherError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, TeacherError)
    return error


def _tls(base_url: str) -> ssl.SSLContext | bool:
    if not base_url.startswith("https"):
        return False  # making a context takes 20 ms, and plain HTTP needs none
    import certifi

    return ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or certifi.where())


class _Exchange:
    """Sends a request and gives its response once the status is 200; always closes it.

    httpx's exceptions become ours, without a chain that could show the key. Before the status the
    request may not have been taken (``network``); after it the answer was cut (``incomplete``).
    """

    def __init__(
        self, owner: TeacherClient, client: httpx.AsyncClient, request: httpx.Request
    ) -> None:
        self._owner, self._client, self._request = owner, client, request
        self._response: httpx.Response | None = None

    async def __aenter__(self) -> httpx.Response:
        try:
            self._response = await self._client.send(self._request, stream=True)
        except AddressError as error:  # one that leads inside closes the endpoint
            passing = isinstance(error, LookUpError)
            raise fail(outcome.NETWORK if passing else outcome.UNAUTHORIZED, str(error)) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._not_sent(error) from None
        if self._response.status_code != 200:
            try:
                body = await read_start(self._response, ERROR_BODY)
            finally:
                await self._response.aclose()
            raise self._owner.refuse(self._response, body)
        return self._response

    def _not_sent(self, error: Exception) -> TeacherError:
        silent = isinstance(error, httpx.ReadTimeout)
        code = outcome.TIMEOUT if silent else outcome.NETWORK
        return fail(code, f"{type(error).__name__}: {error}")

    async def __aexit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if self._response is not None:
            await self._response.aclose()
        if isinstance(error, httpx.HTTPError):
            raise fail(outcome.INCOMPLETE, f"the answer was cut off: {type(error).__name__}")


class _Inflater:
    """Decodes a body we asked to get plain, never making more than the cap of it."""

    def __init__(self, encoding: str) -> None:
        bits = {"gzip": 31, "x-gzip": 31, "deflate": 15}.get(encoding.strip().lower())
        if bits is None:
            raise fail(outcome.BAD_RESPONSE, "an encoding that was not asked for")
        self._stream = zlib.decompressobj(bits)

    def decode(self, chunk: bytes, room: int) -> bytes:
        try:
            # One byte above the room is enough for the caller to see that it is too much.
            return self._stream.decompress(chunk, room + 1)
        except zlib.error:
            raise fail(outcome.BAD_RESPONSE, "a body that cannot be unpacked") from None


async def capped(response: httpx.Response, cap: int) -> AsyncIterator[bytes]:
    """The body's chunks, decoded; TeacherError(bad_response) past ``cap`` bytes."""
    encoding = response.headers.get("content-encoding", "identity")
    inflater = None if encoding.strip().lower() == "identity" else _Inflater(encoding)
    left = cap
    async for raw in response.aiter_raw():
        chunk = raw if inflater is None else inflater.decode(raw, left)
        left -= len(chunk)
        if left < 0:
            raise fail(outcome.BAD_RESPONSE, f"the answer is larger than {cap:,} bytes")
        yield chunk


async def read_body(response: httpx.Response, cap: int) -> bytes:
    """The whole body, at most ``cap`` bytes."""
    return b"".join([chunk async for chunk in capped(response, cap)])


async def read_start(response: httpx.Response, cap: int) -> bytes:
    """The first ``cap`` bytes of an error's body; a broken body is no second error."""
    body = b""
    try:
        async for chunk in capped(response, cap):
            body += chunk
    except (TeacherError, httpx.HTTPError):
        return body[:cap]
    return body


async def read_stream(response: httpx.Response, wanted: int, cap: int) -> Answer:
    """Assemble a streamed answer. Cut before any finish_reason: TeacherError(incomplete).

    Where some choices finished before the cut they are kept and the others are failures.
    """
    events, assembler = EventReader(), StreamAssembler(wanted)
    cut = ""
    try:
        await _feed(response, events, assembler, cap)
    except httpx.HTTPError as error:
        cut = type(error).__name__
    if not assembler.any_finished:
        why = cut or "it ended without a finish_reason"
        raise fail(outcome.INCOMPLETE, f"the stream was cut: {why}")
    return assembler.answer()


async def _feed(
    response: httpx.Response, events: EventReader, assembler: StreamAssembler, cap: int
) -> None:
    async for chunk in capped(response, cap):
        for data in events.feed(chunk):
            assembler.feed(data)
        if events.pending > MAX_LINE:
            raise fail(outcome.BAD_RESPONSE, "a line of the stream is too long")
        if assembler.done:
            return
    for data in events.close():
        assembler.feed(data)


def completions(answer: Answer) -> list[Completion]:
    """The finished choices of an answer."""
    return [choice for choice in answer.choices if isinstance(choice, Completion)]


__all__ = [
    "Answer",
    "ChatRequest",
    "Completion",
    "Endpoint",
    "Failure",
    "Limits",
    "TeacherClient",
    "TeacherError",
    "Usage",
    "completions",
]
