"""What one judge job does, resolved once from its parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from curation.endpoints import endpoint_of, probe_teacher, split_limits
from curation.jobs import JobContext, JobError
from curation.judges import reward, temporal, votes
from curation.judges import steps as prm
from curation.judges.prompts import JudgePrompt, prompt_of
from curation.models import JudgePrompt as StoredPrompt
from curation.models import ModelEndpoint
from curation.teachers.canonical import digest
from curation.teachers.client import Endpoint
from curation.teachers.pacing import Limits
from curation.teachers.probe import Capabilities
from curation.teachers.sampling import Sampling

REWARD_THRESHOLD = 0.7  # DeepDistill's bar for chat and other


@dataclass(frozen=True)
class Work:
    """What one judge job does, resolved once at its start. ``prompt`` is None for rewards."""

    judge: ModelEndpoint
    endpoint: Endpoint
    limits: Limits
    capabilities: Capabilities
    prompt: JudgePrompt | None
    sampling: Sampling
    settings: dict[str, Any]
    verifier: str
    version: str

    @property
    def steps(self) -> bool:
        return self.prompt is not None and self.prompt.mode == "steps"

    @property
    def scoring(self) -> prm.StepSettings | None:
        """How a process reward model is asked for a score of each step; None for any other."""
        given = self.settings.get("scoring")
        return prm.StepSettings.from_dict(given) if given is not None else None

    @property
    def rounds(self) -> int:
        return int(self.settings["rounds"]) if self.steps else 1

    @property
    def slots(self) -> list[tuple[int, int]]:
        """(order, number) of the votes of one round."""
        orders = self.prompt.orders if self.prompt else (0,)
        return [(order, number) for order in orders for number in range(self.settings["k"])]


def prepare(ctx: JobContext) -> Work:
    """Resolve the job's parameters; JobError with a code for each thing that can be wrong."""
    params = ctx.params
    judge = ModelEndpoint.objects.filter(project=ctx.project, name=params.get("judge")).first()
    if judge is None:
        raise JobError("unknown_judge", f"this project has no model {params.get('judge')!r}")
    if not judge.enabled or judge.paused_reason:
        raise JobError("judge_paused", judge.paused_reason or f"{judge.name} is switched off")
    try:
        settings = _settings(params)
        prompt = None if settings["reward"] else _prompt(ctx, params.get("prompt"))
        sampling = Sampling.from_dict(dict(judge.sampling) | dict(params.get("sampling") or {}))
        limits, _ = split_limits(judge.limits)
    except (ValueError, TypeError) as problem:
        raise JobError("bad_parameters", str(problem)) from None
    capabilities = Capabilities.from_dict(judge.capabilities)
    if judge.probed_at is None and settings["api"] == reward.CHAT:
        capabilities = probe_teacher(judge, ctx)
    verifier, version = _names(judge, prompt, sampling, settings)
    return Work(
        judge, endpoint_of(judge), limits, capabilities, prompt, sampling, settings, verifier,
        version,
    )  # fmt: skip


def _settings(params: dict[str, Any]) -> dict[str, Any]:
    given = params.get("reward")
    if given is not None and not isinstance(given, dict):
        raise ValueError("reward is an object")
    how = given or {}
    api = how.get("api", reward.CHAT)
    attributes = how.get("attributes", [])
    if api not in reward.APIS or not isinstance(attributes, list):
        raise ValueError(f"reward has an api of {', '.join(reward.APIS)}, and attributes as a list")
    steps = {
        "rounds": _number(params, "rounds", temporal.ROUNDS, 1, 50, whole=True),
        "stable": _number(params, "stable", temporal.STABLE, 0, 50, whole=True),
    }
    scoring = {}
    if api == reward.STEPS:
        scoring = {"scoring": prm.StepSettings.from_dict(how).as_dict()}
    bar = prm.THRESHOLD if scoring else REWARD_THRESHOLD
    return (
        steps
        | scoring
        | {
            "k": _number(params, "k", 1, 1, 1 if scoring else 64, whole=True),
            "min_valid": _number(params, "min_valid", votes.MIN_VALID, 0, 1),
            "threshold": _number(params, "threshold", bar, 0, 1),
            "reward": given is not None,
            "api": api,
            "attributes": [str(name) for name in attributes],
            "top": _number(how, "top", 4.0, 0.001, 1e6),
        }
    )


def _number(
    params: dict[str, Any], name: str, default: float, low: float, high: float, whole: bool = False
) -> Any:
    value = params.get(name, default)
    kind = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
        raise ValueError(f"{name} must be a {'whole ' if whole else ''}number, {low:g} to {high:g}")
    return value


def _prompt(ctx: JobContext, given: Any) -> JudgePrompt:
    """A built-in prompt, one given whole, or the newest version of one of the project's own."""
    if isinstance(given, str):
        own = StoredPrompt.objects.filter(project=ctx.project, name=given).order_by("-version")
        if (row := own.first()) is not None:
            return JudgePrompt.from_dict(row.spec)
    prompt = prompt_of(given)
    if (prompt.mode == "pair") != (ctx.params.get("pairs") is not None):
        raise ValueError("a prompt that compares pairs needs pairs, and no other takes them")
    return prompt


def _names(
    judge: ModelEndpoint, prompt: JudgePrompt | None, sampling: Sampling, settings: dict[str, Any]
) -> tuple[str, str]:
    """Verifier name and version: all that decides a verdict is in one of them."""
    slug = re.sub(r"[^a-z0-9]+", "-", judge.name.casefold()).strip("-")[:24]
    deciding = digest([judge.model, judge.revision, sampling.identity(), settings])[:8]
    if prompt is None:
        family = "prm" if "scoring" in settings else "reward"
        return f"{family}-{slug}", f"k{settings['k']}.{deciding}"
    name = f"judge-{slug}-{prompt.name}"[:64]
    return name, f"{prompt.version}.{prompt.hash[:8]}.k{settings['k']}.{deciding}"
