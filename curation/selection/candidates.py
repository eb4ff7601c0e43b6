"""What selection looks at: a trace in numbers and hashes, never its text. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CandidateVerdict:
    """One verifier's current verdict of a trace.

    ``family`` is the kind of evidence: ``rule``, ``execution``, ``judge`` or ``consensus``.
    ``score`` is in [0, 1], or None where there is none.
    """

    verdict: str
    family: str = "rule"
    score: float | None = None
    verifier: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trace that a recipe may take. Lengths are code points; hashes are SHA-256 in hex.

    ``pass_rate`` is the problem's pass rate for the model that the recipe names (or for the
    trace's own model), None where it was never measured. ``review`` is the people's current
    decision: ``accept``, ``reject``, ``bad_problem``, ``undecided``, or empty without one;
    ``review_coverage`` the least share of the text that any of its reviewers had on screen, and
    ``review_speed`` the most characters per second that any of them read, None where unknown.
    ``derived_from`` is the parent of a derived trace, ``derivation`` the form that the job
    ``derive`` made of it (empty where a person's cuts did), ``held_back`` marks a problem on which
    students are measured.
    """

    trace_id: int
    text_sha256: str
    problem_id: int
    problem_sha256: str
    chars: int
    tokens: int | None = None
    prompt_chars: int = 0
    model: str = ""
    sample_no: int = 0
    verdicts: tuple[CandidateVerdict, ...] = ()
    pass_rate: float | None = None
    derived_from: int | None = None
    derivation: str = ""
    review: str = ""
    review_coverage: float | None = None
    review_speed: float | None = None
    truncated: bool = False
    contaminated: bool = False
    duplicate: bool = False
    held_back: bool = False
    source: str = ""
    licence: str = ""
    labels: tuple[str, ...] = ()  # category and kind of the problem, for thresholds of a policy


@dataclass(frozen=True, slots=True)
class SelectedRow:
    """One row of a selection: a chosen trace and, in a pair, the rejected one."""

    chosen: Candidate
    rejected: Candidate | None = None


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Why a candidate is in no row. ``detail`` gives the figure that decided."""

    trace_id: int
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a recipe made of the candidates of one problem: each is in a row or excluded."""

    problem_id: int
    rows: tuple[SelectedRow, ...]
    exclusions: tuple[Exclusion, ...]


Candidates = Sequence[Candidate]
