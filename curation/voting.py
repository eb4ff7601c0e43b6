"""Voting on answers: when attempts agree enough to call it a majority. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from curation.difficulty.tiers import group_answers

VERSION = "1"
MIN_VOTES, MIN_SHARE = 3, 0.5
Same = Callable[[str, str], bool]


@dataclass(frozen=True, slots=True)
class Rules:
    """When an answer is a majority, and whose attempts vote.

    ``model``: only its attempts vote ("": all). ``third``: a model whose attempts do not vote; its
    own most frequent answer is the witness in a dispute.
    """

    min_votes: int = MIN_VOTES
    min_share: float = MIN_SHARE
    model: str = ""
    third: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "min_votes": self.min_votes,
            "min_share": self.min_share,
            "model": self.model,
            "third": self.third,
            "version": VERSION,
        }


@dataclass(frozen=True, slots=True)
class Vote:
    """One attempt: its answer, or None, and whether the rules found it correct."""

    trace: int
    answer: str | None
    model: str = ""
    decision: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What the attempts at one problem agree on. ``winner`` is None where nothing reached the bar.

    ``table`` has each answer with its votes, the largest group first; ``group`` maps a trace to
    the first spelling of its group. ``total`` counts attempts that gave an answer.
    """

    winner: str | None
    votes: int
    total: int
    table: list[tuple[str, int]] = field(default_factory=list)
    group: dict[int, str] = field(default_factory=dict)

    @property
    def share(self) -> float | None:
        return self.votes / self.total if self.total else None


def majority(votes: Sequence[Vote], rules: Rules, same: Same) -> Result:
    """Group equal answers and see whether one has enough votes and share, alone at the top.

    Attempts without an answer do not vote: silence supports nothing.
    """
    given = [(vote.trace, vote.answer) for vote in votes if vote.answer is not None]
    table = group_answers([answer for _, answer in given], same)
    spelling: dict[str, str] = {}
    for _, answer in given:
        if answer not in spelling:
            equal = (first for first, _ in table if first == answer or same(first, answer))
            spelling[answer] = next(equal, answer)
    group = {trace: spelling[answer] for trace, answer in given}
    total = len(given)
    if not table:
        return Result(None, 0, 0)
    first, votes_of_first = table[0]
    tied = len(table) > 1 and table[1][1] == votes_of_first
    enough = votes_of_first >= rules.min_votes and votes_of_first >= rules.min_share * total
    winner = first if enough and not tied else None
    return Result(winner, votes_of_first if winner else 0, total, table, group)


def suggestion(majority_answer: str, reference: str, third: str | None, same: Same) -> str:
    """AM-Thinking's step: the third model decides what is *suggested*; people decide.

    ``replace`` where it sides with the majority, ``keep`` where with the reference, else ``look``.
    """
    if third is None:
        return "look"
    if same(majority_answer, third):
        return "replace"
    return "keep" if same(reference, third) else "look"
