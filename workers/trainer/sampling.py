"""Samples responses of a local model in this process, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BATCH = 200


@dataclass(frozen=True)
class Sampling:
    """How a model is sampled; temperature 0 is greedy. ``n`` samples per problem."""

    temperature: float = 0.8
    top_p: float = 1.0
    max_tokens: int = 512
    n: int = 1
    seed: int = 0

    def row(self) -> dict[str, Any]:
        """The fields as JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Sample:
    """One response; ``finish_reason`` is ``stop`` or ``length``."""

    text: str
    finish_reason: str
    tokens: int


def load(path: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model (float32, CPU, eval) and tokenizer from a local folder; never from a hub."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(path, local_files_only=True, dtype=torch.float32)
    model.eval()
    return model, AutoTokenizer.from_pretrained(path, local_files_only=True)


def sample(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    sampling: Sampling,
) -> list[list[Sample]]:
    """``sampling.n`` samples for each prompt (one user turn each), in the order of ``prompts``."""
    from transformers import set_seed

    set_seed(sampling.seed)
    repeated = [prompt for prompt in prompts for _ in range(sampling.n)]
    flat: list[Sample] = []
    for start in range(0, len(repeated), BATCH):
        flat.extend(_batch(model, tokenizer, repeated[start : start + BATCH], sampling))
    return [flat[at : at + sampling.n] for at in range(0, len(flat), sampling.n)]


def _batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    sampling: Sampling,
) -> Iterator[Sample]:
    import torch

    chats = [[{"role": "user", "content": prompt}] for prompt in prompts]
    texts = tokenizer.apply_chat_template(chats, add_generation_prompt=True, tokenize=False)
    inputs = tokenizer(
        texts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False
    )
    greedy = sampling.temperature == 0
    chosen: dict[str, float] = (
        {} if greedy else {"temperature": sampling.temperature, "top_p": sampling.top_p}
    )
    with torch.no_grad():
        output = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            max_new_tokens=sampling.max_tokens,
            do_sample=not greedy,
            top_k=0 if not greedy else None,
            **chosen,
        )
    end = tokenizer.eos_token_id
    for row in output[:, inputs["input_ids"].shape[1] :].tolist():
        yield _sample(tokenizer, row, end)


def _sample(tokenizer: PreTrainedTokenizerBase, row: list[int], end: int) -> Sample:
    stopped = end in row
    ids = row[: row.index(end)] if stopped else row
    text = str(tokenizer.decode(ids, skip_special_tokens=True))
    return Sample(text, "stop" if stopped else "length", len(ids) + stopped)
