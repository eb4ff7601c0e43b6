"""Tests made of ``assert`` statements, run in the runner's process.

Each statement becomes a place that counts by itself: one that fails does not hide the next. What
is asserted is not changed. A test of constants alone (``assert True``) is none.
"""

from __future__ import annotations

import _ast
import sys
import time

from . import uses
from .link import UNUSABLE, Link
from .proxies import Proxy, State
from .session import Budget, CandidateFailed, Stop

TYPE_CHECKING = False  # typing costs more to import than the runner itself
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Record = dict[str, Any]

MAX_MESSAGE = 500


class Names(dict):  # type: ignore[type-arg]
    """A test's names; ``asked`` of them, where it has none itself, are the solution's."""

    def __init__(self, link: Link, known: dict[str, Any], asked: set[str]) -> None:
        super().__init__(known)
        self.link = link
        self.asked = asked

    def __missing__(self, name: str) -> Any:
        if name not in self.asked or not self.link.request("has", "", name):
            raise KeyError(name)
        self[name] = found = self.link.named(name)
        return found


def function(link: Link, name: str) -> Proxy:
    """The solution's function of that name, without asking whether it is there."""
    state = State(link, name, {"kind": "function", "path": name}, False)
    state.name = name
    return Proxy(state)


def settle_names(
    link: Link, trees: list[Any], known: dict[str, Any], entry: str
) -> tuple[dict[str, Any], set[str]]:
    """The names of the tests with what the standard library adds, and those of the solution.

    Also tells ``link`` which are classes. Unusable if the tests need a name that nobody but the
    candidate would define, and it would have a say in what is compared.
    """
    names = uses.Names(trees, set(known), entry)
    judges = sorted(names.judges())
    if judges:
        raise uses.Unusable(f"the tests use {', '.join(judges)!r} and define it nowhere")
    link.classes = uses.classes(trees)
    link.expects_stop = uses.loads(trees, "StopIteration")
    return known | {name: _standard(name) for name in names.standard}, names.missing


def settle_missing(tree: Any, known: dict[str, Any]) -> None:
    """Give a pytest file the standard names that it forgot to import; Unusable for other ones."""
    if uses.imports_everything(tree):
        return
    names = uses.Names([tree], set(known), " ")
    known.update({name: _standard(name) for name in names.standard})
    if names.missing:
        raise uses.Unusable(f"the tests use {', '.join(sorted(names.missing))!r} undefined")


def _standard(name: str) -> Any:
    module = uses.COMMON.get(name)
    return getattr(__import__(module), name) if module else __import__(name)


class Places:
    """The assert statements of a test, and what became of them."""

    def __init__(self, link: Link, budget: Budget) -> None:
        self.link = link
        self.budget = budget
        self.records: list[Record] = []

    def add(self, line: int) -> int:
        """A new place; its number."""
        self.records.append({"name": f"line {line}", "passed": None, "reason": "", "message": ""})
        return len(self.records) - 1

    def passed(self, number: int) -> None:
        record = self.records[number]
        if self.link.failure is not None:
            self.failed(number)
        elif record["passed"] is None:
            record["passed"] = True

    def failed(self, number: int) -> None:
        """The first failure at a place stays."""
        failure, self.link.failure = self.link.failure, None
        record = self.records[number]
        if record["passed"] is not False:
            reason = failure.reason if failure else "wrong_result"
            record.update(passed=False, reason=reason, message=failure.message if failure else "")
        if failure is not None:
            self.budget.note(failure.reason)
            self.budget.check()

    def raised(self, number: int) -> None:
        """An exception came out of the statement."""
        problem = sys.exc_info()[1]
        if isinstance(problem, Stop):
            raise problem
        if self.link.failure is None and problem is not None:
            reason, message = explain(problem)
            self.link.failure = CandidateFailed(reason, message)
        self.failed(number)


def explain(problem: BaseException) -> tuple[str, str]:
    """Reason and message of an exception that came out of a test."""
    if isinstance(problem, CandidateFailed):
        return problem.reason, problem.message
    if isinstance(problem, MemoryError):
        return "memory_limit", "MemoryError"
    text = problem.__dict__.get("_whittle_text") or f"{type(problem).__name__}: {problem}"
    wrong = isinstance(problem, AssertionError) and "_whittle_text" not in problem.__dict__
    return "wrong_result" if wrong else "runtime_error", str(text)[:MAX_MESSAGE]


def instrument(tree: Any, add: Callable[[int], int]) -> Any:
    """The code of a test whose assert statements report to their places."""
    _rewrite(tree, add)
    return compile(tree, "<tests>", "exec")


def _rewrite(node: Any, add: Callable[[int], int]) -> None:
    """In place; what stands in a ``try`` is left alone, for it may expect the failure."""
    for field in node._fields:
        value = getattr(node, field, None)
        if not isinstance(value, list):
            continue
        for number, item in enumerate(value):
            if isinstance(item, _ast.Assert):
                value[number] = _place(item, add)
            elif isinstance(item, _ast.stmt) and not isinstance(item, _ast.Try):
                _rewrite(item, add)


