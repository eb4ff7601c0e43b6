"""Where the embedded PostgreSQL and Redis of this home are reached: reads files, starts nothing.

The passwords and the Redis port are drawn once per home and kept in ``secrets/services.json``
(mode 0600), so the addresses are the same before, during and after a start. ``workers.services``
starts and stops the servers and records what differs from the default in ``run/*.json``.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from curation import paths

DATABASE = "whittle"
ROLE = "whittle"
SOCKET_NAME = ".s.PGSQL.5432"  # PostgreSQL's own name for port 5432


def record_path(service: str) -> Path:
    """The file in which a running service says how it is reached."""
    return paths.home() / "run" / f"{service}.json"


def read_record(service: str) -> dict[str, Any]:
    """The record of ``service``; empty when it never started here."""
    return read_json(record_path(service))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; empty when the file is missing or was cut short."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_private(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON object that only this user may read; readers see the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    with os.fdopen(handle, "w") as file:
        json.dump(value, file)
    Path(name).replace(path)


def credentials() -> dict[str, Any]:
    """Passwords and Redis port of this home, drawn on the first call.

    Keys: ``database_password``, ``database_admin_password``, ``redis_password`` (str) and
    ``redis_port`` (int).
    """
    path = paths.home() / "secrets" / "services.json"
    known = read_json(path)
    if not known:
        draw_once(paths.secrets_dir() / path.name, lambda: json.dumps(_draw()))
        known = read_json(path)
    return known


def draw_once(path: Path, draw: Callable[[], str]) -> str:
    """The text of a private file; drawn and written whole by the first process that asks."""
    if not path.exists():
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w") as file:
            file.write(draw())
        try:
            os.link(name, path)  # fails if another process of this copy was first
        except FileExistsError:
            pass
        finally:
            Path(name).unlink()
    return path.read_text().strip()


def login_path() -> Path:
    """The file with the owner's drawn password (``username``, ``password``, ``shown``)."""
    return paths.home() / "secrets" / "login.json"


def read_login() -> dict[str, Any]:
    """The owner's login as it was drawn; empty when there is none."""
    return read_json(login_path()) or read_record("login")


def write_login(value: dict[str, Any]) -> None:
    """Keep the owner's login; ``run/login.json``, its older place, leads to it."""
    paths.secrets_dir()
    write_private(login_path(), value)
    older = paths.run_dir() / "login.json"
    older.unlink(missing_ok=True)
    older.symlink_to(Path("..") / "secrets" / "login.json")


def _draw() -> dict[str, Any]:
    return {
        "database_password": secrets.token_urlsafe(24),
        "database_admin_password": secrets.token_urlsafe(24),
        "redis_password": secrets.token_urlsafe(24),
        "redis_port": free_port(),
    }


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def socket_folder() -> Path:
    """Folder of the embedded PostgreSQL's UNIX socket (not created here)."""
    return paths.socket_path(f"pg/{SOCKET_NAME}").parent


def database_dsn() -> dict[str, Any]:
    """How psycopg reaches the embedded database: host (a folder), port, user, password, dbname."""
    default = {"host": str(socket_folder()), "port": 5432, "user": ROLE, "dbname": DATABASE}
    known = {key: value for key, value in read_record("postgres").items() if key in default}
    return default | known | {"password": credentials()["database_password"]}


def database_url() -> str:
    """The same as one address, for tools that want ``postgresql://``."""
    from urllib.parse import quote

    dsn = database_dsn()
    host = quote(dsn["host"], safe="")
    return f"postgresql://{dsn['user']}:{dsn['password']}@{host}:{dsn['port']}/{dsn['dbname']}"


def redis_url(db: int = 0) -> str:
    """Address of the embedded Redis, understood by redis-py and by Celery alike."""
    known = credentials()
    port = read_record("redis").get("port", known["redis_port"])
    return f"redis://:{known['redis_password']}@127.0.0.1:{port}/{db}"


def supervisor_state() -> dict[str, Any]:
    """What the supervisor last wrote: ``pid``, ``started``, ``children`` (name -> state).

    A child's state has ``pid``, ``state`` (running, waiting, stopped), ``restarts``,
    ``last_exit`` and ``since`` (seconds since the epoch). Empty when none ever ran here.
    """
    return read_record("supervisor")
