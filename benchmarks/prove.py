"""Proof by continuation with the demo teacher as the judge, in this process.

    python benchmarks/prove.py [--traces 1000] [--samples 7] [--seed 3]

The teacher checks its lines only behind the answer, where a prefix that ends before the answer has
nothing to cut. So it is given the first line of its own trace and the hint "Wait, let me check: ",
and goes on by itself. Of what comes out right, the policy ``repeats`` cuts the check. Four prefixes
of each trace are continued: the original, the pruned, one with as much cut at random, and none.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from curation.segmentation import analyse
from curation.segmentation.prefixes import ARMS, Prefix, arms_of, compare
from curation.teachers.continuing import DEMO_FORMAT, written_out
from workers.demo_teacher.problems import Problem, make_problems

MODEL = Path(__file__).resolve().parent.parent / "workers" / "demo_teacher" / "model"
HINT = "\n\nWait, let me check: "
_LINE = re.compile(r"\d+ [+-] \d+: ")
_BOX = re.compile(r"\\boxed\{(-?\d+)\}")


class Teacher:
    """Samples of the demo teacher in batches."""

    def __init__(self, seed: int, batch: int = 256) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.manual_seed(seed)
        self.torch, self.batch = torch, batch
        self.tokenizer: Any = AutoTokenizer.from_pretrained(str(MODEL))
        self.tokenizer.padding_side = "left"
        self.model: Any = AutoModelForCausalLM.from_pretrained(str(MODEL)).eval()

    def __call__(self, problems: Sequence[Problem], prefixes: Sequence[str]) -> list[str]:
        """Whole texts: each prefix with its continuation."""
        prompts = [
            written_out(DEMO_FORMAT, problem.text, prefix)
            for problem, prefix in zip(problems, prefixes, strict=True)
        ]
        found: list[str] = []
        for at in range(0, len(prompts), self.batch):
            found += self._continued(prompts[at : at + self.batch])
        return [prefix + text for prefix, text in zip(prefixes, found, strict=True)]

    def _continued(self, prompts: list[str]) -> list[str]:
        given = self.tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        with self.torch.no_grad():
            out = self.model.generate(
                **given,
                max_new_tokens=300,
                do_sample=True,
                temperature=0.8,
                top_k=0,
                pad_token_id=self.tokenizer.pad_token_id,
            )
        new = out[:, given["input_ids"].shape[1] :]
        texts: list[str] = self.tokenizer.batch_decode(new, skip_special_tokens=True)
        return texts


def is_right(text: str, problem: Problem) -> bool:
    boxes = _BOX.findall(text)
    return bool(boxes) and int(boxes[-1]) == problem.answer


def hinted(text: str) -> str | None:
    """A trace up to its first line of working, with the hint; None where it has one line only."""
    parts = text.split("\n\n")
    lines = [index for index, part in enumerate(parts) if _LINE.match(part)]
    return "\n\n".join(parts[: lines[0] + 1]) + HINT if len(lines) > 1 else None


def subjects(teacher: Teacher, count: int, seed: int) -> list[tuple[Problem, dict[str, Prefix]]]:
    """Right traces in which the policy cuts something before the answer, with their prefixes."""
    problems = list(make_problems(count, seed))
    starts = [
        (problem, start)
        for problem, text in zip(problems, teacher(problems, [""] * count), strict=True)
        if is_right(text, problem) and (start := hinted(text))
    ]
    texts = teacher([problem for problem, _ in starts], [start for _, start in starts])
    found = []
    for number, ((problem, _), text) in enumerate(zip(starts, texts, strict=True)):
        if is_right(text, problem):
            arms = arms_of(analyse(text, str(problem.answer)), "repeats", number)
            found += [(problem, arms)] if arms else []
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=7)
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    teacher = Teacher(options.seed)
    chosen = subjects(teacher, options.traces, options.seed)
    print(f"{len(chosen)} traces with a cut before the answer")
    results: dict[int, dict[str, tuple[int, int]]] = defaultdict(dict)
    k = options.samples
    for arm in ARMS:
        asked = [(problem, arms[arm].text) for problem, arms in chosen for _ in range(k)]
        texts = teacher([problem for problem, _ in asked], [prefix for _, prefix in asked])
        for number, (problem, _) in enumerate(chosen):
            mine = texts[number * k : (number + 1) * k]
            results[number][arm] = (sum(is_right(text, problem) for text in mine), k)
    figures: dict[str, float] = {"traces": len(chosen)}
    print(f"{'arm':<10} {'n':>5} {'pass rate':>9} {'difference':>11}  95 %")
    for row in compare(results):
        print(
            f"{row.arm:<10} {row.n:>5} {row.rate:>9.3f} {row.difference:>+11.3f}"
            f"  {row.low:+.3f} to {row.high:+.3f}"
        )
        figures |= {f"{row.arm}_rate": round(row.rate, 4), f"{row.arm}_low": round(row.low, 4)}
    print(json.dumps({"name": "prove", "figures": figures}))


if __name__ == "__main__":
    main()
