"""`manage.py derive`: other forms of right traces, as derived traces."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from curation.derivations import ANSWER, CONTINUATION, FORMS
from curation.segmentation.multiturn import ALL, FIRST_CORRECT
from workers.command import JobCommand

NAMES = ("form", "policy", "teacher", "upto", "answer", "ending", "enough", "least", "limit",
         "source")  # fmt: skip


class Command(JobCommand):
    help = "derive traces: without a policy's cuts, in turns (unit, answer), or truncated"
    kind = "derive"

    def add_job_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--form", choices=sorted(FORMS), required=True)
        parser.add_argument("--policy")
        parser.add_argument("--teacher", help="whose probes at the ends of turns are used")
        parser.add_argument("--upto", choices=(ALL, FIRST_CORRECT))
        parser.add_argument("--answer", help="the sentence behind a unit, with {answer} in it")
        parser.add_argument("--ending", choices=(CONTINUATION, ANSWER))
        parser.add_argument("--enough", type=float, help="pass rate that is enough")
        parser.add_argument("--least", type=int, help="judged continuations of a point")
        parser.add_argument("--limit", type=int)
        parser.add_argument("--source")

    def params(self, options: dict[str, Any]) -> dict[str, Any]:
        return {name: options[name] for name in NAMES if options[name] is not None}
