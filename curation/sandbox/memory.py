"""Memory of a process and all below it, from /proc: limits per process do not bound their sum."""

from __future__ import annotations

import os

PAGE = os.sysconf("SC_PAGE_SIZE")
MAX_PROCESSES = 1_000


def tree_bytes(root: int) -> int:
    """Private resident bytes of ``root`` and its descendants; processes that end count nothing."""
    total, waiting, seen = 0, [root], 0
    while waiting and seen < MAX_PROCESSES:
        pid = waiting.pop()
        seen += 1
        total += _private(pid)
        waiting += _children(pid)
    return total


def _private(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm") as file:
            fields = file.read().split()
        return (int(fields[1]) - int(fields[2])) * PAGE
    except (OSError, IndexError, ValueError):
        return 0


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found += [int(child) for child in file.read().split()]
    except (OSError, ValueError):
        pass
    return found
