"""Code: the program of a response, run with the problem's tests in the sandbox.

``correct`` only if every test passed; the score is the share that did. What the candidate is to
blame for is ``incorrect`` with a reason; what we are to blame for is ``error``, after one more
try. See docs/code_verification.md.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from curation.sandbox import execution, selftest
from curation.sandbox.bwrap import MIB, SandboxLimits, SandboxUnavailable
from curation.sandbox.execution import Job, Run
from curation.sandbox.identity import identity

from .base import Verdict, error, incorrect, unverifiable
from .codeextract import Code, extract_code, variants
from .codejudge import Result, judge
from .codetests import BadTests, CodeTests, parse_tests, preload
from .deadline import is_over, remaining, shorter_of

# Processor seconds per test, seconds for all tests of a candidate.
SECONDS = 5
MEMORY_MB = 1024
TOTAL_SECONDS = 60.0
# How long a candidate waits for its turn.
SLOT_SECONDS = 600.0
SHOWN_CODE = 20_000
# Faults of ours: tried once more, then an error. A sandbox that could not start while the self-test
# still holds is one too.
OURS = ("sandbox_fault", "sandbox_unavailable", "timeout", "overloaded")


class CodeVerifier:
    """Runs the program of a response with the tests of its problem.

    Options: ``tests`` (see :func:`curation.verifiers.codetests.parse_tests`), ``prompt`` (the
    problem's text, which completions continue), ``finish_reason``, ``repeat`` (runs, 1 to 5: if
    they disagree the verdict is ``error`` with reason ``flaky``). The reference, if any, is the
    reference solution; it is not run, but says which packages the problem expects.
    """

    name = "code"
    version = "2"

    def check(self, response: str, reference: str | None, **options: Any) -> Verdict:
        """See :class:`curation.verifiers.base.Verifier`."""
        try:
            prompt = str(options.get("prompt") or "")
            tests = parse_tests(options.get("tests"), prompt=prompt, solution=reference or "")
        except BadTests as problem:
            return unverifiable(problem.reason, problem=problem.message)
        finish = str(options.get("finish_reason") or "")
        code = extract_code(response, entry=tests.entry, finish_reason=finish)
        if code.reason:
            return incorrect("extraction", code.reason)
        try:
            verdict = self._repeated(code, tests, int(options.get("repeat") or 1))
        except SandboxUnavailable as problem:
            verdict = error("sandbox_unavailable", problem=str(problem)[:500])
        except (OSError, ValueError, MemoryError) as problem:
            verdict = error("crashed", problem=f"{type(problem).__name__}: {problem}"[:500])
        return _with_code(verdict, code)

    def _repeated(self, code: Code, tests: CodeTests, times: int) -> Verdict:
        verdicts = [self._once(code, tests) for _ in range(min(5, max(1, times)))]
        if len({verdict.verdict for verdict in verdicts}) > 1:
            return _flaky(verdicts)
        return verdicts[0]

    def _once(self, code: Code, tests: CodeTests) -> Verdict:
        """One run; a second where the first ended by something that may have been ours."""
        result = _execute(code, tests)
        if is_over() or (not result.doubtful and result.fault not in OURS):
            return result.verdict
        again = _execute(code, tests)
        if again.fault or result.fault:
            return again.verdict
        if again.verdict.verdict != result.verdict.verdict:
            return _flaky([result.verdict, again.verdict])
        return again.verdict


def _execute(code: Code, tests: CodeTests) -> Result:
    """Run once in a sandbox of its own, when there is a place for it."""
    selftest.SHARED.require()
    program = tests.kind == "stdio"
    sources = variants(code, tests.prompt)
    job = Job(
        variants=sources,
        program=program,
        entry=tests.entry if tests.kind == "check" else "",
        coverage=tests.kind == "pytest",
        preload=preload(sources[0], *tests.sources) if not program else preload(sources[0]),
    )
    limits = _limits(tests)
    if not execution.slots().acquire(timeout=shorter_of(SLOT_SECONDS)):
        return Result(error("overloaded"), "overloaded")
    try:
        run = execution.run(job, tests.inside, limits, _within(TOTAL_SECONDS))
    finally:
        execution.slots().release()
    _refuse_if_gone(run)
    result = judge(run, tests)
    facts = {"cpu_seconds": limits.cpu, "wall_seconds": limits.wall, "memory": limits.memory}
    detail = result.verdict.detail | {"limits": facts, "sandbox": identity()}
    return dataclasses.replace(
        result, verdict=dataclasses.replace(result.verdict, detail=detail | {"wall": run.wall})
    )


def _limits(tests: CodeTests) -> SandboxLimits:
    cpu = tests.seconds or SECONDS
    memory = (tests.megabytes or MEMORY_MB) * MIB
    return SandboxLimits(cpu=cpu, wall=_within(2.0 * cpu + 2), memory=memory)


def _within(seconds: float) -> float:
    """At most half of what is left of a deadline: after the time for all tests, one may still run.

    Without a deadline, ``seconds``.
    """
    left = remaining()
    return seconds if left is None else max(1.0, min(seconds, left / 2))


def _refuse_if_gone(run: Run) -> None:
    """The sandbox could not even start: look again whether it holds here at all."""
    if run.fault == "sandbox_unavailable":
        selftest.SHARED.run()
        selftest.SHARED.require()


def _flaky(verdicts: list[Verdict]) -> Verdict:
    runs = [{"verdict": v.verdict, "reason": v.reason, "score": v.score} for v in verdicts]
    return error("flaky", method="tests", runs=runs)


def _with_code(verdict: Verdict, code: Code) -> Verdict:
    where = {"start": code.start, "end": code.end, "fenced": code.fenced, "chars": len(code.text)}
    return dataclasses.replace(
        verdict,
        extracted=code.text[:SHOWN_CODE],
        detail=verdict.detail | {"code": where},
    )
