"""Hostile programs, by the ids of the list of threats in docs/code_verification.md.

Each id has two programs that must do no harm, and a positive control: the harm they do when the
one layer that stops them is switched off. A control that fails says that a test proves nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curation.sandbox import execution, selftest
from curation.sandbox.bwrap import MIB, SandboxLimits, SandboxUnavailable
from curation.verifiers.code import CodeVerifier
from tests.curation.sandbox_holes import (
    LIMITS,
    hole,
    inside,
    no_filter,
    printed,
    run,
    sandbox_here,
    showing,
    without,
)

pytestmark = [
    pytest.mark.skipif(not sandbox_here(), reason="no sandbox here"),
    pytest.mark.timeout(300),
]
ROOT = Path(__file__).parents[2]
QUICK = SandboxLimits(cpu=1, wall=2.0, memory=512 * MIB)
NO_NETWORK_OF_ITS_OWN = without(
    "--unshare-all",
    instead=tuple(f"--unshare-{name}" for name in ("user", "ipc", "pid", "uts", "cgroup")),
)


def reason(found: execution.Run, number: int = 0) -> str:
    return str(found.records[number]["reason"])


def message(found: execution.Run, number: int = 0) -> str:
    return str(found.records[number].get("message"))


# --- S1 to S3: time


@pytest.mark.parametrize(
    "spin", ["while True: pass", "import threading\nthreading.Thread(target=lambda: 0).start()\n"
             "def f():\n    while True: sum(range(10**5))\nf()"]
)  # fmt: skip
@pytest.mark.slow
def test_s1_an_endless_loop_ends_at_its_processor_time(spin: str) -> None:
    found = run(spin, b"", limits=QUICK)
    assert (reason(found), "processor" in message(found)) == ("time_limit", True)
    assert printed(run("print('next')")) == "next"


@pytest.mark.slow
def test_s1_control_without_the_processor_limit_it_runs_to_the_wall_limit() -> None:
    with hole(inside("candidate", "resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))", "0")):
        found = run("while True: pass", limits=QUICK)
    assert (reason(found), "processor" in message(found)) == ("time_limit", False)


@pytest.mark.parametrize(
    "wait", ["import time; time.sleep(1e6)", "import os; os.read(os.pipe()[0], 1)"]
)
@pytest.mark.slow
def test_s2_sleeping_and_waiting_end_at_the_wall_limit(wait: str) -> None:
    started = time.monotonic()
    found = run(wait, limits=QUICK)
    assert reason(found) == "time_limit"
    assert time.monotonic() - started < 30
    assert reason(run("input()")) == "runtime_error"  # standard input is at its end


@pytest.mark.slow
def test_s2_control_without_the_clock_it_holds_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "MARGIN", 0.0)
    unwatched = inside("session", "if self.elapsed() < self.seconds + self.extra:", "if True:")
    with hole(unwatched):
        found = run("import time; time.sleep(1e6)", limits=QUICK, seconds=1.0)
    assert found.fault == "timeout"


STUBBORN = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"


@pytest.mark.parametrize(
    "stubborn", [STUBBORN, STUBBORN.replace("signal.SIG_IGN", "lambda *a: None")]
)
@pytest.mark.slow
def test_s3_ignoring_the_signal_of_the_limit_does_not_help(stubborn: str) -> None:
    found = run(stubborn, limits=SandboxLimits(cpu=1, wall=20.0))
    assert (reason(found), "processor" in message(found)) == ("time_limit", True)


@pytest.mark.slow
def test_s3_control_without_a_hard_limit_it_goes_on() -> None:
    with hole(inside("candidate", "(cpu, cpu + 1)", "(cpu, 1000)")):
        found = run(STUBBORN, limits=SandboxLimits(cpu=1, wall=3.0))
    assert "processor" not in message(found)


# --- S4, S5: processes and memory

FORKS = """
import os, time
made = 0
for _ in range(150):
    try:
        if os.fork() == 0:
            time.sleep(60); os._exit(0)
        made += 1
    except OSError:
        break
