"""The supervisor itself: start in order, watch, restart, stop in reverse order."""

from __future__ import annotations

import fcntl
import os
import secrets
import selectors
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from types import FrameType
from typing import IO, Any

from curation import embedded, paths
from workers.services import process
from workers.services.embedded import Server, embedded_servers
from workers.services.errors import ServiceError
from workers.supervisor import leftovers, parts, prepare, watchdog
from workers.supervisor.child import MARK, Child, exit_words
from workers.supervisor.output import Follower, Lines, Log

TICK = 0.2  # seconds between two looks at everything
SERVER_TICK = 1.0  # between two looks at the database and Redis
LATE_SECONDS = 20.0  # the late parts wait no longer than this for the first page
OURS = "whittle"


class AlreadyRunning(RuntimeError):
    """Another supervisor has this home; ``pid`` is its process (0 while it just begins)."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        address = embedded.supervisor_state().get("address", "an address it has yet to choose")
        super().__init__(
            f"Whittle already runs for {paths.home()} (process {pid}) at {address}: make stop ends "
            "it; another copy needs its own WHITTLE_HOME and PORT"
        )


class PortTaken(RuntimeError):
    """Something listens where the pages should be."""


class Supervisor:
    """Everything that runs for one home. ``run()`` returns the exit status."""

    def __init__(self, log: Log | None = None) -> None:
        self.token = secrets.token_hex(8)
        self.log = log or Log(paths.log_dir() / "whittle.log")
        self.selector = selectors.DefaultSelector()
        self.servers: list[Server] = []
        self.followers: list[Follower] = []
        self.children: list[Child] = []
        self.preparation: Child | None = None
        self.stop_requests = 0
        self.web_answers = threading.Event()
        self.announced = False
        self.begun = time.monotonic()
        self.started = time.time()
        self.server_states: dict[str, dict[str, Any]] = {}
        self.server_check = 0.0
        self.shown_state: dict[str, Any] = {}

    def run(self) -> int:
        """Start everything and stay until a signal comes; 0, or 1 when the start failed.

        Raises AlreadyRunning or PortTaken before anything was started.
        """
        lock = take_home()
        guard = None
        try:
            self._catch_signals()
            guard = self._start_guard()
            self._start()
            while not self.stop_requests:
                self.pump(TICK)
                self._watch()
        except ServiceError as error:
            self.say(str(error))
            return 1
        finally:
            self._stop()
            if guard is not None:
                watchdog.dismiss(guard)
            lock.close()
        return 0

    def say(self, text: str) -> None:
        """A line of the supervisor's own."""
        for line in text.splitlines():
            self.log.write(OURS, line)

    # Start -----------------------------------------------------------------------------------

    def _start_guard(self) -> subprocess.Popen[bytes]:
        with watchdog.lock_file() as old:
            # The watchdog of a killed supervisor may still be cleaning up.
            fcntl.flock(old, fcntl.LOCK_EX)
        count = leftovers.end()
        if count:
            self.say(f"ended {count} processes that a killed supervisor had left")
        check_port()  # not before: one of those may have had it
        return watchdog.start(self.token, parts.environment())

    def _start(self) -> None:
        self.children = [Child(part, self.token) for part in parts.all_parts()]
        first = not prepare.is_remembered()
        for child in self.children:
            if child.part.early or (child.part.ahead and first):
                self._start_child(child)
        self.servers = embedded_servers()
        for server in self.servers:
            self._start_server(server)
        if self.stop_requests:
            return
        self._begin_preparation()
        # Pages need tables. Where these migrations ran before, nothing is waited for.
        while self.preparation and not self.stop_requests and not prepare.is_remembered():
            self.pump(TICK)
            self._watch_preparation()
        for child in self.children:
            if not child.part.early and not child.part.late and not self.stop_requests:
                self._start_child(child)
        threading.Thread(target=self._await_web, daemon=True).start()
        self._write_state()

    def _start_server(self, server: Server) -> None:
        follower = Follower(server.name, server.log, self.log.write)
        self.followers.append(follower)
        was_running = server.running()
        server.start()
        follower.poll()
        self.say(f"{server.name} {'was running' if was_running else 'started'}")
        self._note_server(server, "running")

    def _note_server(self, server: Server, state: str) -> None:
        """The same shape as ``Child.describe()``."""
        known = self.server_states.get(server.name)
        restarts = known["restarts"] if known else 0
        if known and state == "running":
            restarts += 1
        self.server_states[server.name] = {
            "pid": server.pid(),
            "state": state,
            "restarts": restarts,
            "last_exit": None,
            "since": time.time(),
        }

    def _begin_preparation(self) -> None:
        """Bring the tables up to date, make the owner and the demo; in the background."""
        environment = parts.environment() | {MARK: self.token}
        part = parts.Part("prepare", tuple(parts.prepare_command()), environment)
        self.preparation = Child(part, self.token)
        self._start_child(self.preparation)

    def _watch_preparation(self) -> None:
        """Raise ServiceError when it failed: without tables nothing else can work."""
        if self.preparation is None or (status := self.preparation.ended()) is None:
            return
        self.preparation = None
        self.pump(0)
        if status == prepare.WITHOUT_BOOTSTRAP:
            self.say("the owner's login or the demo could not be made (see above); going on")
        elif status != 0:
            raise ServiceError(f"preparing the database {exit_words(status)}: see above")
        else:
            prepare.remember()

    def _start_child(self, child: Child) -> None:
        stream = child.start().stdout
        if stream is not None:
            os.set_blocking(stream.fileno(), False)
            lines = Lines(child.part.name, self.log.write)
            self.selector.register(stream, selectors.EVENT_READ, lines)

    # Watch -----------------------------------------------------------------------------------

    def pump(self, seconds: float) -> None:
        """Pass on what the parts write, waiting at most ``seconds`` for something."""
        if not self.selector.get_map():
            time.sleep(seconds)
        for key, _ in self.selector.select(seconds):
            stream: Any = key.fileobj
            try:
                data = os.read(stream.fileno(), 65536)
            except BlockingIOError:
                continue
            if data:
                key.data.feed(data)
            else:
                key.data.close()
                self.selector.unregister(stream)
                stream.close()
        for follower in self.followers:
            follower.poll()

    def _watch(self) -> None:
        self._watch_servers()
        self._watch_preparation()
        waited = self.web_answers.is_set() or time.monotonic() - self.begun > LATE_SECONDS
        ready = waited and self.preparation is None
        for child in self.children:
            if ready and child.part.late and child.state == "stopped" and child.may_start():
                self._start_child(child)
            elif (status := child.ended()) is not None:
                pause = child.plan_restart()
                name = child.part.name
                self.say(f"{name} {exit_words(status)}; it starts again in {pause:.1f} s")
            elif child.is_due():
                self._start_child(child)
        self._write_state()
        if self.web_answers.is_set() and self.preparation is None and not self.announced:
            self.announced = True
            self._greet()

    def _greet(self) -> None:
        """Show the address and, once, the drawn password; neither goes into a log."""
        login = embedded.read_login()
        first = bool(login) and not login.get("shown")
        self.log.show(banner(login, with_password=first and self.log.is_seen()))
        if first and self.log.is_seen():
            embedded.write_login(login | {"shown": True})

    def _watch_servers(self) -> None:
        if time.monotonic() < self.server_check:
            return
        self.server_check = time.monotonic() + SERVER_TICK
        for server in self.servers:
            process.rotate(server.log)
            if server.running():
                continue
            self.say(f"{server.name} is gone; starting it again")
            self._note_server(server, "waiting")
            try:
                server.start()
            except ServiceError as error:
                self.say(str(error))
                self.server_check = time.monotonic() + 5
            else:
                self._note_server(server, "running")

    def _await_web(self) -> None:
        address = f"{parts.address()}healthz"
        while not self.stop_requests:
            try:
                with urllib.request.urlopen(address, timeout=5):  # noqa: S310 - our own address
                    break
            except urllib.error.HTTPError:
                break  # it answers; what it says is for its readers
            except OSError:
                time.sleep(0.1)
        self.web_answers.set()

    def _write_state(self) -> None:
        children = {child.part.name: child.describe() for child in self.children}
        for server in self.servers:
            children[server.name] = self.server_states[server.name]
        if children == self.shown_state:
            return
        self.shown_state = children
        value = {"pid": os.getpid(), "started": self.started, "address": parts.address()}
        embedded.write_private(embedded.record_path("supervisor"), value | {"children": children})

    # Stop ------------------------------------------------------------------------------------

    def _catch_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.stop_requests += 1

    def _stop(self) -> None:
        self.say("stopping")
        first = [child for child in self.children if not child.part.last]
        self._stop_children(first + ([self.preparation] if self.preparation else []))
        self._stop_children([child for child in self.children if child.part.last])
        leftovers.end(self.token, grace=1.0)
        for server in reversed(self.servers):
            server.stop()
            self._note_server(server, "stopped")
        self.pump(0)
        self._write_state()
        self.say("stopped")

    def _stop_children(self, children: list[Child]) -> None:
        """Ask all, wait for each within its grace, kill the rest (at once on a second Ctrl-C)."""
        for child in children:
            child.ask_to_stop()
        asked, requests = time.monotonic(), self.stop_requests
        for child in children:
            while _lives(child) and time.monotonic() - asked < child.part.grace:
                if self.stop_requests > max(requests, 1):
                    break
                self.pump(0.05)
            if _lives(child):
                self.say(f"{child.part.name} did not stop in time; killing it")
            child.finish()


