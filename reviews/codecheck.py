"""Python blocks of a trace, run in the sandbox: evidence beside the text, never a verdict.

Of a problem with tests each block is tried as a solution; of any other it is run as a program
without input, and what it prints is told. The verifier service does the running, so a block that
hangs or harms stops nothing, and where there is no sandbox the chip says that it cannot be checked.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.core.cache import cache

from curation.models import Problem
from curation.sandbox.client import VerifierClient
from curation.verifiers.base import Verdict
from reviews.markup import CLOSE, FENCE

MOST = 12  # blocks of a trace that are run; each takes a sandbox of its own
MAX_CHARS = 20_000  # of a block
SECONDS = 2  # of processor time; the service allows twice that and two more on the clock
KEPT = 24 * 3600  # seconds that a result is remembered
PYTHON = {"python", "py", "python3"}
NOTHING = "\x01"  # an output that no program means: what it prints instead is what is told
SHOWN = 80


def code_checks(text: str, problem: Problem, solving: bool = True) -> list[dict[str, Any]]:
    """[{"start", "end", "state": "holds"|"differs"|"unchecked", "text"}], one a block, in order.

    ``solving`` is false while verdicts are hidden: then blocks are run, but not tried on the tests.
    """
    blocks = blocks_of(text)
    run, rest = blocks[:MOST], blocks[MOST:]
    tests = problem.tests if solving and problem.kind == "code" else None
    told = results([code for *_, code in run], problem, tests)
    found = [
        {"start": start, "end": end} | result
        for (start, end, _), result in zip(run, told, strict=True)
    ]
    late = f"not run: only the first {MOST} blocks are"
    return found + [{"start": a, "end": b, **said("unchecked", late)} for a, b, _ in rest]


def blocks_of(text: str) -> list[tuple[int, int, str]]:
    """(start, end, code) of each fenced Python block that is closed."""
    found = []
    for opening in FENCE.finditer(text):
        if opening["lang"].lower() not in PYTHON:
            continue
        close = CLOSE.search(text, opening.end())
        if close is not None and text[opening.end() : close.start()].strip():
            found.append((opening.start(), close.end(), text[opening.end() : close.start()]))
    return found


def results(blocks: list[str], problem: Problem, tests: Any) -> list[dict[str, str]]:
    """What running each block said; remembered, since a trace is opened again and again."""
    told = hashlib.sha256(json.dumps([tests, problem.text], sort_keys=True).encode()).hexdigest()
    keys = [f"code:{told}:{hashlib.sha256(b.encode()).hexdigest()}" for b in blocks]
    known: dict[str, dict[str, str]] = cache.get_many(keys)
    new = {key: block for key, block in zip(keys, blocks, strict=True) if key not in known}
    for key, verdict in zip(new, verdicts_of(list(new.values()), problem, tests), strict=True):
        known[key] = told_of(verdict, bool(tests))
        if verdict.verdict != "error":
            cache.set(key, known[key], KEPT)
    return [known[key] for key in keys]


def verdicts_of(blocks: list[str], problem: Problem, tests: Any) -> list[Verdict]:
    if not blocks:
        return []
    with VerifierClient(attempts=1, timeout=60) as client:
        return client.verify_batch([item(b, problem, tests) for b in blocks])


def item(block: str, problem: Problem, tests: Any) -> dict[str, Any]:
    alone = {"inputs": [""], "outputs": [NOTHING], "limits": {"seconds": SECONDS}}
    return {
        "kind": "code",
        "response": f"```python\n{block[:MAX_CHARS]}\n```",
        "reference": problem.reference_solution if tests else None,
        "options": {"tests": tests, "prompt": problem.text} if tests else {"tests": alone},
    }


def told_of(verdict: Verdict, solving: bool) -> dict[str, str]:
    """State and words of a chip. A fault of ours says nothing about the block."""
    if verdict.verdict not in ("correct", "incorrect"):
        return said("unchecked", f"cannot be checked: {verdict.reason.replace('_', ' ')}")
    detail = verdict.detail or {}
    if solving:
        share = f"{detail.get('passed', 0)} of {detail.get('total', '?')} tests"
        good = verdict.verdict == "correct"
        why = f", {verdict.reason.replace('_', ' ')}" if verdict.reason else ""
        return said("holds" if good else "differs", f"passes {share}{why}")
    record: dict[str, Any] = next(iter(detail.get("tests") or []), {})
    if "got" in record:
        printed = str(record["got"]).strip()
        return said("holds", f"runs, prints {shorten(printed)}" if printed else "runs")
    message = str(record.get("stderr") or detail.get("message") or verdict.reason).strip()
    last = message.splitlines()[-1] if message else "no answer"
    return said("differs", f"fails: {shorten(last.replace('_', ' '))}")


def shorten(words: str) -> str:
    line = " ⏎ ".join(words.splitlines())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"


def said(state: str, words: str) -> dict[str, str]:
    return {"state": state, "text": f"Python: {words}"}
