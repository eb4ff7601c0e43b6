"""TRL's own data preparation on the files of an export: every code point of a trace is trained on.

The trainers are real (SFTTrainer, DPOTrainer), the model and tokenizer are made here: a Llama of
a few thousand parameters and a byte-level tokenizer, so that any text round-trips.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.curation.test_exports import TEXT, export

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
TEMPLATE = (
    "{%- for m in messages -%}{%- if m['role'] == 'assistant' -%}"
    "<|assistant|>{% generation %}{{ m['content'] }}<|end|>{% endgeneration %}"
    "{%- else -%}{{ '<|' + m['role'] + '|>' + m['content'] }}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"
)
SPECIAL = ["<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    pytest.importorskip("trl")
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token="<|end|>",
        pad_token="<|pad|>",
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = TEMPLATE
    return fast


@pytest.fixture
def model(tokenizer: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **size, **heads))


def load(folder: Path, cache: Path) -> Any:
    """The data files as the card says to load them."""
    from datasets import load_dataset

    kind = "parquet" if list(folder.glob("data/*.parquet")) else "json"
    files = str(folder / "data" / "train-*")
    return load_dataset(kind, data_files=files, split="train", cache_dir=str(cache))


def settings_for(where: Path) -> dict[str, Any]:
    return {
        "output_dir": str(where),
        "use_cpu": True,
        "report_to": [],
        "max_length": None,
        "max_steps": 1,
        "per_device_train_batch_size": 2,
        "save_strategy": "no",
        "disable_tqdm": True,
    }


def sft(folder: Path, where: Path, model: Any, tokenizer: Any, **options: Any) -> Any:
    from trl import SFTConfig, SFTTrainer

    arguments = SFTConfig(**settings_for(where), **options)
    rows = load(folder, where)
    return SFTTrainer(model, args=arguments, train_dataset=rows, processing_class=tokenizer)


def trained_text(row: Any, tokenizer: Any) -> str:
    """What the loss is on."""
    return str(tokenizer.decode([token for token in row["labels"] if token != -100]))


@pytest.mark.parametrize("form", ["trl_sft_completion", "trl_sft_completion_parquet"])
def test_the_loss_is_on_the_whole_trace_and_nothing_else(
    tmp_path: Path, tokenizer: Any, model: Any, form: str
) -> None:
    written = export(tmp_path / "out", 4, form)
    trainer = sft(written.folder, tmp_path / "run", model, tokenizer)
    for number, row in enumerate(trainer.train_dataset):
        assert trained_text(row, tokenizer) == f"{TEXT}{number}<|end|>"
        assert tokenizer.decode(row["input_ids"]).startswith(f"<|user|>What is {number} + 4?")
    assert trainer.train().training_loss > 0


@pytest.mark.parametrize("form", ["trl_sft", "trl_sft_parquet", "openai_sft"])
def test_messages_can_be_trained_on_with_the_assistants_part_alone(
    tmp_path: Path, tokenizer: Any, model: Any, form: str
) -> None:
    written = export(tmp_path / "out", 4, form)
    options = {"assistant_only_loss": True}
    trainer = sft(written.folder, tmp_path / "run", model, tokenizer, **options)
    for number, row in enumerate(trainer.train_dataset):
        assert trained_text(row, tokenizer) == f"{TEXT}{number}<|end|>"
    assert trainer.train().training_loss > 0


@pytest.mark.parametrize("form", ["trl_dpo", "trl_dpo_parquet"])
def test_pairs_are_taken_with_both_traces_whole(
    tmp_path: Path, tokenizer: Any, model: Any, form: str
) -> None:
    from trl import DPOConfig, DPOTrainer

    written = export(tmp_path / "out", 4, form)
    trainer = DPOTrainer(
        model,
        ref_model=copy.deepcopy(model),
        args=DPOConfig(**settings_for(tmp_path / "run")),
        train_dataset=load(written.folder, tmp_path / "run"),
        processing_class=tokenizer,
    )
    for number, row in enumerate(trainer.train_dataset):
        chosen = tokenizer.decode(row["chosen_ids"])
        assert chosen == f"{TEXT}{number}<|end|>"
        assert tokenizer.decode(row["rejected_ids"]) == f"<think>hm</think> {number}<|end|>"
    assert trainer.train().training_loss > 0
