"""The supervisor, with small programs in place of Whittle's parts and real servers below them."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from curation import embedded
from workers.services import process as service_process
from workers.services.ensure import verifier_environment
from workers.supervisor import parts
from workers.supervisor.child import FIRST_PAUSE, LONGEST_PAUSE, Child, exit_words
from workers.supervisor.loop import Supervisor
from workers.supervisor.output import LINE_LIMIT, OLDER_FILES, Follower, Lines, Log, harmless
from workers.supervisor.parts import Part

ROOT = Path(__file__).resolve().parents[2]

# A supervisor whose parts are these; HAVE_SERVERS decides about PostgreSQL and Redis.
PROGRAM = """
import os, sys
from workers.supervisor import loop, parts, __main__ as entry
from workers.supervisor.parts import Part, environment

def python(code):
    return (sys.executable, "-c", code)

def fake_parts():
    web = (sys.executable, "-m", "http.server", "-b", "127.0.0.1", str(parts.port()))
    helper = "import time; time.sleep(1000)"
    grandparent = f"import subprocess, sys, time; print('with helper', flush=True);" \\
        f"subprocess.Popen([sys.executable, '-c', {helper!r}], start_new_session=True);" \\
        "time.sleep(1000)"
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);" \\
        "print('stubborn', flush=True); time.sleep(1000)"
    return [
        Part("verifier", python("import time; time.sleep(1000)"), environment(), early=True,
             last=True),
        Part("web", web, environment()),
        Part("family", python(grandparent), environment(), late=True),
        Part("stubborn", python(stubborn), environment(), grace=0.5, late=True),
    ]

parts.all_parts = fake_parts
parts.prepare_command = lambda: list(python(os.environ.get("PREPARE", "print('prepared')")))
if not os.environ.get("HAVE_SERVERS"):
    loop.embedded_servers = lambda: []
sys.exit(entry.main())
"""


class Copy:
    """One supervisor in a home and on a port of its own."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.port = embedded.free_port()
        self.environment = {
            **{k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL"}},
            "WHITTLE_HOME": str(home),
            "PORT": str(self.port),
            "PYTHONPATH": str(ROOT),
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.output = home.with_suffix(".out")

    def start(self) -> None:
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )

    def call(self, verb: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "workers.supervisor", verb]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, cwd=ROOT
        )

    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def children(self) -> dict[str, dict[str, object]]:
        record = embedded.read_json(self.home / "run" / "supervisor.json")
        return dict(record.get("children", {}))

    def pid(self, name: str) -> int | None:
        value = self.children().get(name, {}).get("pid")
        return int(str(value)) if value else None

    def wait_for(self, done: Callable[[], object], seconds: float = 40) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.05)

    def wait_until_up(self) -> None:
        self.wait_for(lambda: "Whittle is at" in self.text() and self.pid("stubborn"))

    def processes(self) -> list[psutil.Process]:
        """Everything alive that was told this home, or works inside it."""
        found = []
        for process in psutil.process_iter():
            try:
                mine = process.environ().get("WHITTLE_HOME") == str(self.home)
                inside = process.username() != "" and self._works_here(process.pid)
                if (mine or inside) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def _works_here(self, pid: int) -> bool:
        here = os.stat(f"/proc/{pid}/cwd")
        folders = (self.home / "postgres" / "data", self.home / "redis")
        return any(f.exists() and os.path.samestat(here, f.stat()) for f in folders)


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    made = Copy(tmp_path / "home")
    yield made
    stopped = made.call("stop")
    left = [process.as_dict(["pid", "ppid", "cmdline", "status"]) for process in made.processes()]
    assert left == [], f"{stopped.stdout}{stopped.stderr}\n{made.text()}"


@pytest.mark.services
def test_ctrl_c_ends_every_process_also_stubborn_ones_and_grandchildren(copy: Copy) -> None:
    copy.environment["HAVE_SERVERS"] = "1"
    copy.start()
    copy.wait_until_up()
    copy.wait_for(lambda: "| stubborn" in copy.text())
    names = {" ".join(process.cmdline()) for process in copy.processes()}
    assert any("bin/postgres" in name for name in names)
    assert len(copy.processes()) > 10
    assert copy.process is not None
    copy.process.send_signal(signal.SIGINT)
    assert copy.process.wait(40) == 0
    assert copy.processes() == []
    assert "stubborn did not stop in time; killing it" in copy.text()


