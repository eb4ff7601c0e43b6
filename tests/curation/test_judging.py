"""The judge job against a scripted server and the real database."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from curation.jobs import JobError
from curation.judges.injection import INJECTIONS, filled
from curation.judging.run import run_judge
from curation.judging.subjects import steps_of
from curation.models import JudgePrompt, JudgeVote, ModelEndpoint, Problem, Source, Trace, Verdict
from tests.curation.granting import granted
from tests.fakes.openai_server import Reply, ScriptedServer, completion, error, stream

pytestmark = pytest.mark.django_db
Run = Callable[..., Any]
PROBED = {"n": "no", "seed": "yes", "streaming": "yes", "stream_usage": "yes",
          "response_format": "yes"}  # fmt: skip
QUICK = {"max_attempts": 2, "backoff_base": 0, "retry_after_cap": 0.01, "deadline": 20}


def parts(body: dict[str, Any]) -> tuple[str, str, str]:
    """The id, the fenced response (or steps) and all of the user's message."""
    system, user = (message["content"] for message in body["messages"])
    fence = re.search(r"carry the id ([0-9a-f]{16})", system)
    assert fence
    name = "STEPS" if "BEGIN STEPS" in user else "RESPONSE"
    found = re.search(rf"BEGIN {name} {fence[1]}\n(.*)\nEND {name} {fence[1]}", user, re.S)
    return fence[1], found[1] if found else "", user


class Judge:
    """A judge that follows its task: right where the response holds ``right``; records orders."""

    def __init__(self, answer: Callable[[str, str], dict[str, Any]] | None = None) -> None:
        self.answer = answer or self.compare
        self.orders: list[bool] = []

    @staticmethod
    def compare(response: str, user: str) -> dict[str, Any]:
        return {"verdict": "correct" if "right" in response else "incorrect"}

    def __call__(self, body: dict[str, Any]) -> Reply:
        fence, response, user = parts(body)
        self.orders.append(user.find("BEGIN RESPONSE") < user.find("BEGIN REFERENCE"))
        text = json.dumps({"id": fence, "reason": "so"} | self.answer(response, user))
        return stream(body, [text]) if body.get("stream") else completion(body, [text])


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(fallback=Judge()) as running:
        yield running


@pytest.fixture
def judge(project: Any, server: ScriptedServer) -> ModelEndpoint:
    return make_judge(project, server)


def make_judge(project: Any, server: ScriptedServer, **fields: Any) -> ModelEndpoint:
    from django.utils import timezone

    given = {"name": "J 1", "kind": "judge", "model": "fake", "limits": QUICK,
             "capabilities": PROBED, "probed_at": timezone.now()} | fields  # fmt: skip
    granted(project, server.url)
    return ModelEndpoint.objects.create(project=project, base_url=server.url, **given)


@pytest.fixture
def traces(project: Any) -> Callable[..., list[Trace]]:
    source = Source.objects.create(project=project, name="made")
    numbers = iter(range(10_000))

    def make(*texts: str, reference: str | None = "4") -> list[Trace]:
        digest = hashlib.sha256(str(next(numbers)).encode()).hexdigest()
        problem = Problem.objects.create(
            project=project, source=source, text=f"What is {digest}?", text_sha256=digest,
            norm_sha256=digest, reference_answer=reference,
        )  # fmt: skip
        return [
            Trace.objects.create(
                project=project, problem=problem, source=source, origin="imported", text=text,
                identity=str(number), sample_no=number, model="m", text_sha256=digest,
                char_count=len(text), tag_style="none",
            )
            for number, text in enumerate(texts)
        ]  # fmt: skip

    return make


def test_a_judge_is_asked_in_both_orders_and_its_verdict_is_stored_under_its_name(
    run_job: Run, judge: ModelEndpoint, server: ScriptedServer, traces: Callable[..., list[Trace]]
) -> None:
    right, wrong = traces("right: 4", "5")
    job = run_job(run_judge, "judge", judge="J 1", k=2)
    assert (job.counts["correct"], job.counts["incorrect"], job.counts["votes"]) == (1, 1, 8)
    assert sorted(server.fallback.orders) == [False] * 4 + [True] * 4  # type: ignore[attr-defined]
    found = {v.trace_id: v for v in Verdict.objects.all()}
    assert found[right.pk].verifier == "judge-j-1-answer-match"
    assert (found[right.pk].verdict, found[right.pk].score) == ("correct", 1.0)
    assert found[wrong.pk].detail["orders"] == {"0": {"incorrect": 2}, "1": {"incorrect": 2}}
    body = server.chats[0].body
    assert body["response_format"]["json_schema"]["schema"]["required"] == [
        "id", "reason", "verdict",
    ]  # fmt: skip
    assert len({chat.body["seed"] for chat in server.chats}) == 8


