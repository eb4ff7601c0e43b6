"""The job ``derive``: derived traces of policies, in turns, and truncated where probes allow it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from curation.derivations import run_derive
from curation.exports.run import run_export
from curation.jobs import JobError
from curation.models import ContinuationProbe, ModelEndpoint, Problem, Source, Trace
from curation.segmentation import analyse
from curation.segmentation.prefixes import chunk_points
from curation.verification import run_verify
from curation.verifiers import Verdict
from tests.curation.test_segmentation_multiturn import TEXT

pytestmark = pytest.mark.django_db
RIGHT = "No: 12 · 30 = 360. So the answer is 360.\n</think>\n\n\\boxed{360}"
Run = Callable[..., Any]


@pytest.fixture
def make(project: Any) -> Callable[..., Trace]:
    source = Source.objects.create(project=project, name="made")

    def add(text: str = TEXT, reference: str = "360") -> Trace:
        question = f"question {Problem.objects.count()}"
        digest = hashlib.sha256(question.encode()).hexdigest()
        problem = Problem.objects.create(
            project=project, source=source, text=question, kind="math", text_sha256=digest,
            norm_sha256=digest, reference_answer=reference,
        )  # fmt: skip
        return Trace.objects.create(
            project=project, problem=problem, source=source, origin="imported", identity=digest,
            text=text, text_sha256=digest, char_count=len(text), model="m", sample_no=3,
        )  # fmt: skip

    return add


@pytest.fixture
def probe(project: Any) -> Callable[..., ContinuationProbe]:
    judge = ModelEndpoint.objects.create(project=project, name="judge", model="j")

    def add(trace: Trace, point: int, verdict: str = "correct", **given: Any) -> ContinuationProbe:
        at = chunk_points(analyse(trace.text, "360"))[point]
        values = {"text": RIGHT, "sample_no": 0, "extracted": "360"} | given
        return ContinuationProbe.objects.create(
            trace=trace, endpoint=judge, arm="prefix", position=at, prefix_sha256=str(at),
            sampling_hash="h", verdict=verdict, **values,
        )  # fmt: skip

    return add


def test_turns_become_a_derived_trace_with_parent_ranges_and_reasons(
    run_job: Run, make: Callable[..., Trace]
) -> None:
    parent = make()
    job = run_job(run_derive, "derive", form="turns", upto="first-correct")
    assert (job.counts["traces"], job.counts["made"], job.counts["refused"]) == (1, 1, 0)
    made = Trace.objects.get(parent=parent)
    kept = "".join(TEXT[start:end] for start, end in made.kept_ranges or [])
    assert kept == TEXT[: TEXT.index("Let me verify this once")] + TEXT[TEXT.index("</think>") :]
    assert made.text.count("<think>") == 2 and made.origin == "derived"
    assert (made.model, made.sample_no, made.reasoning_closed) == ("m", 3, True)
    said = made.metadata["derivation"]
    assert (said["form"], said["upto"], said["turns"][0]["answer"]) == (
        "turns", "first-correct", "350",
    )  # fmt: skip
    assert made.metadata["cuts"][0]["reason"] == "1 turns behind the first correct one"


def test_a_second_run_makes_nothing_twice_and_another_form_stands_beside_it(
    run_job: Run, make: Callable[..., Trace]
) -> None:
    make()
    run_job(run_derive, "derive", form="turns")
    again = run_job(run_derive, "derive", form="turns")
    assert (again.counts["made"], again.counts["existing"]) == (0, 1)
    run_job(run_derive, "derive", form="turns", answer="So \\boxed{{answer}}")
    run_job(run_derive, "derive", form="policy")
    assert Trace.objects.filter(origin="derived").count() == 3


def test_turns_are_verified_like_any_trace_selected_and_exported(
    run_job: Run, make: Callable[..., Trace], tmp_path: Path, settings: Any
) -> None:
    settings.EXPORT_ROOT = tmp_path
    make()
    run_job(run_derive, "derive", form="turns")
    with patch("curation.verification.VerifierClient", Judge):
        assert run_job(run_verify, "verify").counts["correct"] == 2
    recipe = {"name": "mind", "derivations": ["turns"]}
    job = run_job(run_export, "export", recipe=recipe, format="trl_sft")
    (row,) = (tmp_path / "demo" / job.counts["export"] / "data").glob("*.jsonl")
    (message,) = [m for m in json.loads(row.read_text())["messages"] if m["role"] == "assistant"]
    assert message["content"] == Trace.objects.get(origin="derived").text
    assert message["content"].count("</think>\n\nThe answer is \\boxed") == 3


class Judge:
    """Stands in for the verifier service: everything is correct."""

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def health(self) -> dict[str, Any]:
        return {}

    def verify_batch(self, items: Sequence[dict[str, Any]]) -> list[Verdict]:
        return [Verdict("correct", extracted="360") for _ in items]


def test_a_policys_cuts_are_joined_checked_and_kept_with_their_reasons(
    run_job: Run, make: Callable[..., Trace]
) -> None:
    parent = make()
    run_job(run_derive, "derive", form="policy", policy="after-first-correct")
    made = Trace.objects.get(parent=parent)
    assert "once more" not in made.text
    assert made.metadata["derivation"] == {"form": "policy", "policy": "after-first-correct"}
    assert "already stated" in made.metadata["cuts"][0]["reason"]


def test_what_cannot_be_derived_is_counted_by_its_reason(
    run_job: Run, make: Callable[..., Trace]
) -> None:
    make(reference="1")
    make("<think>\n12 · 30 = 360.\n\nSo the answer is 360.\n</think>\n\n\\boxed{360}")
    job = run_job(run_derive, "derive", form="turns")
    assert job.counts["refused_reasons"] == {"not_right": 1, "one_turn": 1}
    assert (job.counts["traces"], job.done, job.total) == (2, 2, 2)


def test_answers_of_turns_are_those_of_a_model_where_it_was_asked(
    run_job: Run, make: Callable[..., Trace], probe: Callable[..., ContinuationProbe]
) -> None:
    parent = make()
    for number, value in enumerate(("351", "352", "352")):
        probe(parent, 1, "incorrect", sample_no=number, extracted=value)
    run_job(run_derive, "derive", form="turns", teacher="judge")
    said = Trace.objects.get(parent=parent).metadata["derivation"]
    assert [turn["answer"] for turn in said["turns"]] == ["352", "360", "360"]
    assert said["answers_by"] == "judge"


def test_a_trace_is_truncated_where_the_judge_is_right_often_enough(
    run_job: Run, make: Callable[..., Trace], probe: Callable[..., ContinuationProbe]
) -> None:
    parent = make()
    probe(parent, 0)
    long = probe(parent, 1, sample_no=0, text="Let me see again. " + RIGHT)
    short = probe(parent, 1, sample_no=1)
    probe(parent, 1, "incorrect", sample_no=2, text="?")
    job = run_job(run_derive, "derive", form="truncated", teacher="judge")
    assert job.counts["made"] == 1
    made = Trace.objects.get(parent=parent)
    assert made.text == TEXT[: long.position] + short.text
    assert made.kept_ranges == [[0, short.position]]
    said = made.metadata["derivation"]
    assert (said["probe"], said["correct"], said["judged"]) == (short.pk, 2, 3)
    run_job(run_derive, "derive", form="truncated", teacher="judge", ending="answer")
    other = Trace.objects.get(parent=parent, metadata__derivation__ending="answer")
    assert other.text == TEXT[: short.position] + TEXT[TEXT.index("</think>") :]
    assert other.metadata["cuts"][0]["start"] == short.position


@pytest.mark.parametrize(
    ("given", "verdict", "reason"),
    [
        ({}, "incorrect", "not_enough"),
        ({"enough": 0.9, "least": 2}, "correct", "not_probed"),
    ],
)
def test_a_point_that_is_not_sure_enough_is_no_truncation(
    run_job: Run, make: Callable[..., Trace], probe: Callable[..., ContinuationProbe],
    given: dict[str, Any], verdict: str, reason: str,
) -> None:  # fmt: skip
    probe(make(), 1, verdict)
    job = run_job(run_derive, "derive", form="truncated", teacher="judge", **given)
    assert job.counts["refused_reasons"] == {reason: 1}
    assert not Trace.objects.filter(origin="derived").exists()


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"form": "poem"}, "bad_parameters"),
        ({"form": "policy", "policy": "all of it"}, "unknown_policy"),
        ({"form": "turns", "upto": "here"}, "bad_parameters"),
        ({"form": "turns", "answer": "none"}, "bad_parameters"),
        ({"form": "truncated"}, "unknown_teacher"),
        ({"form": "turns", "teacher": "nobody"}, "unknown_teacher"),
        ({"form": "policy", "ending": "sad"}, "bad_parameters"),
        ({"form": "policy", "enough": 7}, "bad_parameters"),
        ({"form": "policy", "limit": "many"}, "bad_parameters"),
    ],
)
def test_bad_parameters_are_named(run_job: Run, given: dict[str, Any], code: str) -> None:
    with pytest.raises(JobError) as raised:
        run_job(run_derive, "derive", **given)
    assert raised.value.code == code
