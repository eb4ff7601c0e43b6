"""What a verdict was reached with: stored beside it."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess

from . import cgroup, seccomp
from .bwrap import find_tools
from .tree import find_tree


@functools.cache
def identity() -> dict[str, str]:
    """Versions of bubblewrap and kernel, hash of the filter, fingerprint of the interpreter tree.

    ``memory`` says how the memory of all processes together is bounded: see ``memory_limit``.
    """
    tree = find_tree()
    return {
        "bwrap": _version(find_tools()["bwrap"]),
        "kernel": os.uname().release,
        "filter": hashlib.sha256(seccomp.program()).hexdigest()[:12],
        "tree": f"{tree.version}-{tree.fingerprint[:12]}",
        "memory": memory_limit(),
    }


def memory_limit() -> str:
    """What keeps a run within its memory: ``cgroup`` (the kernel), or ``watched`` (we look)."""
    return "cgroup" if cgroup.find_parent() else "watched"


def _version(bwrap: str) -> str:
    done = subprocess.run([bwrap, "--version"], capture_output=True, check=False, timeout=10)
    return done.stdout.decode("utf-8", "replace").strip()[:60]