print(made)
"""
THREADS = """
import threading, time
made = 0
for _ in range(150):
    try:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start(); made += 1
    except RuntimeError:
        break
print(made, flush=True)
import os
os._exit(0)
"""


@pytest.mark.parametrize("bomb", [FORKS, THREADS])
@pytest.mark.slow
def test_s4_processes_and_threads_are_counted(bomb: str) -> None:
    found = run(bomb, b"", b"")
    assert 1 < int(printed(found)) < 64
    assert 1 < int(printed(found, 1)) < 64  # the first test left none behind


@pytest.mark.slow
def test_s4_a_fork_bomb_does_not_harm_its_neighbour() -> None:
    bomb = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    beside = threading.Thread(target=run, args=(bomb,), kwargs={"limits": QUICK})
    beside.start()
    good = run("import os\nif os.fork() == 0: os._exit(0)\nos.wait(); print('fine')")
    beside.join()
    assert printed(good) == "fine"


@pytest.mark.slow
def test_s4_control_without_the_limit_all_are_made() -> None:
    with hole(inside("runner", "resource.setrlimit(resource.RLIMIT_NPROC", "(lambda *a: 0)(0")):
        assert int(printed(run(FORKS))) == 150


GREEDY = "x = bytearray(2 * 10**9); print('had it')"
FAMILY = """
import os, time
for _ in range(5):
    if os.fork() == 0:
        x = bytearray(b'x' * (60 * 2**20)); time.sleep(3); os._exit(0)
time.sleep(3); print('had it')
"""
SMALL = SandboxLimits(cpu=3, wall=8.0, memory=200 * MIB)


@pytest.mark.slow
def test_s5_one_process_and_all_together_stay_within_the_memory() -> None:
    assert printed(run(GREEDY)) == ""
    assert run(FAMILY, limits=SMALL).memory
    kept = "import os\nfor n in range(9): open(f'/tmp/{n}', 'wb').write(b'x' * 2**24)"
    assert reason(run(kept)) == "runtime_error"  # the place is full, no memory is gone
    verdict = CodeVerifier().check(
        f"```python\n{GREEDY}\n```", None, tests={"cases": [{"input": "", "output": "x"}]}
    )
    assert (verdict.verdict, verdict.reason) == ("incorrect", "memory_limit")


@pytest.mark.slow
def test_s5_control_without_the_limits_it_has_what_it_wants(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with hole(inside("runner", "resource.setrlimit(resource.RLIMIT_AS", "(lambda *a: 0)(0")):
        assert printed(run("import mmap; mmap.mmap(-1, 10**9); print('had it')")) == "had it"
    monkeypatch.setattr(execution, "tree_bytes", lambda pid: 0)
    assert printed(run(FAMILY, limits=SMALL)) == "had it"


# --- S6, S7: output and disk


def test_s6_output_arrives_whole_up_to_the_limit_and_is_never_cut_in_silence() -> None:
    found = run("print('x' * 200_000)")
    assert (len(printed(found)), reason(found)) == (200_000, "")
    for endless in (
        "while True: print('x' * 999)",
        "import sys\nwhile True: sys.stderr.write('x')",
    ):
        found = run(endless)
        assert reason(found) == "output_limit"
        assert len(printed(found)) <= LIMITS.output


def test_s6_control_without_the_cap_more_comes_out() -> None:
    with hole(inside("session", "if len(self.outputs[fd]) > self.job", "if 0 and self.job")):
        found = run("print('x' * 3_000_000)")
    assert len(printed(found)) == 3_000_000


HUGE = "f = open('/tmp/huge', 'wb')\nfor _ in range(100): f.write(b'x' * 2**20); f.flush()"
MANY = """
done = 0
try:
    for n in range(100):
        with open(f'/tmp/{n}', 'wb') as f: f.write(b'x' * 2**20)
        done += 1
