"""``python -m workers.supervisor [run|stop|status]``."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import time

from curation import embedded
from workers.services.ensure import stop_services
from workers.supervisor import leftovers, parts
from workers.supervisor.loop import AlreadyRunning, Supervisor, take_home

STOP_SECONDS = 60.0


class PortTaken(RuntimeError):
    """Something listens where the pages should be."""


def main() -> int:
    """0 when done, 1 when it failed, 2 when the home or the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m workers.supervisor", description=__doc__)
    parser.add_argument("verb", nargs="?", choices=["run", "stop", "status"], default="run")
    verb = parser.parse_args().verb
    return {"run": run, "stop": stop, "status": status}[verb]()


def run() -> int:
    """Run everything until Ctrl-C."""
    try:
        take_home().close()
        check_port()
        return Supervisor().run()
    except (AlreadyRunning, PortTaken) as error:
        print(error, file=sys.stderr)
        return 2


def check_port() -> None:
    """Raise PortTaken when somebody else listens where the pages should be."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((parts.host(), parts.port()))
        except OSError as error:
            raise PortTaken(
                f"port {parts.port()} of {parts.host()} is not free ({error.strerror}): "
                f"choose another, for example PORT={parts.port() + 1} make run"
            ) from None


def stop() -> int:
    """End a running copy, and what commands or a killed supervisor left."""
    deadline = time.monotonic() + STOP_SECONDS
    asked = False
    while time.monotonic() < deadline:
        try:
            lock = take_home()
        except AlreadyRunning as other:
            if not asked and other.pid:
                os.kill(other.pid, signal.SIGTERM)
                asked = True
            time.sleep(0.2)
            continue
        ended = leftovers.end()
        names = stop_services()
        lock.close()
        print("stopped" if asked or ended or names else "nothing was running")
        return 0
    print(f"the supervisor did not end within {STOP_SECONDS:.0f} s", file=sys.stderr)
    return 1


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
