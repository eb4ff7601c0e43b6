"""Is everything alive? Each part is asked with a short limit; nothing here raises."""

from __future__ import annotations

import contextlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import redis
from django.conf import settings
from django.db import connection

from curation import dbwatch, embedded, jobs, paths, processes

TIMEOUT = 1.0
NEWS_SECONDS = 120.0  # for how long the restart of a part is worth telling
START_SECONDS = 60.0  # what is missing so long after the start is a problem


def database() -> str:
    if dbwatch.is_silent():
        return "unavailable: no answer"
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Exception as error:
        return f"unavailable: {type(error).__name__}"
    return "ok"


def broker() -> str:
    try:
        redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT
        ).ping()
    except Exception as error:
        return f"unavailable: {type(error).__name__}"
    return "ok"


def verifier() -> dict[str, Any]:
    """The verifier service's own health; ``status`` says why when it cannot be reached."""
    transport = httpx.HTTPTransport(uds=str(paths.verifier_socket()))
    try:
        with httpx.Client(transport=transport, timeout=TIMEOUT) as client:
            answer: dict[str, Any] = client.get("http://verifier/health").json()
            return answer
    except Exception as error:
        why = f"unavailable: {type(error).__name__}"
        return {"status": why, "sandbox": "unavailable: the verifier service does not answer"}


def teacher() -> str:
    """The demo teacher of this copy: ok, starting, or off."""
    if os.environ.get("WHITTLE_TEACHER", "on").lower() in {"off", "0", "no"}:
        return "off"
    try:
        port = int((paths.home() / "run" / "teacher.port").read_text())
    except (OSError, ValueError):
        return "off"
    try:
        httpx.get(f"http://127.0.0.1:{port}/health", timeout=TIMEOUT).raise_for_status()
    except Exception:
        return "starting"
    return "ok"


def parts() -> dict[str, dict[str, Any]]:
    """The parts of this copy as its supervisor sees them; empty when none is at work."""
    record = embedded.supervisor_state()
    pid = record.get("pid")
    if not isinstance(pid, int) or pid <= 0 or not psutil.pid_exists(pid):
        return {}
    return dict(record.get("children", {}))


def restarts() -> list[dict[str, Any]]:
    """Parts that the supervisor started again of late: ``part``, ``restarts``, ``seconds`` ago."""
    now = time.time()
    return [
        {"part": name, "restarts": part["restarts"], "seconds": round(now - part["since"])}
        for name, part in parts().items()
        if part["restarts"] and part["state"] == "running" and now - part["since"] < NEWS_SECONDS
    ]


def health() -> dict[str, Any]:
    """What ``GET /healthz`` answers; ``problems`` names what is wrong, for people.

    ``restarted`` tells of crashed parts that run again, which is no problem any more.
    """
    with ThreadPoolExecutor(3) as others:  # side by side: each may take its whole limit
        asked = others.submit(broker), others.submit(verifier), others.submit(teacher)
        report: dict[str, Any] = {"database": database()}
        alive = safe_processes() if report["database"] == "ok" else {}
        report["redis"], service, loaded = asked[0].result(), asked[1].result(), asked[2].result()
    workers = [p for p in alive.get("worker", []) if p["alive"]]
    beats = [p for p in alive.get("beat", []) if p["alive"]]
    report |= {
        "workers": len(workers),
        "beat": "ok" if beats else "unavailable: no sign of life",
        "verifier": service.get("status", "ok"),
        "sandbox": service.get("sandbox", "unavailable: unknown"),
        "teacher": loaded,
        "stalled_jobs": safe_stalled() if report["database"] == "ok" else 0,
    }
    report["problems"] = problems_of(report, alive)
    report["restarted"] = restarts()
    report["status"] = status_of(report)
    return report


def status_of(report: dict[str, Any]) -> str:
    """``starting`` until all of a young copy's parts were seen well once; its teacher may load."""
    if report["problems"]:
        return "starting" if starts() else "degraded"
    note_all_well()
    return "starting" if report["teacher"] == "starting" else "ok"


def starts() -> bool:
    """Whether this copy is young, none of its parts has ended, and all was not yet well once.

    A part that hangs right after the start must not pass for one that starts: once all was well,
    whatever is missing is a problem.
    """
    age = time.time() - float(embedded.supervisor_state().get("started", 0))
    known = parts().values()
    calm = all(part["state"] != "waiting" and not part["restarts"] for part in known)
    return bool(known) and calm and age < START_SECONDS and not was_well()


def _note() -> Path:
    return paths.home() / "run" / "all_well"


def note_all_well() -> None:
    """Remember, for every web process, that this supervisor's parts were all seen at work."""
    pid = str(embedded.supervisor_state().get("pid", ""))
    with contextlib.suppress(OSError):
        if pid and not was_well():
            _note().write_text(pid)


def was_well() -> bool:
    try:
        return _note().read_text() == str(embedded.supervisor_state().get("pid", ""))
    except OSError:
        return False


def safe_processes() -> dict[str, list[dict[str, Any]]]:
    try:
        return processes.alive()
    except Exception:
        return {}


def safe_stalled() -> int:
    try:
        return jobs.count_stalled()
    except Exception:
        return 0


def problems_of(report: dict[str, Any], alive: dict[str, list[dict[str, Any]]]) -> list[str]:
    names = ("database", "redis", "beat", "verifier", "sandbox")
    found = [f"{name} {report[name]}" for name in names if report[name] != "ok"]
    if not report["workers"]:
        found.append("no worker is alive")
    if stalled := report["stalled_jobs"]:
        found.append(
            f"{stalled} running {'job has' if stalled == 1 else 'jobs have'} stopped moving"
        )
    dead = [p["name"] for p in alive.get("worker", []) if not p["alive"] and p["age"] < 600]
    waiting = [name for name, part in parts().items() if part["state"] == "waiting"]
    found += [f"{name} ended and is being started again" for name in waiting]
    return found + [f"worker {name} went silent" for name in dead]
