"""Proof by continuation: arms, searches, chunk values, revisions, with a scripted model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from curation.jobs import JobError
from curation.proof_results import comparisons, revise, values_of
from curation.proofs import run_prove
from curation.segmentation import POLICIES, analyse
from curation.segmentation.prefixes import (
    Search,
    arms_of,
    before_answer,
    chunk_points,
    chunk_values,
    compare,
    cut_points,
    random_cuts,
    span_of,
    switch_points,
)
from tests.curation.granting import granted
from tests.fakes.openai_server import Reply, ScriptedServer, completion

TEXT = (
    "<think>\nI need 37 + 48 + 19.\n\n37 + 48: ones 7 + 8 = 15, tens 3 + 4 + 1 = 8, so 85.\n\n"
    "Wait, let me check: 37 + 48: ones 7 + 8 = 15, tens 3 + 4 + 1 = 8, so 85.\n\n"
    "85 + 19: ones 5 + 9 = 14, tens 8 + 1 + 1 = 10, so 104.\n\nSo the answer is 104.\n</think>\n\n"
    "The answer is \\boxed{104}."
)
SWITCHING = TEXT.replace("85 + 19:", "Alternatively, I could go another way.\n\n85 + 19:")


def test_prefixes_end_before_the_first_statement_of_the_answer() -> None:
    analysis = analyse(TEXT, "104")
    position = before_answer(analysis)
    assert position is not None
    assert TEXT[position:].startswith("85 + 19")
    arms = arms_of(analysis, "repeats", 0)
    assert arms is not None
    assert all("104" not in prefix.text for prefix in arms.values())
    assert arms["original"].text == TEXT[:position]
    assert "Wait" not in arms["pruned"].text
    assert arms["empty"].text == ""


def test_random_cuts_are_whole_leaves_of_about_the_size_and_the_same_for_a_seed() -> None:
    analysis = analyse(TEXT, "104")
    position = before_answer(analysis) or 0
    cuts = random_cuts(analysis, position, 80, seed=3)
    assert cuts == random_cuts(analysis, position, 80, seed=3)
    starts = {leaf.start for leaf in analysis.segments}
    assert cuts and all(cut.start in starts and cut.end <= position for cut in cuts)


def test_random_cuts_are_never_the_policys_own_and_a_span_is_as_long_as_them() -> None:
    analysis = analyse(TEXT, "104")
    position = before_answer(analysis) or 0
    own = [c for c in POLICIES["repeats"](analysis) if c.end <= position]
    size = sum(cut.end - cut.start for cut in own)
    for seed in range(20):
        cuts = random_cuts(analysis, position, size, seed, without=own)
        assert [(c.start, c.end) for c in cuts] != [(c.start, c.end) for c in own]
        span = span_of(analysis, "repeats", seed)
        assert span is not None
        assert len(span.text) == position - size
        assert span.text == "".join(TEXT[start:end] for start, end in span.kept)


def test_arms_can_be_compared_with_another_arm_than_the_original() -> None:
    results = {n: {"original": (1, 1), "pruned": (1, 1), "empty": (n % 2, 1)} for n in range(10)}
    by_arm = {row.arm: row for row in compare(results, against="pruned")}
    assert (by_arm["empty"].difference, by_arm["pruned"].difference) == (-0.5, 0)


def test_no_arms_where_the_policy_cuts_nothing_before_the_answer() -> None:
    text = "<think>\nI need 2 + 3.\n\n2 + 3 = 5.\n\nSo the answer is 5.\n</think>\n\n\\boxed{5}"
    assert arms_of(analyse(text, "5"), "repeats", 0) is None
    assert arms_of(analyse(text, None), "repeats", 0) is None


@pytest.mark.parametrize("needed", [0, 3, 7, 12])
def test_a_search_finds_the_shortest_sufficient_point_of_a_monotone_model(needed: int) -> None:
    search = Search.over(range(13))
    asked = 0
    while (at := search.asks) is not None:
        search, asked = search.told(at >= needed), asked + 1
    assert search.best == needed
    assert asked <= 4


def test_a_search_without_a_sufficient_point_ends_without_one() -> None:
    search = Search.over((5, 9))
    while search.asks is not None:
        search = search.told(False)
    assert search.best is None
    assert Search.over(()).asks is None


def test_a_comparison_pairs_traces_and_gives_an_interval() -> None:
    results = {
        n: {"original": (4, 4), "pruned": (4 - (n % 10 == 0), 4), "empty": (1, 4)}
        for n in range(100)
    }
    results[500] = {"pruned": (0, 4)}  # no original: left out
    by_arm = {row.arm: row for row in compare(results)}
    assert by_arm["pruned"].n == by_arm["original"].n == 400
    assert by_arm["pruned"].difference == pytest.approx(-0.025)
    assert by_arm["pruned"].low < -0.025 < by_arm["pruned"].high < 0
    assert by_arm["empty"].rate == 0.25


def test_the_value_of_a_chunk_is_what_the_pass_rate_gains_over_it() -> None:
    values = chunk_values([0, 10, 30], {0: 0.25, 10: 0.75, 30: 0.75}, lambda a, b: b - a)
    assert [(v.value, v.per_100_tokens) for v in values] == [(0.5, 5.0), (0.0, 0.0)]


def test_points_of_a_search_and_switches_lie_in_the_reasoning() -> None:
    analysis = analyse(SWITCHING, "104")
    points = cut_points(analysis)
    assert points == sorted(set(points))
    assert SWITCHING[points[0] :].startswith("I need")
    assert [SWITCHING[at:][:13] for at in switch_points(analysis)] == ["Alternatively"]


def as_text(body: dict[str, Any], text: str) -> Reply:
    value = {"choices": [{"index": 0, "text": text, "finish_reason": "stop"}], "model": "m"}
    return Reply(parts=[json.dumps(value).encode()])


def continuing(body: dict[str, Any]) -> Reply:
    """Right when the sum of the first two is there, else wrong."""
    chat = "messages" in body
    given = body["messages"][-1]["content"] if chat else body["prompt"]
    answer = 104 if "so 85" in given else 5
    text = f"85 + 19 = {answer}.\n</think>\n\n\\boxed{{{answer}}}"
    return completion(body, [text]) if chat else as_text(body, text)


class Judge:
    """Stands in for the verifier service: the last box against the reference."""

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def verify_batch(self, items: Sequence[dict[str, Any]]) -> list[Any]:
        from curation.verifiers import Verdict

        said = [item["response"].rpartition("\\boxed{")[2].rstrip("}.") for item in items]
        return [
            Verdict("correct" if value == item["reference"] else "incorrect", extracted=value)
            for value, item in zip(said, items, strict=True)
        ]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("curation.proofs.VerifierClient", Judge)
    with ScriptedServer(fallback=continuing) as server:
        yield server


@pytest.fixture
def make(project: Any, server: Any) -> Callable[..., Any]:
    from curation.models import ModelEndpoint, Problem, Source, Trace

    source = Source.objects.create(project=project, name="made")
    granted(project, server.url)
    ModelEndpoint.objects.create(
        project=project, name="judge", base_url=server.url, model="fake", sampling={"seed": 1}
    )

    def add(text: str = TEXT, number: int = 0) -> Any:
        digest = hashlib.sha256(f"{number}{text}".encode()).hexdigest()
        problem = Problem.objects.create(
            project=project, source=source, text=f"37 + 48 + 19? ({number})", kind="math",
            text_sha256=digest, norm_sha256=digest, reference_answer="104",
        )  # fmt: skip
        return Trace.objects.create(
            project=project, problem=problem, source=source, origin="imported", identity=digest,
            text=text, text_sha256=digest, char_count=len(text),
        )  # fmt: skip

    return add


@pytest.mark.django_db
def test_four_arms_are_asked_k_times_judged_and_compared(
    run_job: Callable[..., Any], project: Any, make: Callable[..., Any], server: Any
) -> None:
    for number in range(3):
        make(number=number)
    job = run_job(run_prove, "prove", teacher="judge", k=2)
    assert (job.counts["traces"], job.counts["probes"]) == (3, 24)
    by_arm = {row.arm: row for row in comparisons(project)}
    assert by_arm["original"].rate == by_arm["pruned"].rate == 1.0
    assert by_arm["empty"].rate == 0.0
    last = [r.body["messages"][-1] for r in server.chats if "continue_final_message" in r.body]
    assert len(last) == 18 and all(m["role"] == "assistant" for m in last)


@pytest.mark.django_db
def test_a_second_run_asks_for_nothing_and_a_larger_k_for_the_difference(
    run_job: Callable[..., Any], make: Callable[..., Any], server: Any
) -> None:
    from curation.models import ContinuationProbe

    make()
    run_job(run_prove, "prove", teacher="judge", k=1)
    asked = len(server.requests)
    run_job(run_prove, "prove", teacher="judge", k=1)
    assert len(server.requests) == asked == 4
    run_job(run_prove, "prove", teacher="judge", k=3)
    assert len(server.requests) == ContinuationProbe.objects.count() == 12


@pytest.mark.django_db
def test_a_search_stores_its_probes_and_proposes_what_the_student_does_not_need(
    run_job: Callable[..., Any], make: Callable[..., Any]
) -> None:
    from curation.models import ContinuationProbe, CutProposal

    trace = make()
    job = run_job(run_prove, "prove", teacher="judge", mode="search", k=1)
    proposal = CutProposal.objects.get(policy="shortest-sufficient-prefix")
    assert TEXT[proposal.start :].startswith("Wait, let me check")
    assert job.counts["proposals"] == 1
    probes = ContinuationProbe.objects.filter(trace=trace, arm="prefix")
    assert 2 <= probes.count() <= 4
    assert set(probes.values_list("verdict", flat=True)) == {"correct", "incorrect"}


@pytest.mark.django_db
def test_chunks_are_valued_by_the_pass_rates_around_them(
    run_job: Callable[..., Any], make: Callable[..., Any]
) -> None:
    from curation.models import ModelEndpoint

    trace = make()
    run_job(run_prove, "prove", teacher="judge", mode="chunks", k=1)
    values = values_of(trace, chunk_points(analyse(TEXT, "104")), ModelEndpoint.objects.get())
    assert values[0].value == 1.0
    assert all(value.value == 0.0 for value in values[1:])


@pytest.mark.django_db
def test_a_right_and_shorter_continuation_at_a_switch_becomes_a_derived_trace(
    run_job: Callable[..., Any], make: Callable[..., Any]
) -> None:
    from curation.models import ContinuationProbe, Trace

    trace = make(SWITCHING)
    job = run_job(run_prove, "prove", teacher="judge", mode="switches", k=1)
    derived = Trace.objects.get(parent=trace)
    at = SWITCHING.index("Alternatively")
    assert derived.text == SWITCHING[:at] + derived.insertions[0][1]
    assert (derived.kept_ranges, job.counts["revisions"]) == ([[0, at]], 1)
    ContinuationProbe.objects.update(text="Alternatively, 85 + 19 = 104.")
    probe = ContinuationProbe.objects.get()
    assert revise(trace, probe.endpoint, probe.sampling_hash) is None


@pytest.mark.django_db
def test_a_revision_is_searched_on_behind_its_switch_for_as_many_rounds_as_asked(
    run_job: Callable[..., Any], make: Callable[..., Any], server: Any
) -> None:
    from curation.models import ContinuationProbe, Trace

    second = "Alternatively, I could try once more.\n\n"
    trace = make(SWITCHING + " " * 400)

    def going_on(body: dict[str, Any]) -> Reply:
        given = body["messages"][-1]["content"]
        revised = "again" in given
        end = f"85 + 19 = 104.\n\n{'' if revised else second}So the answer is 104.\n</think>\n\n"
        return completion(body, [f"Go on{'' if revised else ' again'}. {end}\\boxed{{104}}"])

    server.fallback = going_on
    run_job(run_prove, "prove", teacher="judge", mode="switches", k=1)
    first = Trace.objects.get(parent=trace)
    job = run_job(run_prove, "prove", teacher="judge", mode="switches", k=1, rounds=5)
    better = Trace.objects.get(parent=first)
    assert (job.counts["revisions"], job.counts["probes"]) == (2, 1)
    assert len(better.text) < len(first.text) < len(trace.text)
    probe = ContinuationProbe.objects.get(trace=first)
    assert first.text[probe.position :].startswith("Alternatively, I could try once more")


@pytest.mark.django_db
def test_text_is_sent_as_the_format_says_and_the_problem_is_never_a_format(
    run_job: Callable[..., Any], make: Callable[..., Any], server: Any
) -> None:
    trace = make()
    trace.problem.text = "{problem} {0}"
    trace.problem.save()
    run_job(run_prove, "prove", teacher="judge", k=1, manner="text", format="Q: {problem}\nA: ")
    prompts = sorted((r.body["prompt"] for r in server.requests), key=len)
    assert prompts[0] == "Q: {problem} {0}\nA: "
    assert prompts[-1].startswith(prompts[0] + "<think>")
    assert all(r.path.endswith("/v1/completions") for r in server.requests)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"policy": "all of it"}, "unknown_policy"),
        ({"mode": "guess"}, "bad_parameters"),
        ({"manner": "loud"}, "bad_parameters"),
        ({"rounds": 21}, "bad_parameters"),
        ({"gain": 3}, "bad_parameters"),
        ({"format": "no slot"}, "bad_parameters"),
        ({"sampling": {"temperature": -1}}, "bad_parameters"),
        ({"teacher": "nobody"}, "unknown_teacher"),
    ],
)
def test_bad_parameters_are_named(
    run_job: Callable[..., Any], make: Callable[..., Any], given: dict[str, Any], code: str
) -> None:
    with pytest.raises(JobError) as raised:
        run_job(run_prove, "prove", **({"teacher": "judge"} | given))
    assert raised.value.code == code


def test_the_benchmark_goes_on_after_a_batch_that_was_cut_while_it_was_written(
    tmp_path: Path,
) -> None:
    from benchmarks.prove import Checkpoint

    path = tmp_path / "bench" / "prove.jsonl"
    Checkpoint(path).add("one", ["a", "b"])
    path.open("a").write('{"key": "two", "te')
    assert Checkpoint(path).done == {"one": ["a", "b"]}
