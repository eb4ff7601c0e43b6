"""The settings of a training run, read from JSON and checked before anything is loaded."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_type_hints

from workers.trainer.sampling import Sampling

T = TypeVar("T")
Method = Literal["sft", "dpo"]
DEFAULT_RATES: dict[str, float] = {"sft": 1e-3, "dpo": 1e-4}


@dataclass(frozen=True)
class TrainConfig:
    """One run's settings; docs/training.md has the table. A learning rate of 0 is the method's."""

    method: Method = "sft"
    base_model: str = "demo-student-start"
    epochs: float = 3.0
    max_steps: int = 0
    learning_rate: float = 0.0
    warmup_steps: int = 10
    weight_decay: float = 0.0
    batch_size: int = 16
    gradient_accumulation: int = 1
    max_length: int = 512
    seed: int = 0
    logging_steps: int = 5
    save_steps: int = 50
    beta: float = 0.1
    lora_rank: int = 0
    held_back: dict[str, Any] | None = None
    sampling: Sampling = field(default_factory=Sampling)
    teacher: dict[str, Any] | str | None = None

    @property
    def rate(self) -> float:
        """The learning rate that is used."""
        return self.learning_rate or DEFAULT_RATES[self.method]


_POSITIVE = ("epochs", "batch_size", "gradient_accumulation", "max_length", "logging_steps")
_NOT_NEGATIVE = ("max_steps", "learning_rate", "warmup_steps", "weight_decay", "lora_rank", "beta")


def parse_config(raw: dict[str, Any]) -> TrainConfig:
    """The settings in ``raw``; ValueError names the key that is unknown or has a bad value."""
    given = dict(raw)
    sampling = _parse(Sampling, given.pop("sampling", None) or {}, "config.sampling")
    config = dataclasses.replace(_parse(TrainConfig, given, "config"), sampling=sampling)
    if config.method not in DEFAULT_RATES:
        raise ValueError(f"config: method must be sft or dpo, not {config.method!r}")
    for name in _POSITIVE:
        if getattr(config, name) <= 0:
            raise ValueError(f"config: {name} must be above 0")
    for name in (*_NOT_NEGATIVE, "save_steps"):
        if getattr(config, name) < (1 if name == "save_steps" else 0):
            raise ValueError(f"config: {name} is too small")
    return config


def _parse(kind: type[T], raw: dict[str, Any], where: str) -> T:
    hints = get_type_hints(kind)
    for name, value in raw.items():
        if name not in hints:
            raise ValueError(f"{where}: unknown key {name!r}")
        if hints[name] in (int, float) and (isinstance(value, bool) or not _is(value, hints[name])):
            raise ValueError(f"{where}: {name} must be a number, not {value!r}")
    return kind(**raw)


def _is(value: object, kind: type) -> bool:
    return isinstance(value, (int, float)) if kind is float else isinstance(value, int)
