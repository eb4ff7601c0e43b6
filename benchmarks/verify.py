"""Maths verification beside plain math-verify: speed and agreement on the same pairs in one run.

Input: the SkyThought evaluation files under ``$WHITTLE_REAL_DATA/skythought`` (each row a
response and a reference). The columns in which upstream judged (``score``, ``pred``, ``report``)
are taken out of the input first; ``score`` is only looked at afterwards.

- *plain math-verify*: one process, ``verify(parse(reference), parse(response))`` with the
  library's own timeouts, as its documentation shows; once over the whole response and once over
  its last 2,000 characters (faster, and kinder to looping traces).
- *ours*: the ``math`` verifier in this process, and over the service's socket with its pool. Both
  start with empty caches.

- *code*: see ``benchmarks/verify_code.py``, measured in the same run.

The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import verify_code
from curation.verifiers import VERIFIERS, verify
from curation.verifiers.math import MathVerifier
from tests.verifier import running_service

JUDGED = ("score", "pred", "report")
TAIL = 2_000


@dataclass(frozen=True)
class Pair:
    """One response with its reference, and apart from them what upstream said."""

    name: str
    response: str
    reference: str
    upstream: bool


@dataclass
class Result:
    """What a way of judging said of each pair, and how long each took (seconds)."""

    label: str
    values: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    total: float = 0.0

    def agreement(self, pairs: list[Pair]) -> float:
        """Share of pairs whose correct / not correct is upstream's."""
        same = sum(
            (value == "correct") == pair.upstream
            for value, pair in zip(self.values, pairs, strict=True)
        )
        return same / len(pairs)


def load(folder: Path) -> list[Pair]:
    """All pairs; a name is file stem and problem number, so that it quotes no text."""
    pairs = []
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.open():
            row = json.loads(line)
            judged = {name: row.pop(name) for name in JUDGED}
            name = f"{path.name.rsplit('__', 1)[0]}#{row['idx']}"
            pairs += [
                Pair(name, text, str(row["gt"]), bool(judged["score"][number]))
                for number, text in enumerate(row["code"])
            ]
    return pairs


def timed(label: str, pairs: list[Pair], judge: Callable[[Pair], tuple[str, str]]) -> Result:
    """Judge one pair after another."""
    result = Result(label)
    for pair in pairs:
        started = time.perf_counter()
        value, note = judge(pair)
        result.times.append(time.perf_counter() - started)
        result.values.append(value)
        result.notes.append(note)
    result.total = sum(result.times)
    return result


def plain(tail: int | None) -> Callable[[Pair], tuple[str, str]]:
    """math-verify as its documentation shows it."""
    from math_verify import parse
    from math_verify import verify as library_verify

    def judge(pair: Pair) -> tuple[str, str]:
        text = pair.response[-tail:] if tail else pair.response
        found = parse(text)
        equal = library_verify(parse(f"${pair.reference}$"), found)
        return ("correct" if equal else "incorrect"), str(found[-1:])[:60]

    return judge


def ours(pair: Pair) -> tuple[str, str]:
    """Our verifier in this process."""
    verdict = verify("math", pair.response, pair.reference)
    return verdict.verdict, f"{verdict.reason or verdict.method}: {verdict.extracted}"


def served(label: str, pairs: list[Pair], client: object) -> Result:
    """Our verifier over the service's socket, in batches of 100."""
    result = Result(label)
    started = time.perf_counter()
    for at in range(0, len(pairs), 100):
        items = [
            {"kind": "math", "response": p.response, "reference": p.reference}
            for p in pairs[at : at + 100]
        ]
        for verdict in client.verify_batch(items):  # type: ignore[attr-defined]
            result.values.append(verdict.verdict)
            result.notes.append(f"{verdict.reason or verdict.method}: {verdict.extracted}")
    result.total = time.perf_counter() - started
    return result


