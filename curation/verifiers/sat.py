r"""Satisfiability puzzles after SATURN: made, judged by a rule, and graded by a formula. Pure.

A puzzle ``(n, k, l)`` has ``l`` clauses of ``n`` literals over ``k`` variables, and at least one
solution by construction: each clause holds a literal of a hidden assignment. SATURN's analytic
difficulty is ``D = log2 k + 2 log2 l - n + k / n`` (SATURN's code and README; what its
letters mean was inferred from its levels: more literals per clause are easier).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from random import Random
from typing import Any

from .base import Verdict, correct, incorrect, unverifiable

VERSION = "1"
MAX_VARIABLES, MAX_CLAUSES = 500, 5_000
LEVELS: tuple[tuple[int, int, int], ...] = (
    # (n, k, l): SATURN's released levels (3, 5, 20) and (5, 8, 40) among steps between them.
    (5, 6, 10), (4, 5, 12), (3, 5, 12), (3, 5, 20), (5, 8, 40), (4, 7, 30),
    (3, 6, 30), (3, 7, 30), (3, 7, 40), (3, 9, 60),
)  # fmt: skip
_BITS = re.compile(r"[01]")
_PAIR = re.compile(r"x\s*_?\{?(\d{1,4})\}?\s*(?:=|:|is)\s*(true|false|1|0|t|f)\b", re.I)

Clause = tuple[int, ...]


def difficulty(n: int, k: int, l: int) -> float:  # noqa: E741  the paper's letter
    """SATURN's D for ``n`` literals a clause, ``k`` variables, ``l`` clauses; ValueError if < 1."""
    if min(n, k, l) < 1:
        raise ValueError(f"a puzzle needs at least one of each, not {(n, k, l)}")
    return math.log2(k) + 2 * math.log2(l) - n + k / n


@dataclass(frozen=True, slots=True)
class SatPuzzle:
    """Clauses of signed variable numbers (from 1) and one assignment that satisfies them."""

    variables: int
    clauses: tuple[Clause, ...]
    solution: tuple[bool, ...]

    @property
    def answer(self) -> str:
        """The solution as bits, variable 1 first."""
        return "".join("1" if value else "0" for value in self.solution)


def make(n: int, k: int, l: int, seed: int) -> SatPuzzle:  # noqa: E741
    """A satisfiable puzzle, the same for the same arguments; ValueError for sizes out of range."""
    if not 1 <= n <= k <= MAX_VARIABLES or not 1 <= l <= MAX_CLAUSES:
        raise ValueError(f"1 <= n <= k <= {MAX_VARIABLES} and 1 <= l <= {MAX_CLAUSES}")
    if n == k and l > 2**n - 1:
        raise ValueError("there are not so many different clauses")
    rng = Random(f"saturn {n} {k} {l} {seed}")  # noqa: S311  a stored seed, no secret
    hidden = tuple(rng.random() < 0.5 for _ in range(k))
    clauses: dict[Clause, None] = {}
    for _ in range(1000 * l):
        if len(clauses) == l:
            break
        clause = _clause(rng, n, k)
        if satisfied(clause, hidden):
            clauses.setdefault(clause)
    if len(clauses) < l:
        raise ValueError("there are not so many different clauses")
    return SatPuzzle(k, tuple(clauses), hidden)


def _clause(rng: Random, n: int, k: int) -> Clause:
    chosen = sorted(rng.sample(range(1, k + 1), n))
    return tuple(name if rng.random() < 0.5 else -name for name in chosen)


def satisfied(clause: Clause, values: tuple[bool, ...]) -> bool:
    return any(values[abs(name) - 1] == (name > 0) for name in clause)


def question(puzzle: SatPuzzle) -> str:
    """The puzzle as a question that asks for bits in ``<answer>`` tags."""
    lines = " AND\n".join(f"({' OR '.join(map(_word, clause))})" for clause in puzzle.clauses)
    return (
        f"There are {puzzle.variables} Boolean variables x1 to x{puzzle.variables}. Find values "
        f"that make this formula true:\n\n{lines}\n\n"
        f"Answer with {puzzle.variables} bits, x1 first, 1 for true and 0 for false, "
        "inside <answer> and </answer>."
    )


def _word(name: int) -> str:
    return f"x{name}" if name > 0 else f"NOT x{-name}"


def read_answer(text: str, variables: int) -> tuple[bool, ...] | None:
    """The values in an answer: bits ("0110", "0 1 1 0"), or ``x1 = true`` for each; None if not."""
    pairs = {int(name): word.lower() in ("true", "1", "t") for name, word in _PAIR.findall(text)}
    if pairs:
        whole = set(pairs) == set(range(1, variables + 1))
        return tuple(pairs[name] for name in range(1, variables + 1)) if whole else None
    rest = _BITS.sub("", text)
    bits = _BITS.findall(text)
    if len(bits) != variables or rest.strip(" ,;[](){}\n\t.'\"`$"):
        return None
    return tuple(bit == "1" for bit in bits)


def judge(answer: str, puzzle: Any) -> Verdict:
    """Judge an extracted answer against ``{"variables", "clauses"}``; score = clauses satisfied.

    Any satisfying assignment is correct, not only the one the puzzle was made from.
    """
    clauses = _clauses(puzzle)
    if clauses is None:
        return unverifiable("bad_puzzle", answer)
    variables = puzzle["variables"]
    values = read_answer(answer, variables)
    if values is None:
        return incorrect("clauses", "unparsed_answer", answer)
    true = sum(satisfied(clause, values) for clause in clauses)
    if true == len(clauses):
        return correct("clauses", answer, satisfied=true, clauses=len(clauses))
    score = true / len(clauses)
    return Verdict(
        "incorrect", score, "clauses", "", answer, {"satisfied": true, "clauses": len(clauses)}
    )


def _clauses(puzzle: Any) -> list[Clause] | None:
    """The clauses of a stored puzzle, or None where it is none."""
    if not isinstance(puzzle, dict) or type(variables := puzzle.get("variables")) is not int:
        return None
    given = puzzle.get("clauses")
    if not isinstance(given, list) or not 1 <= variables <= MAX_VARIABLES:
        return None
    for clause in given:
        if not isinstance(clause, list) or not clause:
            return None
        if not all(type(name) is int and 1 <= abs(name) <= variables for name in clause):
            return None
    return [tuple(clause) for clause in given[:MAX_CLAUSES]] or None
