"""Proof by continuation with a model of the demo as the judge, in this process.

    python -m benchmarks.prove [--judge teacher|student] [--problems 3600] [--samples 2]
        [--seed 13] [--after 1] [--out FILE]

The teacher checks its lines only behind the answer, where a prefix that ends before the answer has
nothing to cut. So it is given the first line of its own trace and the hint "Wait, let me check: ",
and goes on by itself. Of what comes out right, the policy ``repeats`` cuts the check.
Prefixes of each trace are continued: the original, the pruned, two with as much cut at random, and
none. The judge is the teacher, or the weak student that the demo starts from (the teacher at 40 %
of its training).

What was sampled is kept in ``WHITTLE_HOME/bench``, so a killed run goes on. The seed and the texts
decide what is sampled, so an old checkpoint changes no figure.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from curation import paths
from curation.segmentation import analyse
from curation.segmentation.prefixes import ARMS, ORIGINAL, PRUNED, Prefix, arms_of, compare, span_of
from curation.teachers.continuing import DEMO_FORMAT, written_out
from workers.demo_teacher.problems import Problem, make_problems

MODELS = Path(__file__).resolve().parent.parent / "workers" / "demo_teacher"
JUDGES = {"teacher": MODELS / "model", "student": MODELS / "student_start"}
HINT = "\n\nWait, let me check: "
SPAN = "random span"
BATCH, NEW_TOKENS, TEMPERATURE = 256, 300, 0.8
# A batch is made smaller when so much of it has ended.
SHRINK = 0.8
_LINE = re.compile(r"\d+ [+-] \d+: ")
_BOX = re.compile(r"\\boxed\{(-?\d+)\}")


class Checkpoint:
    """Texts of finished batches by a hash of all they depend on, as JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: dict[str, list[str]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                if line.endswith("}"):  # the last one may have been cut by a kill
                    row = json.loads(line)
                    self.done[row["key"]] = row["texts"]

    def add(self, key: str, texts: list[str]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "texts": texts}) + "\n")


class Teacher:
    """Samples of a model of the demo in batches that shrink as their rows end."""

    def __init__(self, model: Path, seed: int, checkpoint: Checkpoint) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.torch, self.seed, self.checkpoint = torch, seed, checkpoint
        self.tokenizer: Any = AutoTokenizer.from_pretrained(str(model))
        self.tokenizer.padding_side = "left"
        self.model: Any = AutoModelForCausalLM.from_pretrained(str(model)).eval()
        weights = (model / "model.safetensors").read_bytes()
        self.identity = hashlib.sha256(weights).hexdigest()
        self.asked = self.kept = 0

    def __call__(self, problems: Sequence[Problem], prefixes: Sequence[str]) -> list[str]:
        """Whole texts: each prefix with its continuation."""
        prompts = [
            written_out(DEMO_FORMAT, problem.text, prefix)
            for problem, prefix in zip(problems, prefixes, strict=True)
        ]
        found: list[str] = []
        for at in range(0, len(prompts), BATCH):
            found += self._batch(at, prompts[at : at + BATCH])
        return [prefix + text for prefix, text in zip(prefixes, found, strict=True)]

    def _batch(self, at: int, prompts: list[str]) -> list[str]:
        given = [self.identity, self.seed, at, NEW_TOKENS, TEMPERATURE, prompts]
        key = hashlib.sha256(json.dumps(given).encode()).hexdigest()
        self.asked += len(prompts)
        if key in self.checkpoint.done:
            self.kept += len(prompts)
            return self.checkpoint.done[key]
        self.torch.manual_seed(int(key[:12], 16))
        started = time.monotonic()
        texts = self._continued(prompts)
        self.checkpoint.add(key, texts)
        print(f"{self.asked} samples, last {time.monotonic() - started:.1f} s", file=sys.stderr)
        return texts

    def _continued(self, prompts: list[str]) -> list[str]:
        """Rows that have ended leave the batch: half the time goes to the longest few otherwise."""
        new: list[list[int]] = [[] for _ in prompts]
        for row, token in self._sampled(prompts):
            new[row].append(token)
        texts: list[str] = self.tokenizer.batch_decode(new, skip_special_tokens=True)
        return texts

    def _sampled(self, prompts: list[str]) -> Iterator[tuple[int, int]]:
        """(row, token), one step of all rows after the other."""
        torch = self.torch
        given = self.tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        tokens, mask, cache = given["input_ids"], given["attention_mask"], None
        rows, end = torch.arange(len(prompts)), self.tokenizer.eos_token_id
        alive = torch.ones(len(prompts), dtype=torch.bool)
        for _ in range(NEW_TOKENS):
            with torch.inference_mode():
                out = self.model(
                    input_ids=tokens,
                    attention_mask=mask,
                    position_ids=(mask.cumsum(1) - 1).clamp(min=0)[:, -tokens.shape[1] :],
                    past_key_values=cache,
                    use_cache=True,
                )
                chances = torch.softmax(out.logits[:, -1] / TEMPERATURE, dim=-1)
            cache = out.past_key_values
            tokens = torch.multinomial(chances, 1)
            alive &= tokens[:, 0] != end
            yield from zip(rows[alive].tolist(), tokens[alive, 0].tolist(), strict=True)
            mask = torch.cat([mask, torch.ones_like(tokens)], dim=1)
            left = int(alive.sum())
            if not left:
                return
            if left < SHRINK * len(rows):
                index = alive.nonzero()[:, 0]
                cache.batch_select_indices(index)
                tokens, mask, rows, alive = tokens[index], mask[index], rows[index], alive[index]


