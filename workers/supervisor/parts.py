"""Which programs make up a running copy, and what each is told."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from curation import embedded, paths
from workers.services.ensure import verifier_command, verifier_environment, without_secrets
from workers.services.told import told_to_models

WEB_HOST = "127.0.0.1"
# Celery's, seven lines long, at each start by root; docs/operations.md says it once.
ROOT_WARNING = "You're running the worker"


@dataclass(frozen=True)
class Part:
    """A program that is kept running."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    grace: float = 5.0  # seconds between the request to stop and the kill
    stop_signal: signal.Signals = signal.SIGTERM
    early: bool = False  # starts before the database is prepared
    late: bool = False  # starts when the web answers, so that a start shows pages soon
    ahead: bool = False  # but on a first start, which waits for the tables, at once
    last: bool = False  # stopped after the parts that use it
    token_file: Path | None = None  # its content is told as WHITTLE_TOKEN; no start without it


def environment() -> dict[str, str]:
    """What every part is told: our environment, the home, and to write each line at once."""
    path = os.pathsep.join(filter(None, [str(paths.ROOT), os.environ.get("PYTHONPATH")]))
    return {
        **os.environ,
        "WHITTLE_HOME": str(paths.home()),
        "PORT": str(port()),
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": "curation.settings",
    }


def port() -> int:
    """The port of the pages (``PORT``, 8000)."""
    return int(os.environ.get("PORT") or 8000)


def host() -> str:
    """The address the pages are served on (``HOST``); this machine only, unless told otherwise."""
    return os.environ.get("HOST") or WEB_HOST


def address() -> str:
    """The URL to open in a browser."""
    shown = WEB_HOST if host() in {"0.0.0.0", "::"} else host()  # noqa: S104 - compared only
    return f"http://{shown}:{port()}/"


def number(variable: str, default: int) -> int:
    """A positive whole number from the environment."""
    try:
        return max(1, int(os.environ[variable]))
    except (KeyError, ValueError):
        return default


def all_parts() -> list[Part]:
    """The parts of this copy, in the order of their start."""
    parts = [verifier(), web(), worker("default", 2), worker("llm", 2), beat()]
    if has_models() and wanted("WHITTLE_TEACHER"):
        parts.append(teacher())
    if has_models() and wanted("WHITTLE_TRAINER"):
        parts.append(trainer())
    return parts


def verifier() -> Part:
    """The verifier service; it gets no address or password of the database or Redis."""
    told = verifier_environment() | {"PYTHONUNBUFFERED": "1"}
    return Part("verifier", tuple(verifier_command()), told, early=True, last=True)


def web() -> Part:
    """Pages and REST."""
    command = (
        *(sys.executable, "-m", "granian", "--interface", "wsgi"),
        *("--host", host(), "--port", str(port()), "--no-ws", "--no-access-log"),
        *("--workers", str(number("WHITTLE_WEB_WORKERS", 1))),
        *("--blocking-threads", str(number("WHITTLE_WEB_THREADS", 6))),
        *("--workers-kill-timeout", "4", "--respawn-failed-workers"),
        "curation.wsgi:application",
    )
    return Part("web", command, environment())


def worker(queue: str, processes: int) -> Part:
    """Background work of one kind; long waits for a model do not hold up the rest."""
    count = number(f"WHITTLE_WORKERS_{queue.upper()}", processes)
    command = (
        *(sys.executable, "-W", f"ignore:{ROOT_WARNING}"),
        *("-m", "celery", "-q", "-A", "workers.apps", "worker"),
        *("--queues", queue, "--concurrency", str(count), "--hostname", f"{queue}@%h"),
        *("--loglevel", "INFO", "--without-gossip", "--without-mingle"),
    )
    # An idle worker ends at once. One with a job gets the grace to end it; a job that needs longer
    # keeps what it has stored, and goes on when its lease has run out.
    return Part(f"worker-{queue}", command, environment(), grace=5.0, late=True)


def beat() -> Part:
    """The clock: sweeps leases, sends the outbox, fires schedules."""
    command = (
        *(sys.executable, "-m", "celery", "-q", "-A", "workers.apps", "beat"),
        *("--loglevel", "INFO", "--pidfile", ""),
    )
    return Part("beat", command, environment(), late=True)


def has_models() -> bool:
    """Whether the libraries that run models are installed (the extra ``demo``)."""
    return importlib.util.find_spec("torch") is not None


def wanted(variable: str) -> bool:
    """False when the environment turns a part off."""
    return os.environ.get(variable, "1").lower() not in {"0", "no", "off", "false"}


def teacher() -> Part:
    """The demo teacher, on a free port that ``run/teacher.port`` names."""
    chosen = embedded.free_port()
    (paths.run_dir() / "teacher.port").write_text(f"{chosen}\n")
    command = [sys.executable, "-m", "workers.demo_teacher", "serve", "--port", str(chosen)]
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    told = told_to_models(environment()) | offline
    told.setdefault("OMP_NUM_THREADS", "1")
    return Part("teacher", tuple(without_secrets(command)), told, late=True, ahead=True)


def trainer() -> Part:
    """Takes queued training runs over REST, with a token that ``manage.py bootstrap`` leaves."""
    command = [sys.executable, "-m", "workers.trainer", "--url", address(), "--poll", "5"]
    told = {
        **told_to_models(environment()),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }
    token = paths.secrets_dir() / "trainer.token"
    return Part(
        "trainer", tuple(without_secrets(command)), told, grace=3.0, late=True, token_file=token
    )


def prepare_command() -> list[str]:
    """Brings the database's tables up to date, makes the owner and, the first time, the demo."""
    return [sys.executable, "-m", "workers.supervisor.prepare"]
