"""Sampling, templates and their hashes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.teachers.sampling import (
    BOXED,
    PLAIN,
    PromptTemplate,
    Sampling,
    messages_hash,
    request_seed,
    template_of,
)


def test_the_hash_does_not_depend_on_n_on_order_or_on_the_kind_of_number() -> None:
    one = Sampling(temperature=1, top_p=1, n=4, extra={"top_k": 5, "min_p": 0.1})
    two = Sampling(temperature=1.0, top_p=1.0, n=8, extra={"min_p": 0.1, "top_k": 5})
    assert one.hash == two.hash


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.8},
        {"top_p": 0.9},
        {"max_tokens": 4096},
        {"max_tokens": None},
        {"seed": 1},
        {"seed": None},
        {"extra": {"top_k": 5}},
    ],
)
def test_whatever_changes_the_answers_changes_the_hash(change: dict[str, Any]) -> None:
    assert Sampling(**change).hash != Sampling().hash


def test_the_hash_is_the_one_that_stored_traces_carry() -> None:
    """A changed canonical form would orphan every stored sample: then this must be on purpose."""
    stored = '{"extra":{},"max_tokens":2048,"seed":0,"temperature":0.7,"top_p":1.0}'
    assert Sampling().hash == hashlib.sha256(stored.encode()).hexdigest()


@pytest.mark.parametrize(
    "given",
    [
        {"temperature": -1},
        {"temperature": float("nan")},
        {"temperature": True},
        {"temperature": "1"},
        {"top_p": 1.1},
        {"n": 0},
        {"n": 1.5},
        {"max_tokens": 0},
        {"seed": -1},
        {"extra": {"messages": []}},
        {"extra": {"stream": False}},
        {"top_k": 5},
    ],
)
def test_values_that_make_no_sense_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Sampling.from_dict(given)


def test_the_json_form_reads_back() -> None:
    sampling = Sampling(temperature=0.5, n=3, extra={"chat_template_kwargs": {"thinking": True}})
    assert Sampling.from_dict(json.loads(json.dumps(sampling.as_dict()))) == sampling


@given(st.text())
def test_a_problem_stands_in_the_prompt_as_it_is(problem: str) -> None:
    template = PromptTemplate("t", 1, "Q: {problem}\nA {x} %s:", system="{problem}")
    system, user = template.render(problem)
    assert system == {"role": "system", "content": "{problem}"}
    assert user["content"] == f"Q: {problem}\nA {{x}} %s:"


def test_a_template_without_exactly_one_slot_is_refused() -> None:
    for user in ("no slot", "{problem} {problem}"):
        with pytest.raises(ValueError, match="exactly once"):
            PromptTemplate("t", 1, user)


def test_templates_are_found_by_name_or_given_whole() -> None:
    assert template_of(None) is PLAIN
    assert template_of("boxed") is BOXED
    assert template_of(BOXED.as_dict()).hash == BOXED.hash
    for wrong in ("nope", {"name": "x"}):
        with pytest.raises(ValueError):
            template_of(wrong)


def test_version_and_name_are_part_of_a_templates_hash() -> None:
    hashes = {PromptTemplate(n, v, "{problem}").hash for n in "ab" for v in (1, 2)}
    assert len(hashes) == 4


def test_seeds_differ_between_samples_problems_and_refills_and_fit_31_bits() -> None:
    hashes = [messages_hash(PLAIN.render(text)) for text in ("a", "b")]
    seeds = [request_seed(0, h, nos) for h in hashes for nos in ((0,), (1,), (0, 1), (1, 2))]
    assert len(set(seeds)) == len(seeds)
    assert all(seed is not None and 0 <= seed < 2**31 for seed in seeds)
    assert request_seed(0, hashes[0], (0,)) == seeds[0]
    assert request_seed(None, hashes[0], (0,)) is None


def test_the_package_loads_without_django_celery_or_torch() -> None:
    code = (
        "import sys, curation.teachers.pool, curation.teachers.manifest, curation.difficulty.stats,"
        "curation.difficulty.outcomes;"
        "print([m for m in ('django', 'celery', 'torch', 'openai') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
