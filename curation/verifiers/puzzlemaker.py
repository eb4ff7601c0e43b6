"""Puzzles at a wanted difficulty: generators, their knobs and levels, made in a process of its own.

A generator is ``saturn`` (``sat``) or one of reasoning-gym. A *setting* is a choice of knobs; its
level is its place in the generator's own curriculum, from 0 (easy). Some generators search for
ever with senseless knobs, so they run in a child with a time limit:
``python -m curation.verifiers.puzzlemaker`` reads one request as JSON and writes one answer.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from . import sat
from .logic import SATURN, library_version

TIMEOUT = 300.0  # seconds for one request
MEMORY = 4 * 1024**3  # bytes of address space of the child
BATCH = 50  # puzzles of one request
MAX_OUTPUT = 64 * 1024**2
ASK = "\n\nGive only your final answer inside <answer> and </answer>."


class MakerError(RuntimeError):
    """A request that cannot be met: ``code`` is a stable reason."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Setting:
    """Knobs of a generator; ``level`` is None for knobs given by hand."""

    generator: str
    knobs: dict[str, Any]
    level: int | None = None

    @property
    def name(self) -> str:
        """The knobs in one order: what makes a setting the same as another."""
        return json.dumps(self.knobs, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Puzzle:
    """One made puzzle: what a problem and the verifier ``logic`` need."""

    question: str
    answer: str | None
    index: int
    puzzle: dict[str, Any]


def generators() -> list[str]:
    """Names of all generators, ``saturn`` first; only that one without reasoning-gym."""
    return [SATURN, *_library_names()]


@lru_cache(maxsize=1)
def _library_names() -> tuple[str, ...]:
    return () if library_version() == "none" else tuple(_ask({"do": "names"})["names"])


def version(generator: str) -> str:
    """Version of what makes the puzzles."""
    return sat.VERSION if generator == SATURN else f"reasoning-gym-{library_version()}"


def settings_of(generator: str, levels: Sequence[int] | None = None) -> list[Setting]:
    """The generator's levels (or those asked for); MakerError ``unknown_level``."""
    found = _settings(generator)
    wanted = range(len(found)) if levels is None else levels
    for level in wanted:
        if not 0 <= level < len(found):
            last = len(found) - 1
            raise MakerError("unknown_level", f"{generator} has the levels 0 to {last}")
    return [found[level] for level in wanted]


@lru_cache(maxsize=256)
def _settings(generator: str) -> tuple[Setting, ...]:
    if generator == SATURN:
        names = ("n", "k", "l")
        rows: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in sat.LEVELS]
    else:
        _known(generator)
        rows = _ask({"do": "levels", "name": generator})["levels"] or [{}]
    return tuple(Setting(generator, knobs, level) for level, knobs in enumerate(rows))


def knobs_of(generator: str) -> dict[str, Any]:
    """Knob -> default of a generator."""
    if generator == SATURN:
        return dict(zip(("n", "k", "l"), (3, 5, 20), strict=True))
    _known(generator)
    knobs: dict[str, Any] = _ask({"do": "knobs", "name": generator})["knobs"]
    return knobs


def _known(generator: str) -> None:
    if generator not in generators():
        raise MakerError("unknown_generator", f"no generator is called {generator[:80]!r}")


def analytic_difficulty(generator: str, knobs: Mapping[str, Any]) -> float | None:
    """The difficulty by a declared formula, for generators that have one (SATURN's D)."""
    if generator != SATURN:
        return None
    return round(sat.difficulty(knobs["n"], knobs["k"], knobs["l"]), 4)


def make(setting: Setting, seed: int, indices: Sequence[int]) -> list[Puzzle]:
    """The puzzles of a setting at these indices: the same for the same arguments.

    MakerError ``bad_knobs``, ``maker_timeout`` or ``maker_failed``.
    """
    if setting.generator == SATURN:
        return [_saturn(setting.knobs, seed, index) for index in indices]
    _known(setting.generator)
    request = {"do": "make", "name": setting.generator, "config": setting.knobs, "seed": seed}
    made = _ask(request | {"indices": list(indices)})["puzzles"]
    config = setting.knobs | {"seed": seed, "size": max(indices) + 1}
    return [_of_library(setting.generator, config, entry) for entry in made]


def _saturn(knobs: Mapping[str, Any], seed: int, index: int) -> Puzzle:
    try:
        made = sat.make(knobs["n"], knobs["k"], knobs["l"], seed=seed * 1_000_003 + index)
    except (KeyError, TypeError, ValueError) as problem:
        raise MakerError("bad_knobs", f"saturn needs n, k and l: {problem}") from None
    clauses = [list(clause) for clause in made.clauses]
    entry = {"variables": made.variables, "clauses": clauses}
    puzzle = {"dataset": SATURN, "config": dict(knobs), "entry": entry}
    return Puzzle(sat.question(made), made.answer, index, puzzle)


def _of_library(name: str, config: dict[str, Any], entry: dict[str, Any]) -> Puzzle:
    answer, question = entry["answer"], entry["question"]
    kept = {"answer": answer, "question": "", "metadata": entry["metadata"]}
    puzzle = {"dataset": name, "config": config, "entry": kept}
    asked = question if "<answer>" in question else question + ASK
    return Puzzle(asked, answer, entry["index"], puzzle)


def _ask(request: dict[str, Any]) -> dict[str, Any]:
    """Send one request to a child and read its answer."""
    environment = {"PATH": os.environ.get("PATH", ""), "OMP_NUM_THREADS": "1"}
    paths = os.pathsep.join(path for path in sys.path if path)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "curation.verifiers.puzzlemaker"],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=TIMEOUT,
            env=environment | {"PYTHONPATH": paths},
            check=False,
        )
    except subprocess.TimeoutExpired:
        message = f"nothing was made within {TIMEOUT:g} s: the knobs may have no solution"
        raise MakerError("maker_timeout", message) from None
    last = done.stdout[-MAX_OUTPUT:].rpartition(b"\n\x1e")[2]  # generators print, too
    try:
        answer: dict[str, Any] = json.loads(last)
    except ValueError:
        words = done.stderr.decode("utf-8", "replace").strip()[-300:]
        raise MakerError("maker_failed", f"exit {done.returncode}: {words}") from None
    if "error" in answer:
        raise MakerError(answer["error"], answer["message"])
    return answer


def main() -> int:
    """Answer the request on standard input; see the module."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    request = json.loads(sys.stdin.buffer.read())
    sys.stdout.write("\n\x1e" + json.dumps(_answer(request)))
    return 0


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    from . import gym

    name = request.get("name", "")
    try:
        if request["do"] == "names":
            return {"names": gym.names()}
        if request["do"] == "levels":
            return {"levels": gym.levels(name)}
        if request["do"] == "knobs":
            return {"knobs": gym.knobs(name)}
        made = gym.make(name, request["config"], request["seed"], request["indices"])
        return {"puzzles": made}
    except gym.BadPuzzle as problem:
        return {"error": "bad_knobs", "message": str(problem)}
    except Exception as problem:
        words = f"the generator failed: {type(problem).__name__}: {problem}"
        return {"error": "maker_failed", "message": words[:500]}


if __name__ == "__main__":
    sys.exit(main())
