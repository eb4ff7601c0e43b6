"""One memory limit for a whole sandbox, kept by the kernel: a control group (cgroup v2) of its own.

Had only where this process may make groups with the ``memory`` and ``pids`` controllers: below the
group that ``WHITTLE_SANDBOX_CGROUP`` names, below our own, or beside it where a user's own service
manager gave us the parent. Everywhere else, the watch of ``memory.py`` is alone.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .bwrap import SandboxLimits

VARIABLE = "WHITTLE_SANDBOX_CGROUP"
ROOT = Path("/sys/fs/cgroup")
# A shell's child is in the group before the sandbox is built; where that fails, nothing runs.
ENTER = 'echo 0 > "$1" && shift && exec "$@"'
BESIDES = 8  # processes that build the sandbox
REMOVE_SECONDS = 2.0

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Group:
    """The control group of one run."""

    folder: Path

    def enter(self, words: list[str]) -> list[str]:
        """The command line ``words``, started inside."""
        return ["/bin/sh", "-c", ENTER, "sh", str(self.folder / "cgroup.procs"), *words]

    def was_full(self) -> bool:
        """Whether the kernel killed the run for its memory."""
        try:
            events = dict(line.split() for line in _lines(self.folder / "memory.events"))
        except (OSError, ValueError):
            return False
        return int(events.get("oom_kill", 0)) > 0

    def remove(self) -> None:
        """Take it away; the run's processes are dead, or die now."""
        with contextlib.suppress(OSError):
            _write(self.folder / "cgroup.kill", "1")
        until = time.monotonic() + REMOVE_SECONDS
        while time.monotonic() < until:
            try:
                self.folder.rmdir()
            except FileNotFoundError:
                return
            except OSError:  # the kernel has not buried them yet
                time.sleep(0.002)
            else:
                return


@contextlib.contextmanager
def limited(limits: SandboxLimits) -> Iterator[Group | None]:
    """A group with these limits for one run, or None where there are none."""
    parent = find_parent()
    group = make_group(parent, limits) if parent else None
    try:
        yield group
    finally:
        if group is not None:
            group.remove()


@functools.cache
def find_parent() -> Path | None:
    """The group below which runs get theirs, tried once; None where we may make none."""
    return next((folder for folder in _candidates() if _holds(folder)), None)


def make_group(parent: Path, limits: SandboxLimits) -> Group | None:
    """A new group below ``parent``; None where the kernel refuses it or one of its limits."""
    group = Group(parent / f"whittle-{os.getpid()}-{next(_numbers)}")
    try:
        group.folder.mkdir()
        _write(group.folder / "memory.max", str(limits.memory))
        _write(group.folder / "memory.oom.group", "1")
        _write(group.folder / "pids.max", str(limits.processes + BESIDES))
    except OSError:
        group.remove()
        return None
    with contextlib.suppress(OSError):  # there is no such file where nothing is swapped
        _write(group.folder / "memory.swap.max", "0")
    return group


def _candidates() -> Iterator[Path]:
    given = os.environ.get(VARIABLE)
    if given:
        yield Path(given)
        return
    if not (ROOT / "cgroup.controllers").exists():
        return
    for line in _lines(Path("/proc/self/cgroup")):
        if line.startswith("0::/"):
            own = ROOT / line.removeprefix("0::/")
            yield own
            if os.geteuid() != 0 and own != ROOT and own.parent.stat().st_uid == os.geteuid():
                yield own.parent


def _holds(parent: Path) -> bool:
    """Whether a process can be put into a group made there."""
    with contextlib.suppress(OSError):
        _write(parent / "cgroup.subtree_control", "+memory +pids")
    group = make_group(parent, SandboxLimits())
    if group is None:
        return False
    try:
        words = group.enter(["/bin/sh", "-c", "exit 0"])
        done = subprocess.run(words, check=False, capture_output=True, timeout=10)
        return done.returncode == 0 and (group.folder / "memory.events").exists()
    except (OSError, subprocess.SubprocessError):
        return False
    finally:
        group.remove()


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def _write(path: Path, value: str) -> None:
    """Write to a file of the kernel's; it is never made here."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)
