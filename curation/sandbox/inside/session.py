"""The runner's side of one test: a fork of the loader, its pipes, its clock.

The candidate may say anything here; it can neither read nor signal the runner, which is process 1
of the sandbox. What ends a test early is a :class:`CandidateFailed` with a reason.
"""

from __future__ import annotations

import posix as os
import select
import sys
import time

from . import wire

TYPE_CHECKING = False  # typing costs more to import than the runner itself
if TYPE_CHECKING:
    from typing import Any

_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR
STEP_MS = 50
GRACE = 0.5
# Time spent waiting for a processor is not the candidate's; beyond this share we are overloaded.
STARVED = 0.2
PATIENCE = 5


# A tmpfs here caps bytes, not files, and each file costs the kernel about a kilobyte of memory.
MAX_FILES = 20_000
WRITABLE = ("/tmp", "/dev/shm")  # noqa: S108 - the sandbox's own


class CandidateFailed(BaseException):
    """The candidate ended or broke a rule. No Exception, so that a test cannot swallow it."""

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


# After so many tests that ran out of time, the rest is not run.
MAX_TIMEOUTS = 2


class Stop(BaseException):
    """No more tests: the time is used up."""


class Budget:
    """Seconds for all tests together, and how many of them may run out of their own time."""

    def __init__(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds
        self.timeouts = 0

    def check(self) -> None:
        """Stop once there is nothing left."""
        if self.timeouts >= MAX_TIMEOUTS or time.monotonic() > self.until:
            raise Stop

    def note(self, reason: str) -> None:
        self.timeouts += reason == "time_limit"


class Loader:
    """The candidate's first process, as the runner sees it."""

    def __init__(self, control: Any, pid: int, job: dict[str, Any]) -> None:
        self.control = control
        self.pid = pid
        self.job = job

    def hear(self, seconds: float) -> dict[str, Any]:
        """Its next message; CandidateFailed ``runtime_error`` if it is gone, or out of time."""
        poll = select.poll()
        poll.register(self.control.fileno(), select.POLLIN)
        limit = Clock(seconds)
        while not poll.poll(STEP_MS):
            count_files()
            limit.check()
        try:
            raw = self.control.recv(65536)
            message = wire.Decoder().decode(raw) if raw else None
        except (OSError, wire.WireError):
            message = None
        if not isinstance(message, dict):
            raise CandidateFailed(*self._end())
        return message

    def order(self, fds: list[int]) -> None:
        """Have it fork for one test with these descriptors."""
        data = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds)
        try:
            self.control.sendmsg([b"test"], [(1, 1, data)])  # SOL_SOCKET, SCM_RIGHTS
        except OSError:
            raise CandidateFailed(*self._end()) from None

    def _end(self) -> tuple[str, str]:
        """Why it ended."""
        deadline = time.monotonic() + GRACE
        while time.monotonic() < deadline:
            try:
                pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            except ChildProcessError:
                break
            if pid:
                return why(status, usage.ru_utime + usage.ru_stime, self.job)
            time.sleep(0.005)
        return "runtime_error", "the loading process ended"


def why(status: int, cpu: float, job: dict[str, Any]) -> tuple[str, str]:
    """Reason and message of a wait status."""
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if number == 24 or (number == 9 and cpu >= job["cpu"] - 0.1):  # SIGXCPU, or the hard limit
        return "time_limit", f"over {job['cpu']} s of processor time"
    if number:
        return "runtime_error", f"signal {number}"
    return "runtime_error", f"ended with {os.WEXITSTATUS(status)}"


class Clock:
    """A wall limit in seconds that gives back the time others kept the processor."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.started = time.monotonic()
        self.extra = 0.0

    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def check(self) -> None:
        """CandidateFailed ``time_limit`` once the time is used up."""
        if self.elapsed() < self.seconds + self.extra:
            return
        starved = run_delay()
        if starved > self.extra + STARVED * self.seconds:
            self.extra = starved
            if self.extra > PATIENCE * self.seconds:
                raise CandidateFailed("overloaded", f"waited {starved:.0f} s for a processor")
            return
        raise CandidateFailed("time_limit", f"over {self.seconds:g} s")


def count_files() -> None:
    """CandidateFailed ``memory_limit`` where there are more than all tests together may make."""
    for place in WRITABLE:
        found = os.statvfs(place)
        if found.f_files - found.f_ffree > MAX_FILES:
            raise CandidateFailed("memory_limit", f"over {MAX_FILES} files")


def run_delay() -> float:
    """Seconds that processes here, this one apart, spent ready but without a processor."""
    total = 0.0
    for pid in others():
        try:
            with open(f"/proc/{pid}/schedstat") as file:
                total = max(total, int(file.read().split()[1]) / 1e9)
        except (OSError, ValueError, IndexError):
            continue
    return total


def others(keep: tuple[int, ...] = ()) -> list[int]:
    """Every other process of the sandbox but those to keep."""
    mine = (os.getpid(), *keep)
    return [int(n) for n in os.listdir("/proc") if n.isdigit() and int(n) not in mine]


def kill_rest(keep: int) -> None:
    """Kill all but the runner and the loader, however fast they fork; reap what ended."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        left = [pid for pid in others((keep,)) if not _reaped(pid)]
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, 9)
            except OSError:
                continue
        time.sleep(0.001)
    os.kill(-1, 9)  # the loader too: what follows fails, and that is its own doing


def _reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                return b") Z" in file.read(600)
        except OSError:
            return True


