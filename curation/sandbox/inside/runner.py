"""Process 1 of the sandbox: holds the tests, never the candidate's code.

It reads a job, forks the candidate's process, and only then reads the tests, so that no fork ever
holds them. It cannot be signalled from inside (it is process 1) nor read (it is not dumpable).
Records leave as frames on the original standard output, which no other process has.
"""

from __future__ import annotations

import gc
import posix as os  # the module os itself costs more to import than this one
import sys
import time

from . import wire
from .candidate import Loader as CandidateLoader
from .session import Budget, CandidateFailed, Clock, Loader, Session, Stop

TYPE_CHECKING = False  # typing costs more to import than the runner itself
if TYPE_CHECKING:
    from typing import Any

RESULTS = 9
PROMPT_LOAD = 2.0


def main() -> None:
    """Run the job on standard input. Ends the process."""
    os.dup2(1, RESULTS)
    job = wire.Decoder().decode(wire.read_frame(_read))
    _harden(job)
    loader = _start(job)
    tests = wire.Decoder().decode(wire.read_frame(_read))
    os.dup2(os.open("/dev/null", os.O_RDWR), 1)
    os.dup2(1, 0)
    _say({"started": True, "python": sys.version.split()[0]})
    try:
        if _loaded(loader, job):
            _run(loader, tests)
        _say({"end": True})
    except BaseException as problem:
        _say({"fault": f"{type(problem).__name__}: {problem}"[:500]})
    os._exit(0)


def _read(size: int) -> bytes:
    return os.read(0, size)


def _say(message: dict[str, Any]) -> None:
    data = memoryview(wire.frame(wire.Encoder().encode(message)))
    while data:
        data = data[os.write(RESULTS, data) :]


def _harden(job: dict[str, Any]) -> None:
    """Limits for this process and every later one; nobody reads or interrupts this one."""
    import _signal  # type: ignore[import-not-found]
    import resource

    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    if os.access("/proc/self/exe", os.R_OK):
        _hide_memory()
    resource.setrlimit(resource.RLIMIT_NPROC, (job["processes"],) * 2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (job["files"],) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (job["file"],) * 2)
    resource.setrlimit(resource.RLIMIT_AS, (job["memory"],) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_STACK, (job["stack"],) * 2)


def _hide_memory() -> None:
    """PR_SET_DUMPABLE 0, without the cost of the ctypes package."""
    import _ctypes

    ourselves = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
    prctl = _ctypes.dlsym(ourselves, "prctl")
    if _ctypes.call_function(prctl, (4, 0, 0, 0, 0)) != 0:
        raise OSError("prctl refused")


def _preload(names: list[str]) -> None:
    """Import standard modules once for both sides; what cannot be imported is not our business."""
    for name in names:
        try:
            __import__(name)
        except ImportError:
            continue


def _start(job: dict[str, Any]) -> Loader:
    import _socket

    _preload(job["preload"])
    gc.freeze()
    gc.enable()

    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        CandidateLoader(theirs, job).run()
    theirs.close()
    return Loader(ours, pid, job)


def _loaded(loader: Loader, job: dict[str, Any]) -> bool:
    """Wait until the code is compiled and, for a module, executed; says what became of it."""
    wanted = "compiled" if job["program"] else "loaded"
    facts: dict[str, Any] = {}
    reason, message = "runtime_error", ""
    started = time.monotonic()
    try:
        while wanted not in facts:
            facts |= loader.hear(job["wall"])
            if "refused" in facts:
                raise OSError(facts["refused"])
            if "uncompiled" in facts:
                reason, message = "compile_error", str(facts["uncompiled"])
                break
            if "failed" in facts:
                message = str(facts.get("message"))
                reason = _load_reason(str(facts["failed"]))
                break
        else:
            job["quiet"] = len(os.listdir("/proc"))
            _say({"loaded": time.monotonic() - started, "variant": facts.get("compiled")})
            return True
    except CandidateFailed as failed:
        reason, message = failed.reason, failed.message
        if "compiled" not in facts and reason == "runtime_error":
            reason = "compile_error"
    _say({"unloaded": reason, "message": message[:2000], "variant": facts.get("compiled")})
    return False


