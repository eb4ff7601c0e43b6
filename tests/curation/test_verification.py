"""Storing verdicts: once each, resumable, errors tried again, nothing stored without a service."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from curation.jobs import JobError
from curation.sandbox.client import VerifierClient
from curation.verification import VerifierAway, reference_hash, run_verify
from curation.verifiers import VERIFIERS
from curation.verifiers import Verdict as Judgement
from tests.verifier import running_service

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def service() -> Iterator[Any]:
    with running_service("--workers", "1") as running:
        yield running


@pytest.fixture
def verifier(service: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("WHITTLE_VERIFIER_SOCKET", str(service.socket))
    return service


@pytest.fixture
def make_trace(project: Any) -> Callable[..., Any]:
    from curation.models import Problem, Source, Trace

    source = Source.objects.create(project=project, name="made")
    numbers = iter(range(10_000))

    def make(text: str, reference: str | None = "14", kind: str = "math", **fields: Any) -> Any:
        digest = hashlib.sha256(f"{next(numbers)}{text}".encode()).hexdigest()
        choices, options = fields.pop("choices", None), fields.pop("options", None)
        problem = Problem.objects.create(
            project=project,
            source=source,
            text=f"question {digest}",
            text_sha256=digest,
            norm_sha256=digest,
            reference_answer=reference,
            kind=kind,
            choices=choices,
            metadata={"verifier_options": options} if options else {},
        )
        return Trace.objects.create(
            project=project,
            problem=problem,
            source=source,
            origin="imported",
            identity=digest,
            text=text,
            text_sha256=digest,
            char_count=len(text),
            **fields,
        )

    return make


def judgements(job: Any) -> dict[str, int]:
    return {name: job.counts[name] for name in ("correct", "incorrect", "unverifiable", "error")}


def test_a_run_judges_every_trace_and_counts_the_four_verdicts(
    run_job: Callable[..., Any], make_trace: Callable[..., Any], verifier: Any
) -> None:
    from curation.models import Verdict

    good = make_trace("<think>\n2+12\n</think>\n\nIt is \\boxed{14}.")
    make_trace("so \\boxed{15}")
    cut = make_trace("<think>\nstill thinking")
    make_trace("\\boxed{14}", reference=None)
    algebra = make_trace("\\boxed{x^2+2x+1}", reference="(x+1)^2")
    choice = make_trace("Answer: B", reference="four", kind="choice", choices=["two", "four"])

    job = run_job(run_verify, "verify")

    assert judgements(job) == {"correct": 3, "incorrect": 2, "unverifiable": 1, "error": 0}
    assert (job.done, job.total) == (6, 6)
    row = Verdict.objects.get(trace=good)
    assert (row.verdict, row.score, row.verifier, row.extracted) == ("correct", 1.0, "math", "14")
    assert row.version == VERIFIERS["math"].version
    assert row.reference_sha256 == reference_hash("14")
    assert Verdict.objects.get(trace=cut).reason == "truncated"
    assert Verdict.objects.get(trace=algebra).method == "math-verify"
    assert Verdict.objects.get(trace=choice).verdict == "correct"


def test_a_second_run_adds_nothing(
    run_job: Callable[..., Any], make_trace: Callable[..., Any], verifier: Any
) -> None:
    from curation.models import Verdict

    for number in range(7):
        make_trace(f"\\boxed{{{number}}}")
    run_job(run_verify, "verify")
    before = list(Verdict.objects.order_by("pk").values())

    job = run_job(run_verify, "verify")

    assert list(Verdict.objects.order_by("pk").values()) == before
    assert job.counts["present"] == 7
    assert sum(judgements(job).values()) == 0


def test_a_new_reference_gets_its_own_verdict_beside_the_old_one(
    run_job: Callable[..., Any], make_trace: Callable[..., Any], verifier: Any
) -> None:
    from curation.models import Verdict

    trace = make_trace("\\boxed{14}", reference="15")
    run_job(run_verify, "verify")
    trace.problem.reference_answer = "14"
    trace.problem.save()

    run_job(run_verify, "verify")

    found = Verdict.objects.filter(trace=trace).order_by("pk").values_list("verdict", flat=True)
    assert list(found) == ["incorrect", "correct"]


def test_a_stored_error_is_tried_again_and_replaced_while_other_verdicts_stay(
    run_job: Callable[..., Any],
    make_trace: Callable[..., Any],
    verifier: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from curation.models import Verdict

    stuck, fine = make_trace("\\boxed{14}"), make_trace("\\boxed{14}")
    broken = Judgement("error", reason="timeout", extracted="14")
    real = VerifierClient.verify_batch
    monkeypatch.setattr(
        VerifierClient, "verify_batch", lambda self, items: [broken, *real(self, items[1:])]
    )
    first = run_job(run_verify, "verify")
    assert judgements(first)["error"] == 1
    kept = Verdict.objects.get(trace=fine).pk
    monkeypatch.setattr(VerifierClient, "verify_batch", real)

    second = run_job(run_verify, "verify")

    assert judgements(second) == {"correct": 1, "incorrect": 0, "unverifiable": 0, "error": 0}
    assert Verdict.objects.get(trace=stuck).verdict == "correct"
    assert Verdict.objects.get(trace=fine).pk == kept


def test_an_absent_service_stores_nothing_and_fails_the_attempt(
    run_job: Callable[..., Any],
    make_trace: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    from curation.models import Verdict

    make_trace("\\boxed{14}")
    monkeypatch.setenv("WHITTLE_VERIFIER_SOCKET", str(tmp_path / "nobody.sock"))
    monkeypatch.setattr("curation.sandbox.client.FIRST_PAUSE", 0.001)

    with pytest.raises(VerifierAway, match="verifier_unreachable"):
        run_job(run_verify, "verify")
    assert not Verdict.objects.exists()


def test_a_run_that_lost_the_service_midway_continues_where_it_stopped(
    project: Any,
    make_trace: Callable[..., Any],
    verifier: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from curation import jobs
    from curation.models import Job, Verdict

    for number in range(9):
        make_trace(f"\\boxed{{{number + 10}}}")
    monkeypatch.setattr("curation.verification.BATCH_ITEMS", 2)
    real, calls = VerifierClient.verify_batch, iter(range(100))
    away = [Judgement("error", reason="verifier_unreachable")]

    def dying(self: Any, items: Any) -> list[Judgement]:
        return real(self, items) if next(calls) < 2 else away * len(items)

    monkeypatch.setattr(VerifierClient, "verify_batch", dying)
    job = jobs.create_job(project=project, kind="verify")
    epoch = jobs.claim(job.pk)
    with pytest.raises(VerifierAway):
        run_verify(jobs.JobContext(Job.objects.get(pk=job.pk), epoch or 0))
    assert Verdict.objects.count() == 4
    monkeypatch.setattr(VerifierClient, "verify_batch", real)

    context = jobs.JobContext(Job.objects.get(pk=job.pk), epoch or 0)
    run_verify(context)

    assert Verdict.objects.count() == 9
    assert context.job.done == 9
    assert context.job.counts["correct"] + context.job.counts["incorrect"] == 9
    assert context.job.counts["present"] == 0


def test_parameters_narrow_a_run(
    run_job: Callable[..., Any], make_trace: Callable[..., Any], verifier: Any
) -> None:
    from curation.models import Verdict

    first, _ = make_trace("\\boxed{14}"), make_trace("\\boxed{14}")
    run_job(run_verify, "verify", ids=[first.pk], verifier="exact")
    assert list(Verdict.objects.values_list("trace_id", "verifier")) == [(first.pk, "exact")]
    with pytest.raises(JobError, match="no source"):
        run_job(run_verify, "verify", source="elsewhere")
    with pytest.raises(JobError, match="none of the verifiers"):
        run_job(run_verify, "verify", verifier="oracle")


def test_a_kind_without_a_verifier_is_unverifiable(
    run_job: Callable[..., Any], make_trace: Callable[..., Any], verifier: Any
) -> None:
    from curation.models import Verdict

    make_trace("a poem", kind="poem")
    job = run_job(run_verify, "verify")
    assert job.counts["unverifiable"] == 1
    assert Verdict.objects.get().reason == "no_verifier"


def test_a_generation_cut_by_its_limit_is_truncated(
    run_job: Callable[..., Any], make_trace: Callable[..., Any], verifier: Any
) -> None:
    from curation.models import Verdict

    make_trace("\\boxed{14} and", truncated=True)
    make_trace("\\boxed{14} and", finish_reason="length")
    run_job(run_verify, "verify")
    assert set(Verdict.objects.values_list("verdict", "reason")) == {("incorrect", "truncated")}


def test_a_worked_solution_serves_as_reference_only_where_it_marks_its_answer(
    run_job: Callable[..., Any], make_trace: Callable[..., Any], verifier: Any
) -> None:
    from curation.models import Verdict

    marked, plain = make_trace("\\boxed{14}", reference=None), make_trace("14", reference=None)
    marked.problem.reference_solution = "2 + 12 = 14\n#### 14"
    plain.problem.reference_solution = "Add them up."
    marked.problem.save()
    plain.problem.save()
    run_job(run_verify, "verify")
    assert Verdict.objects.get(trace=marked).verdict == "correct"
    assert Verdict.objects.get(trace=plain).reason == "no_reference"


def test_the_number_of_queries_does_not_grow_with_the_traces_of_a_page(
    run_job: Callable[..., Any],
    make_trace: Callable[..., Any],
    verifier: Any,
    django_assert_max_num_queries: Any,
) -> None:
    for number in range(60):
        make_trace(f"\\boxed{{{number}}}")
    with django_assert_max_num_queries(45):
        run_job(run_verify, "verify")


def test_a_problems_own_options_reach_its_verifier_and_its_key(
    run_job: Callable[..., Any], make_trace: Callable[..., Any], verifier: Any
) -> None:
    from curation.models import Problem, Verdict

    clauses = {"dataset": "saturn", "entry": {"variables": 2, "clauses": [[1], [-2]]}}
    puzzle = make_trace("<answer>10</answer>", None, "logic", options={"puzzle": clauses})
    make_trace("<answer>ab</answer>", "AB", "regex", options={"flags": "i"})
    assert judgements(run_job(run_verify, "verify"))["correct"] == 2
    key = Verdict.objects.get(trace=puzzle).reference_sha256
    assert key == reference_hash(None, {"puzzle": clauses})
    changed = {"puzzle": clauses | {"entry": {"variables": 2, "clauses": [[-1], [-2]]}}}
    Problem.objects.filter(pk=puzzle.problem_id).update(metadata={"verifier_options": changed})
    assert judgements(run_job(run_verify, "verify"))["incorrect"] == 1
    assert Verdict.objects.filter(trace=puzzle).count() == 2
