"""The shipped tokenizer and weights do what the demo needs. Loads torch."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.extras import NEEDS_DEMO
from workers.demo_teacher.__main__ import MODEL, STUDENT_START
from workers.demo_teacher.problems import make_problems
from workers.demo_teacher.working import is_right
from workers.trainer.sampling import Sampling, load, sample

pytestmark = [NEEDS_DEMO, pytest.mark.slow, pytest.mark.timeout(300)]
TEXTS = [
    "What is 37 + 48 - 19?",
    "<think>\nI need 37 + 48.\n\n37 + 48: ones 7 + 8 = 15\n</think>\n\n\\boxed{85}",
    "𝑥 = 3 é e\u0301 👩‍🚀 \r\n\ttabs  and   spaces ",
    "",
]


@cache
def model(path: Path) -> tuple[Any, Any]:
    return load(str(path))


def right(path: Path, n: int, **sampling: Any) -> float:
    problems = list(make_problems(n, 20, "train"))
    samples = sample(*model(path), [p.text for p in problems], Sampling(**sampling))
    return sum(is_right(s[0].text, p.answer) for s, p in zip(samples, problems, strict=True)) / n


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_survives_the_tokenizer(text: str) -> None:
    _, tokenizer = model(MODEL)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_each_digit_is_a_token_and_so_is_each_think_tag() -> None:
    _, tokenizer = model(MODEL)
    assert tokenizer.tokenize("<think>1234</think>") == ["<think>", *"1234", "</think>"]


def test_the_chat_template_takes_a_system_turn_and_asks_the_assistant() -> None:
    _, tokenizer = model(MODEL)
    chat = [
        {"role": "system", "content": "Be exact."},
        {"role": "user", "content": "What is 2 + 3?"},
    ]
    asked = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert asked == "<|system|>Be exact.<|end|><|user|>What is 2 + 3?<|end|><|assistant|>"
    answered = [*chat, {"role": "assistant", "content": "\\boxed{5}"}]
    whole = tokenizer.apply_chat_template(answered, tokenize=False)
    assert whole == asked + "\\boxed{5}<|end|>"


def test_the_template_marks_the_tokens_that_the_assistant_wrote() -> None:
    _, tokenizer = model(MODEL)
    chat = [{"role": "user", "content": "2?"}, {"role": "assistant", "content": "\\boxed{2}"}]
    made = tokenizer.apply_chat_template(
        chat, return_dict=True, return_assistant_tokens_mask=True, tokenize=True
    )
    mask = zip(made["input_ids"], made["assistant_masks"], strict=True)
    assert tokenizer.decode([i for i, own in mask if own]) == "\\boxed{2}<|end|>"


def test_the_shipped_model_is_small_and_both_share_one_tokenizer() -> None:
    assert 0.5e6 < model(MODEL)[0].num_parameters() < 1.5e6
    files = [path for folder in (MODEL, STUDENT_START) for path in folder.iterdir()]
    assert sum(path.stat().st_size for path in files) < 12_000_000
    assert (MODEL / "tokenizer.json").read_text() == (STUDENT_START / "tokenizer.json").read_text()


def test_the_teacher_is_mostly_right_without_sampling() -> None:
    assert right(MODEL, 40, temperature=0.0) >= 0.6


def test_the_teacher_errs_at_the_demo_temperature_but_not_too_often() -> None:
    assert 0.6 <= right(MODEL, 100) <= 0.9


def test_the_student_starts_weak_but_not_ignorant() -> None:
    assert 0.2 <= right(STUDENT_START, 100) <= 0.6
