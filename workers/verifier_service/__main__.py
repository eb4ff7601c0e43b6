"""Serve the verifier on its UNIX socket: ``python -m workers.verifier_service``.

The socket is ``curation.paths.verifier_socket()`` and answers only its own user. The process
first starts itself again without any credential in its environment, so that neither it nor a
child holds one, not even in ``/proc``.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import stat
import sys
from pathlib import Path

import uvicorn

from curation import paths
from workers.services.told import told_to_verifier
from workers.verifier_service.app import Limits, create_app

BACKLOG = 256


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; 1 if another service answers on the socket."""
    options = _parser().parse_args(arguments)
    if arguments is None:
        restart_without_secrets()
    path = Path(options.socket) if options.socket else paths.verifier_socket()
    if answers(path):
        print(f"a verifier service already answers on {path}", file=sys.stderr)
        return 1
    serve(path, Limits(workers=options.workers, timeout=options.timeout))
    return 0


def serve(path: Path, limits: Limits) -> None:
    """Serve on ``path``; the socket is removed at the end."""
    listener = bind_private(path)
    # uvicorn raises the signal that stopped it once more; the socket must be removed first.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    mine = path.stat().st_ino
    config = uvicorn.Config(
        create_app(limits),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=10,
        backlog=BACKLOG,
        lifespan="on",
    )
    print(f"verifier service on {path}", file=sys.stderr, flush=True)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        listener.close()
        if path.exists() and path.stat().st_ino == mine:
            path.unlink()


def restart_without_secrets() -> None:
    """Replace this process by itself, told only what it and its children may know."""
    kept = told_to_verifier()
    if kept.keys() != os.environ.keys():
        again = [sys.executable, "-m", "workers.verifier_service", *sys.argv[1:]]
        os.execve(sys.executable, again, kept)  # noqa: S606 - ourselves


def answers(path: Path) -> bool:
    """Whether something accepts connections on the socket ``path``."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def bind_private(path: Path) -> socket.socket:
    """A listening socket only this user can open; a stale socket in its place is removed.

    Anything else than a socket at ``path`` is left alone: OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.is_socket():
        path.unlink()
    listener = socket.socket(socket.AF_UNIX)
    previous = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(previous)
    os.chmod(path, stat.S_IRUSR | stat.S_IWUSR)
    listener.listen(BACKLOG)
    return listener


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workers.verifier_service")
    parser.add_argument("--socket", help="path of the socket (default: under WHITTLE_HOME)")
    default = int(os.environ.get("VERIFIER_WORKERS") or max(1, min(4, os.cpu_count() or 1)))
    parser.add_argument("--workers", type=int, default=default, help="children of the maths pool")
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds of one comparison")
    return parser


if __name__ == "__main__":
    sys.exit(main())
