"""Logic and puzzles: judged by the scorer of the generator that made them.

A puzzle comes as the option ``puzzle``: ``{"dataset", "config"}`` with an ``entry`` or an
``index``. ``dataset`` is ``saturn`` (``sat``) or a generator of reasoning-gym (``gym``, in a
killable child). A score below 1.0 is kept as partial credit; only 1.0 is ``correct``.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import metadata
from typing import Any

from . import sat
from .base import MAX_REFERENCE, Verdict, correct, error, incorrect, unverifiable
from .extraction import extract_answer, split_answer
from .puzzlepool import Scored, default_pool

SATURN = "saturn"
MAX_ANSWER = 20_000  # boards and lists of moves are longer than other final answers
_OURS = ("timeout", "crashed", "pool_unavailable", "library_missing", "scorer_failed")


@lru_cache(maxsize=1)
def library_version() -> str:
    """Version of reasoning-gym, ``none`` where it is not installed."""
    try:
        return metadata.version("reasoning-gym")
    except metadata.PackageNotFoundError:
        return "none"


class LogicVerifier:
    """Scores the answer inside the last ``<answer>`` tags, else the final answer.

    Options: ``puzzle`` (see the module), ``finish_reason``. The reference is the puzzle's own
    answer where it has one; a different one is a ``bad_puzzle``, not a wrong response.
    """

    name = "logic"
    rules_version = "2"

    @property
    def version(self) -> str:
        """Our guards and the library's scorers: both decide verdicts."""
        return f"{self.rules_version}+reasoning-gym-{library_version()}"

    def check(self, response: str, reference: str | None, **options: Any) -> Verdict:
        """See :class:`curation.verifiers.base.Verifier`."""
        puzzle = options.get("puzzle")
        answer, reason = answer_of(response, str(options.get("finish_reason") or ""))
        if not isinstance(puzzle, dict) or not isinstance(puzzle.get("dataset"), str):
            return unverifiable("no_puzzle", answer)
        if reference is not None and len(reference) > MAX_REFERENCE * 5:
            return unverifiable("bad_reference", answer)
        if answer is None:
            return incorrect("extraction", reason)
        if puzzle["dataset"] == SATURN:
            return sat.judge(answer, puzzle.get("entry"))
        return _verdict(default_pool().score(puzzle, answer, reference), answer, puzzle["dataset"])


def answer_of(response: str, finish_reason: str = "") -> tuple[str | None, str]:
    """(answer, "") or (None, reason): the last ``<answer>`` part as it is, else as for maths."""
    if finish_reason == "length":
        return None, "truncated"
    parts = split_answer(response)
    if parts.closed:
        tagged = _tagged(response, parts.answer_start)
        if tagged:
            return tagged, ""
    found = extract_answer(response, finish_reason=finish_reason)
    return found.answer, found.reason


def _tagged(text: str, start: int) -> str:
    """Between the last closing tag and the opening one before it; "" where there is none."""
    close = text.rfind("</answer>", start)
    opened = text.rfind("<answer>", start, max(close, 0))
    if close < 0 or opened < 0 or close - opened > MAX_ANSWER:
        return ""
    return text[opened + len("<answer>") : close].strip()


def _verdict(found: Scored, answer: str, dataset: str) -> Verdict:
    method = f"reasoning-gym:{dataset}"[:64]
    shown = answer[:2_000]
    if found.outcome == "bad_puzzle":
        return unverifiable("bad_puzzle", shown, **found.detail)
    if found.outcome == "unparsed":
        return incorrect(method, "unparsed_answer", shown, **found.detail)
    if found.outcome in _OURS or found.score is None:
        return error(found.outcome, shown, method, **found.detail)
    if found.score == 1.0:
        return correct(method, shown, **found.detail)
    return Verdict("incorrect", found.score, method, "", shown, found.detail)
