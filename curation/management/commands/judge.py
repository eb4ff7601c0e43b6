"""`manage.py judge`: let a model judge traces."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from curation.jobs import JobError
from workers.command import JobCommand


class Command(JobCommand):
    help = "let a model of the project judge traces, in both orders, with k votes"
    kind = "judge"

    def add_job_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--judge", required=True, help="the name of a model of the project")
        parser.add_argument("--prompt", help="answer-match, solution-check, first-error, …")
        parser.add_argument("--k", type=int, help="votes per order")
        parser.add_argument("--source")
        parser.add_argument("--model", help="only this model's traces")
        parser.add_argument("--limit", type=int, help="at most so many traces")
        parser.add_argument("--only", choices=("all", "refused", "accepted"))
        parser.add_argument("--reward", help='a JSON object, as {"api": "pooling"}')

    def params(self, options: dict[str, Any]) -> dict[str, Any]:
        names = ("judge", "prompt", "k", "source", "model", "limit", "only")
        params = {name: options[name] for name in names if options[name] is not None}
        if options["reward"]:
            try:
                params["reward"] = json.loads(options["reward"])
            except ValueError as problem:
                raise JobError("usage", f"reward is no JSON: {problem}") from None
        return params
