"""How often a model is right on held-back problems, with the interval that belongs to it."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx

from curation.addresses import parse_address
from curation.teachers.transport import CheckedClientTransport, Guard
from workers.trainer.sampling import Sample, Sampling, load, sample

Z95 = 1.959963984540054
VERDICTS = ("correct", "incorrect", "unverifiable", "error")
LOCAL_VERIFIER = "exact-integer 1"
MAX_HELD_BACK = 200


@dataclass(frozen=True)
class HeldBack:
    """A problem no training row came from; ``reference`` is the answer it is held to."""

    id: str
    text: str
    reference: str
    kind: str = "math"


@dataclass(frozen=True)
class Judged:
    """A verdict of the contract and what was read out of the response."""

    verdict: str
    extracted: str | None
    by: str = LOCAL_VERIFIER


Sampler = Callable[[Sequence[str], Sampling], list[list[Sample]]]
Verifier = Callable[[HeldBack, Sample], Judged]


def wilson(correct: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion; (0, 1) of nothing (Wilson, 1927)."""
    if total == 0:
        return 0.0, 1.0
    share, square = correct / total, Z95 * Z95
    centre = share + square / (2 * total)
    spread = Z95 * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    scale = 1 + square / total
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def boxed(response: str) -> str | None:
    r"""The content of the last ``\boxed{…}`` after the reasoning, or None."""
    answer = response.rpartition("</think>")[2]
    _, found, rest = answer.rpartition("\\boxed{")
    if not found or "}" not in rest:
        return None
    return rest[: rest.index("}")].strip()


def judge_integer(problem: HeldBack, given: Sample) -> Judged | None:
    """The verdict where reference and boxed answer are whole numbers; None: not for this rule."""
    stated = boxed(given.text)
    if _integer(problem.reference) is None:
        return None
    if stated is None:
        return Judged("incorrect", None)
    value = _integer(stated)
    if value is None:
        return None
    return Judged("correct" if value == _integer(problem.reference) else "incorrect", stated)


def _integer(text: str) -> int | None:
    plain = text.strip().replace("−", "-")
    digits = plain.removeprefix("-")
    return int(plain) if digits.isascii() and digits.isdigit() and len(digits) < 100 else None


def judge_locally(problem: HeldBack, given: Sample) -> Judged:
    """``judge_integer``, and ``unverifiable`` for what it has no rule for."""
    return judge_integer(problem, given) or Judged("unverifiable", boxed(given.text))


def local_sampler(folder: str) -> Sampler:
    """Samples the model in a folder in this process."""

    def sampled(prompts: Sequence[str], sampling: Sampling) -> list[list[Sample]]:
        model, tokenizer = load(folder)
        return sample(model, tokenizer, prompts, sampling)

    return sampled


def endpoint_sampler(base_url: str, model: str, *, concurrency: int = 16) -> Sampler:
    """Samples an OpenAI-compatible endpoint; one request per sample, as not all know ``n``."""

    def sampled(prompts: Sequence[str], sampling: Sampling) -> list[list[Sample]]:
        jobs = [prompt for prompt in prompts for _ in range(sampling.n)]
        # The server let this address be named; nothing but it is called, by whatever proxy or name.
        guard = Guard(parse_address(base_url), private=True)
        with (
            httpx.Client(
                base_url=base_url.rstrip("/") + "/",
                timeout=300.0,
                trust_env=False,
                transport=CheckedClientTransport(httpx.HTTPTransport(), guard),
            ) as http,
            ThreadPoolExecutor(concurrency) as pool,
        ):
            flat = list(pool.map(lambda prompt: _ask(http, model, prompt, sampling), jobs))
        return [flat[at : at + sampling.n] for at in range(0, len(flat), sampling.n)]

    return sampled


def _ask(http: httpx.Client, model: str, prompt: str, sampling: Sampling) -> Sample:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
    }
    answer = http.post("chat/completions", json=body).raise_for_status().json()
    choice = answer["choices"][0]
    message = choice["message"]
    text = message.get("content") or ""
    if message.get("reasoning_content"):
        text = f"<think>\n{message['reasoning_content']}\n</think>\n\n{text}"
    tokens = (answer.get("usage") or {}).get("completion_tokens", 0)
    return Sample(text, choice.get("finish_reason") or "stop", tokens)


def evaluate(
    sampler: Sampler,
    problems: Sequence[HeldBack],
    sampling: Sampling,
    judge: Verifier = judge_locally,
) -> dict[str, Any]:
    """Sample and judge; the fields of an evaluation of docs/training.md but role and model."""
    samples = sampler([problem.text for problem in problems], sampling)
    results, by = [], Counter[str]()
    for problem, row in zip(problems, samples, strict=True):
        for number, given in enumerate(row):
            judged = judge(problem, given)
            by[judged.by] += 1
            results.append(_result(problem, number, given, judged))
    counts = Counter(result["verdict"] for result in results)
    decided = counts["correct"] + counts["incorrect"]
    return {
        "verifier": " + ".join(sorted(by)),
        "sampling": sampling.row(),
        "problems": len(problems),
        **{verdict: counts[verdict] for verdict in VERDICTS},
        "pass_rate": counts["correct"] / decided if decided else None,
        "interval": list(wilson(counts["correct"], decided)),
        "problems_sha256": problems_sha256(problems),
        "results": results,
    }


def _result(problem: HeldBack, number: int, given: Sample, judged: Judged) -> dict[str, Any]:
    return {
        "problem": problem.id,
        "text": problem.text,
        "reference_answer": problem.reference,
        "sample_no": number,
        "response": given.text,
        "verdict": judged.verdict,
        "extracted": judged.extracted,
        "finish_reason": given.finish_reason,
        "tokens": given.tokens,
    }


def problems_sha256(problems: Sequence[HeldBack]) -> str:
    """A hash of what was asked: equal for evaluations that can be compared."""
    rows = [[problem.text, problem.reference] for problem in problems]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def held_back_problems(
    setting: dict[str, Any] | None, served: Sequence[dict[str, Any]], seed: int
) -> list[HeldBack]:
    """The problems of ``config.held_back``, or at most 200 of those the server gave."""
    if setting is None:
        chosen = _chosen(served, seed)
        return [_from_row(row) for row in chosen if row.get("reference_answer") is not None]
    if setting.get("generator") == "demo":
        return _generated(int(setting.get("n", 100)), int(setting.get("seed", 1)))
    if "problems" in setting:
        return [_from_row(row) for row in setting["problems"]]
    raise ValueError("config: held_back needs generator 'demo' or problems")


def _chosen(served: Sequence[dict[str, Any]], seed: int) -> Sequence[dict[str, Any]]:
    if len(served) <= MAX_HELD_BACK:
        return served
    return random.Random(seed).sample(list(served), MAX_HELD_BACK)  # noqa: S311 a choice, no secret


def _from_row(row: dict[str, Any]) -> HeldBack:
    reference = str(row.get("reference_answer", ""))
    return HeldBack(str(row.get("id", "")), row["text"], reference, row.get("kind") or "math")


def _generated(n: int, seed: int) -> list[HeldBack]:
    from workers.demo_teacher.problems import make_problems

    made = make_problems(n, seed, "held-back")
    return [HeldBack("", problem.text, str(problem.answer)) for problem in made]
