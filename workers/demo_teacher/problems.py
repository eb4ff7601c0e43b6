"""Seeded chain sums: the problems the demo teacher is trained on, asked and measured with.

A problem adds and subtracts two to four whole numbers, ``2 <= operand <= 99``. Read from left to
right, every running total lies in 0..399, so no working needs a minus sign or a fourth digit.

The **split** is by operand value: ``RESERVED`` values occur only in held-back problems and a
held-back problem has no other operands. So the two splits share no operand, hence no problem.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "held-back"]

MIN_OPERAND = 2
MAX_OPERAND = 99
MAX_TOTAL = 399
TERM_COUNTS = (2, 3, 4)
TERM_WEIGHTS = (3, 4, 3)
STORY_SHARE = 0.4

PHRASINGS = (
    "What is {}?",
    "Compute {}.",
    "Calculate {}.",
    "Work out {}.",
    "Find the value of {}.",
    "How much is {}?",
)
NAMES = ("Mia", "Tom", "Ana", "Ben", "Lea", "Sam", "Eva", "Max")
GAINS = ("gets {} more", "buys {} more")
LOSSES = ("gives away {}", "loses {}")
THINGS = ("apples", "books", "cards", "coins", "marbles", "pens", "shells", "stamps")


@dataclass(frozen=True)
class Problem:
    """One chain sum; ``terms`` are signed operands, the first is positive."""

    text: str
    terms: tuple[int, ...]

    @property
    def answer(self) -> int:
        """The exact value, 0..399."""
        return sum(self.terms)

    @property
    def expression(self) -> str:
        """The sum as text, for example ``37 + 48 - 19``."""
        return expression(self.terms)

    @property
    def operands(self) -> tuple[int, ...]:
        """The absolute values, in order."""
        return tuple(abs(term) for term in self.terms)

    @property
    def sha256(self) -> str:
        """Hash of the text, lower-cased and with single spaces."""
        return hashlib.sha256(" ".join(self.text.lower().split()).encode()).hexdigest()

    def row(self, split: Split) -> dict[str, object]:
        """A JSONL row: ``problem``, ``answer`` (text) and where it came from."""
        return {
            "id": f"demo-{self.sha256[:12]}",
            "problem": self.text,
            "answer": str(self.answer),
            "split": split,
            "terms": list(self.terms),
        }


def is_reserved(operand: int) -> bool:
    """Whether an operand value is kept for held-back problems (about one value in seven).

    The rule is a fixed hash, so it depends on nothing that could be changed by accident.
    """
    return hashlib.sha256(f"held-back operand {operand}".encode()).digest()[0] % 7 == 0


OPERANDS: dict[Split, tuple[int, ...]] = {
    "train": tuple(v for v in range(MIN_OPERAND, MAX_OPERAND + 1) if not is_reserved(v)),
    "held-back": tuple(v for v in range(MIN_OPERAND, MAX_OPERAND + 1) if is_reserved(v)),
}


def expression(terms: tuple[int, ...]) -> str:
    """``(37, 48, -19)`` as ``37 + 48 - 19``."""
    rest = "".join(f" {'-' if term < 0 else '+'} {abs(term)}" for term in terms[1:])
    return f"{terms[0]}{rest}"


def make_terms(rng: random.Random, split: Split) -> tuple[int, ...]:
    """Signed terms whose running totals stay in 0..399."""
    count = rng.choices(TERM_COUNTS, TERM_WEIGHTS)[0]
    terms = [rng.choice(OPERANDS[split])]
    while len(terms) < count:
        operand = rng.choice(OPERANDS[split])
        minus = rng.random() < 0.5 and operand <= sum(terms)
        terms.append(-operand if minus else operand)
    return tuple(terms)


def make_problem(rng: random.Random, split: Split = "train") -> Problem:
    """One random problem of the split."""
    terms = make_terms(rng, split)
    if rng.random() < STORY_SHARE:
        return Problem(_story(rng, terms), terms)
    return Problem(rng.choice(PHRASINGS).format(expression(terms)), terms)


def make_problems(n: int, seed: int, split: Split = "train") -> Iterator[Problem]:
    """``n`` different problems; the same seed gives the same problems in the same order."""
    rng = random.Random(f"{split} {seed}")  # noqa: S311 reproducible, no secret
    seen: set[str] = set()
    while len(seen) < n:
        problem = make_problem(rng, split)
        if problem.sha256 not in seen:
            seen.add(problem.sha256)
            yield problem


def _story(rng: random.Random, terms: tuple[int, ...]) -> str:
    name, things = rng.choice(NAMES), rng.choice(THINGS)
    moves = [_move(rng, name, term) for term in terms[1:]]
    question = f"How many {things} does {name} have now?"
    return " ".join([f"{name} has {terms[0]} {things}.", *moves, question])


def _move(rng: random.Random, name: str, term: int) -> str:
    verb = rng.choice(GAINS if term > 0 else LOSSES)
    return f"{name} {verb.format(abs(term))}."
