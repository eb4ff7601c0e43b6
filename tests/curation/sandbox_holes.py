"""Switch off one layer of the sandbox at a time, for the positive controls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from curation.sandbox import bundle, bwrap, execution, seccomp, selftest
from curation.sandbox.bwrap import MIB, SandboxLimits, SandboxUnavailable
from curation.sandbox.execution import Job, Run

LIMITS = SandboxLimits(cpu=2, wall=4.0, memory=512 * MIB)
Hole = Callable[[pytest.MonkeyPatch], Any]


def sandbox_here() -> bool:
    """Whether code can be run on this machine; tried once per process."""
    try:
        selftest.SHARED.require()
    except SandboxUnavailable:
        return False
    return True


HOSTILE = [
    pytest.mark.skipif(not sandbox_here(), reason="no sandbox here"),
    pytest.mark.timeout(300),
]


def run(source: str, *stdin: bytes, limits: SandboxLimits = LIMITS, seconds: float = 20) -> Run:
    """Run a program for each input."""
    inputs = {"type": "stdio", "inputs": list(stdin) or [b""]}
    return execution.run(Job([source], program=True), inputs, limits, seconds)


def printed(found: Run, number: int = 0) -> str:
    """What the program printed for an input."""
    return bytes(found.records[number].get("stdout", b"")).decode("utf-8", "replace").strip()


def reason(found: Run, number: int = 0) -> str:
    """Why the test of an input failed; empty where it did not."""
    return str(found.records[number]["reason"])


def message(found: Run, number: int = 0) -> str:
    """What the record of an input says of it."""
    return str(found.records[number].get("message"))


def without(*removed: str, instead: tuple[str, ...] = ()) -> Hole:
    """A hole in bwrap's own words."""

    def dig(patch: pytest.MonkeyPatch) -> None:
        real = bwrap._bwrap

        def weaker(*arguments: Any) -> list[str]:
            words = real(*arguments)
            size = len(removed)
            at = next(i for i in range(len(words)) if words[i : i + size] == list(removed))
            return [*words[:at], *instead, *words[at + size :]]

        patch.setattr(bwrap, "_bwrap", weaker)

    return dig


def showing(folder: Path, place: str) -> Hole:
    """A hole that binds a folder of the host, writable, into the sandbox."""

    def dig(patch: pytest.MonkeyPatch) -> None:
        folder.chmod(0o777)
        real = bwrap._more

        def more(words: list[str], more: list[str]) -> list[str]:
            return real(words, [*more, "--bind", str(folder), place])

        patch.setattr(bwrap, "_more", more)

    return dig


def inside(name: str, old: str, new: str) -> Hole:
    """A hole in what runs inside: one text of a module there is replaced."""

    def dig(patch: pytest.MonkeyPatch) -> None:
        real = Path.read_text

        def read(path: Path, *arguments: Any, **options: Any) -> str:
            text = real(path, *arguments, **options)
            if path == bundle.FOLDER / f"{name}.py":
                assert old in text, f"{name}.py has no {old!r}: the control controls nothing"
                text = text.replace(old, new)
            return text

        patch.setattr(Path, "read_text", read)
        bundle._bundle.cache_clear()

    return dig


def no_filter(patch: pytest.MonkeyPatch) -> None:
    """A seccomp filter that allows everything."""
    allow = seccomp._step(seccomp._RETURN, seccomp._ALLOW)
    patch.setattr(seccomp, "program", lambda *_: allow)


@contextmanager
def hole(*digging: Hole) -> Iterator[None]:
    """The sandbox with holes, mended afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        for dig in digging:
            dig(patch)
        try:
            yield
        finally:
            bundle._bundle.cache_clear()
