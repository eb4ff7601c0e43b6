"""The killable pool: a stuck or killed comparison is an error, and the next one is served."""

from __future__ import annotations

import operator
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from curation.verifiers import engine, verify
from curation.verifiers import pool as pool_module
from curation.verifiers.pool import MathPool, Outcome, default_pool, use_pool

ROOT = Path(__file__).resolve().parents[2]

STUCK = [
    r"5^{5^{5^{5^5}}}",
    r"\dfrac{5^{(5^{(5^{(5^5)})}-4)}-5}{16}",
    r"9^{9^{9^9}}+1",
]


@pytest.fixture(scope="module")
def pool() -> Iterator[MathPool]:
    """One child and one second, so that a stuck child would be noticed."""
    pool = MathPool(1, timeout=1.0)
    before = default_pool()
    use_pool(pool)
    assert pool.compare("x+1", "1+x", None).name in ("equal", "timeout")
    assert pool.compare("x+1", "1+x", None).name == "equal"
    yield pool
    use_pool(before)
    pool.close()


@pytest.mark.parametrize("answer", STUCK)
def test_v6_a_stuck_comparison_is_our_error_within_its_limit(pool: MathPool, answer: str) -> None:
    started = time.monotonic()
    # With a number as reference it would be refused as unevaluated before it is compared.
    verdict = verify("math", rf"\boxed{{{answer}}}", "17+x")
    assert (verdict.verdict, verdict.reason, verdict.score) == ("error", "timeout", None)
    assert time.monotonic() - started < 30
    started = time.monotonic()
    assert pool.compare("2y", "y+y").name == "equal"
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("answer", STUCK[::2])
def test_v6_control_without_its_limit_the_comparison_does_not_end(answer: str) -> None:
    pool = MathPool(1)
    try:
        assert pool.compare("x+1", "1+x").name == "equal"
        endless = pool._running().schedule(engine.compare_maths, args=("17", answer))
        with pytest.raises(TimeoutError):
            endless.result(timeout=2)
    finally:
        pool.close()


# What each would do if it were run; the place is filled in.
PROGRAMS = (
    "__import__('os').mkdir('{place}')",
    "[c for c in ().__class__.__base__.__subclasses__() if c.__name__ == 'BuiltinImporter'][0]"
    ".load_module('posix').mkdir('{place}')",
)


@pytest.mark.parametrize("program", PROGRAMS)
def test_v6_python_in_an_answer_or_a_reference_is_not_run(
    pool: MathPool, tmp_path: Path, program: str
) -> None:
    tmp_path.chmod(0o777)
    text = program.format(place=tmp_path / "made")
    for answer, reference in ((text, "7"), ("7", text), (text, text), (f"x+{text}", "x+1")):
        for wrapped in (rf"\boxed{{{answer}}}", f"The final answer is ${answer}$"):
            verify("math", wrapped, reference)
        assert not (tmp_path / "made").exists(), (answer, reference)
        pool.compare(reference, answer)  # past every quick path, straight to the algebra system
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("program", PROGRAMS)
def test_v6_control_with_the_algebra_systems_own_parser_it_is_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str
) -> None:
    from sympy.parsing.sympy_parser import parse_expr

    def plain(text: str) -> object:
        try:
            return parse_expr(text, transformations=())
        except Exception:  # it ran, and gave nothing that is a formula
            return None

    monkeypatch.setattr(engine, "_parse", plain)
    engine.compare_maths("7", program.format(place=tmp_path / "made"))
    engine.compare_maths(program.format(place=tmp_path / "made"), "7")
    assert (tmp_path / "made").exists()


def test_a_killed_child_costs_at_most_its_own_comparison(pool: MathPool) -> None:
    assert pool.compare("a+b", "b+a").name == "equal"
    victims = pool.pids()
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    assert pool.compare("a+b+c", "c+b+a").name == "equal"
    assert pool.pids() != victims