except OSError: pass
print(done)
"""


def test_s7_neither_one_huge_file_nor_many_fill_a_disk() -> None:
    before = os.statvfs("/tmp").f_bavail
    assert reason(run(HUGE)) == "runtime_error"
    assert int(printed(run(MANY))) <= 64
    assert abs(os.statvfs("/tmp").f_bavail - before) * os.statvfs("/tmp").f_frsize < 50 * MIB


def test_s7_control_without_a_size_the_place_is_larger() -> None:
    with hole(without("--size", str(LIMITS.tmp), "--tmpfs", "/tmp", instead=("--tmpfs", "/tmp"))):
        assert int(printed(run(MANY))) == 100


# --- S8, S9: network, files, environment

CONNECT = """
import socket
for family, kind in ((socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM)):
    try:
        s = socket.socket(family, kind); s.settimeout(1)
        s.connect(("127.0.0.1", int(input()))); s.send(b"x"); print("sent")
    except OSError as problem: print(problem.errno)
"""
OTHERS = """
import socket
for family in (socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET, 40):
    try: socket.socket(family, socket.SOCK_RAW); print("open")
    except OSError as problem: print(problem.errno)
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that the sandbox's user can reach and write."""
    with tempfile.TemporaryDirectory(prefix="whittle-shared-", dir="/tmp") as name:
        os.chmod(name, 0o777)
        yield Path(name)


@pytest.fixture
def listener() -> Any:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen(1)
        one.settimeout(0.2)
        yield one


def test_s8_nothing_reaches_the_network(listener: socket.socket) -> None:
    port = str(listener.getsockname()[1]).encode()
    assert "sent" not in printed(run(CONNECT, port + b"\n" + port))
    assert "open" not in printed(run(OTHERS))
    with pytest.raises(TimeoutError):
        listener.accept()


def test_s8_control_without_filter_and_namespace_it_does(listener: socket.socket) -> None:
    port = str(listener.getsockname()[1]).encode()
    with hole(NO_NETWORK_OF_ITS_OWN, no_filter):
        assert "sent" in printed(run(CONNECT, port + b"\n" + port))
    listener.accept()[0].close()


LOOK = """
import os
for path in ("/etc/passwd", "/root", "/home", "/proc/1/environ", "/canary/file", "/var/run"):
    try: print(open(path).read() if os.path.isfile(path) else os.listdir(path))
    except OSError: pass
print(sorted(os.environ))
"""


def test_s9_no_file_and_no_variable_of_the_host_is_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CANARY", "canary")
    names = (
        "['HOME', 'LANG', 'LD_LIBRARY_PATH', 'OMP_NUM_THREADS', 'PATH', 'PWD', 'PYTHONHASHSEED']"
    )
    assert printed(run(LOOK)) == names
    host = tmp_path / "canary"
    host.write_text("x")
    assert printed(run(f"import os; print(os.path.exists({str(host)!r}))")) == "False"


def test_s9_control_a_bound_folder_is_seen(shared: Path) -> None:
    (shared / "file").write_text("the canary")
    with hole(showing(shared, "/canary")):
        assert "the canary" in printed(run(LOOK))


# --- S10, S11, S13: what stays behind

DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        sys.stdout.write("up"); sys.stdout.flush()
        for n in range(600):
            open("/tmp/beat", "w").write(str(n)); time.sleep(0.05)
    os._exit(0)
os.wait()
"""
BEATS = "time.sleep(0.3); print(os.path.exists('/tmp/beat'))"


CLEAN = f"""
import os, sys, time
if input() == '1':
{textwrap.indent(DAEMON, "    ")}
else:
    if os.path.exists('/tmp/beat'): os.remove('/tmp/beat')
    {BEATS}
