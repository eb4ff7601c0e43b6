"""Run a program in a bubblewrap sandbox: own namespaces, no network, no files but the system's.

Never as root (root inside bwrap ignores the process limit and reads root's files): a caller that
is root changes to ``SANDBOX_UID`` first. Every writable place is a sized tmpfs, the root is
remounted read-only, and user namespaces inside are disabled. See docs/verification.md.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import seccomp

if TYPE_CHECKING:
    from .tree import Tree

SANDBOX_UID = 65534
INTERPRETER = "/usr/bin/python3"
MIB = 1024**2


# What programs open by name, and nothing more: each further device costs a mount.
DEVICES = (
    "--tmpfs /dev --dev-bind /dev/null /dev/null --dev-bind /dev/urandom /dev/urandom"
    " --symlink urandom /dev/random --symlink /proc/self/fd /dev/fd"
    " --symlink fd/0 /dev/stdin --symlink fd/1 /dev/stdout --symlink fd/2 /dev/stderr"
)


class SandboxUnavailable(RuntimeError):
    """The sandbox cannot be had here; the message says why and what would help."""


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """``cpu`` and ``wall`` in seconds; ``memory`` (address space per process), ``file``, ``tmp``,
    ``shm`` and ``output`` in bytes; ``processes`` and ``files`` are counts."""

    cpu: int = 5
    wall: float = 10.0
    memory: int = 1024 * MIB
    processes: int = 64
    files: int = 64
    file: int = 16 * MIB
    tmp: int = 64 * MIB
    shm: int = 16 * MIB
    output: int = 1 * MIB


@dataclass(frozen=True, slots=True)
class Completed:
    """How a run ended. Output is cut at the limit, and then says so."""

    returncode: int
    stdout: bytes
    stderr: bytes
    wall: float
    timed_out: bool = False
    output_cut: bool = False


def find_tools() -> dict[str, str]:
    """Paths of what the sandbox needs; SandboxUnavailable names what is missing."""
    wanted = ["bwrap", "prlimit"] + (["setpriv"] if os.geteuid() == 0 else [])
    found = {name: shutil.which(name) or "" for name in wanted}
    missing = [name for name, path in found.items() if not path]
    if missing:
        raise SandboxUnavailable(
            f"{' and '.join(missing)} not found (install the bubblewrap and util-linux packages)"
        )
    return found


def command(
    program: list[str],
    limits: SandboxLimits,
    tools: dict[str, str],
    seccomp_fd: int,
    more: list[str] | None = None,
) -> list[str]:
    """The whole command line: change user if root, build the sandbox, limit, run ``program``.

    ``more`` are further words for bwrap, such as what else to show.
    """
    words = _more(_bwrap(limits, tools["bwrap"], seccomp_fd), more or [])
    return [*_as_nobody(tools), *words, *_limited(limits), *program]


def _more(words: list[str], more: list[str]) -> list[str]:
    """Further words, at a place where the root is still writable."""
    at = words.index("--chdir")
    return [*words[:at], *more, *words[at:]]


def _as_nobody(tools: dict[str, str]) -> list[str]:
    if os.geteuid() != 0:
        return []
    ids = [f"--reuid={SANDBOX_UID}", f"--regid={SANDBOX_UID}", "--clear-groups"]
    return [tools["setpriv"], *ids, "--no-new-privs", "--"]


def isolated(
    program: list[str], limits: SandboxLimits, bwrap: str, seccomp_fd: int, more: list[str]
) -> list[str]:
    """The command line for a caller that is the sandbox's user already, and for a program that
    limits itself: it is process 1 inside, so nothing there can signal it. ``more`` goes to bwrap.
    """
    words = _more(_bwrap(limits, bwrap, seccomp_fd), more)
    return [*words[:-1], "--as-pid-1", "--", *program]


def _bwrap(limits: SandboxLimits, bwrap: str, seccomp_fd: int) -> list[str]:
    isolation = "--unshare-all --unshare-user --disable-userns --die-with-parent --new-session"
    environment = {
        "PATH": "/usr/bin",
        "LANG": "C.UTF-8",
        "HOME": "/tmp",  # noqa: S108 - the sandbox's own tmpfs
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
    }
    variables = [word for pair in environment.items() for word in ("--setenv", *pair)]
    system = "--ro-bind /usr /usr --symlink usr/lib /lib --symlink usr/lib64 /lib64"
    system += f" --symlink usr/bin /bin --proc /proc {DEVICES}"
    writable = f"--size {limits.shm} --tmpfs /dev/shm --remount-ro /dev"
    writable += f" --size {limits.tmp} --tmpfs /tmp --chdir /tmp"
    identity = f"--hostname sandbox --uid {SANDBOX_UID} --gid {SANDBOX_UID} --cap-drop ALL"
    closing = f"--seccomp {seccomp_fd} --remount-ro / --"
    parts = (isolation, "--clearenv", *variables, system, writable, identity, closing)
    words = [bwrap]
    for part in parts:
        words += [part] if part in variables else part.split()
    return words


def _limited(limits: SandboxLimits) -> list[str]:
    return [
        "/usr/bin/prlimit",
        f"--cpu={limits.cpu}:{limits.cpu + 1}",
        f"--as={limits.memory}",
        f"--nproc={limits.processes}",
        f"--nofile={limits.files}",
        f"--fsize={limits.file}",
        "--core=0",
        f"--stack={64 * MIB}",
        "--",
    ]


def run_python(
    source: str, arguments: list[str], limits: SandboxLimits, *, tree: Tree | None = None
) -> Completed:
    """Run Python source in a sandbox; the source arrives on stdin, nothing is read from files.

    With ``tree`` its interpreter runs, else the system's.

    Blocks the calling thread until every process of the sandbox is dead (the sandbox dies with
    the thread that started it). SandboxUnavailable where it cannot be built at all.
    """
    interpreter = tree.interpreter if tree else INTERPRETER
    if tree is None and not Path(INTERPRETER).exists():
        raise SandboxUnavailable(f"{INTERPRETER} not found (install the python3 package)")
    program = [interpreter, "-I", "-B", "-", *arguments]
    tools = find_tools()
    with _filter_file() as fd:
        process = subprocess.Popen(
            command(program, limits, tools, fd, tree.binds if tree else []),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(fd,),
            env={"PATH": "/usr/bin:/bin"},
            cwd="/",
            start_new_session=True,
        )
        return _collect(process, source.encode(), limits)


@contextlib.contextmanager
def _filter_file() -> Iterator[int]:
    """A file descriptor from which bwrap reads the seccomp filter."""
    try:
        compiled = seccomp.program()
    except ValueError as problem:
        raise SandboxUnavailable(str(problem)) from problem
    with tempfile.TemporaryFile() as file:
        file.write(compiled)
        file.flush()
        file.seek(0)
        yield file.fileno()


def _collect(process: subprocess.Popen[bytes], source: bytes, limits: SandboxLimits) -> Completed:
    """Feed stdin, read both outputs up to the limit, kill at the wall limit."""
    import selectors

    started = time.monotonic()
    if not (process.stdin and process.stdout and process.stderr):
        raise ValueError("the process needs three pipes")
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(source)
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    outputs = {process.stdout: bytearray(), process.stderr: bytearray()}
    timed_out = cut = False
    with selectors.DefaultSelector() as selector:
        for stream in outputs:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map() and not (timed_out or cut):
            for key, _ in selector.select(timeout=0.1):
                block = os.read(key.fd, 65536)
                outputs[key.fileobj] += block  # type: ignore[index]
                if not block:
                    selector.unregister(key.fileobj)
            cut = any(len(output) > limits.output for output in outputs.values())
            timed_out = time.monotonic() - started > limits.wall
    _end(process, at_once=timed_out or cut)
    out, err = (bytes(output[: limits.output]) for output in outputs.values())
    for stream in outputs:
        stream.close()
    wall = time.monotonic() - started
    return Completed(process.returncode, out, err, wall, timed_out, cut)


def _end(process: subprocess.Popen[bytes], *, at_once: bool) -> None:
    if not at_once:
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            at_once = True
    if at_once:
        process.kill()  # bwrap's death ends its process namespace and all in it
        process.wait()
