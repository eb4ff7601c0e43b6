"""Waits for the end of the supervisor; if it was killed, ends everything it had started.

Started by the supervisor with a pipe as standard input. A supervisor that stops properly writes
``done`` first. ``python -m workers.supervisor.watchdog TOKEN``.
"""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
from typing import IO

from curation import paths
from workers.services.ensure import stop_services
from workers.supervisor import leftovers


def lock_file() -> IO[str]:
    """Open the file that a living watchdog holds locked."""
    return (paths.run_dir() / "watchdog.lock").open("w")


def start(token: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a watchdog in a session of its own, out of reach of Ctrl-C."""
    return subprocess.Popen(
        [sys.executable, "-m", "workers.supervisor.watchdog", token],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
        cwd=paths.ROOT,
    )


def dismiss(watchdog: subprocess.Popen[bytes]) -> None:
    """Tell it that the supervisor stopped properly."""
    try:
        watchdog.communicate(b"done\n", timeout=5)
    except (subprocess.TimeoutExpired, OSError):
        watchdog.kill()
        watchdog.wait()


def main() -> None:
    """Block until the pipe closes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with lock_file() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if sys.stdin.readline().strip() == "done":
            return
        leftovers.end(sys.argv[1])
        stop_services()


if __name__ == "__main__":
    main()
