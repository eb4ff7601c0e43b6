"""Runs INSIDE the sandbox (its source is sent there): tries what must fail, and tells as JSON.

Arguments: path of a canary file, port of a listener outside. Standard library only.
"""

import ctypes
import fcntl
import json
import mmap
import os
import socket
import sys
from collections.abc import Callable
from typing import Any


def attempt(action: Callable[[], Any]) -> str:
    """The error's name, or "allowed" where the action went through."""
    try:
        action()
    except OSError as problem:
        return problem.strerror or type(problem).__name__
    except MemoryError:
        return "MemoryError"
    return "allowed"


def status(field: str) -> str:
    """A field of /proc/self/status."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(field + ":"):
                return line.split(":", 1)[1].strip()
    return ""


def write(path: str) -> None:
    """Create and write a file."""
    with open(path, "w") as file:
        file.write("x")


def connect(port: int) -> None:
    """Reach the listener outside."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
        s.settimeout(2)
        s.connect(("127.0.0.1", port))


def lock() -> None:
    """Lock a file that all sandboxes share."""
    with open(os.__file__) as file:
        fcntl.flock(file, fcntl.LOCK_SH)


def call(name: str, *arguments: Any) -> None:
    """A C library call; OSError where it is refused."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def forks(wanted: int) -> int:
    """How many children could be forked at once, of ``wanted``."""
    children = []
    reader, writer = os.pipe()
    try:
        for _ in range(wanted):
            child = os.fork()
            if child == 0:
                os.close(writer)
                os.read(reader, 1)
                os._exit(0)
            children.append(child)
    except OSError:
        pass
    os.close(writer)
    for child in children:
        os.waitpid(child, 0)
    return len(children)


def main() -> None:
    """Print one JSON object."""
    canary, port = sys.argv[1], int(sys.argv[2])
    found = {
        "uid": os.getuid(),
        "no_new_privs": status("NoNewPrivs"),
        "seccomp": status("Seccomp"),
        "capabilities": int(status("CapEff") or "0", 16),
        "canary_file": os.path.exists(canary),
        "environment": sorted(os.environ),
        "processes": sum(name.isdigit() for name in os.listdir("/proc")),
        "write_root": attempt(lambda: write("/probe")),
        "write_usr": attempt(lambda: write("/usr/probe")),
        "write_dev": attempt(lambda: write("/dev/probe")),
        "write_tmp": attempt(lambda: write("/tmp/probe")),  # noqa: S108
        "network": attempt(lambda: connect(port)),
        "user_namespace": attempt(lambda: call("unshare", 0x10000000)),
        "mount": attempt(lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None)),
        "ptrace": attempt(lambda: call("ptrace", 0, 0, None, None)),
        "memory": attempt(lambda: bytearray(2 * 1024**3)),
        "memory_file": attempt(lambda: os.memfd_create("probe")),
        "shared_map": attempt(lambda: mmap.mmap(-1, 2 * 1024**2)),
        "shared_segment": attempt(lambda: call("shmget", 0, 4096, 0o1600)),
        "large_pipe": attempt(lambda: fcntl.fcntl(os.pipe()[1], 1031, 1024**2)),
        "lock": attempt(lock),
        "watch": attempt(lambda: call("inotify_init1", 0)),
        "forks": forks(200),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
