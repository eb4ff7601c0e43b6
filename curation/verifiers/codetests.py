"""A problem's ``tests``: the shapes that are understood, brought into one form.

The canonical shapes are in docs/code_verification.md; those of HumanEval, MBPP, KodCode,
LiveCodeBench, open-r1 and APPS are taken as they are. What the candidate must not see (expected
values) stays apart from what it is given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_TESTS = 1_000
MAX_SECONDS = 30
MAX_MEMORY_MB = 4_096
# Standard modules worth importing once for both sides when their names are seen.
# fmt: off
_PRELOADABLE = frozenset((
    "bisect", "collections", "copy", "datetime", "decimal", "enum", "fractions", "functools",
    "hashlib", "heapq", "itertools", "json", "math", "operator", "random", "re", "statistics",
    "string", "typing",
))
# fmt: on
_IMPORTS = re.compile(r"^[ \t]*(?:from|import)[ \t]+(\w+)", re.MULTILINE)


class BadTests(ValueError):
    """No tests of a known shape; ``reason`` is ``no_tests`` or ``bad_tests``."""

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or reason)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class CodeTests:
    """Tests in one form.

    ``kind``: ``check``, ``statements``, ``pytest``, ``stdio`` or ``calls``. ``inside`` is what the
    sandbox is given; ``expected`` what comes back is compared with, outside (stdio and calls).
    ``prompt`` is continued by completions; ``sources`` are texts of the problem in which a package
    may be named. ``seconds`` of processor time and ``megabytes`` per test, None for the default.
    """

    kind: str
    inside: dict[str, Any]
    expected: list[Any] = field(default_factory=list)
    entry: str = ""
    prompt: str = ""
    sources: tuple[str, ...] = ()
    seconds: int | None = None
    megabytes: int | None = None
    tolerance: float | None = None

    @property
    def count(self) -> int | None:
        """How many tests there are, where that is known before they run."""
        sizes = {"stdio": "inputs", "calls": "calls", "statements": "statements"}
        return len(self.inside[sizes[self.kind]]) if self.kind in sizes else None

    def names_package(self, name: str) -> bool:
        """Whether the problem's own texts import a package."""
        return any(name in _IMPORTS.findall(source) for source in self.sources)


def preload(*sources: str) -> list[str]:
    """Standard modules that these sources import."""
    seen = {name for source in sources for name in _IMPORTS.findall(source[:100_000])}
    return sorted(seen & _PRELOADABLE)


def parse_tests(given: Any, *, prompt: str = "", solution: str = "") -> CodeTests:
    """Tests of any known shape; BadTests says why there are none."""
    if isinstance(given, str):
        given = _json(given)
    if isinstance(given, list):
        given = {"cases": given}
    if not isinstance(given, Mapping) or not any(given.values()):
        raise BadTests("no_tests")
    shape = next((shape for shape in _SHAPES if shape[0](given)), None)
    if shape is None:
        raise BadTests("bad_tests", f"unknown shape: {', '.join(sorted(map(str, given)))[:200]}")
    try:
        found: CodeTests = shape[1](dict(given), str(given.get("prompt") or prompt), solution)
        return found
    except (TypeError, ValueError, KeyError, AttributeError) as problem:
        if isinstance(problem, BadTests):
            raise
        raise BadTests("bad_tests", f"{type(problem).__name__}: {problem}"[:200]) from problem


def _json(text: str) -> Any:
    try:
        return json.loads(text) if text.strip() else None
    except (ValueError, RecursionError):
        return {"test": text}


def asked_limits(given: Any) -> dict[str, Any]:
    """The limits that a problem's tests name, as they stand there: ``seconds``, ``memory_mb``."""
    if isinstance(given, str):
        given = _json(given)
    if not isinstance(given, Mapping):
        return {}
    limits = given.get("limits") if isinstance(given.get("limits"), Mapping) else given
    return {name: limits.get(name) for name in ("seconds", "memory_mb")}  # type: ignore[union-attr]


def _limits(given: Mapping[str, Any]) -> dict[str, Any]:
    asked = asked_limits(given)
    seconds, megabytes = asked["seconds"], asked["memory_mb"]
    return {
        "seconds": min(MAX_SECONDS, max(1, round(float(seconds)))) if seconds else None,
        "megabytes": min(MAX_MEMORY_MB, max(64, int(megabytes))) if megabytes else None,
    }


def _check(given: dict[str, Any], prompt: str, solution: str) -> CodeTests:
    code = _text(given.get("code") or given.get("test"))
    entry = str(given.get("entry_point") or "")
    # A text that is no code (a task in words) is continued by nothing.
    prompt = prompt if re.search(rf"^(?:async )?def {re.escape(entry)}\b", prompt, re.M) else ""
    setup = [*_texts(given.get("setup")), *([prompt] if prompt else [])]
    inside = {"type": "check", "code": code, "entry": entry, "setup": setup}
    sources = (code, prompt, solution, *setup)
    return CodeTests("check", inside, [], entry, prompt, sources, **_limits(given))