def table(results: list[Result], pairs: list[Pair]) -> None:
    """One line for each way of judging."""
    print(f"\n{len(pairs)} pairs; agreement is with upstream's own score\n")
    print(f"{'':38}{'verdicts/s':>11}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'agreement':>11}")
    for result in results:
        times = sorted(result.times)
        shown = [""] * 3
        if times:
            points = (statistics.median(times), times[int(len(times) * 0.99)], times[-1])
            shown = [f"{1000 * value:.2f}" for value in points]
        rate = len(pairs) / result.total
        agreement = f"{result.agreement(pairs):.4f}"
        print(
            f"{result.label:38}{rate:>11.1f}"
            + "".join(f"{value:>9}" for value in shown)
            + f"{agreement:>11}"
        )


def disagreements(result: Result, pairs: list[Pair]) -> tuple[list[str], list[str]]:
    """(false positives, false negatives) against upstream, one line each, without any text."""
    positives, negatives = [], []
    for pair, value, note in zip(pairs, result.values, result.notes, strict=True):
        line = f"  {pair.name}: reference {pair.reference}, {value} ({note})"
        if value == "correct" and not pair.upstream:
            positives.append(line)
        if value != "correct" and pair.upstream:
            negatives.append(line)
    return positives, negatives


def report(result: Result, pairs: list[Pair]) -> None:
    """Print the disagreements of one way of judging."""
    positives, negatives = disagreements(result, pairs)
    print(f"\n{result.label}: {len(positives)} false positives, {len(negatives)} false negatives")
    for line in [*positives, *negatives]:
        print(line)


def main() -> int:
    """Run everything and print the tables; 0, or 2 without the data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, help="only so many pairs, evenly spread")
    options = parser.parse_args()
    data = os.environ.get("WHITTLE_REAL_DATA")
    if not data:
        print("WHITTLE_REAL_DATA is not set: nothing to measure", file=sys.stderr)
        return 2
    pairs = load(Path(data) / "skythought")
    if options.limit:
        pairs = pairs[:: max(1, len(pairs) // options.limit)]
    results = measure(pairs)
    table(results, pairs)
    for result in results[:3]:
        report(result, pairs)
    code, numbers = verify_code.run(60)
    verify_code.table(code, numbers)
    every = figures(results, pairs) | {f"code_{name}": value for name, value in numbers.items()}
    print()
    print(json.dumps({"name": "verify", "figures": every}))
    return 0


def measure(pairs: list[Pair]) -> list[Result]:
    """Every way of judging, one after the other on the same pairs."""
    verify("math", r"\boxed{x+1}", "1+x")  # start the pool: not part of any measurement
    VERIFIERS["math"] = MathVerifier()
    results = [
        timed("ours, this process", pairs, ours),
        timed("plain math-verify, whole response", pairs, plain(None)),
        timed("plain math-verify, last 2,000 chars", pairs, plain(TAIL)),
    ]
    with running_service() as running:
        running.client.verify("math", r"\boxed{x+1}", "1+x")
        results.append(served("ours, service, batches of 100", pairs, running.client))
    return results


def figures(results: list[Result], pairs: list[Pair]) -> dict[str, float | int]:
    """The numbers worth following over time."""
    mine, whole, tail, service = results
    positives, negatives = disagreements(mine, pairs)
    return {
        "pairs": len(pairs),
        "ours_per_s": round(len(pairs) / mine.total, 1),
        "ours_service_per_s": round(len(pairs) / service.total, 1),
        "plain_whole_per_s": round(len(pairs) / whole.total, 1),
        "plain_tail_per_s": round(len(pairs) / tail.total, 1),
        "ours_max_ms": round(1000 * max(mine.times), 1),
        "plain_whole_max_ms": round(1000 * max(whole.times), 1),
        "ours_agreement": round(mine.agreement(pairs), 4),
        "plain_whole_agreement": round(whole.agreement(pairs), 4),
        "plain_tail_agreement": round(tail.agreement(pairs), 4),
        "agreement_margin": round(mine.agreement(pairs) - whole.agreement(pairs), 4),
        "false_positives": len(positives),
        "false_negatives": len(negatives),
        "errors": mine.values.count("error"),
    }


if __name__ == "__main__":
    sys.exit(main())
