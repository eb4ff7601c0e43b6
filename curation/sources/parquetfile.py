"""Parquet, read by a killable child process (parquet_child.py) under the caps."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from curation.sources.limits import Limits
from curation.sources.lines import Line, lines
from curation.sources.opening import open_input_file
from curation.sources.records import BadFile, BadRow, ReadRow, Reject, reject
from curation.sources.strictjson import parse

_CHILD = Path(__file__).with_name("parquet_child.py")
_ROOM = 1024  # the words around a row in the child's lines


def read_parquet(path: Path, name: str, limits: Limits) -> Iterator[ReadRow | Reject]:
    """Rows of a Parquet file; ``line`` is the row number, there is no byte offset."""
    with _child(path, limits) as child:
        pipe = io.BufferedReader(_Pipe(child, limits.parquet_idle_seconds), 1 << 20)
        source = lines(pipe, limits.row_bytes + _ROOM)
        expected = _expected_rows(source, limits)
        seen = 0
        for line in source:
            seen += 1
            yield _row(dataclasses.replace(line, number=seen), name, limits)
        if child.wait() or seen != expected:
            raise BadFile("parquet_unreadable", f"ended after {seen} of {expected} rows")


@contextlib.contextmanager
def _child(path: Path, limits: Limits) -> Iterator[subprocess.Popen[bytes]]:
    settings = {"ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"}
    # The child reads the very file that was opened here, whatever its name stands for by now.
    with open_input_file(path) as file:
        name = f"/proc/self/fd/{file.fileno()}"
        child = subprocess.Popen(
            [sys.executable, "-I", str(_CHILD), name, json.dumps(dataclasses.asdict(limits))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**settings, "PATH": os.environ.get("PATH", "")},
            pass_fds=(file.fileno(),),
        )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        _stdout(child).close()


def _stdout(child: subprocess.Popen[bytes]) -> IO[bytes]:
    assert child.stdout is not None
    return child.stdout


class _Pipe(io.RawIOBase):
    """The child's output; BadFile when nothing comes for too long."""

    def __init__(self, child: subprocess.Popen[bytes], idle: float) -> None:
        self.descriptor, self.idle = _stdout(child).fileno(), idle

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        ready, _, _ = select.select([self.descriptor], [], [], self.idle)
        if not ready:
            raise BadFile("parquet_unreadable", f"no row within {self.idle} seconds")
        data = os.read(self.descriptor, len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _expected_rows(source: Iterator[Line], limits: Limits) -> int:
    first = next(source, None)
    if first is None:
        raise BadFile("parquet_unreadable", "the reading process died (memory or a broken file)")
    return int(_message(first.data, limits)["rows"])


def _message(data: bytes, limits: Limits) -> dict[str, Any]:
    message: dict[str, Any] = parse(data, limits.depth + 2)
    if "refused" in message:
        raise BadFile(message["refused"], message["detail"])
    return message


def _row(line: Line, name: str, limits: Limits) -> ReadRow | Reject:
    if line.too_long is not None:
        return line.too_long.reject(name, line.number, -1, limits.row_bytes)
    try:
        message = _message(line.data, limits)
        if "bad" in message:
            raise BadRow(message["bad"], message["detail"])
    except BadFile:
        raise
    except BadRow as why:
        return reject(name, line.number, -1, why, line.data)
    return ReadRow(line.number, -1, message["row"], line.data)
