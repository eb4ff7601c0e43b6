"""Trains a model on rows with TRL: no network, no knowledge of where the rows came from."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workers.trainer.config import TrainConfig
from workers.trainer.data import Row, dpo_triple, fits, sft_pair

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase, Trainer, TrainerCallback

OnMetric = Callable[[int, str, float], None]
ShouldStop = Callable[[], bool]

# What TRL logs at the end of a run about the run itself, not about a step.
_TOTALS = frozenset(
    {
        "train_runtime",
        "train_samples_per_second",
        "train_steps_per_second",
        "train_loss",
        "total_flos",
    }
)


class Cancelled(Exception):
    """``should_stop`` said so; the last checkpoint stays."""


class NotFinite(Exception):
    """A metric was not a finite number: the run has diverged."""


@dataclass(frozen=True)
class Outcome:
    """A finished training: where the model lies and what it was made of."""

    model: Path
    steps: int
    rows: int
    rows_too_long: int
    resumed_from: int
    parameters: int
    seconds: float


def _never() -> bool:
    return False


def train_sft(
    rows: Iterable[Row],
    base_model: str,
    out: Path,
    config: TrainConfig,
    *,
    on_metric: OnMetric,
    should_stop: ShouldStop = _never,
) -> Outcome:
    """Supervised fine-tuning of ``base_model`` (a folder) on chats; loss on the last answer only.

    Writes ``out/model`` and ``out/checkpoints``; a second call with the same ``out`` goes on from
    the newest whole checkpoint. Raises Cancelled, NotFinite, or ValueError for unusable rows.
    """
    from trl import SFTConfig, SFTTrainer

    tokenizer = _tokenizer(base_model)
    data, too_long = _sft_data(rows, tokenizer, config)
    args = SFTConfig(
        **_arguments(config, out), completion_only_loss=True, max_length=None, packing=False
    )
    trainer = SFTTrainer(
        model=_model(base_model),
        args=args,
        train_dataset=data,
        processing_class=tokenizer,
        peft_config=_adapter(config),
        callbacks=[_reporter(on_metric, should_stop)],
    )
    return _run(trainer, tokenizer, out, (len(data), too_long), on_metric)


def train_dpo(
    rows: Iterable[Row],
    base_model: str,
    out: Path,
    config: TrainConfig,
    *,
    on_metric: OnMetric,
    should_stop: ShouldStop = _never,
) -> Outcome:
    """Direct preference optimisation on preference rows; else like ``train_sft``."""
    from trl import DPOConfig, DPOTrainer

    tokenizer = _tokenizer(base_model)
    data, too_long = _dpo_data(rows, tokenizer, config)
    args = DPOConfig(**_arguments(config, out), beta=config.beta, max_length=None)
    trainer = DPOTrainer(
        model=_model(base_model),
        args=args,
        train_dataset=data,
        processing_class=tokenizer,
        peft_config=_adapter(config),
        callbacks=[_reporter(on_metric, should_stop)],
    )
    return _run(trainer, tokenizer, out, (len(data), too_long), on_metric)


TRAINERS: dict[str, Callable[..., Outcome]] = {"sft": train_sft, "dpo": train_dpo}


def _tokenizer(base_model: str) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base_model)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _model(base_model: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(base_model, dtype=torch.float32)


def _adapter(config: TrainConfig) -> Any:
    if not config.lora_rank:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=config.lora_rank,
        lora_alpha=2 * config.lora_rank,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def _sft_data(
    rows: Iterable[Row], tokenizer: PreTrainedTokenizerBase, config: TrainConfig
) -> tuple[Dataset, int]:
    pairs = [sft_pair(row) for row in rows]
    kept = [pair for pair in pairs if fits(tokenizer, pair[0] + pair[1], config.max_length)]
    records = [{"prompt": prompt, "completion": completion} for prompt, completion in kept]
    return _dataset(records), len(pairs) - len(kept)


def _dpo_data(
    rows: Iterable[Row], tokenizer: PreTrainedTokenizerBase, config: TrainConfig
) -> tuple[Dataset, int]:
    triples = [dpo_triple(row) for row in rows]
    kept = [
        (prompt, chosen, rejected)
        for prompt, chosen, rejected in triples
        if all(fits(tokenizer, prompt + end, config.max_length) for end in (chosen, rejected))
    ]
    records = [dict(zip(("prompt", "chosen", "rejected"), triple, strict=True)) for triple in kept]
    return _dataset(records), len(triples) - len(kept)


def _dataset(records: list[Row]) -> Dataset:
    from datasets import Dataset

    if not records:
        raise ValueError("no row of the export is short enough to train on")
    return Dataset.from_list(records)


def _arguments(config: TrainConfig, out: Path) -> dict[str, Any]:
    """What SFTConfig and DPOConfig share; everything that could reach a network is off."""
    import torch

    on_cpu = not torch.cuda.is_available()
    return {
        "output_dir": str(out / "checkpoints"),
        "num_train_epochs": config.epochs,
        "max_steps": config.max_steps or -1,
        "learning_rate": config.rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": config.warmup_steps,
        "weight_decay": config.weight_decay,
        "per_device_train_batch_size": config.batch_size,
        "gradient_accumulation_steps": config.gradient_accumulation,
        "seed": config.seed,
        "logging_steps": config.logging_steps,
        "logging_nan_inf_filter": False,
        "save_steps": config.save_steps,
        "save_total_limit": 2,
        "use_cpu": on_cpu,
        "bf16": not on_cpu,
        "gradient_checkpointing": not on_cpu,
        "dataloader_pin_memory": not on_cpu,
        "report_to": "none",
        "push_to_hub": False,
        "disable_tqdm": True,
    }


def _reporter(on_metric: OnMetric, should_stop: ShouldStop) -> TrainerCallback:
    from transformers import TrainerCallback

    class Reporter(TrainerCallback):
        """Passes logged numbers on and asks after each step whether to stop."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            on_metric(0, "steps_total", float(state.max_steps))

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            for name, value in (logs or {}).items():
                if name not in _TOTALS and isinstance(value, (int, float)):
                    _report(on_metric, state.global_step, name, float(value))

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if should_stop():
                raise Cancelled

    return Reporter()


