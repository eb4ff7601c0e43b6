"""`manage.py prove`: continue from prefixes of traces and compare pass rates."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from curation.proof_work import MODES
from workers.command import JobCommand

NAMES = ("teacher", "mode", "policy", "k", "limit", "source", "manner", "threshold", "seed",
         "gain", "efficiency", "rounds")  # fmt: skip


class Command(JobCommand):
    help = "let a model continue from prefixes of traces, and compare pass rates"
    kind = "prove"

    def add_job_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--teacher", required=True)
        parser.add_argument("--mode", choices=MODES, default="arms")
        parser.add_argument("--policy")
        parser.add_argument("--k", type=int)
        parser.add_argument("--limit", type=int)
        parser.add_argument("--source")
        parser.add_argument("--manner", choices=("chat", "text"))
        parser.add_argument("--threshold", type=float)
        parser.add_argument("--seed", type=int)
        parser.add_argument("--gain", type=float, help="change of the pass rate that matters")
        parser.add_argument("--efficiency", type=float, help="of a long turn, per 100 tokens")
        parser.add_argument("--rounds", type=int, help="how often a revision is searched on")

    def params(self, options: dict[str, Any]) -> dict[str, Any]:
        return {name: options[name] for name in NAMES if options[name] is not None}
