"""The written working the demo teacher learns from: columns, slips, checks and second attempts.

A small simulated solver works a chain sum out column by column. It slips now and then (a forgotten
carry, a digit off by one), often re-checks a line it wrote (``Wait, let me check``) or starts again
in another order (``Alternatively``), and mends what it notices. What it does not notice stays in
its answer. A model trained on its texts therefore re-checks, restarts and errs in its own right.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from workers.demo_teacher.problems import Problem, expression

COLUMNS = ("ones", "tens", "hundreds")
OPENINGS = ("I need {}.", "Let me work out {}.", "So this is {}.")
CLOSINGS = ("So the answer is {}.", "The answer is {}.")
ANSWERS = ("The answer is \\boxed{{{}}}.", "\\boxed{{{}}}")


@dataclass(frozen=True)
class Habits:
    """How often the solver does what; shares in [0, 1]."""

    slip: float = 0.05
    slip_in_check: float = 0.02
    check: float = 0.45
    alternative: float = 0.35
    notice: float = 0.8
    closing: float = 0.5


@dataclass(frozen=True)
class Line:
    """One line of working: ``left`` (+ or -) ``right`` gave ``result``, right or wrong."""

    left: int
    right: int
    result: int
    text: str

    @property
    def is_right(self) -> bool:
        """Whether the result is the true value."""
        return self.left + self.right == self.result


def work_line(rng: random.Random, left: int, right: int, slip: float) -> Line:
    """Work ``left + right`` (``right`` may be negative) out in columns; wrong at rate ``slip``."""
    wrong = rng.random() < slip
    columns, result = _columns(rng, left, right, wrong)
    sign = "-" if right < 0 else "+"
    text = f"{left} {sign} {abs(right)}: {', '.join(columns)}, so {result}."
    return Line(left, right, result, text)


def _columns(rng: random.Random, left: int, right: int, wrong: bool) -> tuple[list[str], int]:
    width = max(len(str(left)), len(str(abs(right))))
    slip_at = rng.randrange(width) if wrong else -1
    texts, total, carry = [], 0, 0
    for place in range(width):
        a, b = left // 10**place % 10, abs(right) // 10**place % 10
        work = _minus if right < 0 else _plus
        digit, carry, shown = work(a, b, carry, last=place == width - 1)
        if place == slip_at:
            digit, carry, shown = _slipped(rng, digit, carry, shown)
        total += digit * 10**place
        texts.append(f"{COLUMNS[place]} {shown}")
    return texts, total


def _plus(a: int, b: int, carry: int, last: bool) -> tuple[int, int, str]:
    """(digit, carry, text) of one column; the last column keeps its two digits."""
    value = a + b + carry
    shown = f"{a} + {b}{' + 1' if carry else ''} = {value}"
    return (value, 0, shown) if last else (value % 10, value // 10, shown)


def _minus(a: int, b: int, borrow: int, last: bool) -> tuple[int, int, str]:
    """(digit, borrow, text) of one column; ten is added where the column is too small."""
    lend = 0 if last or a - b - borrow >= 0 else 10
    value = max(a + lend - b - borrow, 0)
    shown = f"{a + lend} - {b}{' - 1' if borrow else ''} = {value}"
    return value, 1 if lend else 0, shown


def _slipped(rng: random.Random, digit: int, carry: int, shown: str) -> tuple[int, int, str]:
    """The column with a digit off by one, or with its carry forgotten."""
    if carry and rng.random() < 0.5:
        return digit, 0, shown
    off = 1 if digit % 10 == 0 or (digit % 10 < 9 and rng.random() < 0.5) else -1
    head, value = shown.rsplit(" = ", 1)
    return digit + off, carry, f"{head} = {int(value) + off}"


def work_chain(rng: random.Random, terms: tuple[int, ...], slip: float) -> list[Line]:
    """All lines of a chain, each starting from the result of the line before."""
    lines: list[Line] = []
    total = terms[0]
    for term in terms[1:]:
        # An earlier slip may have made the total too small: it stops at zero.
        lines.append(work_line(rng, total, max(term, -total), slip))
        total = lines[-1].result
    return lines


class Solver:
    """Writes one trace of one problem; use it once."""

    def __init__(self, rng: random.Random, problem: Problem, habits: Habits) -> None:
        self.rng, self.problem, self.habits = rng, problem, habits
        self.parts: list[str] = []
        self.result = problem.terms[0]

    def write(self) -> str:
        """The whole response: ``<think>``, the working, ``</think>``, the boxed answer."""
        rng, habits = self.rng, self.habits
        self.parts.append(rng.choice(OPENINGS).format(self.problem.expression))
        lines = self._attempt(self.problem.terms, habits.slip)
        if rng.random() < habits.check:
            self._check(lines)
        if rng.random() < habits.alternative:
            self._alternative()
        if rng.random() < habits.closing:
            self.parts.append(rng.choice(CLOSINGS).format(self.result))
        answer = rng.choice(ANSWERS).format(self.result)
        return "<think>\n" + "\n\n".join(self.parts) + "\n</think>\n\n" + answer

    def _attempt(self, terms: tuple[int, ...], slip: float) -> list[Line]:
        lines = work_chain(self.rng, terms, slip)
        self.parts.extend(line.text for line in lines)
        self.result = lines[-1].result
        return lines

    def _check(self, lines: list[Line]) -> None:
        at = self._line_to_check(lines)
        again = work_line(self.rng, lines[at].left, lines[at].right, self.habits.slip_in_check)
        self.parts.append(f"Wait, let me check: {again.text}")
        if again.result == lines[at].result:
            self.parts.append("Yes, that is right.")
            return
        self.parts.append(f"I had {lines[at].result} before, but it is {again.result}.")
        self.result = again.result
        rest = tuple(line.right for line in lines[at + 1 :])
        if rest:
            self._attempt((again.result, *rest), self.habits.slip_in_check)

    def _line_to_check(self, lines: list[Line]) -> int:
        wrong = [at for at, line in enumerate(lines) if not line.is_right]
        if wrong and self.rng.random() < self.habits.notice:
            return wrong[0]
        return self.rng.randrange(len(lines))

    def _alternative(self) -> None:
        first, terms = self.result, other_order(self.problem.terms)
        self.parts.append(f"Alternatively, take {expression(terms)}.")
        self._attempt(terms, self.habits.slip_in_check)
        if self.result == first:
            self.parts.append(f"Both ways give {first}.")
            return
        self.parts.append(f"Hmm, {first} and {self.result} differ. Once more.")
        self._attempt(self.problem.terms, self.habits.slip_in_check)


def other_order(terms: tuple[int, ...]) -> tuple[int, ...]:
    """The plus terms last to first, then the minus terms: running totals stay positive."""
    return tuple(t for t in reversed(terms) if t > 0) + tuple(t for t in terms if t < 0)


def write_trace(rng: random.Random, problem: Problem, habits: Habits | None = None) -> str:
    """One simulated response to the problem, right or wrong."""
    return Solver(rng, problem, habits or Habits()).write()


def stated_answer(response: str) -> str | None:
    """What stands in the last ``\\boxed{…}`` after the reasoning, or None."""
    head, found, rest = response.rpartition("\\boxed{")
    if not found or "}" not in rest or "</think>" not in head:
        return None
    return rest[: rest.index("}")].strip()


def is_right(response: str, answer: int) -> bool:
    """Whether the response ends with exactly this whole number in a box."""
    return stated_answer(response) == str(answer)
