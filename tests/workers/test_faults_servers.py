"""The servers under the jobs fail, or a worker is told to stop: nothing lost, nothing twice.

F3 to F6 of the fault plan. ``WHITTLE_SOAK`` makes the pauses long and adds a random sequence of all
faults, with its seed printed.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.openai_server import ScriptedServer
from tests.workers.stack import AT_START, home_is, running_stack, wait_for
from tests.workers.test_faults import World, made_file

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

SOAK = bool(os.environ.get("WHITTLE_SOAK"))
PAUSE = 60 if SOAK else 3  # seconds for which Redis does not answer
STORM = 1200  # seconds of the random sequence


# What each step builds on; no more of the usual order is run here.
NEEDED = {"import": (), "verify": ("import",), "segment": ("import",), "grade": ("verify",)}


class ShortWorld(World):
    """A world in which only what a step needs runs before it."""

    def prepare(self, name: str, step: str) -> None:
        for earlier in NEEDED[step]:
            if (name, earlier) not in self.jobs:
                self.run(name, earlier)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running_stack() as stack, ScriptedServer(latency=0.05) as teacher:
        made_file(stack.home / "made.jsonl")
        yield ShortWorld(stack, teacher, {"calm": stack.new_project("calm")})


@pytest.fixture(autouse=True)
def whole_stack(world: World) -> None:
    """Each test begins with every part running, whatever one before it left dead."""
    with home_is(world.stack.home):
        for server in world.stack.servers.values():
            server.start()  # nothing when it runs
    for name in AT_START:
        if name not in world.stack.children:
            world.stack.start(name)


def worker_is_told_to_stop(world: World) -> None:
    """SIGTERM as in a deployment, then a new worker."""
    world.stack.children["worker"].terminate()
    world.stack.children.pop("worker").wait(timeout=60)
    world.stack.start("worker")


def worker_is_killed(world: World) -> None:
    world.stack.kill("worker")
    world.stack.start("worker")


def forget_kept_messages(data: Path) -> None:
    """Remove all that the server reads at its start: append-only files and snapshots."""
    shutil.rmtree(data / "appendonlydir")
    for snapshot in data.glob("*.rdb"):
        snapshot.unlink()


def redis_is_killed(world: World, *, forget: bool = False) -> None:
    """SIGKILL and a new start, with its append-only files or without."""
    server = world.stack.servers["redis"]
    os.kill(server.pid(), signal.SIGKILL)
    wait_for("the end of Redis", lambda: not server.running())
    if forget:
        forget_kept_messages(server.data)
    with home_is(world.stack.home):
        server.start()


def redis_is_killed_and_forgets(world: World) -> None:
    redis_is_killed(world, forget=True)


def redis_stops_answering(world: World) -> None:
    """SIGSTOP for a while: connections stay open and nothing comes back."""
    pid = world.stack.servers["redis"].pid()
    os.kill(pid, signal.SIGSTOP)
    time.sleep(PAUSE)
    os.kill(pid, signal.SIGCONT)


def database_is_restarted_at_once(world: World) -> None:
    """SIGQUIT: PostgreSQL's immediate shutdown, which drops every transaction."""
    server = world.stack.servers["postgres"]
    os.kill(server.pid(), signal.SIGQUIT)
    wait_for("the end of PostgreSQL", lambda: not server.running())
    with home_is(world.stack.home):
        server.start()
    world.stack.connect()


FAULTS: tuple[Callable[[World], None], ...] = (
    worker_is_told_to_stop,
    worker_is_killed,
    redis_is_killed,
    redis_is_killed_and_forgets,
    redis_stops_answering,
    database_is_restarted_at_once,
)


@pytest.mark.parametrize("fault", [f for f in FAULTS if f is not worker_is_killed])
def test_a_fault_in_the_middle_of_a_job_loses_nothing(
    world: World, fault: Callable[[World], None]
) -> None:
    world.calm("verify")
    name = fault.__name__
    world.projects[name] = world.stack.new_project(name.replace("_", "-"))
    world.run(name, "import")
    job = world.start(name, "verify")
    wait_for("the middle of the job", lambda: world.stack.middle(job), step=0.01)
    fault(world)
    row = world.end(name, "verify", job)
    assert row["attempts"] <= 2
    world.is_like_calm(name, "verify")


@pytest.mark.slow
@pytest.mark.timeout(2 * STORM)
@pytest.mark.skipif(not SOAK, reason="twenty minutes: make soak")
def test_a_storm_of_faults_changes_no_result(world: World) -> None:
    seed = int(os.environ.get("WHITTLE_SEED", str(time.time_ns() % 10**6)))
    draw = random.Random(seed)
    print(f"seed {seed}")
    world.calm("grade")
    deadline, number = time.monotonic() + STORM, 0
    while time.monotonic() < deadline:
        number += 1
        name = f"storm{number}"
        world.projects[name] = world.stack.new_project(name)
        for step in ("import", "verify", "segment", "grade"):
            world.calm(step)
            job = world.start(name, step)
            time.sleep(draw.uniform(0, 3))
            fault = draw.choice(FAULTS)
            print(f"{name} {step}: {fault.__name__}")
            fault(world)
            world.end(name, step, job)
            world.is_like_calm(name, step)
