"""``python -m workers.supervisor [run|stop|status]``."""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import suppress

import psutil

from curation import embedded
from workers.services.ensure import stop_services
from workers.services.process import wait_until
from workers.supervisor import leftovers
from workers.supervisor.loop import AlreadyRunning, PortTaken, Supervisor, take_home

STOP_SECONDS = 60.0


def main() -> int:
    """0 when done, 1 when it failed, 2 when the home or the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m workers.supervisor", description=__doc__)
    parser.add_argument("verb", nargs="?", choices=["run", "stop", "status"], default="run")
    verb = parser.parse_args().verb
    return {"run": run, "stop": stop, "status": status}[verb]()


def run() -> int:
    """Run everything until Ctrl-C."""
    try:
        return Supervisor().run()
    except (AlreadyRunning, PortTaken) as error:
        print(error, file=sys.stderr)
        return 2


def stop() -> int:
    """End a running copy, and what commands or a killed supervisor left."""
    asked = ask_supervisor()
    try:
        lock = take_home()
    except AlreadyRunning:
        print(f"the supervisor did not end within {STOP_SECONDS:.0f} s", file=sys.stderr)
        return 1
    ended = leftovers.end()
    names = stop_services()
    lock.close()
    print("stopped" if asked or ended or names else "nothing was running")
    return 0


def ask_supervisor() -> bool:
    """Ask a running supervisor to stop and wait until it is gone; whether there was one."""
    try:
        take_home().close()
        return False
    except AlreadyRunning as other:
        with suppress(psutil.NoSuchProcess):
            supervisor = psutil.Process(other.pid)
            supervisor.send_signal(signal.SIGTERM)
            wait_until(lambda: not leftovers.lives(supervisor), STOP_SECONDS)
        return True


def status() -> int:
    """Print the parts and their states; 1 when nothing runs."""
    try:
        take_home().close()
    except AlreadyRunning:
        for name, child in embedded.supervisor_state().get("children", {}).items():
            print(f"{name:<14} {child['state']:<8} {child['pid']}  restarts {child['restarts']}")
        return 0
    print("not running")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
