"""Threats S18 to S20: a sandbox ends with its worker, and without isolation nothing runs.

The ids are those of docs/code_verification.md; each has two cases and a positive control.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from curation.sandbox import bundle, selftest
from curation.sandbox.bwrap import SandboxUnavailable
from curation.verifiers.code import CodeVerifier
from tests.curation.sandbox_holes import (
    HOSTILE,
    hole,
    printed,
    run,
    without,
)

pytestmark = HOSTILE


ROOT = Path(__file__).parents[2]


# --- S18 to S20: the service

WORKER = """
import sys
from tests.curation.sandbox_holes import run, without, hole
from contextlib import nullcontext
weak = hole(without("--die-with-parent")) if sys.argv[1] == "weak" else nullcontext()
with weak:
    run("print(1)")
    print("up", flush=True)
    run(sys.argv[2], seconds=60)
"""
WAITING = "import time\nwhile True: time.sleep(1)"
BRANCHED = f"import os\nos.setsid() if os.fork() == 0 else os.fork()\n{WAITING}"


def _below(parent: int) -> set[int]:
    """Every process under another one."""
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return {pid for pid in numbers if _ancestor(pid, parent)}


def _killed(mode: str, program: str = WAITING) -> set[int]:
    """Sandbox processes left after their worker was killed."""
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, mode, program], cwd=ROOT, stdout=subprocess.PIPE
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
@pytest.mark.parametrize("program", [WAITING, BRANCHED], ids=["waits", "branches"])
def test_s18_a_killed_worker_takes_its_sandbox_with_it(program: str) -> None:
    assert _killed("strong", program) == set()


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


def test_the_first_sandboxes_of_a_process_may_start_at_the_same_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, compiled = bundle.run_python, []

    def slowly(*words: Any, **options: Any) -> Any:
        compiled.append(1)
        time.sleep(0.3)  # long enough for the other threads to come
        return real(*words, **options)

    monkeypatch.setattr(bundle, "run_python", slowly)
    bundle._bundle.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: run("print('fine')"), range(4)))
    assert [printed(one) for one in found] == ["fine"] * 4
    assert len(compiled) == 1


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
