"""The shape of a trace that was written for the tests with its expected leaves.

A trace is a list of (leaf, kind, first part of its path); joined, the leaves are the text.
``first`` is the number of the leaf that first states the reference answer, ``cut`` the leaves that
``after-first-correct`` proposes to drop (from, to; exclusive).
"""

from __future__ import annotations

from dataclasses import dataclass

Q, U, S, V, C = (
    "Question_Repeat",
    "Problem_Understand",
    "Solution_Explore",
    "Verify",
    "Conclusion",
)


@dataclass(frozen=True)
class Made:
    name: str
    leaves: list[tuple[str, str, str]]
    reference: str | None = None
    first: int | None = None
    cut: tuple[int, int] | None = None
    style: str = "think"
    closed: bool = True

    @property
    def text(self) -> str:
        return "".join(leaf for leaf, _, _ in self.leaves)


OPEN = ("<think>\n", "tag", Q)
CLOSE = ("</think>\n\n", "tag", C)
