"""The client of the verifier service: tasks, web and commands judge through it.

Whatever goes wrong between here and the service is an ``error`` verdict (``overloaded`` or
``verifier_unreachable``), never ``incorrect``: a later run tries again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation import paths
from curation.verifiers.base import Verdict, error

if TYPE_CHECKING:
    import httpx

Item = Mapping[str, Any]

# Limits of one request; the service has its own, larger ones.
BATCH_ITEMS = 500
BATCH_CHARS = 8_000_000
ATTEMPTS = 6
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0


class VerifierClient:
    """Talks to the service on its UNIX socket; one connection pool, safe to share by threads.

    ``timeout`` is in seconds for one request (a batch of hard pairs takes the pool's time for
    each); ``attempts`` bounds the retries of a refused or unanswered request.
    """

    def __init__(
        self,
        socket_path: str | Path | None = None,
        *,
        timeout: float = 300.0,
        attempts: int = ATTEMPTS,
    ) -> None:
        self.socket_path = Path(socket_path) if socket_path else paths.verifier_socket()
        self.timeout = timeout
        self.attempts = attempts
        self._http: httpx.Client | None = None

    def verify(self, kind: str, response: str, reference: str | None, **options: Any) -> Verdict:
        """Judge one response; see :meth:`verify_batch`."""
        item = {"kind": kind, "response": response, "reference": reference, "options": options}
        return self.verify_batch([item])[0]

    def verify_batch(self, items: Sequence[Item]) -> list[Verdict]:
        """Verdicts of ``{"kind", "response", "reference", "options"}`` items, in their order.

        Large batches are sent in several requests. Never raises for a service that is away.
        """
        verdicts: list[Verdict] = []
        for batch in _batches(items):
            verdicts += self._send(batch)
        return verdicts

    def health(self) -> dict[str, Any] | None:
        """The service's own account of itself (within 2 s), or None if it does not answer."""
        import httpx

        try:
            answer = self._client().get("/health", timeout=2.0)
            answer.raise_for_status()
            data: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError):
            return None
        return data

    def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def __enter__(self) -> VerifierClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _client(self) -> httpx.Client:
        import httpx

        if self._http is None:
            transport = httpx.HTTPTransport(uds=str(self.socket_path))
            self._http = httpx.Client(
                transport=transport,
                base_url="http://verifier",
                timeout=httpx.Timeout(self.timeout, connect=5.0),
                trust_env=False,
            )
        return self._http

    def _send(self, batch: Sequence[Item]) -> list[Verdict]:
        reason, detail = "verifier_unreachable", ""
        for attempt in range(self.attempts):
            if attempt:
                time.sleep(min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE))
            verdicts, reason, detail = self._attempt(batch)
            if verdicts is not None:
                return verdicts
            if reason == "refused":
                break
        return [error(reason, detail=detail)] * len(batch)

    def _attempt(self, batch: Sequence[Item]) -> tuple[list[Verdict] | None, str, str]:
        """(verdicts, reason, detail): verdicts are None where the request failed."""
        import httpx
        import orjson

        try:
            body = orjson.dumps({"items": [_sendable(item) for item in batch]})
            answer = self._client().post("/verify", content=body)
        except TypeError as problem:  # an option that is no JSON
            return None, "refused", str(problem)[:100]
        except (httpx.HTTPError, OSError) as problem:
            return None, "verifier_unreachable", type(problem).__name__
        if answer.status_code != 200:
            return None, _reason(answer.status_code), str(answer.status_code)
        try:
            verdicts = [Verdict.from_dict(item) for item in answer.json()["verdicts"]]
        except (ValueError, KeyError, TypeError):
            verdicts = []
        if len(verdicts) != len(batch):
            return None, "verifier_unreachable", "bad answer"
        return verdicts, "", ""


def _reason(status: int) -> str:
    if status == 503:
        return "overloaded"
    return "refused" if 400 <= status < 500 else "verifier_unreachable"


def _sendable(item: Item) -> dict[str, Any]:
    """An item as JSON can hold it: lone surrogates are no characters of any encoding."""
    return {
        "kind": item["kind"],
        "response": _encodable(item["response"]),
        "reference": None if item.get("reference") is None else _encodable(item["reference"]),
        "options": dict(item.get("options") or {}),
    }


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Consecutive slices within BATCH_ITEMS and, where one item allows, BATCH_CHARS."""
    start, chars = 0, 0
    for position, item in enumerate(items):
        size = len(item["response"])
        if position > start and (position - start >= BATCH_ITEMS or chars + size > BATCH_CHARS):
            yield items[start:position]
            start, chars = position, 0
        chars += size
    if start < len(items):
        yield items[start:]