def _place(item: Any, add: Callable[[int], int]) -> Any:
    where = {
        "lineno": item.lineno,
        "col_offset": item.col_offset,
        "end_lineno": item.end_lineno,
        "end_col_offset": item.end_col_offset,
    }
    if isinstance(item.test, _ast.Constant) and item.test.value:
        return _ast.Pass(**where)
    number = add(item.lineno)

    def call(name: str) -> Any:
        target = _ast.Name(id=f"__whittle_{name}__", ctx=_ast.Load(), **where)
        argument = _ast.Constant(value=number, **where)
        call = _ast.Call(func=target, args=[argument], keywords=[], **where)
        return _ast.Expr(value=call, **where)

    choice = _ast.If(test=item.test, body=[call("passed")], orelse=[call("failed")], **where)
    caught = _ast.ExceptHandler(type=None, name=None, body=[call("raised")], **where)
    return _ast.Try(body=[choice], handlers=[caught], orelse=[], finalbody=[], **where)


def run_check(link: Link, tests: Record, budget: Budget, report: Callable[[Record], None]) -> None:
    """HumanEval's form: code that defines ``check(candidate)``, called with the entry point.

    Without an entry point the code itself is the test. One record per assert statement that was
    reached; one more, failed, if the test did not come to its end.
    """
    places = Places(link, budget)
    known = _prelude(tests, report)
    if known is None:
        return
    for name in ("passed", "failed", "raised"):
        known[f"__whittle_{name}__"] = getattr(places, name)
    entry = str(tests.get("entry") or "")
    try:
        tree = uses.parse(tests["code"])
        known, asked = settle_names(link, [tree], known, entry)
    except (SyntaxError, ValueError, uses.Unusable) as problem:
        _report_unusable("the whole test", problem, report)
        return
    names = Names(link, known, asked)
    if entry:
        names[entry] = function(link, entry)
    link.writes_back = uses.changes_arguments(tree, uses.tested_roots(tree, entry, asked))
    finished, last = True, {"name": "the whole test", "passed": True, "reason": "", "message": ""}
    try:
        exec(instrument(tree, places.add), names)  # noqa: S102 - inside the sandbox
        if entry and callable(names.get("check")):
            names["check"](names[entry])
    except Stop:
        finished, last = False, last | {"passed": False, "reason": "time_limit"}
    except BaseException as problem:
        reason, message = explain(problem)
        if not link.requests and not isinstance(problem, CandidateFailed):
            reason = UNUSABLE
        finished, last = False, last | {"passed": False, "reason": reason, "message": message}
    _report_places(places, report, last, finished)


def _report_places(
    places: Places, report: Callable[[Record], None], last: Record, finished: bool
) -> None:
    reached = [record for record in places.records if record["passed"] is not None]
    for record in places.records:
        if record["passed"] is not None:
            report(record)
        elif not finished:
            report(record | {"passed": False, "reason": "not_run"})
    if not finished or not reached:
        report(last | {"passed": finished and places.link.requests > 0})


def run_statements(
    link: Link, tests: Record, budget: Budget, report: Callable[[Record], None]
) -> None:
    """MBPP's form: a list of pieces of code, each a test with a process of its own."""
    base = _prelude(tests, report)
    if base is None:
        return
    entry = str(tests.get("entry") or "")
    try:
        trees = [uses.parse(source) for source in tests["statements"]]
        base, asked = settle_names(link, trees, base, entry)
        _require_tests(trees)
    except (SyntaxError, ValueError, uses.Unusable) as problem:
        _report_unusable("the tests", problem, report)
        return
    for number, tree in enumerate(trees):
        record: Record = {
            "name": f"test {number + 1}",
            "passed": False,
            "reason": "",
            "message": "",
        }
        before = link.requests
        started = time.monotonic()
        try:
            budget.check()
            link.writes_back = uses.changes_arguments(tree, uses.tested_roots(tree, entry, asked))
            exec(compile(tree, "<tests>", "exec"), Names(link, base, asked))  # noqa: S102
            failure = link.failure
            record["passed"] = failure is None and link.requests > before
            record["reason"] = failure.reason if failure else ""
        except Stop:
            record["reason"] = "not_run"
        except BaseException as problem:
            record["reason"], record["message"] = explain(problem)
        budget.note(record["reason"])
        link.failure = None
        cost = link.finish()
        record |= {"wall": time.monotonic() - started, **_cost(cost)}
        report(record)


def _require_tests(trees: list[Any]) -> None:
    """Unusable where a piece neither asserts nor calls anything: words, not a test."""
    for number, tree in enumerate(trees):
        if not any(isinstance(n, _ast.Assert | _ast.Call | _ast.Raise) for n in uses.walk(tree)):
            raise uses.Unusable(f"test {number + 1} asserts nothing")


def _report_unusable(name: str, problem: BaseException, report: Callable[[Record], None]) -> None:
    message = f"{type(problem).__name__}: {problem}"[:MAX_MESSAGE]
    report({"name": name, "passed": False, "reason": UNUSABLE, "message": message})


def _cost(ended: Record) -> Record:
    told = ("cpu", "memory", "lines", "changed_arguments")
    return {name: ended[name] for name in told if ended.get(name) is not None}


def _prelude(tests: Record, report: Callable[[Record], None]) -> Record | None:
    """The names that the problem's own text and set-up code give to its tests."""
    names: Record = {"__name__": "tests"}
    try:
        for source in tests.get("setup") or ():
            exec(compile(source, "<setup>", "exec"), names)  # noqa: S102 - inside the sandbox
    except BaseException as problem:
        _report_unusable("set-up", problem, report)
        return None
    return names