"""


@pytest.mark.parametrize("also", ["", "import signal; signal.signal(15, lambda *a: 0)\n"])
@pytest.mark.slow
def test_s10_a_daemon_lives_no_longer_than_its_test(shared: Path, also: str) -> None:
    assert printed(run(also + CLEAN, b"1", b"2"), 1) == "False"
    with hole(showing(shared, "/tmp/beats")):
        run(also + DAEMON.replace("/tmp/beat", "/tmp/beats/n"))
    first = (shared / "n").read_text() if (shared / "n").exists() else ""
    time.sleep(0.3)
    assert ((shared / "n").read_text() if first else "") == first


@pytest.mark.slow
def test_s10_control_without_clearing_up_it_is_there_in_the_next_test() -> None:
    with hole(inside("session", "if self.ended is None or len(", "if False and len(")):
        assert printed(run(CLEAN, b"1", b"2"), 1) == "True"


LINKS = """
import os
os.symlink("/etc/passwd", "/tmp/out"); os.mkfifo("/tmp/stdout")
try: os.link("/proc/self/exe", "/tmp/hard")
except OSError: pass
try: os.mknod("/tmp/device", 0o600 | 0o020000, 0x0103)
except OSError as problem: print(problem.errno)
"""


def test_s11_files_the_candidate_makes_are_never_opened_outside(tmp_path: Path) -> None:
    found = run(LINKS)
    assert (printed(found), found.whole) == ("1", True)
    assert reason(run("import os; os.symlink('/', '/tmp/all'); print(os.listdir('/tmp/all/etc'))"))


def test_s11_control_a_reader_that_opened_them_would_follow(shared: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary")
    with hole(showing(shared, "/tmp/shared")):
        run(f"import os; os.symlink({str(secret)!r}, '/tmp/shared/out')")
    assert (shared / "out").read_text() == "canary"


LEAVE = "open('/tmp/left', 'w').write('x'); open('/dev/shm/left', 'w').write('x')"
FIND = "import os; print(os.path.exists('/tmp/left'), os.path.exists('/dev/shm/left'))"
ABSTRACT = """
import socket, time
s = socket.socket(socket.AF_UNIX)
try: s.bind("\\0whittle-abstract"); print("mine"); s.listen(1); time.sleep(float(input()))
except OSError: print("taken")
"""


@pytest.mark.slow
def test_s13_two_runs_share_nothing() -> None:
    run(LEAVE)
    assert printed(run(FIND)) == "False False"
    beside = threading.Thread(target=run, args=(ABSTRACT, b"2"))
    beside.start()
    time.sleep(0.5)
    assert printed(run(ABSTRACT, b"0")) == "mine"
    beside.join()


def test_s13_control_a_folder_in_common_is_shared(shared: Path) -> None:
    with hole(showing(shared, "/tmp/common")):
        run("open('/tmp/common/left', 'w').write('x')")
        found = run("import os; print(os.path.exists('/tmp/common/left'))")
    assert printed(found) == "True"


# --- S12: system calls

CALLS = """
import ctypes, os, fcntl
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    number = {"keyctl": 250, "io_uring": 425, "bpf": 321, "userfaultfd": 323, "clone3": 435}[name]
    result = libc.syscall(number, *arguments)
    print(name, "refused" if result == -1 and ctypes.get_errno() in (1, 38) else "allowed")
"""
KEYS = CALLS + "call('keyctl', 0, -3, 1)\n"
MORE = (
    CALLS
    + """
call("io_uring", 4, ctypes.create_string_buffer(120)); call("bpf", 0, 0, 0)
call("userfaultfd", 0); call("clone3", 0, 0)
for name, arguments in (("ptrace", (0, 0, 0, 0)), ("unshare", (0x10000000,)),
                        ("mount", (b"none", b"/tmp", b"tmpfs", 0, 0)), ("setns", (0, 0)),
                        ("personality", (0x40000,))):
    print(name, "refused" if getattr(libc, name)(*arguments) == -1 else "allowed")
