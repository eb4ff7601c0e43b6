"""What a teacher is asked: sampling parameters and the prompt template, both with stable hashes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from curation.teachers.canonical import digest

# Set by the client itself; letting ``extra`` overwrite them would make the manifest untrue.
RESERVED = frozenset(
    {"model", "messages", "n", "seed", "stream", "stream_options", "temperature", "top_p"}
    | {"max_tokens", "max_completion_tokens", "tools", "functions"}
)
SEED_MASK = 2**31 - 1  # engines differ in what they take; a positive 32-bit signed integer fits all
Message = dict[str, Any]


@dataclass(frozen=True)
class Sampling:
    """How samples are drawn. ``n`` is how many are wanted per problem, not part of the hash:
    asking for eight after four must fill the gap, not start again.

    ``max_tokens`` is in tokens; ``None`` leaves it to the server. ``seed`` is the base from which
    each request's own seed is derived (``None``: no seed is sent). ``extra`` goes into the request
    as it is (``top_k``, ``min_p``, ``chat_template_kwargs``...).
    """

    temperature: float = 0.7
    top_p: float = 1.0
    max_tokens: int | None = 2048
    seed: int | None = 0
    n: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _number("temperature", self.temperature, 0, 100)
        _number("top_p", self.top_p, 0, 1)
        _integer("n", self.n, 1, 100_000)
        if self.max_tokens is not None:
            _integer("max_tokens", self.max_tokens, 1, 10_000_000)
        if self.seed is not None:
            _integer("seed", self.seed, 0, 2**63 - 1)
        if taken := RESERVED & set(self.extra):
            raise ValueError(f"extra may not set {', '.join(sorted(taken))}")

    @classmethod
    def from_dict(cls, given: Mapping[str, Any] | None) -> Sampling:
        """Build from JSON; unknown names raise ValueError (they belong into ``extra``)."""
        values = dict(given or {})
        if unknown := set(values) - set(cls.__dataclass_fields__):
            raise ValueError(f"unknown sampling parameters: {', '.join(sorted(unknown))}")
        return cls(**values)

    def identity(self) -> dict[str, Any]:
        """What decides the distribution of the answers: all but ``n``, numbers normalised."""
        return {
            "temperature": float(self.temperature),
            "top_p": float(self.top_p),
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "extra": dict(self.extra),
        }

    def as_dict(self) -> dict[str, Any]:
        """JSON form; ``from_dict`` reads it back."""
        return self.identity() | {"n": self.n}

    @property
    def hash(self) -> str:
        """SHA-256 of ``identity()``."""
        return digest(self.identity())


def _number(name: str, value: object, low: float, high: float) -> None:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not math.isfinite(value) or not low <= value <= high:  # type: ignore[arg-type,operator]
        raise ValueError(f"{name} must be a number from {low} to {high}, not {value!r}")


def _integer(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} must be a whole number from {low} to {high}, not {value!r}")


def request_seed(base: int | None, prompt_hash: str, sample_nos: Sequence[int]) -> int | None:
    """The seed of one request, derived from the base seed, the prompt and the samples asked.

    A gap filled later asks for other sample numbers and so never repeats an earlier seed.
    """
    if base is None:
        return None
    return int(digest([base, prompt_hash, list(sample_nos)]), 16) & SEED_MASK


@dataclass(frozen=True)
class PromptTemplate:
    """A versioned prompt: fixed text around the problem.

    The template itself is split once at ``SLOT``; the problem's text is only ever concatenated,
    so braces, percent signs or the slot's own name in it mean nothing.
    """

    name: str
    version: int
    user: str
    system: str = ""

    SLOT = "{problem}"

    def __post_init__(self) -> None:
        if self.user.count(self.SLOT) != 1:
            raise ValueError(f"the user part needs {self.SLOT} exactly once")

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> PromptTemplate:
        """Build from JSON with ``name, version, user[, system]``; ValueError on anything else."""
        try:
            return cls(**given)
        except TypeError as error:
            raise ValueError(f"not a prompt template: {error}") from None

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "version": self.version,
            "user": self.user,
            "system": self.system,
        }

    @property
    def hash(self) -> str:
        """SHA-256 of the template, its name and version included."""
        return digest(self.as_dict())

    def render(self, problem: str) -> list[Message]:
        """The conversation to send for one problem."""
        before, _, after = self.user.partition(self.SLOT)
        messages: list[Message] = []
        if self.system:
            messages.append({"role": "system", "content": self.system})
        messages.append({"role": "user", "content": before + problem + after})
        return messages


def messages_hash(messages: Sequence[Message]) -> str:
    """SHA-256 of a rendered conversation: the prompt hash of a trace."""
    return digest(list(messages))


PLAIN = PromptTemplate(name="plain", version=1, user="{problem}")
BOXED = PromptTemplate(
    name="boxed",
    version=1,
    user="{problem}",
    system="Reason step by step, then put the final answer in \\boxed{}.",
)
TEMPLATES: dict[str, PromptTemplate] = {t.name: t for t in (PLAIN, BOXED)}


def template_of(given: str | Mapping[str, Any] | None) -> PromptTemplate:
    """A template by its name or from its JSON form; ``plain`` when nothing is given."""
    if given is None or given == "":
        return PLAIN
    if isinstance(given, Mapping):
        return PromptTemplate.from_dict(given)
    if given not in TEMPLATES:
        raise ValueError(f"unknown template {given!r}; known: {', '.join(sorted(TEMPLATES))}")
    return TEMPLATES[given]
