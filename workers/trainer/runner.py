"""One training run from the first request to the last: the order of things, and how it ends."""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from workers.trainer.config import TrainConfig, parse_config
from workers.trainer.data import read_rows
from workers.trainer.download import Source, fetch_export
from workers.trainer.evaluate import (
    HeldBack,
    Sampler,
    endpoint_sampler,
    evaluate,
    held_back_problems,
    local_sampler,
)
from workers.trainer.models import resolve_model
from workers.trainer.train import TRAINERS, Cancelled, Outcome

log = logging.getLogger(__name__)

BEAT_SECONDS = 2.0
LIBRARIES = ("trl", "transformers", "torch", "peft", "datasets")


class Server(Source, Protocol):
    """What a run needs of the server; workers.trainer.client.TrainingClient is one."""

    def run(self, run_id: str) -> dict[str, Any]:
        """The run as it stands."""

    def start(self, run_id: str, worker: str, versions: dict[str, str]) -> dict[str, Any]:
        """Take the run."""

    def metrics(self, run_id: str, points: list[dict[str, Any]]) -> str:
        """Post points; returns the run's state."""

    def evaluation(self, run_id: str, result: dict[str, Any]) -> str:
        """Post an evaluation; returns the run's state."""

    def finish(self, run_id: str, report: dict[str, Any]) -> dict[str, Any]:
        """Say how the run ended."""

    def held_back(self, run_id: str) -> list[dict[str, Any]]:
        """The held-back problems."""


def versions() -> dict[str, str]:
    """The versions of the libraries that decide what a training does."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


def worker_name() -> str:
    """A name no other process has."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


class Reporter:
    """Sends metrics and heartbeats from a thread of its own, so that training never waits.

    ``stop`` turns true when the server says that the run is no longer running, or refuses us.
    """

    def __init__(self, server: Server, run_id: str) -> None:
        self.server, self.run_id = server, run_id
        self.state = "running"
        self.failure: Exception | None = None
        self._points: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="metrics", daemon=True)

    def __enter__(self) -> Reporter:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._post()

    def add(self, step: int, name: str, value: float) -> None:
        """Queue one point."""
        with self._lock:
            self._points.append({"step": step, "name": name, "value": value})

    def stop(self) -> bool:
        """Whether to give up."""
        return self.state != "running" or self.failure is not None

    def check(self) -> None:
        """Raise what the server refused us with, or Cancelled."""
        if self.failure is not None:
            raise self.failure
        if self.state != "running":
            raise Cancelled

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            self._post()

    def _post(self) -> None:
        with self._lock:
            points, self._points = self._points, []
        if self.stop():
            return
        try:
            self.state = self.server.metrics(self.run_id, points)
        except Exception as error:
            log.exception("metrics were not taken")
            self.failure = error


@dataclass
class TrainingJob:
    """One run on this machine; files lie under ``work``, checkpoints by the run's id."""

    server: Server
    run_id: str
    work: Path
    allow_hub: bool = False
    worker: str = field(default_factory=worker_name)

    @property
    def folder(self) -> Path:
        """Checkpoints and student of this run."""
        return self.work / "students" / self.run_id

    def execute(self) -> str:
        """Take the run and bring it to an end; returns the state it ended in.

        Raises what the server said if it does not let us have or end the run.
        """
        run = self.server.start(self.run_id, self.worker, versions())
        started = time.monotonic()
        try:
            report = self._work(run)
        except Cancelled:
            report = {"state": "cancelled", "error": "", "model": None}
        except Exception as error:
            log.exception("the run failed")
            text = f"{type(error).__name__}: {error}"
            report = {"state": "failed", "error": text[:4000], "model": None}
        report |= {
            "worker": self.worker,
            "versions": versions(),
            "seconds": round(time.monotonic() - started, 1),
        }
        self.server.finish(self.run_id, report)
        return str(report["state"])

    def _work(self, run: dict[str, Any]) -> dict[str, Any]:
        config = run_config(run)
        base = resolve_model(config.base_model, allow_hub=self.allow_hub)
        with Reporter(self.server, self.run_id) as reporter:
            export = fetch_export(self.server, str(run["export"]), self.work / "exports")
            train = TRAINERS[config.method]
            outcome = train(
                read_rows(export),
                base,
                self.folder,
                config,
                on_metric=reporter.add,
                should_stop=reporter.stop,
            )
            reporter.check()
            self._evaluate(config, base, outcome, reporter)
        return self._done(config, outcome)

    def _evaluate(
        self, config: TrainConfig, base: str, outcome: Outcome, reporter: Reporter
    ) -> None:
        served = self.server.held_back(self.run_id) if config.held_back is None else []
        problems = held_back_problems(config.held_back, served, config.seed)
        if not problems:
            log.warning("no held-back problems: the student is not measured")
            return
        subjects: list[tuple[str, str, Sampler]] = [
            ("start", config.base_model, local_sampler(base)),
            ("student", f"student-{self.run_id}", local_sampler(str(outcome.model))),
        ]
        if config.teacher:
            subjects.append(("teacher", *teacher_sampler(config.teacher)))
        for role, name, sampler in subjects:
            self._post_evaluation(config, (role, name, sampler), problems)
            reporter.check()

    def _post_evaluation(
        self,
        config: TrainConfig,
        subject: tuple[str, str, Sampler],
        problems: Sequence[HeldBack],
    ) -> None:
        role, name, sampler = subject
        result = evaluate(sampler, problems, config.sampling)
        self.server.evaluation(self.run_id, {"role": role, "model": name, **result})

    def _done(self, config: TrainConfig, outcome: Outcome) -> dict[str, Any]:
        model = {
            "name": f"student-{self.run_id}",
            "path": str(outcome.model.resolve()),
            "base_model": config.base_model,
            "parameters": outcome.parameters,
            "files": described(outcome.model),
        }
        facts = {"steps": outcome.steps, "rows": outcome.rows, "resumed_from": outcome.resumed_from}
        return {"state": "done", "error": "", "model": model, **facts}


def run_config(run: dict[str, Any]) -> TrainConfig:
    """The run's config with ``method`` and ``base_model``, which may stand beside it."""
    beside = {name: run[name] for name in ("method", "base_model") if run.get(name)}
    return parse_config({**beside, **(run.get("config") or {})})


def teacher_sampler(setting: dict[str, Any] | str) -> tuple[str, Sampler]:
    """(name, sampler) of ``config.teacher``: a shipped model, a folder, or an endpoint."""
    if isinstance(setting, str):
        return setting, local_sampler(resolve_model(setting))
    if "path" in setting:
        return Path(setting["path"]).name, local_sampler(resolve_model(setting["path"]))
    return setting["model"], endpoint_sampler(setting["base_url"], setting["model"])


def described(folder: Path) -> list[dict[str, Any]]:
    """Path, SHA-256 and bytes of each file of a model."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        {
            "path": path.relative_to(folder).as_posix(),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
        }
        for path in files
    ]