def test_an_error_is_not_remembered(pool: MathPool, monkeypatch: pytest.MonkeyPatch) -> None:
    response = r"\boxed{q+1}"
    real = pool.compare
    monkeypatch.setattr(pool, "compare", lambda *a: Outcome("crashed"))
    assert verify("math", response, "1+q").reason == "crashed"
    monkeypatch.setattr(pool, "compare", real)
    assert verify("math", response, "1+q").verdict == "correct"


def test_a_remembered_outcome_needs_no_child(
    pool: MathPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    response = r"\boxed{w+2}"
    assert verify("math", response, "2+w").verdict == "correct"
    monkeypatch.setattr(pool, "compare", lambda *a: pytest.fail("asked the pool again"))
    assert verify("math", response, "2+w").verdict == "correct"
    assert verify("math", r"other text, same answer \boxed{ w + 2 }", "2+w").verdict == "correct"


def test_a_child_cannot_take_more_memory_than_its_limit() -> None:
    pool = MathPool(1, memory=900 * 1024**2)
    try:
        greedy = pool._running().schedule(operator.mul, args=(b"x", 900 * 1024**2))
        with pytest.raises(MemoryError):
            greedy.result(timeout=60)
        assert pool.compare("a+b", "b+a").name == "equal"
    finally:
        pool.close()


def test_a_comparison_out_of_memory_is_our_error(
    pool: MathPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(reference: str, answer: str) -> dict[str, object]:
        raise MemoryError

    monkeypatch.setattr(engine, "_compare", exhausted)
    assert engine.compare_maths("1", "2") == {
        "outcome": "memory",
        "detail": {"error": "MemoryError"},
    }
    monkeypatch.setattr(pool, "_attempt", lambda *a: Outcome("crashed", {"error": "MemoryError"}))
    verdict = verify("math", r"\boxed{m+1}", "m+2")
    assert (verdict.verdict, verdict.reason) == ("error", "crashed")


def test_children_are_replaced_after_their_number_of_tasks() -> None:
    pool = MathPool(1, max_tasks=3)
    try:
        seen = set()
        for number in range(10):
            assert pool.compare(f"x+{number}", f"{number}+x").name == "equal"
            seen.update(pool.pids())
        assert len(seen) >= 3
    finally:
        pool.close()


def test_a_closed_pool_is_an_error_and_leaves_no_child() -> None:
    pool = MathPool(1)
    assert pool.compare("a+b", "b+a").name == "equal"
    pids = pool.pids()
    pool.close()
    assert pool.compare("a+b", "b+a").name == "pool_unavailable"
    assert not any(psutil.pid_exists(pid) for pid in pids)


SCRIPT = """
from curation.verifiers import verify
print("run")
print(verify("math", r"\\\\boxed{x+1}", "1+x").verdict)
"""


def test_a_script_without_a_main_guard_can_verify_and_is_run_once(tmp_path: Path) -> None:
    script = tmp_path / "plain.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["run", "correct"]


def test_a_lock_that_died_with_a_child_costs_seconds_and_no_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_module, "STUCK_SECONDS", 1.0)
    ours = MathPool(2)
    try:
        assert ours.compare("x + 1", "1 + x").name == "equal"
        first = ours._pool
        # What a child that is killed between taking the lock and giving it back leaves behind.
        assert first._pool_manager.worker_manager.workers_channel.mutex.acquire()
        with ThreadPoolExecutor(4) as threads:
            pairs = [(f"x + {n}", f"{n} + x") for n in range(2, 6)]
            names = [o.name for o in threads.map(lambda pair: ours.compare(*pair), pairs)]
        assert names == ["equal"] * 4
        assert ours._pool is not first
    finally:
        ours.close()


def test_children_die_with_a_process_that_is_killed(tmp_path: Path) -> None:
    code = (
        "from curation.verifiers.pool import MathPool; import time; p = MathPool(2)\n"
        "p.compare('x+1', '1+x'); print(*p.pids(), flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert pids
    deadline = time.monotonic() + 5
    while any(_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "a child outlived its parent"
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
