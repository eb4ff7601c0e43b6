"""Threats S1 to S7: programs that take time, processes, memory, output or disk.

The ids are those of docs/code_verification.md. Each has two programs that must do no harm, and a
positive control: the harm they do when the one layer that stops them is switched off. A control
that fails says that a test proves nothing.
"""

from __future__ import annotations

import os
import threading
import time

import pytest

from curation.sandbox import execution
from curation.sandbox.bwrap import MIB, SandboxLimits
from curation.verifiers.code import CodeVerifier
from tests.curation.sandbox_holes import (
    HOSTILE,
    LIMITS,
    hole,
    inside,
    message,
    printed,
    reason,
    run,
    without,
)

pytestmark = HOSTILE


QUICK = SandboxLimits(cpu=1, wall=2.0, memory=512 * MIB)


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
RESERVE = "import mmap; mmap.mmap(-1, 10**9, flags=mmap.MAP_PRIVATE); print('had it')"
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
        assert printed(run(RESERVE)) == "had it"
    monkeypatch.setattr(execution, "sandbox_bytes", lambda pid, limit: 0)
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


TINY = """
import os
for place in ("/tmp", "/dev/shm"):
    for n in range(150_000): os.mknod(f"{place}/{n}")
print("had them all")
"""


@pytest.mark.parametrize("tiny", [TINY, TINY.replace("os.mknod", "os.mkdir")])
def test_s7_a_million_tiny_files_are_stopped_early(tiny: str) -> None:
    found = run(tiny)
    assert (reason(found), "files" in message(found)) == ("memory_limit", True)


@pytest.mark.slow
def test_s7_control_without_the_count_they_are_made() -> None:
    with hole(inside("session", "> MAX_FILES:", "< 0:")):
        assert printed(run(TINY, limits=SandboxLimits(cpu=20, wall=40.0))) == "had them all"


def test_s7_control_without_a_size_the_place_is_larger() -> None:
    with hole(without("--size", str(LIMITS.tmp), "--tmpfs", "/tmp", instead=("--tmpfs", "/tmp"))):
        assert int(printed(run(MANY))) == 100
