"""From what came out of the sandbox to a verdict. Runs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from curation.sandbox.execution import Run
from curation.sandbox.inside import exotic, wire

from .base import Verdict, error, incorrect, unverifiable
from .codecompare import Opaque, same_output, same_value
from .codetests import CodeTests

SHOWN_TESTS = 100
SHOWN_TEXT = 300
UNUSABLE = "tests_failed_to_load"
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """A verdict; ``fault`` is our own, ``doubtful`` says that another run might end otherwise."""

    verdict: Verdict
    fault: str = ""
    doubtful: bool = False


def judge(run: Run, tests: CodeTests) -> Result:
    """The verdict of a run."""
    if run.memory:
        return Result(_failed("memory_limit", run, tests, run.message))
    overloaded = any(r.get("reason") == "overloaded" for r in run.records)
    fault = run.fault or ("overloaded" if overloaded or run.unloaded == "overloaded" else "")
    if fault:
        return Result(error(fault, method="tests", problem=_clean(run.message)), fault)
    if run.unloaded:
        return _not_loaded(run, tests)
    return _judge_records(run, [_compared(r, n, tests) for n, r in enumerate(run.records)], tests)


def _judge_records(run: Run, records: list[Record], tests: CodeTests) -> Result:
    counted = [record for record in records if not record.get("skipped")]
    if any(record.get("reason") == UNUSABLE for record in records):
        return Result(unverifiable("bad_tests", problem=_first(records, UNUSABLE)))
    if tests.count is not None and len(records) < tests.count:
        return Result(error("sandbox_fault", method="tests"), "sandbox_fault")
    if not counted:
        return Result(unverifiable("bad_tests", problem="no test ran"))
    return _counted(run, records, counted, tests)


def _counted(run: Run, records: list[Record], counted: list[Record], tests: CodeTests) -> Result:
    passed = sum(record["passed"] is True for record in counted)
    detail = _detail(run, records, tests) | {"passed": passed, "total": len(counted)}
    score = passed / len(counted)
    if passed == len(counted):
        return Result(Verdict("correct", score, "tests", "", None, detail))
    bad = next(record for record in counted if record["passed"] is not True)
    reason = str(bad.get("reason") or "")
    package = _missing_package(bad, tests)
    if package:
        return Result(unverifiable("missing_package", package=package))
    reason = "" if reason == "wrong_result" else reason
    return Result(Verdict("incorrect", score, "tests", reason, None, detail), "", _doubtful(bad))


def _doubtful(record: Record) -> bool:
    """A wall limit, or a kill from outside: a loaded machine can do the same."""
    message = str(record.get("message") or "")
    by_wall = record.get("reason") == "time_limit" and "processor" not in message
    return by_wall or message == "signal 9"


def _missing_package(record: Record, tests: CodeTests) -> str:
    message = str(record.get("message") or "")
    if "No module named '" not in message:
        return ""
    name = message.split("No module named '")[1].split("'", maxsplit=1)[0].split(".", maxsplit=1)[0]
    return name if tests.names_package(name) else ""


def _not_loaded(run: Run, tests: CodeTests) -> Result:
    """The code never came to its first test."""
    reason, message = run.unloaded, str(run.facts.get("message") or "")
    if reason.startswith("missing_module:"):
        name = reason.partition(":")[2].split(".")[0]
        if tests.names_package(name):
            return Result(unverifiable("missing_package", package=_clean(name)))
        reason = "missing_module"
    doubtful = _doubtful({"reason": reason, "message": message})
    return Result(_failed(reason, run, tests, message), "", doubtful)


def _failed(reason: str, run: Run, tests: CodeTests, message: str) -> Verdict:
    detail = _detail(run, [], tests) | {"passed": 0, "total": tests.count, "message": message}
    return incorrect("tests", reason, None, **_cleaned(detail))


def _compared(record: Record, number: int, tests: CodeTests) -> Record:
    """A record with ``passed``; programs and calls are compared here, outside."""
    if tests.kind not in ("stdio", "calls") or record.get("reason"):
        return record | {"passed": record.get("passed") is True}
    if number >= len(tests.expected):
        return record | {"passed": False}
    expected = tests.expected[number]
    if tests.kind == "stdio":
        passed = same_output(record.get("stdout", b""), expected, tests.tolerance)
        shown = {"got": _text(record.get("stdout", b"")), "expected": _text(expected)}
    else:
        got = _value(record.get("value"))
        passed = same_value(got, expected, tolerance=tests.tolerance)
        shown = {"got": _shown(got), "expected": _shown(expected)}
    reason = "" if passed else "wrong_result"
    return record | {"passed": passed, "reason": reason} | ({} if passed else shown)


def _value(raw: Any) -> Any:
    """The value a call returned; Opaque where it was no plain one."""
    try:
        return wire.Decoder(_foreign).decode(raw)
    except (wire.WireError, ImportError, RecursionError, MemoryError):
        return Opaque()


def _foreign(stand_in: Any) -> Any:
    mark = stand_in[0]
    if mark == "E":
        value = exotic.from_plain(str(stand_in[1]), stand_in[2])
        return value.tolist() if hasattr(value, "tolist") else value
    return stand_in[1] if mark == "P" else Opaque()


def _detail(run: Run, records: list[Record], tests: CodeTests) -> Record:
    detail: Record = {
        "kind": tests.kind,
        "variant": run.facts.get("variant"),
        "python": run.facts.get("python"),
        "tests": [_evidence(record) for record in records[:SHOWN_TESTS]],
        "most_memory": max((r.get("memory") or 0 for r in records), default=0),
        "cpu": round(sum(r.get("cpu") or 0 for r in records), 4),
    }
    cost = run.facts.get("cost")
    if isinstance(cost, dict):
        detail |= {"most_memory": cost.get("memory"), "cpu": cost.get("cpu")}
        detail |= {"changed_arguments": True} if cost.get("changed_arguments") else {}
    coverage = _coverage(records)
    if coverage is not None:
        detail["coverage"] = coverage
    cleaned: Record = _cleaned(detail)
    return cleaned


def _evidence(record: Record) -> Record:
    wanted = (
        "name", "passed", "skipped", "reason", "message", "wall", "cpu", "memory",
        "changed_arguments",
    )  # fmt: skip
    shown = {name: record[name] for name in wanted if record.get(name) not in (None, "")}
    shown |= {name: record[name] for name in ("got", "expected") if name in record}
    if record.get("stderr"):
        shown["stderr"] = _text(record["stderr"][-SHOWN_TEXT:])
    return shown


def _coverage(records: list[Record]) -> float | None:
    """Share of the solution's statements that ran in some test; as its own process tells it."""
    ran: set[int] = set()
    statements: set[int] = set()
    for record in records:
        lines = record.get("lines")
        if isinstance(lines, dict):
            ran |= {n for n in lines.get("ran") or () if isinstance(n, int)}
            statements |= {n for n in lines.get("statements") or () if isinstance(n, int)}
    return round(len(ran & statements) / len(statements), 4) if statements else None


def _first(records: list[Record], reason: str) -> str:
    found = next(record for record in records if record.get("reason") == reason)
    return _clean(str(found.get("message") or ""))


def _text(value: Any) -> str:
    raw = value[: SHOWN_TEXT * 4].decode("utf-8", "replace") if isinstance(value, bytes) else value
    return _clean(str(raw)[:SHOWN_TEXT])


def _shown(value: Any) -> str:
    if isinstance(value, Opaque):
        return "an object"
    try:
        return _clean(repr(value)[:SHOWN_TEXT])
    except (ValueError, RecursionError):
        return "a value too large to show"


def _cleaned(value: Any) -> Any:
    """JSON that PostgreSQL takes: no NUL, no lone surrogates, no infinities."""
    if isinstance(value, dict):
        return {_clean(str(key)): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    if isinstance(value, str):
        return _clean(value)
    return value if isinstance(value, bool | int | float | type(None)) else _clean(str(value))


def _clean(text: str) -> str:
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
