"""``python -m workers.services start|stop|status``: the embedded servers by hand."""

from __future__ import annotations

import argparse
import sys

from workers.services.embedded import embedded_servers
from workers.services.ensure import ensure_services, stop_services
from workers.services.errors import ServiceError


def main() -> int:
    """Run one of the three verbs; 0 when done, 1 when a server cannot run."""
    parser = argparse.ArgumentParser(prog="python -m workers.services", description=__doc__)
    parser.add_argument("verb", choices=["start", "stop", "status"])
    verb = parser.parse_args().verb
    try:
        if verb == "start":
            print("started:", ", ".join(ensure_services()) or "nothing, all were running")
        elif verb == "stop":
            print("stopped:", ", ".join(stop_services()) or "nothing, none was running")
        else:
            for server in embedded_servers():
                print(f"{server.name}: {server.pid() or 'down'}")
    except ServiceError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
