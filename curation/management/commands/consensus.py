"""`manage.py consensus`: what attempts agree on, and which references they contradict."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from workers.command import JobCommand


class Command(JobCommand):
    help = "group answers, store majorities apart from references, open disputes for people"
    kind = "consensus"
    needs_verifier = True

    def add_job_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--source")
        parser.add_argument("--model", help="only this model's attempts vote")
        parser.add_argument("--third", help="the model that is asked as a witness")
        parser.add_argument("--min-votes", type=int, dest="min_votes")
        parser.add_argument("--min-share", type=float, dest="min_share")

    def params(self, options: dict[str, Any]) -> dict[str, Any]:
        names = ("source", "model", "third", "min_votes", "min_share")
        return {name: options[name] for name in names if options[name] is not None}
