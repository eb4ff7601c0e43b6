"""One log of many programs: each line with the time and the name of who wrote it."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Callable
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

from curation import paths

FILE_LIMIT = 20_000_000  # bytes of one log file
OLDER_FILES = 4  # kept beside it, as .log.1 (the newest) to .log.4
LINE_LIMIT = 16_000  # bytes; a program that writes no line end is cut here
NAME_WIDTH = 14
COLOURS = (36, 33, 32, 35, 34, 31)
# A program may print what a model wrote: nothing of it may steer the terminal.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

Write = Callable[[str, str], None]


def harmless(text: str) -> str:
    """The text with control characters shown as escapes."""
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


class PrivateFile(RotatingFileHandler):
    """A log that only this user may read, of bounded size; a full disk loses lines, no more."""

    def _open(self) -> TextIOWrapper:
        return open(paths.open_private(Path(self.baseFilename)), "a", encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:
        """A log that cannot be written must not end the supervisor."""


class Log:
    """Writes lines to the terminal and to a file."""

    def __init__(self, path: Path, terminal: IO[str] | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = PrivateFile(path, maxBytes=FILE_LIMIT, backupCount=OLDER_FILES)
        self.terminal: IO[str] | None = sys.stdout if terminal is None else terminal
        self.colours: dict[str, int] = {}

    def write(self, name: str, text: str) -> None:
        """One line of ``name``."""
        line = f"{name:<{NAME_WIDTH}}| {harmless(text)}"
        self._to_file(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {line}")
        self._to_terminal(self._paint(name, f"{time.strftime('%H:%M:%S')} {line}") + "\n")

    def show(self, text: str) -> None:
        """Text for the person who started this, which stands in no log."""
        self._to_terminal(f"{text}\n")

    def is_seen(self) -> bool:
        """Whether what is shown reaches a person's terminal, and not a file."""
        return self.terminal is not None and self.terminal.isatty()

    def _paint(self, name: str, line: str) -> str:
        if self.terminal is None or not self.terminal.isatty():
            return line
        colour = self.colours.setdefault(name, COLOURS[len(self.colours) % len(COLOURS)])
        prefix, _, rest = line.partition("| ")
        return f"\x1b[{colour}m{prefix}|\x1b[0m {rest}"

    def _to_terminal(self, text: str) -> None:
        if self.terminal is None:
            return
        try:
            self.terminal.write(text)
            self.terminal.flush()
        except (OSError, ValueError):  # nobody reads it any more; the file goes on
            self.terminal = None

    def _to_file(self, text: str) -> None:
        self.file.handle(logging.makeLogRecord({"msg": text}))


class Lines:
    """Cuts what a program writes into lines."""

    def __init__(self, name: str, write: Write) -> None:
        self.name = name
        self.write = write
        self.rest = b""

    def feed(self, data: bytes) -> None:
        """Take what was read; write the lines that are whole."""
        *whole, self.rest = (self.rest + data).split(b"\n")
        for line in whole:
            self._emit(line)
        while len(self.rest) > LINE_LIMIT:
            self._emit(self.rest[:LINE_LIMIT])
            self.rest = self.rest[LINE_LIMIT:]

    def close(self) -> None:
        """Write what came without a line end."""
        if self.rest:
            self._emit(self.rest)
            self.rest = b""

    def _emit(self, line: bytes) -> None:
        # A progress bar writes over itself; only what it would show last is kept.
        last = line.rstrip(b"\r").rpartition(b"\r")[2]
        self.write(self.name, last.decode("utf-8", "replace"))


class Follower:
    """Shows what a server appends to its own log file."""

    def __init__(self, name: str, path: Path, write: Write) -> None:
        self.path = path
        self.lines = Lines(name, write)
        self.offset = path.stat().st_size if path.exists() else 0

    def poll(self) -> None:
        """Write what was appended since the last call."""
        try:
            size = self.path.stat().st_size
            if size == self.offset:
                return
            with self.path.open("rb") as file:
                # Smaller than before: the file was set aside and begun again.
                file.seek(self.offset if size > self.offset else 0, os.SEEK_SET)
                data = file.read(1_000_000)
                self.offset = file.tell()
        except FileNotFoundError:
            return
        self.lines.feed(data)
