"""What a proof asks: the parameters of the job, prefixes, and samples of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from curation.asking import Asked, asked_of, bad_parameters
from curation.jobs import JobContext, JobError
from curation.models import Trace
from curation.segmentation import Analysis
from curation.segmentation.chunks import Thresholds
from curation.segmentation.policies import POLICIES
from curation.segmentation.prefixes import Prefix
from curation.teachers.continuing import CHAT, DEMO_FORMAT, MANNERS, TEXT, written_out
from curation.teachers.sampling import PromptTemplate, template_of

MODES = ("arms", "search", "chunks", "switches")
DEFAULT_POLICY, DEFAULT_K, THRESHOLD = "repeats", 4, 0.5
MOST_ROUNDS = 20
Key = tuple[int, str, str, int]


@dataclass(frozen=True)
class Work(Asked):
    """What one job does, resolved at its start."""

    template: PromptTemplate
    mode: str
    policy: str
    k: int
    threshold: float
    manner: str
    form: str
    seed: int
    limits_of_turns: Thresholds
    rounds: int


@dataclass(frozen=True)
class Subject:
    """One trace with its analysis; switches before ``floor`` were searched already."""

    trace: Trace
    analysis: Analysis
    floor: int = 0


@dataclass(frozen=True)
class Probe:
    """One prefix of one trace to continue from."""

    trace: Trace
    arm: str
    prefix: Prefix

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.prefix.text.encode()).hexdigest()

    def key(self, sample_no: int) -> Key:
        return self.trace.pk, self.arm, self.sha256, sample_no


@dataclass(frozen=True)
class Ask:
    """One sample of a probe."""

    probe: Probe
    sample_no: int


def prepare(ctx: JobContext) -> Work:
    """Resolve the job's parameters; JobError with a code for each thing that can be wrong."""
    params, asked = ctx.params, asked_of(ctx)
    policy = str(params.get("policy") or DEFAULT_POLICY)
    if policy not in POLICIES:
        raise JobError("unknown_policy", f"policy must be among {', '.join(POLICIES)}")
    try:
        enough = float(params.get("threshold") or THRESHOLD)
        work = Work(
            **vars(asked),
            template=template_of(params.get("template")),
            mode=_one_of(params, "mode", MODES, "arms"),
            policy=policy,
            k=int(params.get("k") or DEFAULT_K),
            threshold=enough,
            manner=_one_of(params, "manner", MANNERS, CHAT if asked.teacher.base_url else TEXT),
            form=str(params.get("format") or DEMO_FORMAT),
            seed=int(params.get("seed") or 0),
            limits_of_turns=Thresholds(
                gain=float(params.get("gain") or Thresholds().gain),
                efficiency=float(params.get("efficiency") or 0),
                enough=enough,
            ),
            rounds=_rounds(params.get("rounds")),
        )
        written_out(work.form, "", "")
    except (ValueError, TypeError) as error:
        raise bad_parameters(error) from None
    return work


def _rounds(given: Any) -> int:
    if not 1 <= (rounds := int(given or 1)) <= MOST_ROUNDS:
        raise ValueError(f"rounds must be from 1 to {MOST_ROUNDS}")
    return rounds


def _one_of(params: dict[str, Any], name: str, known: Sequence[str], default: str) -> str:
    value = str(params.get(name) or default)
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}")
    return value