def _lives(child: Child) -> bool:
    return child.process is not None and child.process.poll() is None


def take_home() -> IO[str]:
    """Lock this home for one supervisor; the lock ends with the process that holds the file."""
    lock = (paths.run_dir() / "supervisor.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        pid = int(lock.read().strip() or 0)
        lock.close()
        raise AlreadyRunning(pid) from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def check_port() -> None:
    """Raise PortTaken when somebody listens at the address of the pages."""
    with socket.socket(socket.AF_INET6 if ":" in parts.host() else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((parts.host(), parts.port()))
        except OSError as error:
            raise PortTaken(
                f"port {parts.port()} of {parts.host()} is not free ({error.strerror}): "
                f"choose another, for example PORT={parts.port() + 1} make run"
            ) from None


def banner(login: dict[str, Any], *, with_password: bool) -> str:
    """What a newcomer needs: the address and a login."""
    lines = ["", f"  Whittle is at {parts.address()}"]
    if with_password:
        lines.append(f"  Sign in as {login['username']} with the password {login['password']}")
        lines.append(f"  It is shown only this once and kept in {embedded.login_path()}")
    elif login:
        lines.append(f"  Sign in as {login['username']}; {embedded.login_path()} has the password")
    return "\n".join([*lines, "  Ctrl-C stops everything", ""])
