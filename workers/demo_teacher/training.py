"""Trains the demo teacher, and its weak early copy, from nothing on the CPU."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workers.demo_teacher.problems import Problem, make_problem
from workers.demo_teacher.tokenizer import train_tokenizer
from workers.demo_teacher.working import Habits, write_trace

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

Log = Callable[[str], None]
IGNORE = -100
TOKENIZER_TEXTS = 3_000
POOL = 1_000
SETTLING_RATE = 0.4  # of the full learning rate
Row = tuple[list[int], int]  # token ids of a whole chat, length of its prompt


@dataclass(frozen=True)
class Plan:
    """What is trained and for how long; all of it is written into the model card."""

    seed: int = 0
    hidden: int = 128
    layers: int = 4
    heads: int = 4
    intermediate: int = 384
    warm_examples: int = 2_000
    examples: int = 16_000
    batch_tokens: int = 3_072
    learning_rate: float = 4e-3
    muon_rate: float = 0.02
    warmup: int = 40
    weak_at: float = 0.4
    weak_steps: int = 90
    habits: Habits = field(default_factory=Habits)


def build_model(plan: Plan, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A fresh Llama-style model of about a million parameters in float32."""
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    set_seed(plan.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=plan.hidden,
        intermediate_size=plan.intermediate,
        num_hidden_layers=plan.layers,
        num_attention_heads=plan.heads,
        num_key_value_heads=plan.heads,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        initializer_range=0.05,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def make_pair(rng: random.Random, habits: Habits, max_terms: int = 4) -> tuple[Problem, str]:
    """A training problem of at most ``max_terms`` terms and one simulated response."""
    problem = make_problem(rng)
    while len(problem.terms) > max_terms:
        problem = make_problem(rng)
    return problem, write_trace(rng, problem, habits)


def example_ids(tokenizer: PreTrainedTokenizerFast, problem: Problem, response: str) -> Row:
    """(token ids of the whole chat, length of the prompt)."""
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": problem.text}], add_generation_prompt=True, tokenize=False
    )
    head = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    tail = tokenizer(response, add_special_tokens=False)["input_ids"]
    return [*head, *tail, tokenizer.eos_token_id], len(head)


def batches(plan: Plan, tokenizer: PreTrainedTokenizerFast) -> Iterator[tuple[float, list[Row]]]:
    """(share of the run done, batch of rows of like length), in a seeded order.

    The first ``warm_examples`` are short sums without second thoughts: copying and single columns
    are learnt there at a fraction of the cost.
    """
    rng = random.Random(f"demo teacher {plan.seed}")  # noqa: S311 reproducible
    plain = Habits(check=0.0, alternative=0.0, closing=0.2)
    for done in range(0, plan.examples, POOL):
        warm = done < plan.warm_examples
        habits, terms = (plain, 2) if warm else (plan.habits, 4)
        pairs = (make_pair(rng, habits, terms) for _ in range(POOL))
        rows = (example_ids(tokenizer, *pair) for pair in pairs)
        pool = sorted(rows, key=lambda row: len(row[0]))
        groups = list(_grouped(pool, plan.batch_tokens))
        rng.shuffle(groups)
        for at, group in enumerate(groups):
            yield (done + POOL * at / len(groups)) / plan.examples, group


