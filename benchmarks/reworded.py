"""Repeats by meaning: how many leaves vectors find beyond equal words and equations, what it costs.

    WHITTLE_REAL_DATA=FOLDER python -m benchmarks.reworded [--every 1] [--vectors minilm] [--show 0]

Over the correct, complete, tagged traces of ``skythought``. ``--show 30`` prints pairs drawn by a
seed, for reading by eye.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.savings import STYLE, Real, traces
from curation.segmentation import apply_cuts, check_derived
from curation.segmentation.clusters import cluster_attempts, find_attempts
from curation.segmentation.equations import find_redone
from curation.segmentation.learned import encoder_of
from curation.segmentation.meaning import reworded_cuts, with_meaning

SEED = 7


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--skip", type=int, default=0, help="begin with this trace")
    parser.add_argument("--vectors", default="minilm")
    parser.add_argument("--show", type=int, default=0)
    options = parser.parse_args()
    folder = os.environ.get("WHITTLE_REAL_DATA")
    if not folder:
        raise SystemExit("set WHITTLE_REAL_DATA")
    right = [
        trace
        for trace in traces(Path(folder), 1)
        if trace.right and trace.analysis.split.closed and trace.analysis.split.style == STYLE
    ]
    figures = measured(right[options.skip :: options.every], options.vectors, options.show)
    print(json.dumps({"name": "reworded", "figures": figures}))


def measured(found: list[Real], vectors: str, show: int) -> dict[str, float]:
    embed = encoder_of(vectors)
    assert embed is not None
    counts = dict.fromkeys(
        ("leaves", "repeats", "redone", "reworded", "embedded", "cuts", "characters_cut",
         "broken", "joined_attempts", "attempts"), 0
    )  # fmt: skip
    pairs: list[tuple[str, str, float]] = []
    began = time.process_time()
    for trace in found:
        text, analysis = trace.text, trace.analysis

        def counting(bodies: list[str]) -> object:
            counts["embedded"] += len(bodies)
            return embed(bodies)

        better = with_meaning(analysis, counting)  # type: ignore[arg-type]
        said = better.evidence.reworded
        cuts = reworded_cuts(better)
        counts["leaves"] += len(analysis.segments)
        counts["repeats"] += len(analysis.repeats)
        counts["redone"] += len(find_redone(text, analysis.segments, analysis.repeats))
        counts["reworded"] += len(said)
        counts["cuts"] += len(cuts)
        counts["characters_cut"] += sum(cut.end - cut.start for cut in cuts)
        if cuts:
            problems = check_derived(text, apply_cuts(text, cuts), trace.reference)
            counts["broken"] += bool(problems)
        attempts = find_attempts(analysis.segments, analysis.answers)
        counts["attempts"] += len(attempts)
        plain = cluster_attempts(text, attempts)
        counts["joined_attempts"] += len(plain) - len(better.evidence.clusters or ())
        for leaf, first, cosine in said:
            one, other = analysis.segments[first], analysis.segments[leaf]
            pairs.append((text[one.start : one.end], text[other.start : other.end], cosine))
    random.Random(SEED).shuffle(pairs)
    for earlier, later, cosine in pairs[:show]:
        print(f"{cosine:.3f}\n  {earlier.strip()[:240]!r}\n  {later.strip()[:240]!r}")
    size = sum(len(trace.text) for trace in found)
    seconds = time.process_time() - began
    return counts | {"traces": len(found), "seconds_per_mb": round(seconds / size * 1e6, 1)}


if __name__ == "__main__":
    main()
