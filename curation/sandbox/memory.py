"""All memory that a sandbox makes the host hold, from /proc.

Limits per process do not bound their sum, and some memory belongs to no process: files of a tmpfs,
shared mappings that nobody touches any more, what waits in pipes and sockets. Each kind is counted
here, or refused (``seccomp.py``) because it cannot be. Where a kind cannot be seen exactly, the
most that it may be counts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .seccomp import SHARED_MAP

PAGE = os.sysconf("SC_PAGE_SIZE")
KIB = 1024
MAX_PROCESSES = 1_000
# What the kernel keeps for one mapping, for one file of a tmpfs and for one pipe of the size that
# a run cannot change.
MAPPING, INODE, PIPE = 300, 1_200, 64 * KIB
MAX_MAPS = KIB**2 // 2  # bytes of one list of mappings; each line has about MAPPING_LINE
MAPPING_LINE = 49
WRITABLE = ("tmp", "dev/shm")
_SHARED = re.compile(rb" [r-][w-][x-]s [0-9a-f]+ ([0-9a-f]+:[0-9a-f]+ \d+) +/dev/zero \(deleted\)")
_PSS = re.compile(rb"^Pss_Anon: +(\d+) kB", re.MULTILINE)
_STATUS = re.compile(rb"^(RssAnon|VmPTE|VmSwap):\s+(\d+) kB", re.MULTILINE)


@dataclass(slots=True)
class _Held:
    """What processes hold together; shared things by their identity, so that each counts once."""

    kernel: int = 0  # bytes
    maps: set[bytes] = field(default_factory=set)
    pipes: set[str] = field(default_factory=set)

    def total(self) -> int:
        """In bytes."""
        return self.kernel + len(self.maps) * SHARED_MAP + len(self.pipes) * PIPE


def sandbox_bytes(bwrap: int, limit: int) -> int:
    """Bytes that the sandbox started by the process ``bwrap`` holds; 0 before it stands.

    The private part is an upper bound while all is within ``limit``, and above it exact: pages
    that a fork shares with its parent count once.
    """
    inside = _first_child(bwrap)
    if inside is None:
        return 0
    proc = Path(f"/proc/{inside}/root/proc")
    pids = _processes(proc)
    if not pids:
        return tree_bytes(bwrap) + _sockets(Path(f"/proc/{inside}"))
    private = sum(_private(proc / pid) for pid in pids)
    if private > limit:  # the most common case first, as it grows fastest
        private = sum(_proportional(proc / pid) for pid in pids)
        if private > limit:
            return private
    shared = _shared(proc, pids) + _files(proc.parent) + _sockets(proc / pids[0])
    if private + shared > limit:
        private = sum(_proportional(proc / pid) for pid in pids)
    return private + shared


def tree_bytes(root: int) -> int:
    """Resident bytes of ``root`` and its descendants, shared pages once for each process.

    For a sandbox whose own /proc we may not read, because we are neither root nor the owner of the
    interpreter: too much of what is mapped, and nothing of what is not.
    """
    total, waiting, seen = 0, [root], 0
    while waiting and seen < MAX_PROCESSES:
        pid = waiting.pop()
        seen += 1
        total += _resident(pid)
        waiting += _children(pid)
    return total


def _processes(proc: Path) -> list[str]:
    """Every process of a sandbox by its own number there, in the order they were made.

    Read from the sandbox's /proc and not by parents: whoever forks away while we look has a larger
    number, and is still to come.
    """
    try:
        return [name for name in os.listdir(proc) if name.isdigit()][:MAX_PROCESSES]
    except OSError:
        return []


def _status(folder: Path) -> dict[bytes, int]:
    """Anonymous pages, page tables and swapped pages of a process, in bytes."""
    return {name: int(kib) * KIB for name, kib in _STATUS.findall(_read(folder / "status"))}


def _private(folder: Path) -> int:
    fields = _status(folder)
    return fields.get(b"RssAnon", 0) + fields.get(b"VmSwap", 0)


def _shared(proc: Path, pids: list[str]) -> int:
    held = _Held()
    for pid in pids:
        held.kernel += _status(proc / pid).get(b"VmPTE", 0) + _add_maps(held, proc / pid)
        held.pipes.update(n for n in _descriptors(proc / pid) if n.startswith("pipe:"))
    return held.total()


def _add_maps(held: _Held, folder: Path) -> int:
    """Note the shared mappings of a process; bytes that the kernel needs for all of them.

    A list too long to read counts as one of nothing but shared mappings, which it may be.
    """
    maps = _read(folder / "maps", MAX_MAPS)
    if len(maps) >= MAX_MAPS:
        return len(maps) // MAPPING_LINE * SHARED_MAP
    if b"/dev/zero" in maps:
        held.maps.update(_SHARED.findall(maps))
    return maps.count(b"\n") * MAPPING


def _descriptors(folder: Path) -> Iterator[str]:
    """What a process's descriptors stand for."""
    try:
        for fd in os.listdir(folder / "fd"):
            yield os.readlink(folder / "fd" / fd)
    except OSError:  # it ended, or closed one
        return


def _files(root: Path) -> int:
    """Bytes in the writable places, whether or not a file there still has a name."""
    total = 0
    for place in WRITABLE:
        try:
            seen = os.statvfs(root / place)
        except OSError:
            continue
        total += (seen.f_blocks - seen.f_bfree) * seen.f_frsize
        total += (seen.f_files - seen.f_ffree) * INODE
    return total


def _sockets(process: Path) -> int:
    """The most that may wait in all sockets of the sandbox's network, accepted or not."""
    count = max(0, _read(process / "net/unix", MAX_MAPS).count(b"\n") - 1)
    return count * _socket_buffer()


def _socket_buffer() -> int:
    """Bytes that one socket may send before it waits; a run cannot raise it."""
    try:
        return int(Path("/proc/sys/net/core/wmem_default").read_text())
    except (OSError, ValueError):
        return 256 * KIB


def _proportional(folder: Path) -> int:
    """Private bytes of a process, pages shared with forks divided among them."""
    rollup = _PSS.search(_read(folder / "smaps_rollup"))
    if rollup is None:
        return _private(folder)
    return int(rollup[1]) * KIB + _status(folder).get(b"VmSwap", 0)


def _read(path: Path, size: int = 65536) -> bytes:
    """The beginning of a file of /proc; nothing where the process ended."""
    try:
        with open(path, "rb", buffering=0) as file:
            pieces = []
            while size > 0 and (piece := file.read(size)):
                pieces.append(piece)
                size -= len(piece)
            return b"".join(pieces)
    except OSError:
        return b""


def _resident(pid: int) -> int:
    try:
        return int(_read(Path(f"/proc/{pid}/statm")).split()[1]) * PAGE
    except (IndexError, ValueError):
        return 0


def _first_child(pid: int) -> int | None:
    """Process 1 of the sandbox: the only child of bwrap."""
    children = _children(pid)
    return children[0] if children else None


def _children(pid: int) -> list[int]:
    known: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                known += [int(child) for child in file.read().split()]
    except (OSError, ValueError):
        pass
    return known
