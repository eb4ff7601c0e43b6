"""A running copy of Whittle in a home of its own, and a browser that looks at it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree, which
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
# A small demo: the same stages as the one a newcomer sees, in less time.
# Embedding is left out: its first use distils a model, a minute of two cores.
DEMO = {
    "WHITTLE_DEMO_PROBLEMS": "24",
    "WHITTLE_DEMO_SAMPLES": "4",
    "WHITTLE_DEMO_EMBED": "0",
}


def chromium() -> str | None:
    return next(filter(None, map(which, ("chromium", "chromium-browser", "google-chrome"))), None)


@dataclass
class Site:
    """Where the copy answers, and how to enter it."""

    url: str
    home: Path
    login: dict[str, str]

    def manage(self, *arguments: str) -> str:
        """Standard output of a manage.py command in this copy's home."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env=environment(self.home, self.port), capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.strip()

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def token(self, scopes: str = "read,write,jobs,train") -> str:
        return self.manage("token", "--user", "owner", "--scopes", scopes).splitlines()[-1]

    def api(self, token: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=f"{self.url}/api/v1/", headers=headers, timeout=30)

    def wait_for_jobs(self, client: httpx.Client, project: str, seconds: float = 240) -> list[Any]:
        """All jobs of the project once none is open any more."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            jobs = client.get("jobs/", params={"project": project}).json()["results"]
            if jobs and all(job["state"] in {"done", "failed", "cancelled"} for job in jobs):
                return list(jobs)
            time.sleep(0.5)
        raise AssertionError(f"jobs still open: {[j for j in jobs if j['state'] != 'done']}")


def environment(home: Path, port: int, **more: str) -> dict[str, str]:
    short = {"JOB_SWEEP_SECONDS": "2", "JOB_LEASE_SECONDS": "15", "PROCESS_BEAT_SECONDS": "2"}
    place = {"WHITTLE_HOME": str(home), "PORT": str(port)}
    return {**os.environ, **short, **DEMO, **place, **more}


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def running_site(**more: str) -> Iterator[Site]:
    """``python -m workers.supervisor`` in an empty home; everything has ended afterwards.

    ``more`` goes into its environment.
    """
    home, port = Path(tempfile.mkdtemp(prefix="whittle-e2e-")), free_port()
    log = (home / "supervisor.log").open("w")
    child = subprocess.Popen(
        [sys.executable, "-m", "workers.supervisor"],
        cwd=ROOT, env=environment(home, port, **more), stdout=log, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_up(url, child, home)
        login = json.loads((home / "run" / "login.json").read_text())
        yield Site(url, home, login)
    finally:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(60)
        except subprocess.TimeoutExpired:
            child.kill()
        log.close()
        rmtree(home, ignore_errors=True)


def wait_until_up(url: str, child: subprocess.Popen[bytes], home: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if child.poll() is not None:
            break
        try:
            report = httpx.get(f"{url}/healthz", timeout=5).json()
            if not report["problems"] and report["workers"] >= 2:
                return
        except (httpx.HTTPError, ValueError):  # not up yet, or a page that says so
            pass
        time.sleep(0.5)
    raise AssertionError((home / "supervisor.log").read_text()[-3000:])
