"""Published ways to sort problems by how models fare on them. Pure.

Each takes attempts of named models; none adds up attempts of two models. Cut points that a paper
does not give are parameters without a default, or with one that says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from curation.difficulty.stats import coefficient_of_variation

Stage = Literal["drop", "keep_passing", "sample"]


def deepdistill_stage(
    scores: Sequence[float], threshold: float, cv_limit: float, ddof: int
) -> Stage | None:
    """DeepDistill's stage I rule on the verify scores of one problem.

    ``drop`` where no score is above the category's ``threshold``; ``keep_passing`` where the
    coefficient of variation is above ``cv_limit`` (keep the responses above the threshold); else
    ``sample`` (0.5 of chat and multi-turn, none of the rest). ``cv_limit`` and which denominator it
    means are not published: both are the caller's. None without scores.
    """
    if not scores:
        return None
    variation = coefficient_of_variation(scores, ddof)
    return stage_of(max(scores), variation, threshold, cv_limit)


def stage_of(best: float, variation: float | None, threshold: float, cv_limit: float) -> Stage:
    """The same from the best score and the variation of all."""
    if best <= threshold:
        return "drop"
    return "keep_passing" if variation is not None and variation > cv_limit else "sample"


@dataclass(frozen=True, slots=True)
class Skywork:
    """Skywork-OR1's ``model_difficulty`` of one model: failures among N, 0 (easy) to N (never)."""

    difficulty: int
    of: int

    @property
    def excluded(self) -> str:
        """``0/N`` and ``N/N`` teach nothing: ``never`` solved, ``always`` solved, or ""."""
        if self.difficulty == self.of:
            return "never"
        return "always" if self.difficulty == 0 else ""


def skywork(correct: int, graded: int) -> Skywork | None:
    """See :class:`Skywork`; None without attempts."""
    if not 0 <= correct <= graded:
        raise ValueError(f"{correct} correct of {graded}")
    return Skywork(graded - correct, graded) if graded else None


def in_band(rate: float | None, low: float, high: float) -> bool | None:
    """Whether a pass rate is in [low, high] (Light-R1 0.25-0.625, SwS 0.25-0.75); None unknown."""
    return None if rate is None else low <= rate <= high


# Named bands of published RL sets: (lowest, highest) pass rate, both included.
BANDS: dict[str, tuple[float, float]] = {
    "light-r1": (0.25, 0.625),
    "sws": (0.25, 0.75),
    "acereason": (0.0, 6 / 16),
    "open-r1": (0.1, 0.9),
}


def staged_tier(
    small: float | None, middle: float | None, large: float | None, teacher: float | None
) -> str | None:
    """Tiers of staged RL by the pass rates of a 1.5B, a 7B, a 32B model and the teacher.

    ``dropped`` where the teacher never solves it; ``L3`` where the 32B fails always; ``L1`` where
    the 1.5B solves some; ``L2`` where the 1.5B never and the 7B sometimes does. ``easy`` is what
    remains (the paper puts a sample of it into L3). None where a rate that decides is missing.
    """
    if teacher is None or large is None or small is None:
        return None
    if teacher == 0:
        return "dropped"
    if large == 0:
        return "L3"
    if small > 0:
        return "L1" if small < 1 else "easy"
    return None if middle is None else ("L2" if middle > 0 else "L3")


@dataclass(frozen=True, slots=True)
class Teachability:
    """Phi-4-reasoning: how often weaker models reach what a strong model mostly answers.

    ``proxy`` is the strong model's plurality answer, which is no reference; ``share`` its share.
    ``agreement`` is by weak model.
    """

    proxy: str
    votes: int
    share: float
    agreement: dict[str, float]

    @property
    def mean(self) -> float | None:
        rates = list(self.agreement.values())
        return sum(rates) / len(rates) if rates else None


def teachability(
    strong: Sequence[str],
    weak: Mapping[str, Sequence[str]],
    min_votes: int,
    min_share: float,
    same: Callable[[str, str], bool] = str.__eq__,
) -> Teachability | None:
    """None where the strong model has no plurality of ``min_votes`` and ``min_share``.

    The paper's thresholds are not published. ``same`` says whether two answers are equal.
    """
    groups = group_answers(strong, same)
    if not groups:
        return None
    proxy, votes = groups[0]
    share = votes / len(strong)
    tied = len(groups) > 1 and groups[1][1] == votes
    if tied or votes < min_votes or share < min_share:
        return None
    agreement = {
        model: sum(same(proxy, answer) for answer in answers) / len(answers)
        for model, answers in weak.items()
        if answers
    }
    return Teachability(proxy, votes, share, agreement)


def group_answers(
    answers: Sequence[str], same: Callable[[str, str], bool]
) -> list[tuple[str, int]]:
    """(first spelling, count) of each group of equal answers, the largest first.

    Each distinct spelling is compared with the first spelling of each group before it, so equality
    is asked for at most (distinct spellings x groups) times. Ties keep the order of appearance.
    """
    spellings = Counter(answers)
    groups: list[list[str | int]] = []
    for spelling, times in spellings.items():
        for group in groups:
            if group[0] == spelling or same(str(group[0]), spelling):
                group[1] = int(group[1]) + times
                break
        else:
            groups.append([spelling, times])
    found = [(str(first), int(count)) for first, count in groups]
    return sorted(found, key=lambda group: -group[1])
