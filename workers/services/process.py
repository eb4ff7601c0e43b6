"""Finding, starting and ending one server process that outlives the command that started it."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from curation import paths

LOG_LIMIT = 10_000_000  # bytes; a longer log is set aside


@contextmanager
def service_lock(name: str) -> Iterator[None]:
    """Only one process of this copy starts or stops ``name`` at a time."""
    path = paths.run_dir() / f"{name}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def log_path(name: str) -> Path:
    """The private log file of a part, made if missing."""
    path = paths.log_dir() / f"{name}.log"
    os.close(paths.open_private(path))
    return path


def rotate(path: Path) -> None:
    """Set a grown log aside (one older file is kept).

    The program that writes it goes on with the emptied file: its descriptor appends.
    """
    with suppress(FileNotFoundError):
        if path.stat().st_size > LOG_LIMIT:
            older = path.with_suffix(".log.1")
            os.close(paths.open_private(older))
            shutil.copyfile(path, older)
            os.truncate(path, 0)


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error message."""
    return "\n".join(read_lines(path)[-lines:])


def read_lines(path: Path) -> list[str]:
    """The lines of a small file without surrounding blanks; none when it cannot be read."""
    try:
        return [line.strip() for line in path.read_text(errors="replace").splitlines()]
    except OSError:
        return []


def read_pid(path: Path) -> int | None:
    """The process id on the first line of a file."""
    first = "".join(read_lines(path)[:1])
    return int(first) if first.isdigit() else None


def works_in(pid: int, folder: Path) -> bool:
    """Whether process ``pid`` lives and its working folder is ``folder``.

    Compared by device and inode: true through bind mounts, and false for a stranger that was given
    the same process id later, and for a zombie.
    """
    try:
        return os.path.samestat(os.stat(f"/proc/{pid}/cwd"), folder.stat())
    except OSError:
        return False


def spawn(command: Sequence[str], log: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, writing to ``log``."""
    rotate(log)
    with open(paths.open_private(log), "ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
            cwd="/",
        )


def bare_environment() -> dict[str, str]:
    """What a server is told of our environment: nothing but where programs are."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}


def wait_until(done: Callable[[], bool], seconds: float, step: float = 0.05) -> bool:
    """Poll ``done``; False when ``seconds`` pass first."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(step)
    return True


def end(pid: int, alive: Callable[[], bool], steps: Sequence[tuple[signal.Signals, float]]) -> None:
    """Send each signal in turn until the process is gone."""
    for number, seconds in steps:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        if wait_until(lambda: not alive(), seconds):
            return
