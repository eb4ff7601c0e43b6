"""The records that segmentation gives and takes; positions are code points of the stored text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# Part of every stored segmentation: raise it when any range, kind or path can come out different.
SEGMENTER_VERSION = "2"

# Says whether two answers are the same; None when it cannot decide cheaply.
Equal = Callable[[str, str], bool | None]


@dataclass(frozen=True, slots=True)
class Segment:
    """One leaf: ``text[start:end]``, what it does, and the parents it hangs under."""

    start: int
    end: int
    kind: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """A range that a policy proposes to drop; ``policy`` names it, ``reason`` says why in words."""

    start: int
    end: int
    reason: str
    policy: str = ""


@dataclass(frozen=True, slots=True)
class AnswerMention:
    """A place where a candidate answer is stated.

    ``strength`` is ``boxed``, ``stated`` ("the answer is"), ``asked`` (the formula that is asked
    for gets its value), ``concluded`` (the value at the end of a concluding sentence) or
    ``hedged`` ("maybe the answer is"). ``matches`` tells whether the value equals the reference;
    None without a reference or where the check could not decide.
    """

    start: int
    end: int
    value: str
    strength: str
    leaf: int
    matches: bool | None = None


@dataclass(frozen=True, slots=True)
class Loop:
    """From ``start`` to ``end`` the text only repeats; ``period`` counts leaves (0: characters).

    ``first_leaf`` is the first leaf that brings nothing new.
    """

    start: int
    end: int
    first_leaf: int
    period: int
    times: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What models or people know of a trace beyond the rules; all of it may be missing.

    ``errors``: ranges of code points that are wrong. ``clusters``: numbers of attempts (from 1)
    that share a method. ``sufficient``: the end of a prefix from which a student answers right.
    ``reworded``: a leaf, the earlier leaf that it says again by a model's vectors, their cosine.
    """

    errors: tuple[tuple[int, int], ...] = ()
    clusters: tuple[tuple[int, ...], ...] | None = None
    sufficient: int | None = None
    reworded: tuple[tuple[int, int, float], ...] = ()


NO_EVIDENCE = Evidence()