"""
)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86_64")
def test_s12_calls_that_lead_out_are_refused() -> None:
    assert printed(run(KEYS)) == "keyctl refused"
    answers = printed(run(MORE))
    assert "allowed" not in answers
    assert answers.count("refused") == 9


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86_64")
def test_s12_control_without_the_filter_they_are_allowed() -> None:
    with hole(no_filter):
        assert printed(run(KEYS)) == "keyctl allowed"
        assert "ptrace allowed" in printed(run(MORE))


# --- S14 to S17: crashes, odd output, odd sources

SEGFAULT = "import ctypes\nif input() == '1': ctypes.string_at(0)\nprint('fine')"
ABORT = "import os\nif input() == '1': os.abort()\nprint('fine')"


@pytest.mark.parametrize(("crash", "number"), [(SEGFAULT, 11), (ABORT, 6)])
@pytest.mark.slow
def test_s14_a_crash_is_told_with_its_signal_and_ends_only_its_test(
    crash: str, number: int
) -> None:
    found = run(crash, b"1", b"2")
    assert (reason(found), message(found)) == ("runtime_error", f"signal {number}")
    assert printed(found, 1) == "fine"
    deep = "import sys\nsys.setrecursionlimit(10**7)\ndef f(n): return f(n + 1)\nf(0)"
    assert reason(run(deep)) in ("runtime_error", "memory_limit", "time_limit")


def test_s14_control_without_a_fork_per_test_a_crash_ends_them_all() -> None:
    with hole(inside("candidate", "child = os.fork()", "child = 0")):
        assert reason(run(SEGFAULT, b"1", b"2"), 1) == "runtime_error"


ODD = (
    "import os; os.write(1, b'\\xff\\x00\\x1b[31m\\xed\\xa0\\x80')",
    "print('y' * 500_000, end='')",
)


def test_s15_output_of_any_bytes_is_kept_and_the_evidence_can_be_stored() -> None:
    assert run(ODD[0]).records[0]["stdout"] == b"\xff\x00\x1b[31m\xed\xa0\x80"
    for program in ODD:
        tests = {"cases": [{"input": "", "output": "z"}]}
        verdict = CodeVerifier().check(f"```python\n{program}\n```", None, tests=tests)
        shown = verdict.detail["tests"][0]["got"]
        assert "\x00" not in shown
        assert len(shown.encode()) < 2_000


def test_s15_control_uncleaned_evidence_holds_what_a_database_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("curation.verifiers.codejudge._clean", lambda text: text)
    tests = {"cases": [{"input": "", "output": "z"}]}
    verdict = CodeVerifier().check(f"```python\n{ODD[0]}\n```", None, tests=tests)
    assert "\x00" in verdict.detail["tests"][0]["got"]


SOURCES = {
    "x = 1\x00": "compile_error",
    "\ufeffprint(1)": "",
    "print(1)\r\nprint(2)\r\n": "",
    "(" * 5_000 + ")" * 5_000: "compile_error",
    "x = '\ud800'": "compile_error",
    "def f(:": "compile_error",
    "#" * 300_000: "too_long",
    "x = 1 is 1\n" * 300: "",
}


@pytest.mark.parametrize("source", SOURCES, ids=[str(n) for n in range(len(SOURCES))])
def test_s16_odd_sources_are_run_or_refused_by_name(source: str) -> None:
    tests = {"cases": [{"input": "", "output": "1"}]}
    verdict = CodeVerifier().check(f"```python\n{source}\n```", None, tests=tests)
    assert verdict.verdict in ("correct", "incorrect")
    assert verdict.reason == SOURCES[source]


def test_s16_control_without_the_limit_the_long_one_is_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("curation.verifiers.codeextract.MAX_SOURCE", 10**6)
    tests = {"cases": [{"input": "", "output": ""}]}
    verdict = CodeVerifier().check("```python\n" + "#" * 300_000 + "\n```", None, tests=tests)
    assert verdict.verdict == "correct"


BOMBS = ("-" * 4_000 + "1", "f(" * 150 + ")" * 150)


@pytest.mark.parametrize("bomb", BOMBS)
def test_s17_nothing_of_a_candidate_is_compiled_outside_the_sandbox(
    bomb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("print(1)")  # our own modules are compiled once

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("compiled outside")

    monkeypatch.setattr("builtins.compile", refuse)
    tests = {"cases": [{"input": "", "output": "1"}]}
    assert CodeVerifier().check(f"```python\n{bomb}\n```", None, tests=tests).score == 0


def test_s17_control_compiled_here_it_would_be_our_own_failure() -> None:
    with pytest.raises((RecursionError, MemoryError, SyntaxError)):
        compile("(" * 5_000 + ")" * 5_000, "x", "exec")


# --- S18 to S20: the service

WORKER = """
import sys
from tests.curation.sandbox_holes import run, without, hole
from contextlib import nullcontext
weak = hole(without("--die-with-parent")) if sys.argv[1] == "weak" else nullcontext()
with weak:
    run("print(1)")
    print("up", flush=True)
    run("import time\\nwhile True: time.sleep(1)\\n#" + sys.argv[2], seconds=60)
