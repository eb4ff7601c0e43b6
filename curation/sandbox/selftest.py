"""Does the sandbox hold on this machine? Tried, not assumed: a probe runs inside it.

The result is ``ok``, or ``unavailable: `` and the first thing that does not hold; code is then
not verified at all, and everything else goes on.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .bwrap import SANDBOX_UID, SandboxLimits, SandboxUnavailable, run_python
from .tree import find_tree

# Seconds in which every process of an ended run must be gone.
GRACE = 2.0
# Seconds for which a test counts; the service tests every ten minutes.
VALID = 660.0
LIMITS = SandboxLimits(cpu=5, wall=15.0, processes=64, memory=1024**3)
# The only variables a program may see; PWD is set by bwrap's --chdir.
ENVIRONMENT = {
    "HOME", "LANG", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "PATH", "PWD", "PYTHONHASHSEED",
}  # fmt: skip

# Name of the probe -> what its finding must be.
EXPECTED: dict[str, Callable[[Any], bool]] = {
    "uid": lambda uid: uid == SANDBOX_UID,
    "no_new_privs": lambda value: value == "1",
    "seccomp": lambda value: value == "2",
    "capabilities": lambda value: value == 0,
    "canary_file": lambda seen: seen is False,
    "environment": lambda names: set(names) <= ENVIRONMENT,
    "processes": lambda count: count <= 4,
    "write_root": lambda result: result != "allowed",
    "write_usr": lambda result: result != "allowed",
    "write_dev": lambda result: result != "allowed",
    "write_tmp": lambda result: result == "allowed",
    "network": lambda result: result != "allowed",
    "user_namespace": lambda result: result != "allowed",
    "mount": lambda result: result != "allowed",
    "ptrace": lambda result: result != "allowed",
    "memory": lambda result: result == "MemoryError",
    "memory_file": lambda result: result != "allowed",
    "shared_map": lambda result: result != "allowed",
    "shared_segment": lambda result: result != "allowed",
    "large_pipe": lambda result: result != "allowed",
    "lock": lambda result: result != "allowed",
    "watch": lambda result: result != "allowed",
    "forks": lambda count: 0 < count < 80,
}

# Leaves a process behind that left its session and lost its parent.
_DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for fd in (0, 1, 2):
            os.close(fd)
        time.sleep(600)
os._exit(0)
"""


class SelfTest:
    """Runs the probes and keeps the last result; ``status`` is what healthz shows."""

    def __init__(self) -> None:
        self.status = "unavailable: not tested yet"
        self.checks: dict[str, bool] = {}
        self.tested_at: float | None = None
        self._lock = threading.Lock()

    def run(self) -> str:
        """Test now (under a second where all holds) and give the status."""
        with self._lock:
            self._run()
        return self.status

    def require(self) -> None:
        """SandboxUnavailable unless the last test, at most ``VALID`` seconds old, held."""
        with self._lock:
            if self.tested_at is None or time.monotonic() - self.tested_at > VALID:
                self._run()
        if self.status != "ok":
            raise SandboxUnavailable(self.status.removeprefix("unavailable: "))

    def _run(self) -> None:
        self.status, self.checks = run_selftest()
        self.tested_at = time.monotonic()


# The one of this process: code is run only while it holds.
SHARED = SelfTest()


def run_selftest() -> tuple[str, dict[str, bool]]:
    """(status, result of each check); never raises."""
    try:
        found = _probe()
        checks = {name: _holds(name, found) for name in EXPECTED}
        checks["network_silent"] = not found["reached"]
        checks["no_process_left"] = not _leaves_a_process()
    except (SandboxUnavailable, OSError, ValueError, KeyError) as problem:
        return f"unavailable: {str(problem)[:300] or type(problem).__name__}", {}
    failed = [name for name, holds in checks.items() if not holds]
    if failed:
        return f"unavailable: self-test failed: {', '.join(failed)}", checks
    return "ok", checks


def _holds(name: str, found: dict[str, Any]) -> bool:
    return name in found and EXPECTED[name](found[name])


def _probe() -> dict[str, Any]:
    """Run the probe inside, with a canary file and a listener outside."""
    source = (Path(__file__).parent / "probe.py").read_text()
    with tempfile.NamedTemporaryFile(prefix="whittle-canary-") as canary, _listener() as listener:
        os.chmod(canary.name, 0o644)
        port = str(listener.getsockname()[1])
        done = run_python(source, [canary.name, port], LIMITS, tree=find_tree())
        if done.returncode != 0 or done.timed_out:
            raise SandboxUnavailable(_why(done.returncode, done.stderr))
        found: dict[str, Any] = json.loads(done.stdout)
        found["reached"] = _was_reached(listener)
        return found


def _why(returncode: int, stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return f"bwrap ended with {returncode}: {lines[-1][:200] if lines else 'no message'}"


def _listener() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    listener.settimeout(0.05)
    return listener


def _was_reached(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except OSError:
        return False
    return True


def _leaves_a_process() -> bool:
    """Whether a daemon started inside outlives its run (the kernel gets a moment to reap it)."""
    marker = f"whittle-probe-{secrets.token_hex(8)}".encode()
    run_python(_DAEMON, [marker.decode()], LIMITS, tree=find_tree())
    deadline = time.monotonic() + GRACE
    while any(marker in _command_line(entry) for entry in Path("/proc").iterdir()):
        if time.monotonic() > deadline:
            return True
        time.sleep(0.02)
    return False


def _command_line(entry: Path) -> bytes:
    if not entry.name.isdigit() or entry.name == str(os.getpid()):
        return b""
    try:
        return (entry / "cmdline").read_bytes()
    except OSError:
        return b""