def _asserts(given: dict[str, Any], prompt: str, solution: str) -> CodeTests:
    statements = _texts(given.get("asserts") or given.get("test_list"))
    setup = [
        *_texts(given.get("setup")),
        *_texts(given.get("test_setup_code")),
        *_texts(given.get("test_imports")),
    ]
    _bounded(statements)
    entry = str(given.get("entry_point") or _called(statements))
    inside = {"type": "statements", "statements": statements, "setup": setup, "entry": entry}
    sources = (*statements, *setup, solution)
    return CodeTests("statements", inside, [], entry, "", sources, **_limits(given))


def _called(statements: list[str]) -> str:
    """The one function that every assert calls; empty where that is not plain."""
    names = [set(re.findall(r"\b([A-Za-z_]\w*)\(", s)) for s in statements]
    common = set.intersection(*names) if names else set()
    common -= {"assert", "set", "sorted", "list", "tuple", "len", "abs", "round", "str", "int"}
    return common.pop() if len(common) == 1 else ""


def _pytest(given: dict[str, Any], prompt: str, solution: str) -> CodeTests:
    code = _text(given.get("code") or given.get("test"))
    modules = _texts(given.get("module")) or ["solution"]
    inside = {"type": "pytest", "code": code, "modules": modules}
    entry = str(given.get("entry_point") or "")
    return CodeTests("pytest", inside, [], entry, "", (code, solution), **_limits(given))


def _stdio(given: dict[str, Any], prompt: str, solution: str) -> CodeTests:
    cases = _cases(given)
    _bounded(cases)
    inputs = [_text(case[0]).encode("utf-8", "replace") for case in cases]
    tolerance = given.get("float_tolerance")
    return CodeTests(
        "stdio",
        {"type": "stdio", "inputs": inputs},
        [_text(case[1]) for case in cases],
        sources=(solution,),
        tolerance=float(tolerance) if tolerance else None,
        **_limits(given),
    )


def _calls(given: dict[str, Any], prompt: str, solution: str) -> CodeTests:
    entry = str(given.get("entry_point") or given.get("fn_name"))
    cases = _cases(given)
    _bounded(cases)
    arguments = [_arguments(case[0]) for case in cases]
    expected = [_value(case[1]) for case in cases]
    tolerance = given.get("float_tolerance")
    return CodeTests(
        "calls",
        {"type": "calls", "calls": arguments, "entry": entry},
        expected,
        entry="Solution" if given.get("in_class") else "",
        sources=(solution,),
        tolerance=float(tolerance) if tolerance else None,
        **_limits(given),
    )


def _cases(given: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """(input, expected) of each case."""
    if "inputs" in given:
        return list(zip(given["inputs"], given["outputs"], strict=True))
    cases = given.get("cases") or given.get("test_cases") or []
    return [(_first(case, "args", "input"), _first(case, "expected", "output")) for case in cases]


def _first(case: Mapping[str, Any], *names: str) -> Any:
    for name in names:
        if name in case:
            return case[name]
    raise BadTests("bad_tests", f"a case has none of {', '.join(names)}")


def _arguments(given: Any) -> list[Any]:
    """Positional arguments: a list, or LiveCodeBench's text with one JSON value per line."""
    if isinstance(given, str):
        return [json.loads(line) for line in given.splitlines() if line.strip()]
    return list(given)


def _value(given: Any) -> Any:
    """An expected value: JSON, or a text that holds JSON (LiveCodeBench)."""
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given)
    except ValueError:
        return given


def _bounded(tests: list[Any]) -> None:
    if not tests:
        raise BadTests("no_tests")
    if len(tests) > MAX_TESTS:
        raise BadTests("bad_tests", f"more than {MAX_TESTS} tests")


def _text(value: Any) -> str:
    """A text; a list of lines is one, as Codeforces data sets write it."""
    if isinstance(value, list):
        return "\n".join(map(str, value))
    if not isinstance(value, str):
        raise BadTests("bad_tests", "text expected")
    return value


def _texts(value: Any) -> list[str]:
    if value is None or value == "":
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _is(*types: str) -> Any:
    return lambda given: given.get("type") in types


def _looks_like_pytest(given: Mapping[str, Any]) -> bool:
    code = given.get("test")
    return isinstance(code, str) and not given.get("entry_point") and "def test" in code


# What tells a shape, and what reads it; the first that fits is taken.
_SHAPES: tuple[tuple[Any, Any], ...] = (
    (_is("check"), _check),
    (_is("asserts"), _asserts),
    (_is("pytest"), _pytest),
    (_is("stdio", "stdin_stdout"), _stdio),
    (_is("calls"), _calls),
    (lambda given: bool(given.get("test_list")), _asserts),
    (_looks_like_pytest, _pytest),
    (lambda given: bool(given.get("test")), _check),
    (lambda given: bool(given.get("fn_name")), _calls),
    (lambda given: any(given.get(n) for n in ("inputs", "cases", "test_cases")), _stdio),
)
