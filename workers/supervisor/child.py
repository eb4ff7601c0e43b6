"""One part as a running process: started, watched, restarted with growing pauses, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from typing import Any

from curation import paths
from workers.supervisor.parts import Part

MARK = "WHITTLE_SUPERVISOR"  # in every part's environment: finds what a killed supervisor left
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
STEADY_SECONDS = 60.0  # a part that lived so long starts again at once


class Child:
    """A part of a running copy."""

    def __init__(self, part: Part, token: str) -> None:
        self.part = part
        self.token = token
        self.process: subprocess.Popen[bytes] | None = None
        self.restarts = 0
        self.last_exit: int | None = None
        self.pause = 0.0
        self.due: float | None = None  # monotonic time of the next start
        self.started = 0.0
        self.since = time.time()
        self.state = "stopped"

    def start(self) -> subprocess.Popen[bytes]:
        """Start the process as the leader of its own session (Ctrl-C reaches us alone)."""
        self.process = subprocess.Popen(
            self.part.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**self.part.environment, **self._secret(), MARK: self.token},
            start_new_session=True,
            cwd=paths.ROOT,
        )
        self.started = time.monotonic()
        self.due = None
        self._enter("running")
        return self.process

    def may_start(self) -> bool:
        """Whether the file with its token, if it needs one, is there."""
        return self.part.token_file is None or self.part.token_file.exists()

    def _secret(self) -> dict[str, str]:
        file = self.part.token_file
        return {"WHITTLE_TOKEN": file.read_text().strip()} if file else {}

    def ended(self) -> int | None:
        """The exit status of a process that ended since it was started; None otherwise."""
        if self.process is None or self.process.poll() is None:
            return None
        self.last_exit = self.process.returncode
        self.kill_session()
        self.process = None
        return self.last_exit

    def plan_restart(self) -> float:
        """Set the time of the next start; seconds until then."""
        steady = time.monotonic() - self.started > STEADY_SECONDS
        self.pause = FIRST_PAUSE if steady or not self.pause else min(self.pause * 2, LONGEST_PAUSE)
        self.restarts += 1
        self.due = time.monotonic() + self.pause
        self._enter("waiting")
        return self.pause

    def is_due(self) -> bool:
        """Whether the pause before the next start is over."""
        return self.due is not None and time.monotonic() >= self.due

    def ask_to_stop(self) -> None:
        """Send the part's stop signal to its leader; helpers of a worker are its own affair."""
        self.due = None
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, self.part.stop_signal)

    def kill_session(self) -> None:
        """Kill what is left of the part's process group."""
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def finish(self) -> None:
        """After the stop: make sure that nothing of it runs, and bury it."""
        self.kill_session()
        if self.process is not None:
            self.last_exit = self.process.wait()
            self.process = None
        self._enter("stopped")

    def describe(self) -> dict[str, Any]:
        """For the state file, see ``curation.embedded.supervisor_state``."""
        return {
            "pid": self.process.pid if self.process else None,
            "state": self.state,
            "restarts": self.restarts,
            "last_exit": self.last_exit,
            "since": self.since,
        }

    def _enter(self, state: str) -> None:
        self.state = state
        self.since = time.time()


def exit_words(status: int) -> str:
    """An exit status in words: the name of the signal for a negative one."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