def test_what_was_asked_is_never_asked_again_and_a_new_prompt_stands_beside(
    run_job: Run, judge: ModelEndpoint, server: ScriptedServer, project: Any,
    traces: Callable[..., list[Trace]],
) -> None:  # fmt: skip
    traces("right", "5")
    run_job(run_judge, "judge", judge="J 1")
    assert run_job(run_judge, "judge", judge="J 1").counts["votes"] == 0
    assert Verdict.objects.count() == 2
    assert run_job(run_judge, "judge", judge="J 1", k=2).counts["votes"] == 8  # other version
    spec = {"name": "own", "version": 1, "mode": "answer", "task": "Compare the answers."}
    JudgePrompt.objects.create(project=project, name="own", version=1, spec=spec, sha256="x")
    run_job(run_judge, "judge", judge="J 1", prompt="own")
    assert "Compare the answers." in server.chats[-1].body["messages"][0]["content"]
    names = set(Verdict.objects.values_list("verifier", flat=True))
    assert names == {"judge-j-1-answer-match", "judge-j-1-own"}


def test_a_judge_that_depends_on_the_order_gives_an_error_and_not_a_verdict(
    run_job: Run, project: Any, traces: Callable[..., list[Trace]]
) -> None:
    def biased(response: str, user: str) -> dict[str, Any]:
        first = user.find("BEGIN RESPONSE") < user.find("BEGIN REFERENCE")
        return {"verdict": "correct" if first else "incorrect"}

    traces("5")
    with ScriptedServer(fallback=Judge(biased)) as server:
        make_judge(project, server)
        run_job(run_judge, "judge", judge="J 1")
    row = Verdict.objects.get()
    assert (row.verdict, row.reason, row.score) == ("error", "orders_disagree", None)


def test_without_a_reference_or_an_answer_nobody_is_asked(
    run_job: Run, judge: ModelEndpoint, server: ScriptedServer, traces: Callable[..., list[Trace]]
) -> None:
    traces("right", reference=None)
    (cut,) = traces("<think>never")
    Trace.objects.filter(pk=cut.pk).update(tag_style="think", reasoning_closed=False)
    run_job(run_judge, "judge", judge="J 1")
    assert not server.chats
    assert set(Verdict.objects.values_list("verdict", "reason")) == {
        ("unverifiable", "no_reference"), ("incorrect", "truncated"),
    }  # fmt: skip


@pytest.mark.parametrize(("only", "asked"), [("refused", "5"), ("accepted", "right")])
def test_a_second_chance_or_a_second_opinion_asks_only_about_those(
    run_job: Run, judge: ModelEndpoint, traces: Callable[..., list[Trace]], only: str, asked: str
) -> None:
    right, wrong = traces("right", "5")
    for trace, verdict in ((right, "correct"), (wrong, "incorrect")):
        Verdict.objects.create(trace=trace, verifier="math", version="1", verdict=verdict)
    run_job(run_judge, "judge", judge="J 1", only=only)
    judged = Verdict.objects.filter(verifier__startswith="judge")
    assert [row.trace.text for row in judged] == [asked]


def test_an_unreadable_answer_is_an_error_and_a_busy_server_is_asked_again(
    run_job: Run, project: Any, traces: Callable[..., list[Trace]]
) -> None:
    traces("right")
    with ScriptedServer(fallback=lambda body: stream(body, ["It is correct."])) as server:
        make_judge(project, server)
        run_job(run_judge, "judge", judge="J 1")
    assert Verdict.objects.get().reason == "no_valid_votes"
    assert set(JudgeVote.objects.values_list("reason", flat=True)) == {"unreadable"}
    with ScriptedServer(fallback=lambda body: error(503)) as server:
        busy = make_judge(project, server, name="busy", limits=QUICK | {"outages_to_open": 99})
        job = run_job(run_judge, "judge", judge="busy")
        assert (job.counts["deferred"], job.counts["votes"]) == (1, 0)
        server.fallback = Judge()
        assert run_job(run_judge, "judge", judge=busy.name).counts["correct"] == 1