class Session:
    """One test under way. ``stdin`` is given whole; both outputs are kept up to the limit."""

    def __init__(self, loader: Loader, stdin: bytes, *, talks: bool) -> None:
        self.loader = loader
        self.job = loader.job
        self.clock = Clock(self.job["wall"])
        self.outputs: dict[int, bytearray] = {}
        self.ended: dict[str, Any] | None = None
        self.received = bytearray()
        self.cut = False
        self.poll = select.poll()
        self.socket: Any = None
        self._open(stdin, talks)

    def _open(self, stdin: bytes, talks: bool) -> None:
        given = _file_with(stdin)
        (out, out_theirs), (err, err_theirs) = os.pipe(), os.pipe()
        theirs = [given, out_theirs, err_theirs]
        if talks:
            import _socket

            self.socket, other = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
            self.socket.setblocking(False)
            theirs.append(other.detach())
            self.poll.register(self.socket.fileno(), _READABLE)
        self.out, self.err = out, err
        for fd in (out, err):
            os.set_blocking(fd, False)
            self.outputs[fd] = bytearray()
            self.poll.register(fd, _READABLE)
        self.poll.register(self.loader.control.fileno(), _READABLE)
        try:
            self.loader.order(theirs)
        finally:
            for fd in theirs:
                os.close(fd)

    def exchange(self, payload: bytes) -> bytes:
        """Send a frame, give the next one that comes back; CandidateFailed."""
        self._send(wire.frame(payload))
        return self.next_frame()

    def next_frame(self) -> bytes:
        """The next frame of the candidate."""
        while True:
            if len(self.received) >= 4:
                size = int.from_bytes(self.received[:4], "big")
                if size > wire.MAX_FRAME:
                    raise CandidateFailed("output_limit", "a value too large to take")
                if len(self.received) >= 4 + size:
                    payload = bytes(self.received[4 : 4 + size])
                    del self.received[: 4 + size]
                    return payload
            self._step()

    def finish(self) -> dict[str, Any]:
        """Wait until the test's process ended; how it did."""
        while self.ended is None:
            self._step(want_reply=False)
        self._drain()
        return self.ended

    def close(self) -> None:
        """Kill what is left, close all."""
        if self.ended is None or len(os.listdir("/proc")) > self.job["quiet"]:
            kill_rest(self.loader.pid)
            self._reported()
        if self.socket is not None:
            self.socket.close()
        for fd in (self.out, self.err):
            os.close(fd)

    def text(self, fd: int) -> bytes:
        return bytes(self.outputs[fd])

    def _reported(self) -> None:
        """The loader tells how each test ended; that message must not stay in the way."""
        try:
            while self.ended is None:
                self.ended = self.loader.hear(GRACE)
        except CandidateFailed:
            self.ended = {}

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self.socket.send(view) :]
            except BlockingIOError:
                self._step(want_reply=False)
            except OSError:
                self._gone()

    def _step(self, want_reply: bool = True) -> None:
        """Take what is there, or wait a little; CandidateFailed at a limit or the end."""
        for fd, _ in self.poll.poll(STEP_MS):
            if fd in self.outputs:
                self._take_output(fd)
            elif fd == self.loader.control.fileno():
                self.ended = self.loader.hear(GRACE)
                self.poll.unregister(fd)
            elif want_reply or self.ended is None:
                self._take_reply(want_reply)
        if self.cut:
            raise CandidateFailed("output_limit", f"over {self.job['output']} bytes")
        if self.ended is not None and want_reply and len(self.received) < 4:
            self._take_reply()
            self._gone()
        count_files()
        self.clock.check()

    def _take_reply(self, wanted: bool = True) -> None:
        try:
            piece = self.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if piece:
            self.received += piece
        elif self.ended is None:
            self.poll.unregister(self.socket.fileno())
            if wanted:
                self._gone()

    def _gone(self) -> None:
        """The candidate hung up before it answered."""
        deadline = Clock(GRACE * 4)
        while self.ended is None:
            try:
                self.ended = self.loader.hear(0.1)
            except CandidateFailed:
                if deadline.elapsed() > deadline.seconds:
                    self.ended = {}
        self._drain()
        status = self.ended.get("status")
        cpu = self.ended.get("cpu")
        if not isinstance(status, int) or not isinstance(cpu, float):
            raise CandidateFailed("runtime_error", "the candidate's process ended")
        raise CandidateFailed(*why(status, cpu, self.job))

    def _take_output(self, fd: int) -> None:
        try:
            piece = os.read(fd, 1 << 16)
        except BlockingIOError:
            return
        if not piece:
            self.poll.unregister(fd)
        self.outputs[fd] += piece
        if len(self.outputs[fd]) > self.job["output"]:
            self.cut = True
            del self.outputs[fd][self.job["output"] :]

    def _drain(self) -> None:
        """What was printed before the end."""
        for fd in self.outputs:
            for _ in range(1 + self.job["output"] // (1 << 16)):
                before = len(self.outputs[fd])
                try:
                    self._take_output(fd)
                except KeyError:  # registered no more: it was at its end
                    break
                if len(self.outputs[fd]) == before or self.cut:
                    break


def _file_with(data: bytes) -> int:
    """A file without a name. It lies in the run's own tmpfs, whose size counts; a memfd's does not.

    CandidateFailed where earlier tests left no room for it.
    """
    try:
        fd = os.open("/tmp", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)  # noqa: S108
        _write_all(fd, data)
    except OSError as problem:
        raise CandidateFailed("memory_limit", f"no room in /tmp: {problem.strerror}") from None
    os.lseek(fd, 0, 0)
    return fd


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