def is_right(text: str, problem: Problem) -> bool:
    boxes = _BOX.findall(text)
    return bool(boxes) and int(boxes[-1]) == problem.answer


def hinted(text: str, after: int) -> str | None:
    """A trace up to so many lines of its working, with the hint; None where it has no more."""
    parts = text.split("\n\n")
    lines = [index for index, part in enumerate(parts) if _LINE.match(part)]
    return "\n\n".join(parts[: lines[after - 1] + 1]) + HINT if len(lines) > after else None


def subjects(
    teacher: Teacher, count: int, seed: int, after: int
) -> list[tuple[Problem, dict[str, Prefix]]]:
    """Right traces in which the policy cuts something before the answer, with their prefixes.

    Only sums that need more than ``after`` lines. The trace that gives the first lines need not be
    right: asking for that would choose problems by the arm ``empty``.
    """
    problems = [p for p in make_problems(count, seed) if len(p.terms) > after + 1]
    starts = [
        (problem, start)
        for problem, text in zip(problems, teacher(problems, [""] * len(problems)), strict=True)
        if (start := hinted(text, after))
    ]
    texts = teacher([problem for problem, _ in starts], [start for _, start in starts])
    found = []
    for number, ((problem, _), text) in enumerate(zip(starts, texts, strict=True)):
        if is_right(text, problem):
            analysis = analyse(text, str(problem.answer))
            if arms := arms_of(analysis, "repeats", number):
                found.append((problem, arms | {SPAN: span_of(analysis, "repeats", number)}))
    print(f"{len(problems)} problems, {len(starts)} hints, {len(found)} traces with a cut")
    return found


Results = dict[int, dict[str, tuple[int, int]]]


def continued(
    judge: Teacher, chosen: Sequence[tuple[Problem, dict[str, Prefix]]], k: int
) -> Results:
    """Trace -> arm -> (right, asked): ``k`` continuations of each prefix, all arms in one go."""
    asked = [
        (number, arm, problem, prefix.text)
        for number, (problem, arms) in enumerate(chosen)
        for arm, prefix in arms.items()
        for _ in range(k)
    ]
    texts = judge([row[2] for row in asked], [row[3] for row in asked])
    found: Results = defaultdict(lambda: defaultdict(lambda: (0, 0)))
    for (number, arm, problem, _), text in zip(asked, texts, strict=True):
        right, n = found[number][arm]
        found[number][arm] = (right + is_right(text, problem), n + 1)
    return found


def report(results: Results, seconds: float) -> dict[str, float]:
    """Print the table; the figures of the last line."""
    arms = (*ARMS, SPAN)
    figures: dict[str, float] = {"traces": len(results), "seconds": round(seconds)}
    pruned = {row.arm: row for row in compare(results, arms, PRUNED)}
    print(f"{'arm':<12} {'n':>5} {'rate':>6} {'to original':>12} 95 %               to pruned 95 %")
    for row in compare(results, arms, ORIGINAL):
        other, name = pruned[row.arm], row.arm.replace(" ", "_")
        print(
            f"{row.arm:<12} {row.n:>5} {row.rate:>6.3f} {row.difference:>+12.3f}"
            f" {row.low:+.3f} to {row.high:+.3f}  {other.difference:+.3f}"
            f" {other.low:+.3f} to {other.high:+.3f}"
        )
        figures |= {
            f"{name}_rate": round(row.rate, 4),
            f"{name}_low": round(row.low, 4),
            f"{name}_high": round(row.high, 4),
            f"{name}_to_pruned_high": round(other.high, 4),
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=3600)
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--after", type=int, default=1, help="lines before the hint")
    parser.add_argument("--judge", choices=tuple(JUDGES), default="teacher")
    parser.add_argument("--out", type=Path, help="write the prefixes and their results here")
    options = parser.parse_args()
    started = time.monotonic()
    checkpoint = Checkpoint(paths.home() / "bench" / "prove.jsonl")
    teacher = Teacher(JUDGES["teacher"], options.seed, checkpoint)
    judge = Teacher(JUDGES[options.judge], options.seed, checkpoint)
    chosen = subjects(teacher, options.problems, options.seed, options.after)
    results = continued(judge, chosen, options.samples)
    if options.out:
        rows = [
            {arm: [prefix.text, *results[n][arm]] for arm, prefix in arms.items()}
            for n, (_, arms) in enumerate(chosen)
        ]
        options.out.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    for model in (teacher, judge):
        if model.kept:
            print(f"{model.kept} of {model.asked} samples came from {checkpoint.path}")
    figures = report(results, time.monotonic() - started)
    print(json.dumps({"name": "prove", "figures": figures}))


if __name__ == "__main__":
    main()
