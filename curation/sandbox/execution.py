"""Run one candidate with its tests in one sandbox; records come back, comparing is the caller's.

What crosses into the sandbox: the candidate's code, then the tests. For programs and calls these
are inputs only. What comes back is data; a broken or missing answer is never a pass.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import selectors
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import cgroup, seccomp
from .bundle import BOOT, bundle
from .bwrap import MIB, SANDBOX_UID, SandboxLimits, SandboxUnavailable, find_tools, isolated
from .inside import wire
from .memory import sandbox_bytes
from .tree import find_tree

# Started by root, each sandbox has a user of its own, so that limits per user are its own too.
FIRST_UID = 60_100
UIDS = 4_000
RESULTS_LIMIT = 64 * MIB
# The memory of a sandbox is looked at again after the time in which a fast writer could fill what
# is left of it, and never so often that looking takes more than a fifth of the time.
FASTEST = 16 * 1024 * MIB  # bytes a second, by all processors together
SHORTEST, LONGEST = 0.005, 0.1
LOOKING = 0.2
# Processes of a quiet sandbox that /proc lists, and the rest of its entries.
MARGIN = 15.0

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """A candidate: sources to try in order, and how they are to be run.

    ``program`` is run whole for each input; otherwise it is loaded once as a module. ``entry`` is
    a name that the chosen source must hold. ``preload`` are standard modules that candidate and
    tests will import anyway, imported once for both.
    """

    variants: Sequence[str]
    program: bool = False
    entry: str = ""
    coverage: bool = False
    preload: Sequence[str] = ()


@dataclass(slots=True)
class Run:
    """What came back. ``fault`` is ours, never the candidate's; ``unloaded``: why no test ran.

    ``peak`` is the most memory of all processes together that was seen, in bytes; ``memory``
    says that it was over the limit.
    """

    records: list[Record] = field(default_factory=list)
    facts: Record = field(default_factory=dict)
    fault: str = ""
    message: str = ""
    memory: bool = False
    peak: int = 0
    whole: bool = False
    wall: float = 0.0

    @property
    def unloaded(self) -> str:
        return str(self.facts.get("unloaded") or "")


def run(job: Job, tests: Mapping[str, Any], limits: SandboxLimits, seconds: float) -> Run:
    """Run ``job`` with ``tests`` for at most ``seconds`` in all.

    Blocks until every process of the sandbox is dead. SandboxUnavailable where there is none.
    """
    tree = find_tree()
    payload = b"".join(
        (
            wire.frame(wire.Encoder().encode(_job(job, limits, tree.packages))),
            wire.frame(
                wire.Encoder().encode({**tests, "seconds": seconds, "packages": tree.packages})
            ),
        )
    )
    tools, modules = _tools(), bundle(tree)
    program = [tree.interpreter, "-I", "-S", "-B", "-c", BOOT, str(modules)]
    with _filter_fd() as fd, cgroup.limited(limits) as group:
        words = [*_as_user(tools), *isolated(program, limits, tools["bwrap"], fd, tree.binds)]
        with _spawn(group.enter(words) if group else words, (fd, modules)) as process:
            return _Collector(process, payload, limits, seconds, group).collect()


@functools.cache
def _tools() -> dict[str, str]:
    """Looked for once in a process; the self-test looks anew each time and refuses without them."""
    return find_tools()


def _job(job: Job, limits: SandboxLimits, packages: str) -> Record:
    return {
        "variants": list(job.variants),
        "program": job.program,
        "entry": job.entry,
        "coverage": job.coverage,
        "preload": list(job.preload),
        "packages": packages,
        "cpu": limits.cpu,
        "wall": limits.wall,
        "memory": limits.memory,
        "processes": limits.processes,
        "files": limits.files,
        "file": limits.file,
        "stack": 64 * MIB,
        "output": limits.output,
    }


@functools.cache
def _compiled(program: Callable[[], bytes]) -> bytes:
    """The filter of this machine, made once."""
    return program()


@contextlib.contextmanager
def _filter_fd() -> Any:
    try:
        compiled = _compiled(seccomp.program)
    except ValueError as problem:
        raise SandboxUnavailable(str(problem)) from problem
    fd = os.memfd_create("seccomp")
    try:
        os.write(fd, compiled)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)


_uids = itertools.count()


def _as_user(tools: Mapping[str, str]) -> list[str]:
    """Words that change to the user of the next sandbox; none where we are no root.

    A program does it, because a child that this process itself gives another user has to be forked
    with all of its memory; without that it costs a tenth of a candidate less.
    """
    if os.geteuid() != 0:
        return []
    own = _own_users(tools["setpriv"])
    uid = FIRST_UID + (os.getpid() * 31 + next(_uids)) % UIDS if own else SANDBOX_UID
    return _become(tools["setpriv"], uid)


def _become(setpriv: str, uid: int) -> list[str]:
    return [setpriv, f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs", "--"]


@functools.cache
def _own_users(setpriv: str) -> bool:
    """Whether root may become each of the sandboxes' users: a container may know only some."""
    last = _become(setpriv, FIRST_UID + UIDS - 1)
    return subprocess.run([*last, "true"], capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def _spawn(words: list[str], fds: tuple[int, ...]) -> Any:
    try:
        process = _popen(words, fds)
    except (OSError, subprocess.SubprocessError) as problem:
        raise SandboxUnavailable(str(problem)) from problem
    try:
        yield process
    finally:
        process.kill()  # bwrap's death ends its process namespace and all in it
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()


def _popen(words: list[str], fds: tuple[int, ...]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=fds,
        env={"PATH": "/usr/bin:/bin"},
        cwd="/",
    )


class _Collector:
    """Feeds a sandbox and reads what it says, within the limits."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        payload: bytes,
        limits: SandboxLimits,
        seconds: float,
        group: cgroup.Group | None = None,
    ) -> None:
        self.process = process
        self.group = group
        self.left = memoryview(payload)
        self.limits = limits
        self.deadline = seconds + 2 * limits.wall + MARGIN
        self.results = bytearray()
        self.errors = bytearray()
        self.found = Run()
        self.started = time.monotonic()
        self.look_at = self.started + min(LONGEST, limits.memory / FASTEST)

    def collect(self) -> Run:
        """Until the sandbox is dead, or has to be."""
        selector = selectors.DefaultSelector()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
        with selector:
            selector.register(self.process.stdin, selectors.EVENT_WRITE, self._feed)  # type: ignore[arg-type]
            selector.register(self.process.stdout, selectors.EVENT_READ, self._take)  # type: ignore[arg-type]
            selector.register(self.process.stderr, selectors.EVENT_READ, self._complain)  # type: ignore[arg-type]
            while not self.found.whole and not self.found.fault and self._open(selector):
                for key, _ in selector.select(max(0.0, self.look_at - time.monotonic())):
                    if not key.data():
                        selector.unregister(key.fileobj)
                self._watch()
        self.found.wall = time.monotonic() - self.started
        if self.group is not None and self.group.was_full():
            self._refuse_memory()
        if not (self.found.whole or self.found.fault or self.found.memory):
            self._explain()
        return self.found

    def _open(self, selector: selectors.BaseSelector) -> bool:
        return not self.found.memory and self.process.stdout in {
            key.fileobj for key in selector.get_map().values()
        }

    def _feed(self) -> bool:
        stream = self.process.stdin
        try:
            self.left = self.left[os.write(stream.fileno(), self.left[: 1 << 16]) :]  # type: ignore[union-attr]
        except BrokenPipeError:
            self.left = self.left[:0]
        if not self.left:
            stream.close()  # type: ignore[union-attr]
        return bool(self.left)

    def _take(self) -> bool:
        piece = os.read(self.process.stdout.fileno(), 1 << 18)  # type: ignore[union-attr]
        self.results += piece
        while len(self.results) >= 4 and not self.found.fault:
            size = int.from_bytes(self.results[:4], "big")
            if size > wire.MAX_FRAME or len(self.results) > RESULTS_LIMIT:
                self.found.fault, self.found.message = "sandbox_fault", "too much came back"
            if len(self.results) < 4 + size:
                break
            self._note(bytes(self.results[4 : 4 + size]))
            del self.results[: 4 + size]
        return bool(piece)

    def _note(self, payload: bytes) -> None:
        try:
            message = wire.Decoder().decode(payload)
        except wire.WireError as problem:
            self.found.fault, self.found.message = "sandbox_fault", str(problem)
            return
        if "name" in message:
            self.found.records.append(message)
        elif "end" in message:
            self.found.whole = True
        elif "fault" in message:
            self.found.fault, self.found.message = "sandbox_fault", str(message["fault"])
        else:
            self.found.facts |= message

    def _complain(self) -> bool:
        piece = os.read(self.process.stderr.fileno(), 65536)  # type: ignore[union-attr]
        self.errors = (self.errors + piece)[-4000:]
        return bool(piece)

    def _watch(self) -> None:
        now = time.monotonic()
        if now - self.started > self.deadline:
            self.found.fault, self.found.message = "timeout", f"no end after {self.deadline:g} s"
        elif now >= self.look_at:
            self._weigh(now)

    def _weigh(self, now: float) -> None:
        """Look at the memory, and say when to look again."""
        held = sandbox_bytes(self.process.pid, self.limits.memory)
        self.found.peak = max(self.found.peak, held)
        left = self.limits.memory - held
        if left < 0:
            self._refuse_memory()
        cost = time.monotonic() - now
        pause = min(LONGEST, max(SHORTEST, left / FASTEST, cost / LOOKING))
        self.look_at = time.monotonic() + pause

    def _refuse_memory(self) -> None:
        self.found.memory = True
        self.found.message = f"over {self.limits.memory // MIB} MiB in all processes together"

    def _explain(self) -> None:
        """The sandbox ended before it said so."""
        status = self.process.wait()
        lines = self.errors.decode("utf-8", "replace").strip().splitlines()
        self.found.message = (lines[-1] if lines else f"ended with {status}")[:500]
        started = "started" in self.found.facts
        self.found.fault = "sandbox_fault" if started else "sandbox_unavailable"


_slots: dict[int, threading.BoundedSemaphore] = {}
_slots_lock = threading.Lock()


def slots() -> threading.BoundedSemaphore:
    """As many sandboxes at once as there are processors; more would only wait."""
    with _slots_lock:
        pid = os.getpid()
        if pid not in _slots:
            _slots[pid] = threading.BoundedSemaphore(max(1, len(os.sched_getaffinity(0))))
        return _slots[pid]
