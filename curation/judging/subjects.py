"""What a judge is shown: a trace, or two of the same problem."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from curation.judges import steps as prm
from curation.judges.prompts import numbered_steps
from curation.judging.work import Work
from curation.models import Trace
from curation.policies import INCORRECT, UNVERIFIABLE
from curation.verification import reference_hash, reference_of
from curation.verifiers import Verdict as Judgement

MAX_STEPS = 400


@dataclass(frozen=True)
class Subject:
    """One trace with what its judge is shown; ``verdict`` is set where nobody need be asked."""

    trace: int
    reference_sha256: str
    data: dict[str, str] = field(repr=False)
    other: int | None = None
    steps: list[str] = field(repr=False, default_factory=list)
    verdict: Judgement | None = None
    # Of a process reward model: the steps of the trace, and how many of them it is asked for.
    ranges: list[prm.Range] = field(repr=False, default_factory=list)
    asked: int = 0

    @property
    def key(self) -> tuple[int, int | None]:
        return self.trace, self.other


def subject_of(trace: Trace, work: Work) -> Subject:
    """What a judge is shown of a trace, or the verdict that needs no judge."""
    problem, prompt = trace.problem, work.prompt
    text, answer = trace.text, _answer_part(trace)
    if prompt is None:
        data = {"problem": problem.text, "response": text}
        found = Subject(trace.pk, reference_hash(None), data)
        return found if work.scoring is None else _in_steps(found, work.scoring)
    if prompt.mode == "answer":
        reference = reference_of(problem)
        key = reference_hash(reference)
        if reference is None:
            nothing = Judgement(UNVERIFIABLE, reason="no_reference")
            return Subject(trace.pk, key, {}, verdict=nothing)
        if not answer.strip():
            reason = "truncated" if not trace.reasoning_closed else "no_answer"
            return Subject(trace.pk, key, {}, verdict=Judgement(INCORRECT, 0.0, reason=reason))
        data = {"problem": problem.text, "reference answer": reference, "response": answer}
        return Subject(trace.pk, key, data)
    shown = text if prompt.part == "whole" else answer
    steps = steps_of(text) if prompt.mode == "steps" else []
    data = {"problem": problem.text, "response": shown, "solution": shown}
    data |= {"steps": numbered_steps(steps)}
    return Subject(trace.pk, reference_hash(None), data, steps=steps)


def _in_steps(subject: Subject, how: prm.StepSettings) -> Subject:
    ranges = prm.ranges_of(subject.data["response"])
    if not ranges:
        return replace(subject, verdict=Judgement(UNVERIFIABLE, reason="no_steps"))
    return replace(subject, ranges=ranges, asked=len(prm.within(ranges, how.max_chars)))


def pair_of(one: Trace, two: Trace, work: Work) -> Subject:
    """Two attempts at one problem, the first of them as A."""
    whole = work.prompt is not None and work.prompt.part == "whole"
    texts = [trace.text if whole else _answer_part(trace) for trace in (one, two)]
    data = {"problem": one.problem.text, "response A": texts[0], "response B": texts[1]}
    return Subject(one.pk, reference_hash(None), data, other=two.pk)


def _answer_part(trace: Trace) -> str:
    if trace.answer_start is not None:
        return trace.text[trace.answer_start : trace.answer_end]
    return trace.text if trace.tag_style in ("", "none") else ""


def steps_of(text: str) -> list[str]:
    """Steps of a solution: its paragraphs, at most ``MAX_STEPS`` (the rest is the last one)."""
    parts = [part.strip() for part in re.split(r"\n[ \t]*\n", text) if part.strip()]
    if len(parts) > MAX_STEPS:
        parts = [*parts[: MAX_STEPS - 1], "\n\n".join(parts[MAX_STEPS - 1 :])]
    return parts
