"""Threats S8 to S13: programs that look for a way out, or stay behind.

The ids are those of docs/code_verification.md; each has two programs and a positive control, the
harm done when the one layer that stops them is switched off.
"""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curation.sandbox import execution
from tests.curation.sandbox_holes import (
    HOSTILE,
    hole,
    inside,
    no_filter,
    printed,
    reason,
    run,
    showing,
    without,
)

pytestmark = HOSTILE


NO_NETWORK_OF_ITS_OWN = without(
    "--unshare-all",
    instead=tuple(f"--unshare-{name}" for name in ("user", "ipc", "pid", "uts", "cgroup")),
)


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


DEVICES = """
import os
random = open('/dev/urandom', 'rb').read(8)
print(open('/dev/stdin').read(), len(random), file=open('/dev/stdout', 'w'))
open('/dev/null', 'w').write('x')
print(sorted(os.listdir('/dev')))
for name in ('/dev/sda', '/dev/made'):
    try: os.mknod(name, 0o600 | 0o060000, 0x0800)
    except OSError as problem: print(problem.errno)
"""


def test_s9_of_the_devices_only_null_and_randomness_are_there() -> None:
    names = ["fd", "null", "random", "shm", "stderr", "stdin", "stdout", "urandom"]
    assert printed(run(DEVICES, b"given")).splitlines() == ["given 8", str(names), "30", "30"]


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


def test_s9_control_an_environment_that_is_handed_on_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CANARY", "canary")
    real = subprocess.Popen
    handed = lambda *words, **given: real(*words, **{**given, "env": dict(os.environ)})  # noqa: E731
    with hole(without("--clearenv")):
        monkeypatch.setattr(execution.subprocess, "Popen", handed)
        assert "CANARY" in printed(run(LOOK))


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
while not os.path.exists("/tmp/beat"): time.sleep(0.01)  # until it has said what it has to say
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
