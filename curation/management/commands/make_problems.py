"""`manage.py make_problems`: make puzzles that a rule can verify."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from curation.jobs import JobError
from workers.command import JobCommand


class Command(JobCommand):
    help = "make puzzles at a wanted difficulty, from a generator whose rule verifies them"
    kind = "make_problems"
    makes_project = True

    def add_job_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--generator", required=True, help="saturn, or one of reasoning-gym")
        parser.add_argument("--n", type=int, required=True, help="puzzles in all")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--first", type=int, default=0, help="index of the first puzzle")
        parser.add_argument("--source", help="name of the source (made-GENERATOR)")
        parser.add_argument("--levels", help="level numbers with commas, or all")
        parser.add_argument("--knobs", help="a JSON object")
        parser.add_argument("--target-model", dest="model", help="make what this model solves at")
        parser.add_argument("--low", type=float, default=0.25, help="this pass rate or above")
        parser.add_argument("--high", type=float, default=0.75, help="and this or below")

    def params(self, options: dict[str, Any]) -> dict[str, Any]:
        params = {n: options[n] for n in ("generator", "n", "seed", "first")}
        if options["source"]:
            params["source"] = options["source"]
        if options["model"]:
            params["target"] = {n: options[n] for n in ("model", "low", "high")}
        try:
            if options["knobs"]:
                params["knobs"] = json.loads(options["knobs"])
            if options["levels"]:
                levels = options["levels"]
                numbers = levels if levels == "all" else [int(part) for part in levels.split(",")]
                params["levels"] = numbers
        except ValueError as problem:
            raise JobError("usage", f"knobs or levels cannot be read: {problem}") from None
        return params