@pytest.mark.services
def test_after_kill_9_of_the_supervisor_nothing_runs_on(copy: Copy) -> None:
    copy.environment["HAVE_SERVERS"] = "1"
    copy.start()
    copy.wait_until_up()
    assert copy.process is not None
    copy.process.kill()
    copy.process.wait()
    copy.wait_for(lambda: copy.processes() == [])


@pytest.mark.services
def test_a_start_after_everything_was_killed_at_once_ends_what_was_left(copy: Copy) -> None:
    copy.start()
    copy.wait_until_up()
    old = copy.pid("family")
    for process in copy.processes():
        if "workers.supervisor.watchdog" in process.cmdline():
            process.kill()
    assert copy.process is not None
    copy.process.kill()
    copy.process.wait()
    assert old is not None
    assert psutil.pid_exists(old)
    copy.start()
    copy.wait_for(lambda: "processes that a killed supervisor had left" in copy.text())
    copy.wait_for(lambda: copy.pid("stubborn") and copy.pid("family") != old)
    assert not psutil.pid_exists(old) or psutil.Process(old).status() == psutil.STATUS_ZOMBIE


@pytest.mark.services
def test_a_killed_part_is_started_again_and_counted(copy: Copy) -> None:
    copy.start()
    copy.wait_until_up()
    first = copy.pid("web")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    copy.wait_for(lambda: copy.pid("web") not in {None, first})
    assert copy.children()["web"]["restarts"] == 1
    assert copy.children()["web"]["last_exit"] == -signal.SIGKILL
    assert "web was ended by SIGKILL; it starts again in 0.5 s" in copy.text()
    assert "web            running" in copy.call("status").stdout


@pytest.mark.services
def test_a_killed_database_is_started_again_and_counted(copy: Copy) -> None:
    copy.environment["HAVE_SERVERS"] = "1"
    copy.start()
    copy.wait_until_up()
    first = copy.pid("postgres")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    copy.wait_for(lambda: copy.pid("postgres") not in {None, first})
    assert copy.children()["postgres"]["restarts"] == 1
    assert "postgres is gone; starting it again" in copy.text()


@pytest.mark.services
def test_a_second_start_in_the_same_home_is_refused_with_the_address(copy: Copy) -> None:
    copy.start()
    copy.wait_until_up()
    second = copy.call("run")
    assert second.returncode == 2
    assert f"already runs for {copy.home}" in second.stderr
    assert f"http://127.0.0.1:{copy.port}/" in second.stderr
    assert copy.call("stop").stdout == "stopped\n"
    assert copy.call("stop").stdout == "nothing was running\n"
    assert copy.call("status").returncode == 1


@pytest.mark.services
def test_two_copies_run_side_by_side_and_stopping_one_leaves_the_other(
    copy: Copy, tmp_path: Path
) -> None:
    other = Copy(tmp_path / "other")
    copy.start()
    other.start()
    try:
        copy.wait_until_up()
        other.wait_until_up()
        other.call("stop")
        assert other.processes() == []
        assert copy.pid("web") in {process.pid for process in copy.processes()}
    finally:
        other.call("stop")


@pytest.mark.services
def test_a_taken_port_is_named_before_anything_starts(copy: Copy) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", copy.port))
        stranger.listen()
        copy.start()
        assert copy.process is not None
        assert copy.process.wait(20) == 2
    assert f"port {copy.port} of 127.0.0.1 is not free" in copy.text()
    assert f"PORT={copy.port + 1} make run" in copy.text()
    assert copy.processes() == []


@pytest.mark.services
def test_when_the_tables_cannot_be_made_the_start_fails_and_leaves_nothing(copy: Copy) -> None:
    copy.environment["PREPARE"] = "raise SystemExit('no such column')"
    copy.start()
    assert copy.process is not None
    assert copy.process.wait(30) == 1
    assert "no such column" in copy.text()
    assert "preparing the database ended with status 1" in copy.text()
    assert copy.processes() == []


