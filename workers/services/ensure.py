"""Bring up what a command needs and is down, whether or not a supervisor runs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import psutil

from curation import paths
from workers.services import hide, process
from workers.services.embedded import embedded_servers
from workers.services.errors import ServiceError
from workers.services.told import told_to_verifier

VERIFIER_SECONDS = 30.0
VERIFIER_MODULE = "workers.verifier_service"


def ensure_services(*, verifier: bool = False) -> list[str]:
    """Start the embedded database and Redis, and on request the verifier service, if down.

    They keep running after this process (``stop_services`` or the supervisor ends them). Returns
    the names of those it started. Raises ServiceError.
    """
    started = []
    for server in embedded_servers():
        if not server.running():
            server.start()
            started.append(server.name)
    if verifier and ensure_verifier():
        started.append("verifier")
    return started


def stop_services() -> list[str]:
    """End the embedded servers and a verifier started by ``ensure_services``; returns names."""
    stopped = []
    if stop_verifier():
        stopped.append("verifier")
    for server in reversed(embedded_servers()):
        if server.running():
            server.stop()
            stopped.append(server.name)
    return stopped


def verifier_answers() -> bool:
    """Whether somebody accepts connections on the verifier's socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(paths.verifier_socket()))
        except OSError:
            return False
    return True


def ensure_verifier() -> bool:
    """Start the verifier service if it is down; True when this call started it."""
    if verifier_answers():
        return False
    with process.service_lock("verifier"):
        if verifier_answers():
            return False
        log = process.log_path("verifier")
        child = process.spawn(verifier_command(), log, verifier_environment())
        _wait_for_verifier(child)
        (paths.run_dir() / "verifier.pid").write_text(f"{child.pid}\n")
    return True


def _wait_for_verifier(child: subprocess.Popen[bytes]) -> None:
    up = process.wait_until(
        lambda: verifier_answers() or child.poll() is not None, VERIFIER_SECONDS
    )
    if not up or child.poll() is not None:
        log = process.log_path("verifier")
        raise ServiceError(f"the verifier did not start; {log} ends:\n{process.tail(log)}")


def stop_verifier() -> bool:
    """End a verifier that ``ensure_verifier`` started; True when there was one."""
    file = paths.run_dir() / "verifier.pid"
    pid = process.read_pid(file)
    if pid is None or not is_verifier(pid):
        return False
    steps = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 2.0))
    process.end(pid, lambda: is_verifier(pid), steps)
    file.unlink(missing_ok=True)
    return True


def is_verifier(pid: int) -> bool:
    """Whether ``pid`` is a living verifier service of this home, not a stranger's process."""
    try:
        found = psutil.Process(pid)
        home = found.environ().get("WHITTLE_HOME")
        alive = found.status() != psutil.STATUS_ZOMBIE
        return alive and VERIFIER_MODULE in found.cmdline() and home == str(paths.home())
    except psutil.Error:
        return False


def verifier_command() -> list[str]:
    """The argument list of the verifier service, which does not see the folder of secrets."""
    return without_secrets([sys.executable, "-m", VERIFIER_MODULE])


def without_secrets(argv: list[str]) -> list[str]:
    """The argument list that runs ``argv`` where the home's folder of secrets looks empty."""
    spec = {"argv": argv, "folders": [str(paths.secrets_dir())]}
    return [sys.executable, "-I", "-S", hide.__file__, json.dumps(spec)]


def verifier_environment() -> dict[str, str]:
    """What the verifier is told: it runs other people's code next door."""
    path = os.pathsep.join(filter(None, [str(paths.ROOT), os.environ.get("PYTHONPATH")]))
    return told_to_verifier() | {"WHITTLE_HOME": str(paths.home()), "PYTHONPATH": path}