"""


def _below(parent: int) -> set[int]:
    """Every process under another one."""
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return {pid for pid in numbers if _ancestor(pid, parent)}


def _killed(mode: str) -> set[int]:
    """Sandbox processes left after their worker was killed."""
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, mode, "marker"], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == b"up\n"
    mine = set()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and len(mine) < 2:
        time.sleep(0.2)
        mine = _below(worker.pid)
    assert len(mine) >= 2
    worker.kill()
    worker.wait()
    time.sleep(1.0)
    left = {pid for pid in mine if _alive(pid)}
    for pid in left:
        with contextlib.suppress(ProcessLookupError):  # it may end with one killed just before
            os.kill(pid, signal.SIGKILL)
    return left


def _alive(pid: int) -> bool:
    """Whether it runs; a dead one may wait for its parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def _ancestor(pid: int, wanted: int) -> bool:
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            return False
        if pid == wanted:
            return True
    return False


@pytest.mark.slow
def test_s18_a_killed_worker_takes_its_sandbox_with_it() -> None:
    assert _killed("strong") == set()


@pytest.mark.slow
def test_s18_control_without_die_with_parent_it_stays() -> None:
    assert _killed("weak")


def test_s19_a_run_started_from_a_thread_ends_well() -> None:
    found: list[str] = []
    for source in ("print('fine')", "import time; time.sleep(0.2); print('fine')"):
        thread = threading.Thread(target=lambda s=source: found.append(printed(run(s))))
        thread.start()
        thread.join()
    assert found == ["fine", "fine"]


def test_s19_control_a_sandbox_dies_with_the_thread_that_started_it() -> None:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        words = ["bwrap", "--die-with-parent", "--dev-bind", "/", "/", "sleep", "30"]
        started.append(subprocess.Popen(words))
        time.sleep(0.3)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert started[0].wait(timeout=10) != 0


ANY = {"cases": [{"input": "", "output": "1"}]}


def test_s20_without_bwrap_or_tree_or_a_passed_self_test_nothing_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fresh = selftest.SelfTest()
    monkeypatch.setattr(selftest, "SHARED", fresh)
    monkeypatch.setattr("shutil.which", lambda name: None)
    verdict = CodeVerifier().check("```python\nprint(1)\n```", None, tests=ANY)
    assert (verdict.verdict, verdict.reason) == ("error", "sandbox_unavailable")
    assert "bubblewrap" in verdict.detail["problem"]


def test_s20_a_hole_makes_the_self_test_red_and_nothing_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(selftest, "SHARED", selftest.SelfTest())
    with hole(without("--remount-ro", "/")):
        verdict = CodeVerifier().check("```python\nprint(1)\n```", None, tests=ANY)
    assert (verdict.verdict, verdict.reason) == ("error", "sandbox_unavailable")


def test_s20_control_without_the_gate_it_runs_in_the_weak_sandbox(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(selftest.SelfTest, "require", lambda self: None)
    with hole(without("--remount-ro", "/")):
        verdict = CodeVerifier().check("```python\nprint(1)\n```", None, tests=ANY)
    assert verdict.verdict == "correct"


def test_a_refusal_is_an_exception_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from curation.sandbox import tree

    monkeypatch.setenv(tree.VARIABLE, "/nowhere")
    with pytest.raises(SandboxUnavailable, match="make install"):
        tree.find_tree.__wrapped__()
