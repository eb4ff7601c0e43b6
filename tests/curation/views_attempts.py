"""Problems with attempts of every outcome, for pages about difficulty and disputes."""

from __future__ import annotations

from typing import Any

from curation.models import Problem, Source, Trace, Verdict
from curation.verification import reference_hash


def attempts(project: Any, number: int, samples: int = 8) -> list[Problem]:
    """``number`` problems, solved ever more often by ``student``; the first ones are disputed."""
    source = Source.objects.create(project=project, name="sums")
    made = []
    for i in range(number):
        problem = Problem.objects.create(
            project=project, source=source, text=f"What is $3 + {i}$, times two?",
            text_sha256=str(i), norm_sha256=str(i), reference_answer="9",
        )  # fmt: skip
        made.append(problem)
        for n in range(samples):
            right = n < i * samples // number
            _attempt(problem, "student", n, "9" if right else ("4" if i < 3 else str(10 + n)))
        _attempt(problem, "witness", 0, "4" if i % 2 else "9")
    return made


def _attempt(problem: Problem, model: str, number: int, answer: str) -> None:
    text = f"so \\boxed{{{answer}}}" + "." * (10 * (7 * number % 11))
    trace = Trace.objects.create(
        project=problem.project, problem=problem, source=problem.source, origin="imported",
        text=text, identity=f"{model}{number}", sample_no=number, model=model, text_sha256="x",
        char_count=len(text),
    )  # fmt: skip
    right = answer == "9"
    Verdict.objects.create(
        trace=trace, verifier="math", version="1", extracted=answer, score=float(right),
        verdict="correct" if right else "incorrect", reference_sha256=reference_hash("9"),
    )  # fmt: skip
