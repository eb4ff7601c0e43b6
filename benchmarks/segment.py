"""Segmentation in MB/s beside a plain regex split of the same text, in one run.

    python benchmarks/segment.py [--megabytes 4] [--repeat 3]

The text is made here: traces of distinct paragraphs (nothing for a cache to remember), with
formulas, checks, answers and the odd loop. ``WHITTLE_REAL_DATA`` adds the real traces found
there. The plain split is ``re.split`` at blank lines, then at sentence ends: it gives pieces and
nothing else. Times are processor time of this process; each figure is the best of the repeats.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from curation.segmentation import analyse, cuts_of
from curation.segmentation.leaves import split_leaves
from curation.segmentation.tags import find_tags

Trace = tuple[str, str]
_BLANK = re.compile(r"\n\s*\n")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
SHAPES = (
    "First, I need to look at case {n} and see what the remainder of {a} is.",
    "So {a} · {b} = {c}, and the next term is \\({a}x^2 + {b}x = {n}\\).",
    "\\[\n{a} + {b} = {n} \\implies x = \\frac{{{a}}}{{{b}}}\n\\]",
    "Wait, let me check that line again: {a} + {b} is {n}, which matches line {b}.",
    "Alternatively, take the {n}th number, which is {c}. It may be easier. But {a} stays as it is.",
    "Therefore, the value of f({n}) is {c}.",
    "I remember that {a} and {b} are coprime, so their product has {n} divisors.",
)


def made_trace(rng: random.Random, size: int) -> Trace:
    """A trace of about ``size`` characters that states its answer near the end."""
    lines = ["<think>\nI need to find the value of g."]
    length = 0
    while length < size:
        n, a, b = (rng.randrange(10, 10**6) for _ in range(3))
        lines.append(rng.choice(SHAPES).format(n=n, a=a, b=b, c=a * b))
        length += len(lines[-1]) + 2
    answer = str(rng.randrange(100, 1000))
    lines += [f"So the answer is {answer}.", "Let me verify this once more.\n</think>"]
    return "\n\n".join([*lines, f"\\boxed{{{answer}}}"]), answer


def real_traces(folder: str | None) -> list[Trace]:
    found: list[Trace] = []
    for path in sorted(Path(folder).glob("skythought/*.jsonl")) if folder else []:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            found += [(text, str(row["gt"])) for text in row["code"]]
    return found


def plain_split(text: str, _: str) -> int:
    return sum(len(_SENTENCE.split(paragraph)) for paragraph in _BLANK.split(text))


def leaves_only(text: str, _: str) -> int:
    return len(split_leaves(text, find_tags(text).tags))


def everything(text: str, reference: str) -> int:
    """Leaves, kinds, paths, answers checked against the reference, repeats, loop, two policies."""
    analysis = analyse(text, reference)
    for policy in ("after-first-correct", "loops"):
        cuts_of(analysis, policy)
    return len(analysis.segments)


def rate(work: Callable[[str, str], int], traces: list[Trace], repeat: int) -> tuple[float, int]:
    """(MB of UTF-8 per second of processor time, pieces)."""
    megabytes = sum(len(text.encode()) for text, _ in traces) / 1e6
    best, pieces = float("inf"), 0
    for _ in range(repeat):
        started = time.process_time()
        pieces = sum(work(text, reference) for text, reference in traces)
        best = min(best, time.process_time() - started)
    return megabytes / best, pieces


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=4)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    rng = random.Random(20)
    traces = [made_trace(rng, 40_000) for _ in range(round(options.megabytes * 25))]
    sets = {"made": traces}
    if real := real_traces(os.environ.get("WHITTLE_REAL_DATA")):
        sets["real"] = real
    everything("<think>a</think>the answer is 1", "1")  # loads the word lists
    figures: dict[str, float] = {}
    print(f"{'text':<6} {'what':<22} {'MB/s':>8} {'pieces':>9}")
    for name, chosen in sets.items():
        for label, work in (
            ("plain regex split", plain_split),
            ("leaves", leaves_only),
            ("everything", everything),
        ):
            speed, pieces = rate(work, chosen, options.repeat)
            print(f"{name:<6} {label:<22} {speed:8.2f} {pieces:9d}")
            figures[f"{name}_{label.replace(' ', '_')}_mb_s"] = round(speed, 2)
    print(json.dumps({"name": "segment", "figures": figures}))


if __name__ == "__main__":
    main()
