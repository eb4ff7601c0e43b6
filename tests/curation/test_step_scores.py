"""Process reward models: a score for each step, asked of a scripted server or imported."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from curation.jobs import JobError
from curation.judges import steps as prm
from curation.judging.imported import import_steps
from curation.judging.run import run_judge
from curation.models import JudgeVote, Trace, Verdict
from curation.policies import family_of
from tests.curation.test_judging import make_judge, traces  # noqa: F401
from tests.fakes.openai_server import Reply, ScriptedServer

TEXT = "<think>\nFirst 𝑥 is 2.\n\n \nThen 2 + 2 = 5.\r\n\r\nSo it is 5.\n</think>"


def test_steps_are_paragraphs_in_code_points_without_their_gaps() -> None:
    found = [TEXT[low:high] for low, high in prm.ranges_of(TEXT)]
    assert found == ["<think>\nFirst 𝑥 is 2.", "Then 2 + 2 = 5.", "So it is 5.\n</think>"]
    assert prm.ranges_of(" \n\n ") == [] and prm.ranges_of("one") == [(0, 3)]


def test_every_step_is_followed_by_one_tag_whatever_the_text_says() -> None:
    hostile = "a <extra_0> b\n\nc"
    ranges = prm.ranges_of(hostile)
    messages = prm.conversation("p<extra_0>", hostile, ranges, prm.StepSettings())
    assert messages[-1] == {"role": "assistant", "content": "a   b<extra_0>c<extra_0>"}
    assert "<extra_0>" not in messages[1]["content"]


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ("[[0.1,0.9],[0.8,0.2]]", [0.9, 0.2]),
        ("[[0.9],[0.2]]", [0.9, 0.2]),
        ("[0.9,0.2]", [0.9, 0.2]),
        ("[[0.1,0.9]]", None),  # one row for two steps
        ("[[0.1,0.9],[0.8,0.2],[0,1]]", None),
        ("[[0.1,0.9],[4.5,-2.0]]", None),  # no probabilities
        ("[[0.1,0.9],[null,null]]", None),
        ("[[0.1,0.9],[]]", None),
        ("[[0.1,0.9],[true,true]]", None),
        ('{"a": 1}', None),
        ("", None),
    ],
)
def test_an_answer_is_read_only_when_it_has_a_probability_for_each_step(
    text: str, scores: list[float] | None
) -> None:
    assert prm.read_scores(text, 2, 1) == scores


def test_what_was_not_scored_is_no_success() -> None:
    ranges = [(0, 5), (7, 9), (11, 12)]
    steps = prm.scored(ranges, [0.9, 0.8])
    assert [s.score for s in steps] == [0.9, 0.8, None] and steps[2].reason == "past_limit"
    assert prm.verdict_of(steps, "min", 0.5).verdict == "unverifiable"
    assert prm.verdict_of(prm.scored(ranges, [0.9, 0.2]), "min", 0.5).verdict == "incorrect"
    assert prm.verdict_of(prm.scored(ranges, []), "min", 0.5).reason == "no_scores"
    whole = prm.scored(ranges, [0.9, 0.8, 0.7])
    values = {how: prm.verdict_of(whole, how, 0.5).score for how in prm.AGGREGATES}
    assert values == {
        "min": 0.7, "last": 0.7, "mean": pytest.approx(0.8), "product": pytest.approx(0.504),
    }  # fmt: skip


def test_a_limit_of_characters_takes_whole_steps_and_at_least_one() -> None:
    assert prm.within([(0, 10), (12, 20), (22, 30)], 18) == [(0, 10), (12, 20)]
    assert prm.within([(0, 10)], 3) == [(0, 10)]


def rows(*scores: float) -> Reply:
    data = [[round(1 - s, 3), s] for s in scores]
    body = {"object": "list", "model": "prm", "data": [{"index": 0, "object": "pooling",
            "data": data}], "usage": {"prompt_tokens": 9, "total_tokens": 9}}  # fmt: skip
    return Reply(parts=[json.dumps(body).encode()])


@pytest.mark.django_db
def test_vllms_step_pooling_is_asked_once_for_a_trace_and_read_by_its_tags(
    run_job: Callable[..., Any],
    project: Any,
    traces: Callable[..., list[Trace]],  # noqa: F811
) -> None:
    (trace,) = traces(TEXT)
    with ScriptedServer(fallback=lambda _: rows(0.97, 0.125, 0.25)) as server:
        make_judge(project, server, name="Math PRM")
        for _ in range(2):
            run_job(run_judge, "judge", judge="Math PRM", reward={"api": "steps"})
        (request,) = server.requests
    assert request.path == "/pooling"
    assert request.body["messages"][-1]["content"].count("<extra_0>") == 3
    row = Verdict.objects.get()
    assert (row.verifier, row.verdict, row.score) == ("prm-math-prm", "incorrect", 0.125)
    steps = row.detail["steps"]
    assert [TEXT[s["start"] : s["end"]] for s in steps][1] == "Then 2 + 2 = 5."
    assert [s["score"] for s in steps] == [0.97, 0.125, 0.25]
    assert family_of(row.verifier) == "reward", "a score is no yes or no for policies"
    assert JudgeVote.objects.get().trace_id == trace.pk


@pytest.mark.django_db
def test_a_server_without_step_pooling_gives_no_scores(
    run_job: Callable[..., Any],
    project: Any,
    traces: Callable[..., list[Trace]],  # noqa: F811
) -> None:
    traces(TEXT)
    with ScriptedServer(fallback=lambda _: rows(*[0.5] * 40)) as server:
        make_judge(project, server)
        run_job(run_judge, "judge", judge="J 1", reward={"api": "steps"})
    row = Verdict.objects.get()
    assert (row.verdict, row.reason, row.detail) == ("error", "unreadable", {})


@pytest.mark.django_db
def test_only_the_steps_that_fit_are_asked_for(
    run_job: Callable[..., Any],
    project: Any,
    traces: Callable[..., list[Trace]],  # noqa: F811
) -> None:
    traces(TEXT)
    with ScriptedServer(fallback=lambda _: rows(0.9)) as server:
        make_judge(project, server)
        run_job(run_judge, "judge", judge="J 1", reward={"api": "steps", "max_chars": 25})
        assert server.requests[0].body["messages"][-1]["content"].count("<extra_0>") == 1
    row = Verdict.objects.get()
    assert (row.verdict, row.reason) == ("unverifiable", "partly_scored")
    assert [s["reason"] for s in row.detail["steps"]] == ["", "past_limit", "past_limit"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "how", [{"tag": " "}, {"positive": -1}, {"aggregate": "sum"}, {"max_chars": 0}, {"tag": 3}]
)
def test_settings_that_cannot_be_are_refused(
    run_job: Callable[..., Any], project: Any, how: dict[str, Any]
) -> None:
    with ScriptedServer() as server:
        make_judge(project, server)
        with pytest.raises(JobError):
            run_job(run_judge, "judge", judge="J 1", reward={"api": "steps"} | how)


def row_of(trace: Trace, **fields: Any) -> dict[str, Any]:
    steps = [{"start": low, "end": high, "score": 0.5 + i / 10}
             for i, (low, high) in enumerate(prm.ranges_of(trace.text))]  # fmt: skip
    return {"trace": trace.pk, "model": "Qwen2.5-Math-PRM-7B", "steps": steps} | fields


@pytest.mark.django_db
def test_imported_scores_are_verdicts_and_the_same_again_changes_nothing(
    project: Any,
    traces: Callable[..., list[Trace]],  # noqa: F811
) -> None:
    (trace,) = traces(TEXT)
    assert import_steps(project, [row_of(trace)])["stored"] == 1
    assert import_steps(project, [row_of(trace)])["present"] == 1
    quote = hashlib.sha256(TEXT[0:5].encode()).hexdigest()
    other = [{"start": 0, "end": 5, "score": None, "reason": "no_words\x00", "quote_sha256": quote}]
    assert import_steps(project, [row_of(trace, steps=other)])["stored"] == 1
    first, second = Verdict.objects.order_by("pk")
    assert first.verifier == second.verifier == "prm-qwen2-5-math-prm-7b"
    assert (first.verdict, first.reason) == ("incorrect", "low_step")  # 0.5 is not above 0.5
    assert (second.verdict, second.reason) == ("unverifiable", "no_scores")
    assert second.detail["steps"][0]["reason"] == "no_words_"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"trace": 0}, "unknown_trace"),
        ({"trace": "1"}, "unknown_trace"),
        ({"trace": [1]}, "unknown_trace"),
        ({"trace": 10**30}, "unknown_trace"),
        ({"model": " "}, "bad_model"),
        ({"steps": []}, "bad_steps"),
        ({"steps": [1]}, "bad_steps"),
        ({"steps": [{"start": 0, "end": 9999, "score": 0.5}]}, "bad_steps"),
        ({"steps": [{"start": 0, "end": 5, "score": 0.5}, {"start": 4, "end": 9}]}, "bad_steps"),
        ({"steps": [{"start": 0, "end": 5, "score": 1.5}]}, "bad_score"),
        ({"steps": [{"start": 0, "end": 5, "score": float("nan")}]}, "bad_score"),
        ({"steps": [{"start": 0, "end": 5, "quote_sha256": "x"}]}, "text_differs"),
        ({"text_sha256": "another"}, "text_differs"),
        ({"aggregate": "sum"}, "bad_aggregate"),
        ({"threshold": 2}, "bad_threshold"),
    ],
)
def test_a_bad_row_is_told_and_the_others_are_stored(
    project: Any,
    traces: Callable[..., list[Trace]],  # noqa: F811
    fields: dict[str, Any],
    code: str,
) -> None:
    (trace,) = traces(TEXT)
    found = import_steps(project, [row_of(trace) | fields, row_of(trace)])
    assert [(r["row"], r["code"]) for r in found["rejected"]] == [(0, code)]
    assert found["stored"] == 1


@pytest.mark.django_db
def test_scores_come_and_are_read_over_rest(
    project: Any,
    user: Any,
    client: Client,
    traces: Callable[..., list[Trace]],  # noqa: F811
) -> None:
    (trace,) = traces(TEXT)
    client.force_login(user)
    sent = {"project": project.slug, "rows": [row_of(trace)]}
    answer = client.post("/api/v1/verdicts/steps/", sent, content_type="application/json")
    assert (answer.status_code, answer.json()["stored"]) == (201, 1)
    found = client.get(f"/api/v1/verdicts/?trace={trace.pk}").json()["results"][0]
    assert len(found["detail"]["steps"]) == 3
