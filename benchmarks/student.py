"""Does a student learn from verified traces, and only from them?

A weak early copy of the demo teacher (the student's start) is fine-tuned on traces that the demo
teacher wrote and that were verified as correct; a control is fine-tuned on the same traces, each
given to another problem. Both are measured against their start on held-back problems, which share
no text and no operand with anything that was trained on.

    python benchmarks/student.py [--problems 1200] [--held-back 200] [--seeds 3]

Prints a table; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

from workers.demo_teacher.problems import Problem, make_problems
from workers.trainer.config import parse_config
from workers.trainer.evaluate import HeldBack, evaluate, judge_locally, local_sampler, wilson
from workers.trainer.models import resolve_model
from workers.trainer.sampling import Sampling
from workers.trainer.train import train_sft

BOOTSTRAPS = 10_000
Row = dict[str, Any]
Scores = list[float]  # per held-back problem: share of its samples that were correct


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=1200, help="asked of the teacher")
    parser.add_argument("--samples", type=int, default=1, help="traces per problem")
    parser.add_argument("--held-back", type=int, default=200)
    parser.add_argument("--held-back-samples", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=float, default=4)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    return parser.parse_args()


def verified_rows(n: int, samples: int) -> tuple[list[Row], float]:
    """(SFT rows: the teacher's first correct trace of each problem, the teacher's pass rate)."""
    problems = [HeldBack("", p.text, str(p.answer)) for p in make_problems(n, 11)]
    sampler = local_sampler(resolve_model("demo-teacher"))
    result = evaluate(sampler, problems, Sampling(n=samples, seed=1), judge_locally)
    first: dict[str, str] = {}
    for row in result["results"]:
        if row["verdict"] == "correct":
            first.setdefault(row["text"], row["response"])
    return [sft_row(text, response) for text, response in first.items()], result["pass_rate"]


def sft_row(problem: str, response: str) -> Row:
    messages = (("user", problem), ("assistant", response))
    return {"messages": [{"role": role, "content": content} for role, content in messages]}


def shuffled(rows: Sequence[Row], seed: int) -> list[Row]:
    """Each problem with the response of another one."""
    order = list(range(len(rows)))
    random.Random(seed).shuffle(order)
    taken = {order[at]: order[at - 1] for at in range(len(order))}
    return [
        sft_row(row["messages"][0]["content"], rows[taken[at]]["messages"][1]["content"])
        for at, row in enumerate(rows)
    ]


def measure(model: str, problems: Sequence[HeldBack], samples: int, seed: int) -> Scores:
    """Per problem, the share of its samples that were correct."""
    result = evaluate(local_sampler(model), problems, Sampling(n=samples, seed=seed))
    right = [row["verdict"] == "correct" for row in result["results"]]
    return [sum(right[at : at + samples]) / samples for at in range(0, len(right), samples)]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def gain_interval(after: Sequence[Scores], before: Scores) -> tuple[float, float]:
    """95 % interval of the mean gain: bootstrap over problems and, within each draw, over seeds."""
    rng = random.Random(0)
    n, gains = len(before), []
    for _ in range(BOOTSTRAPS):
        seeds = rng.choices(after, k=len(after))
        drawn = rng.choices(range(n), k=n)
        gains.append(sum(mean([s[at] for s in seeds]) - before[at] for at in drawn) / n)
    gains.sort()
    return gains[int(0.025 * BOOTSTRAPS)], gains[int(0.975 * BOOTSTRAPS)]


def check_disjoint(rows: Sequence[Row], held: Sequence[Problem]) -> None:
    texts = {row["messages"][0]["content"] for row in rows}
    trained = {o for p in make_problems(20_000, 11) if p.text in texts for o in p.operands}
    assert not texts & {p.text for p in held}
    assert not trained & {o for p in held for o in p.operands}


def show(name: str, scores: Scores, samples: int, note: str = "") -> None:
    total = len(scores) * samples
    low, high = wilson(round(mean(scores) * total), total)
    print(f"{name:<28}{mean(scores):>8.1%}   {low:.1%} – {high:.1%}   {note}", flush=True)


def settings(args: argparse.Namespace) -> Row:
    """What every training of the run shares; no checkpoints."""
    return {"epochs": args.epochs, "learning_rate": args.learning_rate, "save_steps": 100_000}


def main() -> None:
    import torch

    args, started = arguments(), time.monotonic()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    made = list(make_problems(args.held_back, 21, "held-back"))
    held = [HeldBack("", p.text, str(p.answer)) for p in made]
    rows, teacher_rate = verified_rows(args.problems, args.samples)
    check_disjoint(rows, made)
    print(f"{len(rows)} verified traces; the teacher was right on {teacher_rate:.1%} of its own\n")
    print(f"{'held-back problems':<28}{'correct':>8}   95 % interval")
    samples, start_model = args.held_back_samples, resolve_model("demo-student-start")
    start = measure(start_model, held, samples, seed=100)
    show("start", start, samples)
    teacher = measure(resolve_model("demo-teacher"), held, samples, seed=100)
    show("teacher", teacher, samples)
    arms: dict[str, list[Scores]] = {"student": [], "control": []}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(args.seeds):
            for arm, data in (("student", rows), ("control", shuffled(rows, seed))):
                config = parse_config(settings(args) | {"seed": seed})
                out = Path(folder) / f"{arm}{seed}"
                done = train_sft(data, start_model, out, config, on_metric=lambda *point: None)
                scores = measure(str(done.model), held, samples, seed=101 + seed)
                arms[arm].append(scores)
                show(f"{arm}, seed {seed}", scores, samples, f"{done.seconds:.0f} s of training")
    report(args, (start, teacher, arms), len(rows), time.monotonic() - started)


def report(
    args: argparse.Namespace,
    measured: tuple[Scores, Scores, dict[str, list[Scores]]],
    rows: int,
    seconds: float,
) -> None:
    start, teacher, arms = measured
    figures: dict[str, Any] = {
        "rows": rows,
        "held_back": args.held_back,
        "samples": args.held_back_samples,
        "seeds": args.seeds,
        "epochs": args.epochs,
        "learning_rate": args.learning_rate,
        "start": round(mean(start), 4),
        "teacher": round(mean(teacher), 4),
        "seconds": round(seconds),
    }
    print()
    for arm, scores in arms.items():
        low, high = gain_interval(scores, start)
        rate = mean([mean(s) for s in scores])
        print(f"{arm}: gain {rate - mean(start):+.1%}, 95 % interval {low:+.1%} to {high:+.1%}")
        figures[arm] = round(rate, 4)
        figures[f"{arm}_gain"] = [round(v, 4) for v in (rate - mean(start), low, high)]
    print(json.dumps({"name": "student", "figures": figures}))


if __name__ == "__main__":
    main()