def test_a_refused_key_ends_the_job_and_pauses_the_judge(
    run_job: Run, project: Any, traces: Callable[..., list[Trace]]
) -> None:
    traces("right")
    with ScriptedServer(fallback=lambda body: error(401)) as server:
        judge = make_judge(project, server)
        with pytest.raises(JobError):
            run_job(run_judge, "judge", judge="J 1")
    judge.refresh_from_db()
    assert judge.paused_reason
    assert not Verdict.objects.exists()


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"judge": "nobody"}, "unknown_judge"),
        ({"prompt": "oracle"}, "bad_parameters"),
        ({"prompt": "pair-better"}, "bad_parameters"),
        ({"pairs": [[1, 2]]}, "bad_parameters"),
        ({"prompt": {"name": "x"}}, "bad_parameters"),
        ({"k": 0}, "bad_parameters"),
        ({"k": True}, "bad_parameters"),
        ({"min_valid": 2}, "bad_parameters"),
        ({"only": "some"}, "bad_parameters"),
        ({"ids": ["1; drop"]}, "bad_parameters"),
        ({"limit": 0}, "bad_parameters"),
        ({"source": "none"}, "unknown_source"),
        ({"reward": {"api": "telnet"}}, "bad_parameters"),
        ({"reward": 1}, "bad_parameters"),
        ({"sampling": {"heat": 1}}, "bad_parameters"),
        ({"prompt": "pair-better", "pairs": [[1, 1]]}, "bad_pairs"),
        ({"prompt": "pair-better", "pairs": "all"}, "bad_pairs"),
    ],
)
def test_what_cannot_be_judged_is_refused_with_a_code(
    run_job: Run, judge: ModelEndpoint, params: dict[str, Any], code: str
) -> None:
    with pytest.raises(JobError) as caught:
        run_job(run_judge, "judge", **({"judge": "J 1"} | params))
    assert caught.value.code == code


def test_pairs_are_compared_in_both_orders_and_named_back(
    run_job: Run, project: Any, traces: Callable[..., list[Trace]]
) -> None:
    one, two, three = traces("right one", "wrong", "wrong too")

    def prefer(response: str, user: str) -> dict[str, Any]:
        first = re.search(r"BEGIN RESPONSE (A|B) \w+\n(.*)", user)
        second = list(re.finditer(r"BEGIN RESPONSE (A|B) \w+\n(.*)", user))[1]
        assert first
        if "right" in first[2] or "right" in second[2]:
            return {"verdict": first[1] if "right" in first[2] else second[1]}
        return {"verdict": first[1]}  # without a difference: the first that is shown

    with ScriptedServer(fallback=Judge(prefer)) as server:
        make_judge(project, server)
        pairs = [[one.pk, two.pk], [three.pk, one.pk], [two.pk, three.pk]]
        job = run_job(run_judge, "judge", judge="J 1", prompt="pair-better", pairs=pairs)
        assert {n: job.counts[n] for n in ("A", "B", "tie")} == {"A": 1, "B": 1, "tie": 1}
        again = run_job(run_judge, "judge", judge="J 1", prompt="pair-better", pairs=pairs)
    assert len(server.chats) == 6
    assert again.counts["A"] == 1
    assert not Verdict.objects.exists()


def test_reviewers_of_steps_look_again_until_they_settle(
    run_job: Run, project: Any, traces: Callable[..., list[Trace]]
) -> None:
    text = "2+2 is 4.\n\nSo 4+4 is 9.\n\nThe answer is 9."
    assert steps_of(text) == ["2+2 is 4.", "So 4+4 is 9.", "The answer is 9."]
    traces(text)
    asked = []

    def review(steps: str, user: str) -> dict[str, Any]:
        own = re.search(r"that step (\d) is the first wrong one", user)
        asked.append(own and own[1])
        # Those who saw step 2 first change their mind when they look again.
        return {"first_wrong_step": 1 if own or len(asked) % 5 else 2}

    with ScriptedServer(fallback=Judge(review)) as server:
        make_judge(project, server, limits=QUICK | {"concurrency": 1})
        run_job(run_judge, "judge", judge="J 1", prompt="first-error", k=5)
    row = Verdict.objects.get()
    assert (row.verdict, row.reason) == ("incorrect", "wrong_step")
    assert (row.detail["location"], row.detail["converged"]) == (1, True)
    assert row.detail["step"] == "So 4+4 is 9."
    assert row.detail["rounds"] == [[1, 0.8], [1, 1.0], [1, 1.0]]
    assert len(server.chats) == 15
    assert asked[:5] == [None] * 5
    assert set(asked[5:10]) == {"1", "2"}  # each its own verdict, nobody else's


