"""The embedded PostgreSQL and Redis, really started, each test in a home of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from curation import embedded
from workers.services import placement, process
from workers.services.embedded import EmbeddedPostgres, EmbeddedRedis, embedded_servers
from workers.services.errors import ServiceError

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.services]


def use_home(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("WHITTLE_HOME", str(home))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "home"
    use_home(monkeypatch, path)
    return path


@pytest.fixture
def postgres(home: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(durable=False)
    yield server
    server.stop()


@pytest.fixture
def redis_server(home: Path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis()
    yield server
    server.stop()


def query(sql: str, **changes: object) -> object:
    with psycopg.connect(**(embedded.database_dsn() | changes), autocommit=True) as link:
        cursor = link.execute(sql)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def permissions(path: Path) -> dict[str, tuple[int, int, int]]:
    """Mode and owners of a folder and of all above it."""
    found = {}
    for folder in (path, *path.parents):
        status = folder.stat()
        found[str(folder)] = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
    return found


def test_the_database_has_vectors_and_checksums_and_sorts_by_code_point(
    postgres: EmbeddedPostgres,
) -> None:
    postgres.start()
    assert query("SELECT '[1,2]'::vector <-> '[1,4]'") == 2.0
    assert query("SHOW data_checksums") == "on"
    assert query("SHOW server_encoding") == "UTF8"
    assert query("SELECT 'Z' < 'a'") is True
    assert query("SELECT upper('é')") == "É"


def test_a_database_made_later_has_vectors_too(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    query("CREATE DATABASE another")
    assert query("SELECT '[3]'::vector::text", dbname="another") == "[3]"


def test_the_application_is_no_superuser_and_cannot_read_files_through_sql(
    postgres: EmbeddedPostgres,
) -> None:
    postgres.start()
    assert query("SHOW is_superuser") == "off"
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        query("SELECT pg_read_file('/etc/passwd')")


def test_a_wrong_password_is_refused(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        query("SELECT 1", password="guess")


def test_nothing_listens_on_the_network_and_only_the_owner_enters_the_socket_folder(
    postgres: EmbeddedPostgres,
) -> None:
    postgres.start()
    assert query("SHOW listen_addresses") == ""
    folder = Path(embedded.database_dsn()["host"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    secrets = embedded.paths.home() / "secrets" / "services.json"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600


def test_starting_a_running_server_changes_nothing(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    first = postgres.pid()
    postgres.start()
    EmbeddedPostgres(durable=False).start()
    assert postgres.pid() == first


def test_a_killed_database_comes_back_with_what_was_committed(
    postgres: EmbeddedPostgres,
) -> None:
    postgres.start()
    query("CREATE TABLE kept AS SELECT 7 AS n")
    pid = postgres.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert process.wait_until(lambda: not postgres.running(), 5)
    assert (postgres.data / "postmaster.pid").exists()
    postgres.start()
    assert postgres.pid() != pid
    assert query("SELECT n FROM kept") == 7


def test_a_stale_pid_file_with_the_number_of_a_living_stranger_does_no_harm(
    postgres: EmbeddedPostgres,
) -> None:
    postgres.start()
    postgres.stop()
    stale = postgres.data / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{postgres.data}\n0\n5432\n\n\n 1 1\nready\n")
    postgres.placement.give(stale)
    assert not postgres.running()
    postgres.start()
    assert query("SELECT 1") == 1


def test_a_first_start_that_died_half_way_is_begun_again(postgres: EmbeddedPostgres) -> None:
    half = postgres.data.with_name("data.new")
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    postgres.start()
    assert query("SELECT 1") == 1
    assert not half.exists()


def test_data_of_another_major_version_is_refused_by_name(postgres: EmbeddedPostgres) -> None:
    postgres.data.mkdir()
    (postgres.data / "PG_VERSION").write_text("12\n")
    with pytest.raises(ServiceError, match="made by PostgreSQL 12"):
        postgres.start()


def test_two_copies_run_side_by_side_and_see_only_their_own_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers, ports = [], set()
    try:
        for name in ("one", "two"):
            use_home(monkeypatch, tmp_path / name)
            for server in (EmbeddedPostgres(durable=False), EmbeddedRedis()):
                server.start()
                servers.append((tmp_path / name, server))
            query(f"CREATE TABLE who AS SELECT '{name}' AS name")
            ports.add(redis.Redis.from_url(embedded.redis_url()).config_get("port")["port"])
        for name in ("one", "two"):
            use_home(monkeypatch, tmp_path / name)
            assert query("SELECT name FROM who") == name
        assert len(ports) == 2
    finally:
        for path, server in servers:
            use_home(monkeypatch, path)
            server.stop()


def test_no_permission_outside_the_home_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = tmp_path / "private" / "deep"
    parent.mkdir(parents=True)
    (tmp_path / "private").chmod(0o700)
    program = Path(shutil.which("true") or "/bin/true")
    before = permissions(parent) | permissions(program)
    use_home(monkeypatch, parent / "home")
    server = EmbeddedPostgres(durable=False)
    try:
        server.start()
        assert query("SELECT 1") == 1
        assert permissions(parent) | permissions(program) == before
    finally:
        server.stop()
    assert permissions(parent) | permissions(program) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")
def test_run_by_root_in_a_folder_only_root_may_enter_the_server_is_not_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    use_home(monkeypatch, tmp_path / "closed" / "home")
    server = EmbeddedPostgres(durable=False)
    try:
        server.start()
        pid = server.pid()
        assert os.stat(f"/proc/{pid}").st_uid != 0
        status = Path(f"/proc/{pid}/status").read_text()
        assert "CapEff:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
        assert query("SELECT 1") == 1
    finally:
        server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")
def test_where_namespaces_are_refused_the_files_live_elsewhere_and_stay_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    use_home(monkeypatch, tmp_path / "closed" / "home")
    # Not below tmp_path: pytest's own folders are closed to others.
    elsewhere = Path("/var/tmp") / f"whittle-test-{os.getpid()}"
    monkeypatch.setattr(placement, "RELOCATED", elsewhere)
    real = placement.can_stage
    monkeypatch.setattr(placement, "can_stage", lambda *_: False)
    server = EmbeddedPostgres(durable=False)
    try:
        server.start()
        query("CREATE TABLE kept AS SELECT 7 AS n")
        server.stop()
        assert str(elsewhere) in (server.base / "MOVED.txt").read_text()
        monkeypatch.setattr(placement, "can_stage", real)
        server = EmbeddedPostgres(durable=False)
        server.start()
        assert query("SELECT n FROM kept") == 7
    finally:
        server.stop()
        shutil.rmtree(elsewhere, ignore_errors=True)


ORDINARY = """
import json, os, sys
from pathlib import Path
import psycopg
from curation import embedded
from workers.services.embedded import EmbeddedPostgres, EmbeddedRedis
p, r = EmbeddedPostgres(durable=False), EmbeddedRedis()
p.start(); r.start()
owner = os.stat(f"/proc/{p.pid()}").st_uid
row = psycopg.connect(**embedded.database_dsn()).execute("SELECT 41 + 1").fetchone()
p.stop(); r.stop()
print(json.dumps({"uid": os.getuid(), "owner": owner, "row": row[0]}))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests already run as an ordinary user")
@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv of util-linux")
def test_an_ordinary_user_runs_the_servers_as_itself(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    home = Path("/var/tmp") / f"whittle-user-{os.getpid()}"
    home.mkdir()
    os.chown(home, 65534, 65534)
    # The one capability lets it read an interpreter that may lie in root's home folder.
    command = [
        *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
        *("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"),
        *("--bounding-set=-all,+dac_read_search", sys.executable, "-c", ORDINARY),
    ]
    environment = {"PATH": os.environ["PATH"], "WHITTLE_HOME": str(home), "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd="/", check=False
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {"uid": 65534, "owner": 65534, "row": 42}
    finally:
        shutil.rmtree(home)


def test_a_home_too_deep_for_a_socket_address_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_home(monkeypatch, tmp_path / ("long" * 20) / ("name" * 20))
    server = EmbeddedPostgres(durable=False)
    try:
        server.start()
        assert query("SELECT 1") == 1
        assert not embedded.database_dsn()["host"].startswith(str(tmp_path))
    finally:
        server.stop()
        shutil.rmtree(Path(embedded.database_dsn()["host"]).parent, ignore_errors=True)


def test_a_home_with_a_comma_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    # A short path: for a long one the socket is put elsewhere, and the comma does no harm.
    with tempfile.TemporaryDirectory(prefix="w,") as home:
        use_home(monkeypatch, Path(home))
        with pytest.raises(ServiceError, match="comma"):
            EmbeddedPostgres(durable=False).start()


def test_a_home_with_spaces_and_quotes_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_home(monkeypatch, tmp_path / 'it\'s "odd" é')
    servers = [EmbeddedPostgres(durable=False), EmbeddedRedis()]
    try:
        for server in servers:
            server.start()
        assert query("SELECT 1") == 1
        assert redis.Redis.from_url(embedded.redis_url()).ping()
    finally:
        for server in servers:
            server.stop()


def test_redis_keeps_a_message_through_a_kill(redis_server: EmbeddedRedis) -> None:
    redis_server.start()
    client = redis.Redis.from_url(embedded.redis_url())
    client.rpush("queue", "message")
    assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
    assert client.config_get("appendfsync")["appendfsync"] == "everysec"
    before, pid = embedded.redis_url(), redis_server.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert process.wait_until(lambda: not redis_server.running(), 5)
    redis_server.start()
    assert embedded.redis_url() == before, "the parts that run keep their address"
    assert redis.Redis.from_url(before).lrange("queue", 0, -1) == [b"message"]


def test_redis_asks_for_its_password(redis_server: EmbeddedRedis) -> None:
    redis_server.start()
    port = embedded.read_record("redis")["port"]
    with pytest.raises(redis.AuthenticationError):
        redis.Redis("127.0.0.1", port).ping()


def test_redis_takes_another_port_when_a_stranger_has_its_own(
    redis_server: EmbeddedRedis,
) -> None:
    import socket

    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", embedded.credentials()["redis_port"]))
        stranger.listen()
        redis_server.start()
        assert embedded.read_record("redis")["port"] != stranger.getsockname()[1]
        assert redis.Redis.from_url(embedded.redis_url()).ping()


def test_an_outside_server_replaces_the_embedded_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p@db/whittle")
    monkeypatch.delenv("REDIS_URL", raising=False)
    assert [server.name for server in embedded_servers()] == ["redis"]


def test_the_passwords_are_drawn_once_even_by_two_processes_at_once(home: Path) -> None:
    code = "import json; from curation import embedded; print(json.dumps(embedded.credentials()))"
    children = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT)
        for _ in range(4)
    ]
    seen = {child.communicate()[0] for child in children}
    assert len(seen) == 1
    assert json.loads(seen.pop()) == embedded.credentials()