def _load_reason(kind: str) -> str:
    if kind.startswith("ModuleNotFoundError:"):
        return "missing_module:" + kind.partition(":")[2]
    return "memory_limit" if kind == "MemoryError" else "runtime_error"


def _run(loader: Loader, tests: dict[str, Any]) -> None:
    budget = Budget(float(tests["seconds"]))
    if tests["type"] == "stdio":
        _run_programs(loader, tests, budget)
        return
    from .link import Link

    link = Link(lambda: Session(loader, b"", talks=True))
    sys.stdout = _Text()
    if tests["type"] == "calls":
        _run_calls(link, tests, budget)
    elif tests["type"] == "check":
        from .asserts import run_check

        run_check(link, tests, budget, _say)
        _say({"cost": link.finish()})
    elif tests["type"] == "statements":
        from .asserts import run_statements

        run_statements(link, tests, budget, _say)
    else:
        from .pytests import run_pytest

        run_pytest(link, tests, budget, _say)


class _Text:
    """A standard output for tests; keeps nothing."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        return None

    def isatty(self) -> bool:
        return False


def _run_programs(loader: Loader, tests: dict[str, Any], budget: Any) -> None:
    """One fork per input; what it printed goes out, and is compared there."""
    for number, given in enumerate(tests["inputs"]):
        record: dict[str, Any] = {"name": f"test {number + 1}", "reason": ""}
        try:
            budget.check()
            record |= _one_program(loader, given)
        except Stop:
            record["reason"] = "not_run"
        budget.note(record["reason"])
        _say(record)


def _one_program(loader: Loader, given: bytes) -> dict[str, Any]:
    session: Session | None = None
    found: dict[str, Any] = {}
    clock = Clock(0.0)
    try:
        session = Session(loader, given, talks=False)
        ended = session.finish()
        status, cpu = ended.get("status"), ended.get("cpu")
        if not isinstance(status, int) or not isinstance(cpu, float):
            found = {"reason": "runtime_error", "message": "no end was reported"}
        elif status:
            from .session import why

            reason, message = why(status, cpu, loader.job)
            found = {"reason": reason, "message": message}
        found |= {"cpu": cpu, "memory": ended.get("memory")}
    except CandidateFailed as failed:
        found = {"reason": failed.reason, "message": failed.message}
    finally:
        if session is not None:
            session.close()
    if session is not None:
        said = session.text(session.err)[-400:].strip().rpartition(b"\n")[2]
        if found.get("reason") == "runtime_error" and said.startswith(b"MemoryError"):
            found["reason"] = "memory_limit"
        found |= {"stdout": session.text(session.out), "stderr": session.text(session.err)[-2000:]}
    return found | {"wall": clock.elapsed()}


def _run_calls(link: Any, tests: dict[str, Any], budget: Any) -> None:
    """One fork per call; the value goes out, and is compared there."""
    from .asserts import _cost, explain

    outward = wire.Encoder(_opaque)
    for number, arguments in enumerate(tests["calls"]):
        record: dict[str, Any] = {"name": f"test {number + 1}", "reason": "", "message": ""}
        clock = Clock(0.0)
        try:
            budget.check()
            method = link.request("entry", "", tests["entry"])
            record["value"] = outward.encode(method(*arguments))
        except Stop:
            record["reason"] = "not_run"
        except BaseException as problem:
            record["reason"], record["message"] = explain(problem)
        budget.note(record["reason"])
        link.failure = None
        _say(record | _cost(link.finish()) | {"wall": clock.elapsed()})


def _opaque(value: Any) -> Any:
    """What is no plain value: known kinds by value, the plain value inside an object, or none."""
    from . import exotic
    from .proxies import plain_inside

    known = exotic.to_plain(value)
    if known is not None:
        return "E", *known
    inside = plain_inside(value)
    return ("O",) if inside is None else ("P", inside)