def _grouped(pool: list[Row], batch_tokens: int) -> Iterator[list[Row]]:
    group: list[Row] = []
    for row in pool:
        if group and (len(group) + 1) * len(row[0]) > batch_tokens:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def collate(rows: list[Row], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids, labels), both [rows, longest]; prompts and padding have no label."""
    import torch

    width = max(len(ids) for ids, _ in rows)
    ids = torch.full((len(rows), width), pad)
    labels = torch.full((len(rows), width), IGNORE)
    for at, (row, prompt) in enumerate(rows):
        ids[at, : len(row)] = torch.tensor(row)
        labels[at, prompt : len(row)] = torch.tensor(row[prompt:])
    return ids, labels


def train_teacher(plan: Plan, out: Path, weak_out: Path | None, log: Log) -> dict[str, Any]:
    """Train and save the teacher (``out``) and its weak copy (``weak_out``); returns figures.

    The weak copy is the state after the share ``plan.weak_at`` of the run: the same model, stopped
    early and settled, to be a student's start.
    """
    tokenizer = train_tokenizer(_tokenizer_texts(plan))
    model = build_model(plan, tokenizer)
    optimizers = _optimizers(model, plan)
    started, loss, weak = time.monotonic(), 0.0, weak_out
    for step, (done, rows) in enumerate(batches(plan, tokenizer)):
        if weak_out and done >= plan.weak_at:
            save(settled(model, tokenizer, plan), tokenizer, weak_out)
            weak_out = None
        _set_rates(optimizers, min(1.0, (step + 1) / plan.warmup) * (1.0 - done))
        loss = _step(model, optimizers, *collate(rows, tokenizer.pad_token_id))
        if step % 25 == 0:
            log(f"{done:4.0%}  step {step}  loss {loss:.3f}  {time.monotonic() - started:.0f} s")
    save(model, tokenizer, out)
    figures = {
        "parameters": model.num_parameters(),
        "vocabulary": len(tokenizer),
        "seconds": round(time.monotonic() - started, 1),
        "loss": round(loss, 4),
    }
    write_card(out, "The demo teacher of Whittle, after its whole training.", plan)
    if weak:
        about = f"A start for students: stopped after {plan.weak_at:.0%} of the teacher's training."
        write_card(weak, about, plan)
    return figures


def settled(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, plan: Plan
) -> LlamaForCausalLM:
    """A copy of a half-trained model whose learning rate is brought down to zero in a few steps.

    In the middle of a run the rate is high and the weights are noisy: without this, most of what a
    student learns first would be this calming down, whatever its data.
    """
    calm = copy.deepcopy(model)
    optimizers = _optimizers(calm, plan)
    other = replace(plan, seed=plan.seed + 1, warm_examples=0, examples=2 * POOL)
    rows = [rows for _, rows in batches(other, tokenizer)][: plan.weak_steps]
    for step, batch in enumerate(rows):
        share = SETTLING_RATE * min(1.0, (step + 1) / 5) * (1 - step / len(rows))
        _set_rates(optimizers, share)
        _step(calm, optimizers, *collate(batch, tokenizer.pad_token_id))
    return calm


def _optimizers(model: LlamaForCausalLM, plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the matrices, AdamW for embeddings and norms (Jordan et al., 2024).

    AdamW alone needs about three times the steps here.
    """
    import torch

    named = list(model.named_parameters())
    matrices = [p for name, p in named if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in named if p.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(matrices, lr=plan.muon_rate, weight_decay=0.0),
        torch.optim.AdamW(others, lr=plan.learning_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def _set_rates(optimizers: list[torch.optim.Optimizer], share: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group.setdefault("full_rate", group["lr"])
            group["lr"] = group["full_rate"] * share


def _step(
    model: LlamaForCausalLM,
    optimizers: list[torch.optim.Optimizer],
    ids: torch.Tensor,
    labels: torch.Tensor,
) -> float:
    import torch
    from torch.nn.functional import cross_entropy

    with torch.autocast("cpu", torch.bfloat16):
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
    loss = cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORE)
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
    return float(loss.detach())


def _tokenizer_texts(plan: Plan) -> Iterator[str]:
    rng = random.Random(f"demo tokenizer {plan.seed}")  # noqa: S311 reproducible
    for _ in range(TOKENIZER_TEXTS):
        problem, response = make_pair(rng, plan.habits)
        yield problem.text
        yield response


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write weights, config, generation config and tokenizer into ``out``, readable by everyone."""
    model.generation_config.update(do_sample=True, temperature=0.8, max_new_tokens=512)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    for path in out.iterdir():
        path.chmod(0o644)


def write_card(out: Path, about: str, plan: Plan) -> None:
    """The model card: what this is and the command that makes it again."""
    settings = "\n".join(f"- {name}: {value}" for name, value in asdict(plan).items())
    out.joinpath("README.md").write_text(
        f"# {out.name}\n\n{about} It adds and subtracts small whole numbers and writes its working "
        "down, often twice, sometimes wrongly. Trained from nothing on made problems and made "
        "workings: no person's data is in it. docs/demo_teacher.md says how good it is.\n\n"
        f"Made by `python -m workers.demo_teacher train --out DIR --seed {plan.seed}` with\n\n"
        f"{settings}\n",
        encoding="utf-8",
    )