def _report(on_metric: OnMetric, step: int, name: str, value: float) -> None:
    if not math.isfinite(value):
        raise NotFinite(f"{name} is {value} at step {step}")
    on_metric(step, name, value)


def _run(
    trainer: Trainer,
    tokenizer: PreTrainedTokenizerBase,
    out: Path,
    rows: tuple[int, int],
    on_metric: OnMetric,
) -> Outcome:
    from transformers import PrinterCallback

    started = time.monotonic()
    on_metric(0, "rows", float(rows[0]))
    on_metric(0, "rows_too_long", float(rows[1]))
    trainer.remove_callback(PrinterCallback)
    checkpoint = newest_checkpoint(out / "checkpoints")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    model = trainer.accelerator.unwrap_model(trainer.model)
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    _save(model, tokenizer, out / "model")
    return Outcome(
        model=out / "model",
        steps=trainer.state.global_step,
        rows=rows[0],
        rows_too_long=rows[1],
        resumed_from=_step_of(checkpoint) if checkpoint else 0,
        parameters=model.num_parameters(),
        seconds=round(time.monotonic() - started, 2),
    )


def _save(model: Any, tokenizer: PreTrainedTokenizerBase, out: Path) -> None:
    """Write model and tokenizer beside ``out`` first, so that ``out`` is whole or not there."""
    part = out.with_name(f"{out.name}.part-{os.getpid()}")
    model.save_pretrained(part)
    tokenizer.save_pretrained(part)
    if out.exists():
        out.rename(out.with_name(f"{out.name}.old-{time.time_ns()}"))
    part.rename(out)


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end, or None.

    The trainer writes ``trainer_state.json`` last: without it a checkpoint was cut off.
    """
    whole = [path for path in folder.glob("checkpoint-*") if _is_whole(path)]
    return max(whole, key=_step_of, default=None)


def _is_whole(path: Path) -> bool:
    needed: Sequence[str] = ("trainer_state.json", "optimizer.pt", "scheduler.pt")
    return all((path / name).is_file() for name in needed)


def _step_of(path: Path) -> int:
    return int(path.name.rsplit("-", 1)[1])
