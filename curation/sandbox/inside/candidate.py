"""The candidate's process: loads the code once, then one fork of it for each test.

Whatever runs here may be hostile and owns this process whole. So it is given the candidate's code
and a test's inputs, never an expected value, and what it answers is data to the runner.
"""

from __future__ import annotations

import posix as os  # the module os itself costs more to import than this one
import sys

from . import wire

TYPE_CHECKING = False  # typing costs more to import than the runner itself
if TYPE_CHECKING:
    from typing import Any

NAME = "solution"
# The descriptor from which the modules of this package are loaded; nobody can write to it.
BUNDLE = 8
MAX_MESSAGE = 2_000


class Loader:
    """Compiles, loads, forks. ``control`` is its socket to the runner (whole messages)."""

    def __init__(self, control: Any, job: dict[str, Any]) -> None:
        self.control = control
        self.job = job
        self.module: Any = type(sys)(NAME)
        self.code: Any = None
        self.coverage: Any = None

    def run(self) -> None:
        """Load, then serve until the runner is gone. Never returns."""
        try:
            self._limit()
            if not self._load():
                os._exit(1)
            if not self.job["program"]:
                from . import server  # once, for every fork  # noqa: F401
            while self._fork():
                pass
        finally:
            os._exit(1)

    def _limit(self) -> None:
        import resource

        cpu = int(self.job["cpu"])
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
        try:
            with open("/proc/1/mem", "rb"):
                self._say(refused="the runner's memory is open to the candidate")
                os._exit(1)
        except OSError:
            pass
        nothing = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nothing, fd)
        after = 3
        for keep in sorted((self.control.fileno(), BUNDLE)):
            os.closerange(after, keep)
            after = keep + 1
        os.closerange(after, int(self.job["files"]))

    def _load(self) -> bool:
        chosen = self._compile()
        if chosen is None:
            return False
        self._say(compiled=chosen)
        if self.job["program"]:
            return True

        sys.modules[NAME] = self.module
        sys.path.append(self.job["packages"])
        sys.path.insert(0, "/tmp")  # noqa: S108 - the sandbox's own
        if self.job.get("coverage"):
            self._measure(self.job["variants"][chosen])
        self.module.__dict__["__file__"] = "/tmp/solution.py"  # noqa: S108
        try:
            exec(self.code, self.module.__dict__)  # noqa: S102 - what the sandbox is for
        except BaseException as problem:
            self._say(failed=describe(problem), message=last_lines(problem))
            return False
        self._say(loaded=True)
        return True

    def _compile(self) -> int | None:
        """The index of the first variant that is Python and names what is asked for."""
        entry, first = self.job.get("entry") or "", ""
        for number, source in enumerate(self.job["variants"]):
            try:
                code = compile(source, "/tmp/solution.py", "exec", dont_inherit=True)  # noqa: S108
            except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as problem:
                first = first or f"{type(problem).__name__}: {problem}"[:MAX_MESSAGE]
                continue
            if not entry or entry in code.co_names:
                self.code = code
                return number
            first = first or f"nothing is called {entry}"
        self._say(uncompiled=first)
        return None

    def _measure(self, source: str) -> None:
        """Start coverage.py on the solution alone; without the package nothing is measured."""
        try:
            with open("/tmp/solution.py", "w") as file:  # noqa: S108
                file.write(source)
            import coverage  # type: ignore[import-not-found]
        except (OSError, ImportError):
            return
        self.coverage = coverage.Coverage(
            data_file=None,
            include=["/tmp/solution.py"],  # noqa: S108
            config_file=False,
            messages=False,
        )
        self.coverage.start()

    def _fork(self) -> bool:
        """Take one order: three or four descriptors for one test. False at the end."""
        space = 4 * 8
        order, ancillary, _, _ = self.control.recvmsg(64, 64 + space)
        if not order:
            return False
        fds: list[int] = []
        for _level, _kind, data in ancillary:
            fds += [int.from_bytes(data[i : i + 4], sys.byteorder) for i in range(0, len(data), 4)]
        child = os.fork()
        if child == 0:
            self._test(fds)
        for fd in fds:
            os.close(fd)
        _, status, usage = os.wait4(child, 0)
        self._say(
            status=status,
            cpu=round(usage.ru_utime + usage.ru_stime, 4),
            memory=usage.ru_maxrss * 1024,
        )
        return True

    def _test(self, fds: list[int]) -> None:
        """In the fork: one test. Never returns."""
        status = 1
        try:
            self.control.close()
            for number in range(3):
                os.dup2(fds[number], number)
                os.close(fds[number])
            if self.job["program"]:
                status = run_program(self.code)
            else:
                from .server import Server

                Server(fds[3], self.module, self.coverage).serve()
                status = 0
        finally:
            os._exit(status)

    def _say(self, **message: Any) -> None:
        self.control.send(wire.Encoder().encode(message))


def run_program(code: Any) -> int:
    """Run code as ``python solution.py`` would; its exit status."""
    main = sys.modules["__main__"] = type(sys)("__main__")
    sys.argv = ["solution.py"]
    sys.path.insert(0, "/tmp")  # noqa: S108
    status = 0
    try:
        exec(code, main.__dict__)  # noqa: S102 - what the sandbox is for
    except SystemExit as leaving:
        status = _exit_status(leaving.code)
    except BaseException as problem:
        status = 1
        os.write(2, (last_lines(problem) + "\n").encode("utf-8", "replace"))
    threading = sys.modules.get("threading")
    if threading is not None:
        threading._shutdown()
    if "atexit" in sys.modules:
        sys.modules["atexit"]._run_exitfuncs()
    sys.stdout.flush()
    return status


def _exit_status(code: Any) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    os.write(2, str(code)[:MAX_MESSAGE].encode("utf-8", "replace"))
    return 1


def describe(problem: BaseException) -> str:
    """The kind of an exception, for a reason: its class and, for imports, the module's name."""
    if isinstance(problem, ModuleNotFoundError):
        return f"ModuleNotFoundError:{problem.name}"
    return type(problem).__name__


def last_lines(problem: BaseException) -> str:
    """Line numbers of the solution on the way, and the exception: a short traceback."""
    lines = []
    step = problem.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == "/tmp/solution.py":  # noqa: S108
            lines.append(f"line {step.tb_lineno}, in {step.tb_frame.f_code.co_name}")
        step = step.tb_next
    try:
        said = str(problem)[:MAX_MESSAGE]
    except BaseException:
        said = ""
    return "\n".join([*lines[-3:], f"{type(problem).__name__}: {said}"])
