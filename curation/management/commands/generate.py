"""`manage.py generate`: let a teacher write traces."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from workers.command import JobCommand


class Command(JobCommand):
    help = "let a teacher write traces"
    kind = "generate"

    def add_job_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--teacher", required=True)
        parser.add_argument("--n", type=int, required=True, help="samples per problem")
        parser.add_argument("--source")
        parser.add_argument("--limit", type=int, help="at most so many problems")
        parser.add_argument("--temperature", type=float)
        parser.add_argument("--top-p", type=float, dest="top_p")
        parser.add_argument("--max-tokens", type=int, dest="max_tokens")
        parser.add_argument("--seed", type=int)

    def params(self, options: dict[str, Any]) -> dict[str, Any]:
        names = ("teacher", "n", "source", "limit")
        knobs = ("temperature", "top_p", "max_tokens", "seed")
        params = {name: options[name] for name in names if options[name] is not None}
        sampling = {name: options[name] for name in knobs if options[name] is not None}
        return params | ({"sampling": sampling} if sampling else {})