@pytest.mark.services
def test_a_later_start_shows_pages_while_the_tables_are_checked_again(copy: Copy) -> None:
    slow = "import time; time.sleep(float(open(__import__('os').environ['WAIT']).read()))"
    wait = copy.home.with_suffix(".wait")
    copy.environment |= {"PREPARE": slow, "WAIT": str(wait)}
    wait.write_text("0")
    copy.start()
    copy.wait_until_up()
    copy.call("stop")
    wait.write_text("8")
    copy.start()
    copy.wait_for(lambda: copy.pid("web"), 7)
    assert not copy.pid("family"), "those that write wait until the tables were checked"
    copy.wait_for(lambda: copy.pid("family"))


@pytest.mark.services
def test_the_log_and_what_is_no_terminal_never_hold_the_drawn_password(copy: Copy) -> None:
    login = json.dumps({"username": "owner", "password": "four random words", "shown": False})
    code = (
        "import os, pathlib; folder = pathlib.Path(os.environ['WHITTLE_HOME'], 'secrets'); "
        f"folder.mkdir(exist_ok=True); (folder / 'login.json').write_text({login!r})"
    )
    copy.environment["PREPARE"] = code
    copy.start()
    copy.wait_until_up()
    assert "Sign in as owner; " in copy.text() and "login.json has the password" in copy.text()
    logs = "".join(path.read_text() for path in (copy.home / "log").iterdir())
    assert "four random words" not in copy.text() + logs
    for path in (copy.home / "log", *(copy.home / "log").iterdir()):
        assert not path.stat().st_mode & 0o077, path


def test_a_password_is_shown_once_on_a_terminal_and_never_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("WHITTLE_HOME", str(tmp_path))
    embedded.write_login({"username": "owner", "password": "drawn words", "shown": False})
    terminal = Terminal()
    supervisor = Supervisor(Log(tmp_path / "whittle.log", terminal))
    supervisor._greet()
    assert terminal.getvalue().count("drawn words") == 1
    supervisor._greet()
    assert terminal.getvalue().count("drawn words") == 1, "only at the first start"
    assert "drawn words" not in (tmp_path / "whittle.log").read_text()
    assert embedded.read_login()["password"] == "drawn words", "it is kept"
    for path in (embedded.login_path(), tmp_path / "whittle.log"):
        assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "run" / "login.json").resolve() == embedded.login_path().resolve()


def test_a_grown_log_is_set_aside_and_what_is_kept_has_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.supervisor.output.FILE_LIMIT", 2_000)
    log = Log(tmp_path / "whittle.log", io.StringIO())
    for number in range(400):
        log.write("web", f"line {number} " + "x" * 50)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 1 + OLDER_FILES
    assert all(file.stat().st_size <= 2_100 for file in files)
    assert "line 399" in (tmp_path / "whittle.log").read_text()
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)


def test_a_server_goes_on_writing_after_its_log_was_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_process, "LOG_LIMIT", 100)
    path = tmp_path / "postgres.log"
    with path.open("ab", buffering=0) as server:
        server.write(b"a" * 200)
        service_process.rotate(path)
        server.write(b"after")
    assert path.read_bytes() == b"after"
    assert (tmp_path / "postgres.log.1").read_bytes() == b"a" * 200


def test_the_pauses_between_restarts_grow_to_a_limit() -> None:
    child = Child(Part("x", ("true",), {}), "token")
    child.started = time.monotonic()
    pauses = [child.plan_restart() for _ in range(10)]
    assert pauses[:3] == [FIRST_PAUSE, FIRST_PAUSE * 2, FIRST_PAUSE * 4]
    assert pauses[-1] == LONGEST_PAUSE
    child.started = time.monotonic() - 1000
    assert child.plan_restart() == FIRST_PAUSE, "a part that ran for long starts again soon"


def test_an_exit_is_told_in_words() -> None:
    assert exit_words(3) == "ended with status 3"
    assert exit_words(-9) == "was ended by SIGKILL"