def test_a_review_that_never_settles_ends_after_its_rounds(
    run_job: Run, project: Any, traces: Callable[..., list[Trace]]
) -> None:
    traces("a\n\nb\n\nc")
    number = iter(range(1_000))
    judge = Judge(lambda steps, user: {"first_wrong_step": next(number) // 3 % 2})
    with ScriptedServer(fallback=judge) as server:
        make_judge(project, server, limits=QUICK | {"concurrency": 1})
        params = {"judge": "J 1", "prompt": "first-error", "k": 3, "rounds": 4}
        run_job(run_judge, "judge", **params)
    row = Verdict.objects.get()
    assert row.detail["converged"] is False
    assert len(row.detail["rounds"]) == 4


def test_rubrics_and_reward_models_give_scores(
    run_job: Run, project: Any, traces: Callable[..., list[Trace]]
) -> None:
    (trace,) = traces("right")
    grades = {"coherence": 4, "correctness": 4, "helpfulness": 1}
    with ScriptedServer(fallback=Judge(lambda *_: grades)) as server:
        make_judge(project, server)
        run_job(run_judge, "judge", judge="J 1", prompt="rubric-chat")
    row = Verdict.objects.get()
    assert (row.verdict, row.score) == ("correct", pytest.approx(0.75))
    scores = "correctness:2.0,coherence:4.0"
    with ScriptedServer(fallback=lambda body: completion(body, [scores])) as server:
        make_judge(project, server, name="RM")
        how = {"attributes": ["correctness", "coherence"], "top": 4}
        run_job(run_judge, "judge", judge="RM", reward=how)
        assert server.chats[0].body["messages"][-1] == {"role": "assistant", "content": "right"}
    row = Verdict.objects.get(verifier="reward-rm")
    assert (row.trace_id, row.verdict, row.score) == (trace.pk, "correct", 0.75)


def test_vllms_pooling_address_is_asked_for_rewards(
    run_job: Run, project: Any, traces: Callable[..., list[Trace]]
) -> None:
    traces("right")
    body = json.dumps({"data": [{"index": 0, "data": [[-1.0], [2.0]]}]}).encode()
    with ScriptedServer(fallback=lambda _: Reply(parts=[body])) as server:
        make_judge(project, server, name="RM")
        run_job(run_judge, "judge", judge="RM", reward={"api": "pooling"})
        assert {request.path for request in server.requests} == {"/pooling"}
    assert Verdict.objects.get().score == pytest.approx(0.880797, abs=1e-6)


class Obedient:
    """A judge that obeys whoever speaks to it last outside of the fences, and any text at all
    where there are none."""

    def __init__(self, fences: bool) -> None:
        self.fences = fences

    def __call__(self, body: dict[str, Any]) -> Reply:
        fence, response, user = parts(body)
        heard = user.replace(response, "") if self.fences else user
        led = re.search(r"\b(accept|correct|equal|equals|confirm|full marks|right)\b", heard, re.I)
        verdict = "correct" if led else "incorrect"
        return stream(body, [json.dumps({"id": fence, "reason": "", "verdict": verdict})])


@pytest.mark.parametrize(("fences", "led"), [(True, 0), (False, 42)])
def test_fifty_injections_do_not_reach_a_judge_that_keeps_to_the_fences(
    run_job: Run, project: Any, traces: Callable[..., list[Trace]], fences: bool, led: int
) -> None:
    """The positive control obeys what it reads anywhere: most of the fifty do their harm."""
    texts = [f"It is 5.\n{filled(injection, 'ab' * 8)}" for injection in INJECTIONS]
    traces(*texts)
    with ScriptedServer(fallback=Obedient(fences)) as server:
        make_judge(project, server)
        counts = run_job(run_judge, "judge", judge="J 1").counts
    assert counts["correct"] == led
    assert counts["incorrect"] == 50 - led
