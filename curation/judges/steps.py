"""Process reward models: one score for each step of a solution. Pure.

Asked as the model card of Qwen2.5-Math-PRM describes: the steps stand in the assistant's message,
each followed by a tag of its own token; the model classifies every tag, and the probability of the
positive class is that step's score. vLLM serves such models with step pooling, so ``/pooling``
answers one row a tag (``vllm/entrypoints/pooling/pooling/protocol.py``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from curation.policies import CORRECT, INCORRECT, UNVERIFIABLE
from curation.verifiers.base import Verdict

TAG = "<extra_0>"
SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."
# Qwen2.5-Math-PRM has a context of 4,096 tokens; about three characters each.
MAX_CHARS = 12_000
THRESHOLD = 0.5  # a step below it counts as wrong: the middle of a yes and a no
MAX_STEPS = 5_000  # of a trace, as imported or asked
PAST_LIMIT = "past_limit"  # why a step has no score: the model's context ends before it
GAP = re.compile(r"\n[ \t\r]*\n")
Range = tuple[int, int]

# How the scores of steps become one of the whole: Math-Shepherd takes the least, PRM800K's authors
# multiply, others read the last.
AGGREGATES: dict[str, Callable[[Sequence[float]], float]] = {
    "min": min,
    "product": math.prod,
    "last": lambda scores: scores[-1],
    "mean": lambda scores: math.fsum(scores) / len(scores),
}


@dataclass(frozen=True, slots=True)
class StepScore:
    """A range of the trace (code points) and its score in [0, 1]; None where it has none."""

    start: int
    end: int
    score: float | None
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        return {"start": self.start, "end": self.end, "score": self.score, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class StepSettings:
    """How one process reward model is asked and read."""

    tag: str = TAG
    system: str = SYSTEM
    positive: int = 1
    aggregate: str = "min"
    max_chars: int = MAX_CHARS

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> StepSettings:
        """Checked settings; ValueError names the one that cannot be."""
        found = cls(**{k: v for k, v in given.items() if k in SETTINGS})
        if not isinstance(found.tag, str) or not found.tag.strip():
            raise ValueError("reward.tag is a text that is no space")
        if not isinstance(found.system, str):
            raise ValueError("reward.system is a text")
        if type(found.positive) is not int or found.positive < 0:
            raise ValueError("reward.positive is the number of a class, from 0")
        if found.aggregate not in AGGREGATES:
            raise ValueError(f"reward.aggregate is one of {', '.join(AGGREGATES)}")
        if type(found.max_chars) is not int or found.max_chars < 1:
            raise ValueError("reward.max_chars is a number above 0")
        return found

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in SETTINGS}


SETTINGS = ("tag", "system", "positive", "aggregate", "max_chars")


def ranges_of(text: str) -> list[Range]:
    """The steps of a text: its paragraphs, as (start, end) in code points, without their gaps."""
    found, at = [], 0
    for gap in GAP.finditer(text):
        found.append((at, gap.start()))
        at = gap.end()
    found.append((at, len(text)))
    return [trimmed(text, low, high) for low, high in found if text[low:high].strip()][:MAX_STEPS]


def trimmed(text: str, low: int, high: int) -> Range:
    """A range without the white space at its ends."""
    inner = text[low:high]
    start = low + len(inner) - len(inner.lstrip())
    return start, start + len(inner.strip())


def within(ranges: Sequence[Range], most: int) -> list[Range]:
    """The first steps that have ``most`` characters together; the first one in any case."""
    size, found = 0, list[Range]()
    for low, high in ranges:
        size += high - low
        if found and size > most:
            break
        found.append((low, high))
    return found


def conversation(
    problem: str, text: str, ranges: Sequence[Range], settings: StepSettings
) -> list[dict[str, Any]]:
    """The messages of one question. A tag inside of the model's own text would count as a step, so
    it is taken out of what is sent."""
    parts = [text[low:high].replace(settings.tag, " ") for low, high in ranges]
    return [
        {"role": "system", "content": settings.system},
        {"role": "user", "content": problem.replace(settings.tag, " ")},
        {"role": "assistant", "content": "".join(part + settings.tag for part in parts)},
    ]


def rows_as_text(raw: dict[str, Any]) -> str:
    """The rows of vLLM's answer as JSON, to be stored as any other answer is; "" without any."""
    data = raw.get("data")
    first = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else {}
    rows = first.get("data")
    return orjson.dumps(rows).decode() if isinstance(rows, list) else ""


def read_scores(text: str, wanted: int, positive: int) -> list[float] | None:
    """The positive class of each row; None unless there are ``wanted`` probabilities."""
    try:
        rows = orjson.loads(text)
    except ValueError:
        return None
    if not isinstance(rows, list) or len(rows) != wanted:
        return None
    scores = [_score(row, positive) for row in rows]
    good = [score for score in scores if score is not None]
    return good if len(good) == wanted else None


def _score(row: Any, positive: int) -> float | None:
    if isinstance(row, list):
        place = positive if len(row) > 1 else 0  # a model of one class gives its probability
        row = row[place] if len(row) > place else None
    if isinstance(row, bool) or not isinstance(row, int | float) or not math.isfinite(row):
        return None
    return float(row) if 0 <= row <= 1 else None


def scored(
    ranges: Sequence[Range], scores: Sequence[float], reason: str = PAST_LIMIT
) -> list[StepScore]:
    """Each step with its score; those behind the last score have none, and the reason why."""
    found = [StepScore(*at, score) for at, score in zip(ranges, scores, strict=False)]
    return found + [StepScore(*at, None, reason) for at in ranges[len(found) :]]


def verdict_of(steps: Sequence[StepScore], aggregate: str, threshold: float) -> Verdict:
    """The steps as a verdict: their aggregate as its score, ``correct`` above ``threshold``.

    ``unverifiable`` where nothing has a score, or where the steps at the end have none: what was
    not looked at may be wrong.
    """
    known = [step.score for step in steps if step.score is not None]
    detail = {
        "steps": [step.as_json() for step in steps],
        "aggregate": aggregate,
        "threshold": threshold,
        "scored": len(known),
    }
    if not known:
        return Verdict(UNVERIFIABLE, None, "steps", "no_scores", None, detail)
    value = AGGREGATES[aggregate](known)
    if value <= threshold:
        return Verdict(INCORRECT, value, "steps", "low_step", None, detail)
    if len(known) < len(steps):
        return Verdict(UNVERIFIABLE, value, "steps", "partly_scored", None, detail)
    return Verdict(CORRECT, value, "steps", "", None, detail)
