"""``python -m workers.demo_teacher``: train, serve and question the demo teacher."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODEL, STUDENT_START = HERE / "model", HERE / "student_start"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m workers.demo_teacher", description=__doc__)
    commands = made.add_subparsers(dest="command", required=True)

    train = commands.add_parser("train", help="train it again from nothing, in minutes on a CPU")
    train.add_argument("--out", type=Path, required=True, help="gets model/ and student_start/")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--examples", type=int, default=0, help="fewer for a quick try")

    problems = commands.add_parser("problems", help="write problems as JSON lines")
    problems.add_argument("--n", type=int, default=200)
    problems.add_argument("--seed", type=int, default=0)
    problems.add_argument("--split", choices=("train", "held-back"), default="train")
    problems.add_argument("--out", type=Path, default=None, help="a file; default: stdout")

    serve = commands.add_parser("serve", help="an OpenAI-compatible endpoint until SIGTERM")
    serve.add_argument("--port", type=int, required=True, help="0 takes a free one")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--model", type=Path, default=MODEL, help="folder of another small model")
    serve.add_argument("--name", default="demo-teacher", help="the model's name in requests")
    serve.add_argument("--port-file", type=Path, default=None, help="gets the port when ready")

    ask = commands.add_parser("ask", help="one answer, without a server")
    ask.add_argument("problem")
    ask.add_argument("--model", type=Path, default=MODEL)
    ask.add_argument("--temperature", type=float, default=0.8)
    ask.add_argument("--seed", type=int, default=0)
    return made


def train(args: argparse.Namespace) -> None:
    """Train teacher and student start into ``--out``; the last line is JSON with figures."""
    import dataclasses

    import torch

    from workers.demo_teacher.training import Plan, train_teacher

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", str(os.cpu_count() or 1))))
    plan = Plan(seed=args.seed)
    if args.examples:
        plan = dataclasses.replace(plan, examples=args.examples)
    weak = args.out / "student_start"
    figures = train_teacher(plan, args.out / "model", weak, lambda text: print(text, flush=True))
    print(json.dumps(figures))


def problems(args: argparse.Namespace) -> None:
    """Write the problems asked for."""
    from workers.demo_teacher.problems import make_problems

    made = make_problems(args.n, args.seed, args.split)
    lines = "".join(json.dumps(problem.row(args.split)) + "\n" for problem in made)
    if args.out is None:
        sys.stdout.write(lines)
    else:
        args.out.write_text(lines, encoding="utf-8")


def serve(args: argparse.Namespace) -> None:
    """Serve until told to stop."""
    from workers.demo_teacher.serving import serve as run

    run(args.model, args.port, host=args.host, name=args.name, port_file=args.port_file)


def ask(args: argparse.Namespace) -> None:
    """Print one sampled response."""
    from workers.trainer.sampling import Sampling, load, sample

    model, tokenizer = load(str(args.model))
    sampling = Sampling(temperature=args.temperature, seed=args.seed)
    print(sample(model, tokenizer, [args.problem], sampling)[0][0].text)


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "train": train,
    "problems": problems,
    "serve": serve,
    "ask": ask,
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; 0 if it worked."""
    args = parser().parse_args(argv)
    COMMANDS[args.command](args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
