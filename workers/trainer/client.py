"""The trainer's side of the REST contract in docs/training.md."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import httpx
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_exponential_jitter

log = logging.getLogger(__name__)

RETRY_STATUSES = frozenset({429, 500, 502, 503, 504})
ATTEMPTS = 6
MAX_WAIT = 20.0
BLOCK = 1 << 16


class Refused(Exception):
    """The server said no: 4xx. ``status`` is its code."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text[:500]}")
        self.status = status


class Taken(Refused):
    """409: the run is another worker's, or has ended."""


def _is_passing(error: BaseException) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in RETRY_STATUSES
    return isinstance(error, httpx.TransportError)


_retried = retry(
    retry=retry_if_exception(_is_passing),
    stop=stop_after_attempt(ATTEMPTS),
    wait=wait_exponential_jitter(initial=0.5, max=MAX_WAIT),
    reraise=True,
)


class TrainingClient:
    """One server, one token. Methods raise Refused, Taken, or httpx errors after the last try."""

    def __init__(
        self, url: str, token: str, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._http = httpx.Client(
            base_url=url.rstrip("/") + "/api/v1/",
            headers={"Authorization": f"Token {token}"},
            timeout=httpx.Timeout(60.0, connect=10.0),
            transport=transport,
        )
        self._epochs: dict[str, int] = {}  # by run: which taking of it is ours

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def run(self, run_id: str) -> dict[str, Any]:
        """The run as it stands."""
        return self._get(f"training-runs/{_segment(run_id)}/")

    def open_runs(self) -> list[dict[str, Any]]:
        """Runs that wait for a trainer and running ones (theirs may have died); oldest first.

        Only the first page of each: a trainer takes one and then asks again.
        """
        found: list[dict[str, Any]] = []
        for state in ("queued", "running"):
            found.extend(self._get("training-runs/", state=state)["results"])
        return sorted(found, key=lambda run: int(run["id"]))

    def start(self, run_id: str, worker: str, versions: dict[str, str]) -> dict[str, Any]:
        """Take the run; Taken if another has it."""
        run = self._post(run_id, "start", {"worker": worker, "versions": versions})
        if isinstance(run.get("epoch"), int):
            self._epochs[run_id] = run["epoch"]
        return run

    def metrics(self, run_id: str, points: list[dict[str, Any]]) -> str:
        """Post points (or none, as a heartbeat); returns the run's state."""
        return str(self._post(run_id, "metrics", points).get("state", "running"))

    def evaluation(self, run_id: str, result: dict[str, Any]) -> str:
        """Post one model's held-back result; returns the run's state."""
        return str(self._post(run_id, "evaluations", result).get("state", "running"))

    def finish(self, run_id: str, report: dict[str, Any]) -> dict[str, Any]:
        """Say how the run ended."""
        return self._post(run_id, "finish", report)

    def held_back(self, run_id: str) -> list[dict[str, Any]]:
        """All held-back problems of the run; none where the server has none."""
        problems: list[dict[str, Any]] = []
        try:
            page = self._get(f"training-runs/{_segment(run_id)}/held-back/")
            problems.extend(page["results"])
            while page.get("next"):
                page = self._json("GET", self._here(page["next"]))
                problems.extend(page["results"])
        except Refused as error:
            if error.status != 404:
                raise
        return problems

    def export(self, export_id: str) -> dict[str, Any]:
        """The export's description."""
        return self._get(f"exports/{_segment(export_id)}/")

    def download(self, export_id: str, path: str, to: Path) -> None:
        """Fetch one file of an export into ``to``; a cut connection is begun again."""
        checked_path(path)
        to.parent.mkdir(parents=True, exist_ok=True)
        self._stream(f"exports/{_segment(export_id)}/files/{quote(path)}", to)

    @_retried
    def _stream(self, url: str, to: Path) -> None:
        with self._http.stream("GET", url) as response:
            if response.is_error:
                response.read()
            _raise_for(response)
            with to.open("wb") as file:
                for block in _blocks(response):
                    file.write(block)

    def _here(self, link: str) -> httpx.URL:
        """The link's path and query on this server: the token goes nowhere else."""
        return self._http.base_url.copy_with(raw_path=httpx.URL(link).raw_path)

    def _get(self, path: str, **query: str) -> dict[str, Any]:
        return self._json("GET", path, params=query or None)

    def _post(self, run_id: str, action: str, body: object) -> dict[str, Any]:
        epoch = self._epochs.get(run_id)
        params = None if epoch is None else {"epoch": epoch}
        path = f"training-runs/{_segment(run_id)}/{action}/"
        return self._json("POST", path, json=body, params=params)

    @_retried
    def _json(self, method: str, path: str | httpx.URL, **given: Any) -> dict[str, Any]:
        response = self._http.request(method, path, **given)
        _raise_for(response)
        return dict(response.json()) if response.content else {}


def _blocks(response: httpx.Response) -> Iterator[bytes]:
    return response.iter_bytes(BLOCK)


def _segment(value: object) -> str:
    return quote(str(value), safe="")


def _raise_for(response: httpx.Response) -> None:
    """Raise HTTPStatusError for what may pass by itself and Refused for what will not."""
    if response.status_code in RETRY_STATUSES:
        log.warning("%s answered %s", response.url.path, response.status_code)
        response.raise_for_status()
    if response.status_code == 409:
        raise Taken(409, response.text)
    if not response.is_success:
        raise Refused(response.status_code, response.text)


def checked_path(path: str) -> PurePosixPath:
    """The path of an export's file; ValueError for one that would leave the folder."""
    parts = PurePosixPath(path)
    if not path or parts.is_absolute() or ".." in parts.parts or "\\" in path or "\0" in path:
        raise ValueError(f"not a path inside an export: {path!r}")
    return parts
