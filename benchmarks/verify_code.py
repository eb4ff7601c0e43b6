"""Code verification beside what it is made of: interpreter starts, sandboxes, candidates, tests.

All in one run, one after the other, on one processor (this process and all it starts are pinned to
it). *Processor time* is of everything that was started, from a control group's account where there
is one, so that what else runs on the machine counts little; *wall* is what a clock saw. A rate per
core is 1 / processor time. The candidates: a made program, a made function with ``typing``, and,
with ``WHITTLE_REAL_DATA``, HumanEval's canonical solutions. The last line is JSON.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from curation.sandbox import bundle, bwrap, execution, tree
from curation.verifiers import verify

GROUP = Path("/sys/fs/cgroup/cpuacct") / f"whittle-bench-{os.getpid()}"
BATCH = 40


class Account:
    """Processor seconds of this process and everything it started."""

    def __init__(self) -> None:
        self.exact = False
        try:
            GROUP.mkdir()
            (GROUP / "cgroup.procs").write_text(str(os.getpid()))
            self.exact = True
        except OSError:
            pass  # no such control group here: the clock has to do

    def seconds(self) -> float:
        if not self.exact:
            return time.perf_counter()
        return int((GROUP / "cpuacct.usage").read_text()) / 1e9

    def close(self) -> None:
        if self.exact:
            (GROUP.parent / "cgroup.procs").write_text(str(os.getpid()))
            GROUP.rmdir()


@dataclass(frozen=True)
class Measured:
    """Milliseconds of one thing: processor time (mean, best quarter's median) and wall."""

    name: str
    mean: float
    quiet: float
    wall: float

    def line(self) -> str:
        rate = 1000 / self.mean
        return f"{self.name:44}{self.mean:10.1f}{self.quiet:12.1f}{self.wall:10.1f}{rate:12.1f}"


def measure(account: Account, name: str, times: int, work: Callable[[int], Any]) -> Measured:
    """Do ``work(n)`` for n below ``times``, after one that does not count."""
    work(0)
    costs, started = [], time.perf_counter()
    for number in range(times):
        before = account.seconds()
        work(number)
        costs.append(1000 * (account.seconds() - before))
    wall = 1000 * (time.perf_counter() - started) / times
    quiet = statistics.median(sorted(costs)[: max(1, times // 4)])
    return Measured(name, statistics.fmean(costs), quiet, wall)


def bare(number: int) -> None:
    """One start of the tree's interpreter, as its users start it."""
    root = tree.find_tree().root
    environment = {"LD_LIBRARY_PATH": str(root / "lib")}
    subprocess.run([root / "bin" / "python3", "-I", "-c", "pass"], env=environment, check=True)


def boxed(number: int) -> None:
    """The same start in a sandbox."""
    bwrap.run_python("pass", [], bwrap.SandboxLimits(), tree=tree.find_tree())


def programs(tests: int) -> Callable[[int], None]:
    """One candidate with so many inputs."""

    def work(number: int) -> None:
        found = execution.run(
            execution.Job(["print(int(input()) * 2)"], program=True),
            {"type": "stdio", "inputs": [b"21\n"] * tests},
            bwrap.SandboxLimits(),
            60.0,
        )
        assert len(found.records) == tests
        assert found.whole

    return work


def made_function(number: int) -> None:
    """One function with four asserts that imports ``typing``, as HumanEval's do."""
    tests = {
        "test": "def check(c):\n" + "".join(f"    assert c([{n}]) == [{n}]\n" for n in range(4)),
        "entry_point": "f",
    }
    source = "from typing import List\ndef f(x: List[int]) -> List[int]:\n    return x\n"
    assert verify("code", source, None, tests=tests).verdict == "correct"


def humaneval(rows: list[dict[str, Any]]) -> Callable[[int], None]:
    """One canonical solution."""

    def work(number: int) -> None:
        row = rows[number % len(rows)]
        tests = {"test": row["test"], "entry_point": row["entry_point"]}
        verdict = verify("code", row["canonical_solution"], None, tests=tests, prompt=row["prompt"])
        assert verdict.verdict == "correct", row["task_id"]

    return work


def load() -> list[dict[str, Any]]:
    """HumanEval, where it is there."""
    folder = os.environ.get("WHITTLE_REAL_DATA")
    path = Path(folder or "/nowhere") / "humaneval" / "HumanEval.jsonl.gz"
    if not path.exists():
        return []
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]


def run(times: int) -> tuple[list[Measured], dict[str, float]]:
    """Everything, pinned to one processor; the measurements and the figures."""
    everywhere = os.sched_getaffinity(0)
    verify("code", "print(1)", None, tests={"inputs": [""], "outputs": ["1"]})  # self-test, bundle
    bundle.bundle(tree.find_tree())
    account = Account()
    os.sched_setaffinity(0, {min(everywhere)})
    try:
        found = [
            measure(account, "interpreter, bare (-I -c pass)", times, bare),
            measure(account, "interpreter in the sandbox", times, boxed),
            measure(account, "candidate: program, 1 test", times, programs(1)),
            measure(account, f"candidate: program, {BATCH} tests", times // 5 + 3, programs(BATCH)),
            measure(account, "candidate: function, typing, 4 asserts", times, made_function),
        ]
        rows = load()
        if rows:
            found.append(measure(account, "candidate: HumanEval", len(rows), humaneval(rows)))
    finally:
        os.sched_setaffinity(0, everywhere)
        account.close()
    return found, figures(found, account.exact)


def figures(found: list[Measured], exact: bool) -> dict[str, float]:
    """The numbers worth following over time."""
    start, _, one, many, function, *rest = found
    per_test = (many.mean - one.mean) / (BATCH - 1)
    numbers = {
        "bare_start_ms": round(start.mean, 2),
        "candidates_per_s_core": round(1000 / one.mean, 1),
        "candidates_per_s_core_quiet": round(1000 / one.quiet, 1),
        "functions_per_s_core": round(1000 / function.mean, 1),
        "batched_test_ms": round(per_test, 2),
        "batched_test_to_start": round(per_test / start.mean, 3),
        "control_group": float(exact),
    }
    if rest:
        numbers["humaneval_per_s_core"] = round(1000 / rest[0].mean, 1)
        numbers["humaneval_per_s_core_quiet"] = round(1000 / rest[0].quiet, 1)
    return numbers


def table(found: list[Measured], numbers: dict[str, float]) -> None:
    """One line for each thing."""
    print(f"\n{'':44}{'cpu ms':>10}{'quiet ms':>12}{'wall ms':>10}{'per s core':>12}")
    for one in found:
        print(one.line())
    ratio = numbers["batched_test_to_start"]
    print(f"a test in a batch: {numbers['batched_test_ms']} ms, {ratio} of a bare start")


def main() -> int:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=60, help="repetitions of each")
    found, numbers = run(parser.parse_args().times)
    table(found, numbers)
    print(json.dumps({"name": "verify_code", "figures": numbers}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
