"""A pytest file, run by the real pytest in the runner's process.

The file is never written down: its module is made in memory, where the candidate cannot read it.
``import solution`` gives a module whose names live in the candidate's process.
"""

from __future__ import annotations

import os
import sys
import time

from . import uses
from .asserts import _cost, explain, settle_missing
from .link import Link
from .session import Budget, Stop

TYPE_CHECKING = False  # typing costs more to import than the runner itself
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .asserts import Record

# pytest wants to collect a file that is there; which one does not matter.
ANCHOR = f"{sys.prefix}/whittle-tree"


class Solution(type(sys)):  # type: ignore[misc]
    """The module that the tests import."""

    def __init__(self, name: str, link: Link) -> None:
        super().__init__(name)
        self.__dict__["_link"] = link

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.__dict__["_link"].named(name)


def run_pytest(link: Link, tests: Record, budget: Budget, report: Callable[[Record], None]) -> None:
    """Run every test of the file; one record for each."""
    sys.path.append(tests["packages"])
    import pytest

    for name in tests["modules"]:
        sys.modules[name] = Solution(name, link)
    plugin = Plugin(link, tests, budget, report)
    folder = os.path.dirname(ANCHOR)
    arguments = [ANCHOR, "--rootdir", folder, "-c", "/dev/null", "--noconftest"]
    arguments += ["-p", "no:cacheprovider", "-p", "no:faulthandler", "-p", "no:terminal"]
    arguments += ["--assert=plain", "--import-mode=importlib"]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    ended = pytest.main(arguments, plugins=[plugin])
    if plugin.collected is None:
        plugin.trouble["message"] = plugin.trouble["message"] or f"pytest ended with {ended}"
        report({"name": "collection", "passed": False, **plugin.trouble})


class Plugin:
    """Gives pytest the module, and takes down what became of each test."""

    def __init__(
        self, link: Link, tests: Record, budget: Budget, report: Callable[[Record], None]
    ) -> None:
        self.link = link
        self.source = tests["code"]
        self.modules = tests["modules"]
        # Test function -> whether it is about an argument changed in place.
        self.changing: dict[str, bool] = {}
        self.budget = budget
        self.report = report
        self.collected: int | None = None
        self.shared = False
        self.trouble: Record = {"reason": "tests_failed_to_load", "message": ""}

    def pytest_collect_file(self, file_path: Any, parent: Any) -> Any:
        """Our module in place of the anchor."""
        if str(file_path) != ANCHOR:
            return None
        import pytest

        plugin = self

        class Memory(pytest.Module):
            def _getobj(self) -> Any:
                return plugin.module()

        return Memory.from_parent(parent, path=file_path)

    def module(self) -> Any:
        """The tests' module, executed; what it raises is why there are no tests."""
        module: Any = type(sys)("test_solution")
        module.__file__ = "test_solution.py"
        sys.modules["test_solution"] = module
        try:
            tree = uses.parse(self.source, "test_solution.py")
            self._read(tree, module.__dict__)
            exec(compile(tree, "test_solution.py", "exec"), module.__dict__)  # noqa: S102
        except BaseException as problem:
            reason, message = explain(problem)
            ours = isinstance(problem, SyntaxError | ImportError | uses.Unusable)
            ours = ours and not self.link.requests
            reason = "tests_failed_to_load" if ours else reason
            self.trouble = {"reason": reason, "message": message}
            if isinstance(problem, Exception):
                raise
            raise RuntimeError(message) from None
        return module

    def _read(self, tree: Any, names: Record) -> None:
        """What the text itself settles, before any of it runs."""
        if uses.imports_everything(tree, self.modules):
            raise uses.Unusable("the tests import * from the solution; name what they use")
        settle_missing(tree, names)
        self.link.classes = uses.classes([tree])
        self.link.expects_stop = uses.loads([tree], "StopIteration")
        roots = uses.imported_names(tree, self.modules) | uses.fixtures_of(tree)
        for node in uses.functions(tree):
            self.changing[node.name] = uses.changes_arguments(node, roots)

    def pytest_collection_finish(self, session: Any) -> None:
        """Tests that share objects share a process; the others get one each."""
        if session.items:
            self.collected = len(session.items)
        wide = any(
            definition.scope != "function" and definition.baseid
            for item in session.items
            for definitions in item._fixtureinfo.name2fixturedefs.values()
            for definition in definitions
        )
        self.shared = wide or self.link.holds_objects

    def pytest_runtest_protocol(self, item: Any, nextitem: Any) -> bool:
        """One test, in a process of its own where possible."""
        from _pytest.runner import runtestprotocol

        before, started = self.link.requests, time.monotonic()
        record: Record = {"name": item.name[:200], "passed": False, "reason": "", "message": ""}
        try:
            self.budget.check()
            self.link.writes_back = self.changing.get(getattr(item, "originalname", ""), True)
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
            self._judge(record, reports, self.link.requests > before or self.shared)
        except Stop:
            record["reason"] = "not_run"
        self.budget.note(record["reason"])
        self.link.failure = None
        if not self.shared or nextitem is None:
            record |= _cost(self.link.finish())
        self.report(record | {"wall": time.monotonic() - started})
        return True

    def _judge(self, record: Record, reports: list[Any], asked: bool) -> None:
        """Passed only by a passed call, a clean set-up and tear-down, and no broken rule."""
        failure = self.link.failure
        skipped = next((r for r in reports if r.skipped), None)
        if failure is not None:
            record.update(reason=failure.reason, message=failure.message)
        elif skipped is not None and skipped.when == "setup" and not asked:
            record["skipped"] = True
        elif all(r.passed for r in reports) and any(r.when == "call" for r in reports):
            record["passed"] = asked
        else:
            bad = next((r for r in reports if not r.passed), None)
            text = str(bad.longrepr) if bad is not None else ""
            lines = text.strip().splitlines()
            record.update(reason=_reason(lines), message="\n".join(lines[-3:])[:500])


def _reason(lines: list[str]) -> str:
    return "wrong_result" if any("AssertionError" in line for line in lines) else "runtime_error"