def test_what_a_part_prints_cannot_steer_the_terminal(tmp_path: Path) -> None:
    terminal = io.StringIO()
    Log(tmp_path / "log", terminal).write("web", "\x1b[2J red \x9b31m tab\there \r bell\x07")
    shown = terminal.getvalue().partition("| ")[2]
    assert shown == "\\x1b[2J red \\x9b31m tab\there \\x0d bell\\x07\n"
    assert harmless("𝑥 é 漢") == "𝑥 é 漢"


def test_lines_are_cut_where_they_end_whatever_the_pieces_they_come_in() -> None:
    seen: list[str] = []
    lines = Lines("web", lambda _, text: seen.append(text))
    for piece in (b"on", b"e\ntw", b"o\r\n", b"\xff", b"\n"):
        lines.feed(piece)
    assert seen == ["one", "two", "\ufffd"]
    lines.feed(b" bar\r10 %\r100 %\r\nlast")
    assert seen.pop() == "100 %", "of a progress bar only the end is kept"
    lines.close()
    assert seen[-1] == "last"
    lines.feed(b"x" * (LINE_LIMIT * 2 + 1))
    assert [len(text) for text in seen[-2:]] == [LINE_LIMIT, LINE_LIMIT]


def test_a_log_that_was_set_aside_is_followed_from_its_new_beginning(tmp_path: Path) -> None:
    seen: list[str] = []
    path = tmp_path / "postgres.log"
    path.write_text("before\n")
    follower = Follower("postgres", path, lambda _, text: seen.append(text))
    path.write_text("before\nafter\n")
    follower.poll()
    path.write_text("new\n")
    follower.poll()
    assert seen == ["after", "new"]


def test_a_log_goes_on_when_nobody_reads_the_terminal_any_more(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as terminal:
        log = Log(tmp_path / "log", terminal)
        log.write("web", "one")
        log.write("web", "two")
        assert (tmp_path / "log").read_text().count("web") == 2
        terminal.close = lambda: None  # type: ignore[method-assign]


SECRETS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "OPENAI_API_KEY", "HF_TOKEN", "PGPASSWORD",
           "WHITTLE_KEY_LAB", "WHITTLE_KEY_PATH", "WHITTLE_TOKEN", "AWS_SECRET_ACCESS_KEY",
           "TORCH_HUB_TOKEN", "http_proxy", "HTTPS_PROXY", "TEACHER_HOSTS", "SOMETHING_NEW",
           "CUDA_X_KEY", "SSH_AUTH_SOCK")  # fmt: skip


@pytest.mark.parametrize("part", ["verifier", "teacher", "trainer"])
def test_parts_that_run_what_others_wrote_are_told_no_address_and_no_key(
    monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    told = dict(getattr(parts, part)().environment)
    assert "canary" not in told.values()
    assert told["OMP_NUM_THREADS"] == "1" and told["PATH"] == os.environ["PATH"]
    assert ("CUDA_VISIBLE_DEVICES" in told) == (part != "verifier")
    assert Path(told["WHITTLE_HOME"]).is_absolute()
    assert verifier_environment()["WHITTLE_HOME"] == str(embedded.paths.home())


def test_every_queue_has_a_worker() -> None:
    from workers.apps import QUEUES

    served = {
        part.command[part.command.index("--queues") + 1]
        for part in parts.all_parts()
        if "--queues" in part.command
    }
    assert served == set(QUEUES)


def test_a_part_with_a_token_waits_for_it_and_is_told_it(tmp_path: Path) -> None:
    token = tmp_path / "token"
    code = "import os; print(os.environ['WHITTLE_TOKEN'])"
    child = Child(Part("trainer", (sys.executable, "-c", code), {}, token_file=token), "mark")
    assert not child.may_start()
    token.write_text("secret\n")
    assert child.may_start()
    assert child.start().communicate()[0] == b"secret\n"


def test_the_teacher_is_left_out_when_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHITTLE_TEACHER", "0")
    assert "teacher" not in {part.name for part in parts.all_parts()}
