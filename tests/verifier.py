"""A real verifier service for tests, in its own process on its own socket."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from curation.sandbox.client import VerifierClient

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Running:
    """The service's process, its socket and a client."""

    process: subprocess.Popen[bytes]
    socket: Path
    client: VerifierClient


@contextlib.contextmanager
def running_service(
    *arguments: str, environment: dict[str, str] | None = None
) -> Iterator[Running]:
    """Start the service, wait until it answers, and stop it at the end."""
    with tempfile.TemporaryDirectory(prefix="wv") as folder:
        socket = Path(folder) / "verifier.sock"
        process = start(socket, *arguments, environment=environment)
        client = VerifierClient(socket)
        try:
            wait_until_up(client, process)
            yield Running(process, socket, client)
        finally:
            client.close()
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def start(
    socket: Path, *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a service on ``socket`` without waiting for it."""
    line = [sys.executable, "-m", "workers.verifier_service", "--socket", str(socket), *arguments]
    return subprocess.Popen(line, cwd=ROOT, env={**os.environ, **(environment or {})})


def wait_until_up(client: VerifierClient, process: subprocess.Popen[bytes]) -> None:
    """Wait up to 60 s for the first answer."""
    deadline = time.monotonic() + 60
    while client.health() is None:
        assert process.poll() is None, "the verifier service ended at its start"
        assert time.monotonic() < deadline, "the verifier service does not answer"
        time.sleep(0.05)
