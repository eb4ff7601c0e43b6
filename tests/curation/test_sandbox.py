"""The sandbox holds, and its self-test says so only where it does."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from curation.sandbox import bwrap, seccomp, selftest, tree
from curation.sandbox.bwrap import SandboxLimits, SandboxUnavailable, run_python

needs_bwrap = pytest.mark.skipif(
    selftest.run_selftest()[0] != "ok", reason="the sandbox is not available on this machine"
)
SHORT = SandboxLimits(cpu=1, wall=3.0)


def out(source: str, limits: SandboxLimits = SHORT) -> str:
    return run_python(source, [], limits).stdout.decode().strip()


@needs_bwrap
def test_the_self_test_runs_every_probe() -> None:
    status, checks = selftest.run_selftest()
    assert status == "ok"
    assert set(checks) == {*selftest.EXPECTED, "network_silent", "no_process_left"}
    assert all(checks.values())


@needs_bwrap
def test_arguments_and_results_pass_and_the_environment_is_empty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CANARY_VARIABLE", "canary")
    done = run_python("import os, sys; print(sys.argv[1], dict(os.environ))", ["seven"], SHORT)
    assert done.returncode == 0
    assert done.stdout.startswith(b"seven")
    assert b"canary" not in done.stdout


@needs_bwrap
@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/root", "/home", str(Path(__file__)), "/proc/1/root/etc"]
)
def test_files_outside_cannot_be_seen(path: str) -> None:
    assert out(f"import os; print(os.path.exists({path!r}))") == "False"


@needs_bwrap
@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET"])
def test_sockets_other_than_unix_ones_are_refused(family: str) -> None:
    source = f"""
import socket
try:
    socket.socket(socket.{family}, socket.SOCK_RAW)
    print("open")
except OSError as error:
    print(error.errno)
"""
    assert out(source) == "97"


@needs_bwrap
def test_an_endless_loop_ends_at_the_cpu_limit_and_a_sleep_at_the_wall_limit() -> None:
    started = time.monotonic()
    spin = run_python("while True: pass", [], SHORT)
    assert spin.returncode != 0
    assert time.monotonic() - started < 30
    started = time.monotonic()
    sleep = run_python("import time; time.sleep(100)", [], SandboxLimits(wall=1.0))
    assert sleep.timed_out
    assert time.monotonic() - started < 30


@needs_bwrap
def test_endless_output_is_cut_and_says_so_while_200_kilobytes_arrive_whole() -> None:
    whole = run_python("print('x' * 200_000)", [], SHORT)
    assert (len(whole.stdout), whole.output_cut) == (200_001, False)
    endless = run_python("while True: print('x' * 1000)", [], SHORT)
    assert endless.output_cut
    assert len(endless.stdout) == SHORT.output


@needs_bwrap
@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
def test_writable_places_are_small(folder: str) -> None:
    source = f"""
import os
total = 0
try:
    for number in range(100):
        with open("{folder}/" + str(number), "wb") as file:
            total += file.write(b"x" * 2**20)
except OSError:
    pass
print(total // 2**20)
"""
    assert 1 <= int(out(source, SandboxLimits(wall=10.0))) <= 64


@needs_bwrap
def test_two_runs_share_nothing() -> None:
    run_python(
        "open('/tmp/left', 'w').write('x'); open('/dev/shm/left', 'w').write('x')", [], SHORT
    )
    assert out("import os; print(os.listdir('/tmp'), os.listdir('/dev/shm'))") == "[] []"


def test_a_missing_tool_is_named_with_the_package_that_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SandboxUnavailable, match="bubblewrap"):
        bwrap.find_tools()
    status, checks = selftest.run_selftest()
    assert status.startswith("unavailable: ")
    assert "bwrap" in status
    assert checks == {}


BUT_NETWORK = [f"--unshare-{name}" for name in ("user", "ipc", "pid", "uts", "cgroup")]

# What is taken out of bwrap's arguments, what stands there instead, and the probe that must notice.
HOLES: dict[str, tuple[list[str], list[str], str]] = {
    "own network": (["--unshare-all"], BUT_NETWORK, "network"),
    "read-only root": (["--remount-ro", "/"], [], "write_root"),
    "seccomp filter": (["--seccomp"], ["--sync-fd"], "seccomp"),
    "empty environment": (["--clearenv"], ["--setenv", "LEAK", "1"], "environment"),
}


@needs_bwrap
@pytest.mark.parametrize("hole", HOLES)
def test_the_self_test_notices_a_sandbox_with_a_hole(
    monkeypatch: pytest.MonkeyPatch, hole: str
) -> None:
    removed, instead, failing = HOLES[hole]
    real = bwrap._bwrap

    def weaker(*arguments: Any) -> list[str]:
        words = real(*arguments)
        at = next(i for i in range(len(words)) if words[i : i + len(removed)] == removed)
        return words[:at] + instead + words[at + len(removed) :]

    monkeypatch.setattr(bwrap, "_bwrap", weaker)
    if failing == "network":  # the filter alone would stop the probe too
        monkeypatch.setattr(seccomp, "_only_unix_sockets", lambda number: [])
    status, checks = selftest.run_selftest()
    assert status.startswith("unavailable: ")
    assert checks.get(failing) is not True


def test_the_filter_is_known_for_both_architectures_and_refuses_others() -> None:
    for machine in ("x86_64", "aarch64"):
        assert len(seccomp.program(machine)) % 8 == 0
    with pytest.raises(ValueError, match="no seccomp filter"):
        seccomp.program("vax")


@needs_bwrap
def test_an_ordinary_user_can_build_the_sandbox_too() -> None:
    if os.geteuid() != 0:
        pytest.skip("this run is an ordinary user already")
    root = Path(bwrap.__file__).resolve().parents[2]
    if not all(folder.stat().st_mode & 0o001 for folder in (root, *root.parents)):
        pytest.skip("other users cannot read this checkout")
    code = "from curation.sandbox.selftest import run_selftest; print(run_selftest()[0])"
    done = subprocess.run(
        [
            "setpriv",
            "--reuid=65533",
            "--regid=65533",
            "--clear-groups",
            "/usr/bin/python3",
            "-B",
            "-c",
            code,
        ],
        cwd=root,
        env={
            "PYTHONPATH": str(root),
            "PATH": "/usr/bin:/bin",
            "WHITTLE_SANDBOX_TREE": str(tree.find_tree().root),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "ok", done.stdout + done.stderr
