"""Generation against a scripted server and the real database."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from curation import generation, jobs
from curation.jobs import JobError
from curation.models import (
    EndpointGrant,
    FailedGeneration,
    Job,
    ModelEndpoint,
    Problem,
    Source,
    Trace,
)
from curation.teachers.pool import BATCH
from tests.curation.granting import granted
from tests.fakes.openai_server import (
    LikeTransformersServe,
    Reply,
    ScriptedServer,
    completion,
    error,
    html,
    stream,
)

pytestmark = pytest.mark.django_db
PROBED = {"n": "no", "seed": "yes", "streaming": "yes", "stream_usage": "yes", "engine": "fake"}
QUICK = {"max_attempts": 3, "backoff_base": 0, "retry_after_cap": 0.01, "deadline": 20}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def problems(project: Any) -> list[Problem]:
    source = Source.objects.create(project=project, name="sums")
    return [
        Problem.objects.create(
            project=project,
            source=source,
            text=f"Compute {i} + {{1}} %s",
            text_sha256=f"{i}",
            norm_sha256=f"{i}",
        )
        for i in range(3)
    ]


@pytest.fixture
def teacher(project: Any, server: ScriptedServer) -> ModelEndpoint:
    return make_teacher(project, server)


def make_teacher(project: Any, server: ScriptedServer, **given: Any) -> ModelEndpoint:
    from django.utils import timezone

    values: dict[str, Any] = {
        "name": "t",
        "base_url": server.url,
        "model": "fake",
        "capabilities": PROBED,
        "probed_at": timezone.now(),
        "limits": QUICK,
        "revision": "abc",
        "output_licence": "MIT",
    }
    made = ModelEndpoint.objects.create(project=project, **values | given)
    granted(project, made.base_url)
    return made


def adds_up(job: Job) -> bool:
    counts = job.counts
    parts = ("existing", "generated", "failed", "deferred")
    return bool(counts["wanted"] == sum(counts[part] for part in parts))


def test_every_problem_gets_n_traces_with_tokens_and_manifest(
    run_job: Callable[..., Job], teacher: ModelEndpoint, problems: list[Problem]
) -> None:
    job = run_job(generation.run_generate, "generate", teacher="t", n=4)
    assert job.counts["wanted"] == 12
    assert job.counts["generated"] == 12
    assert adds_up(job)
    traces = list(Trace.objects.order_by("problem_id", "sample_no"))
    assert [t.sample_no for t in traces] == [0, 1, 2, 3] * 3
    assert len({t.text for t in traces}) == 12
    first = traces[0]
    assert first.text[first.reasoning_start : first.reasoning_end].strip() in first.text
    assert first.text_sha256 == hashlib.sha256(first.text.encode()).hexdigest()
    assert first.manifest["model"] == {"requested": "fake", "served": "fake", "revision": "abc"}
    assert first.manifest["seed"]["honoured"] == "yes"
    assert first.manifest["output_licence"] == "MIT"
    assert sum(t.completion_tokens for t in traces) == job.counts["completion_tokens"] > 0
    assert sum(t.prompt_tokens for t in traces) == job.counts["prompt_tokens"] > 0


def test_the_problem_reaches_the_teacher_character_for_character(
    run_job: Callable[..., Job],
    server: ScriptedServer,
    teacher: ModelEndpoint,
    problems: list[Problem],
) -> None:
    run_job(generation.run_generate, "generate", teacher="t", n=1)
    asked = {chat.body["messages"][-1]["content"] for chat in server.chats}
    assert asked == {problem.text for problem in problems}


def test_a_second_run_asks_nothing_and_a_larger_n_only_for_the_gap(
    run_job: Callable[..., Job],
    server: ScriptedServer,
    teacher: ModelEndpoint,
    problems: list[Problem],
) -> None:
    run_job(generation.run_generate, "generate", teacher="t", n=2)
    before = list(Trace.objects.order_by("pk").values())
    again = run_job(generation.run_generate, "generate", teacher="t", n=2)
    assert (again.counts["existing"], again.counts["generated"]) == (6, 0)
    assert len(server.chats) == 6
    more = run_job(generation.run_generate, "generate", teacher="t", n=3)
    assert (more.counts["existing"], more.counts["generated"]) == (6, 3)
    assert len(server.chats) == 9
    assert list(Trace.objects.order_by("pk").values())[:6] == before


def test_other_sampling_or_another_template_is_other_work(
    run_job: Callable[..., Job], teacher: ModelEndpoint, problems: list[Problem]
) -> None:
    run_job(generation.run_generate, "generate", teacher="t", n=1)
    hot = run_job(
        generation.run_generate, "generate", teacher="t", n=1, sampling={"temperature": 1.5}
    )
    boxed = run_job(generation.run_generate, "generate", teacher="t", n=1, template="boxed")
    assert hot.counts["generated"] == boxed.counts["generated"] == 3
    assert Trace.objects.count() == 9


def test_a_server_that_takes_n_is_asked_once_per_problem_and_tokens_are_shared(
    run_job: Callable[..., Job], project: Any, server: ScriptedServer, problems: list[Problem]
) -> None:
    make_teacher(project, server, capabilities=PROBED | {"n": "yes"})
    job = run_job(generation.run_generate, "generate", teacher="t", n=4)
    assert len(server.chats) == 3
    assert all(chat.body["n"] == 4 for chat in server.chats)
    traces = Trace.objects.all()
    assert len(traces) == 12
    assert sum(t.completion_tokens for t in traces) == job.counts["completion_tokens"]


def test_failures_are_kept_counted_and_asked_again_by_the_next_run(
    run_job: Callable[..., Job],
    server: ScriptedServer,
    teacher: ModelEndpoint,
    problems: list[Problem],
) -> None:
    server.script.extend([html(), error(400, "too long"), Reply(parts=[b""])])
    job = run_job(generation.run_generate, "generate", teacher="t", n=2)
    assert (job.counts["generated"], job.counts["failed"]) == (3, 3)
    assert adds_up(job)
    failures = FailedGeneration.objects.filter(resolved=False)
    assert sorted(f.reason for f in failures) == ["bad_response", "bad_response", "refused"]
    assert all(f.attempts == 1 and f.detail for f in failures)
    server.script.append(html())
    second = run_job(generation.run_generate, "generate", teacher="t", n=2)
    assert (second.counts["existing"], second.counts["generated"]) == (3, 2)
    assert FailedGeneration.objects.filter(resolved=True).count() == 2
    assert FailedGeneration.objects.get(resolved=False).attempts == 2


def test_a_truncated_answer_is_kept_marked_and_not_asked_again(
    run_job: Callable[..., Job],
    server: ScriptedServer,
    teacher: ModelEndpoint,
    problems: list[Problem],
) -> None:
    server.script.append(lambda body: stream(body, ["<think>\nfirst"], finish="length"))
    job = run_job(generation.run_generate, "generate", teacher="t", n=1)
    assert (job.counts["generated"], job.counts["truncated"]) == (3, 1)
    trace = Trace.objects.get(truncated=True)
    assert (trace.finish_reason, trace.reasoning_closed) == ("length", False)
    assert trace.answer_start is None
    run_job(generation.run_generate, "generate", teacher="t", n=1)
    assert len(server.chats) == 3


def test_a_cut_stream_is_asked_again_once_and_never_stored(
    run_job: Callable[..., Job],
    server: ScriptedServer,
    teacher: ModelEndpoint,
    problems: list[Problem],
) -> None:
    def cut(body: dict[str, Any]) -> Reply:
        reply = stream(body, ["half of it"])
        reply.cut_after = 2
        return reply

    server.script.extend([cut] * 6)
    job = run_job(generation.run_generate, "generate", teacher="t", n=1)
    assert job.counts["generated"] == 0
    assert set(FailedGeneration.objects.values_list("reason", "attempts")) == {("incomplete", 2)}
    assert Trace.objects.count() == 0


def test_a_refused_key_pauses_the_teacher_and_fails_the_job(
    run_job: Callable[..., Job],
    server: ScriptedServer,
    teacher: ModelEndpoint,
    problems: list[Problem],
) -> None:
    server.fallback = lambda body: error(401, "bad key")
    with pytest.raises(JobError, match="bad key") as caught:
        run_job(generation.run_generate, "generate", teacher="t", n=50)
    assert caught.value.code == "teacher_paused"
    teacher.refresh_from_db()
    assert "401" in teacher.paused_reason
    counts = Job.objects.get().counts
    assert counts["failed"] == FailedGeneration.objects.count() == len(server.chats)
    assert counts["failed"] + counts["deferred"] == counts["wanted"] == 150
    assert len(server.chats) < 60  # 150 wanted; those in flight may still have gone out
    asked = len(server.chats)
    with pytest.raises(JobError) as caught:
        run_job(generation.run_generate, "generate", teacher="t", n=1)
    assert caught.value.code == "teacher_paused"
    assert len(server.chats) == asked


def test_a_dead_endpoint_ends_the_job_as_unavailable_with_nothing_lost(
    run_job: Callable[..., Job], project: Any, server: ScriptedServer, problems: list[Problem]
) -> None:
    make_teacher(project, server, base_url="http://127.0.0.1:9/v1")
    with pytest.raises(JobError) as caught:
        run_job(generation.run_generate, "generate", teacher="t", n=10)
    assert caught.value.code == "teacher_unavailable"
    job = Job.objects.get()
    assert job.counts["deferred"] == 30
    assert adds_up(job)
    assert set(FailedGeneration.objects.values_list("reason", flat=True)) == {"deferred"}


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"teacher": "nobody", "n": 1}, "unknown_teacher"),
        ({"teacher": "t", "n": 0}, "bad_parameters"),
        ({"teacher": "t", "n": 1, "sampling": {"temperature": "hot"}}, "bad_parameters"),
        ({"teacher": "t", "n": 1, "sampling": {"extra": {"model": "x"}}}, "bad_parameters"),
        ({"teacher": "t", "n": 1, "template": "nope"}, "bad_parameters"),
        ({"teacher": "t", "n": 1, "source": "nope"}, "unknown_source"),
        ({"teacher": "t", "n": 1, "limit": "all"}, "bad_parameters"),
    ],
)
def test_a_wrong_parameter_is_named(
    run_job: Callable[..., Job],
    teacher: ModelEndpoint,
    problems: list[Problem],
    params: dict[str, Any],
    code: str,
) -> None:
    with pytest.raises(JobError) as caught:
        run_job(generation.run_generate, "generate", **params)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("variable", "code"),
    [("SECRET_KEY", "bad_key_name"), ("DATABASE_URL", "bad_key_name"), ("X_API_KEY", "missing")],
)
def test_only_variables_meant_as_keys_are_read(
    teacher: ModelEndpoint, monkeypatch: pytest.MonkeyPatch, variable: str, code: str
) -> None:
    monkeypatch.setenv("SECRET_KEY", "canary")
    monkeypatch.delenv("X_API_KEY", raising=False)
    granted(teacher.project, teacher.base_url, "X_API_KEY")
    teacher.api_key_env = variable
    with pytest.raises(JobError) as caught:
        generation.endpoint_of(teacher)
    assert code in caught.value.code
    assert "canary" not in str(caught.value)


def test_an_address_that_is_not_granted_is_refused(teacher: ModelEndpoint, settings: Any) -> None:
    settings.TEACHER_HOSTS = ["192.0.2.7"]
    EndpointGrant.objects.all().delete()
    with pytest.raises(JobError) as caught:
        generation.endpoint_of(teacher)
    assert caught.value.code == "endpoint_not_granted"


def test_an_unprobed_teacher_is_probed_first_and_the_result_kept(
    run_job: Callable[..., Job], project: Any, problems: list[Problem]
) -> None:
    with ScriptedServer(fallback=LikeTransformersServe()) as server:
        teacher = make_teacher(project, server, probed_at=None, capabilities={"dtype": "float32"})
        run_job(generation.run_generate, "generate", teacher="t", n=2)
    teacher.refresh_from_db()
    assert teacher.probed_at is not None
    assert (teacher.capabilities["n"], teacher.capabilities["seed"]) == ("no", "no")
    assert teacher.capabilities["dtype"] == "float32"
    trace = Trace.objects.first()
    assert trace is not None
    assert trace.manifest["seed"] == {"sent": None, "honoured": "no"}
    assert all("seed" not in chat.body for chat in server.chats[-6:])
    assert trace.manifest["engine"]["dtype"] == "float32"
    assert Trace.objects.count() == 6


def test_the_probe_job_waits_for_a_server_that_is_still_starting(
    run_job: Callable[..., Job], project: Any
) -> None:
    server = ScriptedServer()
    with ScriptedServer() as placeholder:
        server.port = placeholder.port
    make_teacher(project, server, probed_at=None)
    starter = threading.Timer(1.0, server.__enter__)
    starter.start()
    job = run_job(generation.run_probe, "probe", teacher="t")
    starter.join()
    server.__exit__()
    assert job.counts["n"] == 1


def test_the_same_answer_twice_is_one_row(
    run_job: Callable[..., Job], teacher: ModelEndpoint, problems: list[Problem]
) -> None:
    stored: list[int] = []
    real = generation.store

    def twice(ctx: Any, work: Any, results: Any) -> None:
        real(ctx, work, results)
        real(ctx, work, results)
        stored.append(len(results))

    generation.store = twice
    try:
        run_job(generation.run_generate, "generate", teacher="t", n=2)
    finally:
        generation.store = real
    assert Trace.objects.count() == sum(stored) == 6


def test_a_cancel_stops_the_requests_in_flight(project: Any, problems: list[Problem]) -> None:
    with ScriptedServer(fallback=lambda body: Reply(hang=60)) as server:
        make_teacher(project, server)
        ctx = context_for(project, teacher="t", n=5)
        job = ctx.job
        ctx.heartbeat = jobs.Heartbeat(job.pk, ctx.epoch)
        threading.Timer(1.0, ctx.heartbeat.cancel.set).start()
        start = time.monotonic()
        with pytest.raises(jobs.Cancelled):
            generation.run_generate(ctx)
        assert time.monotonic() - start < 30
        deadline = time.monotonic() + 5
        while threading.active_count() and time.monotonic() < deadline:
            if not any(t.name == "teacher-requests" for t in threading.enumerate()):
                break
        assert not any(t.name == "teacher-requests" for t in threading.enumerate())


def context_for(project: Any, **params: Any) -> jobs.JobContext:
    job = jobs.create_job(project=project, kind="generate", params=params)
    epoch = jobs.claim(job.pk)
    assert epoch is not None
    return jobs.JobContext(Job.objects.get(pk=job.pk), epoch)


def test_a_run_that_lost_its_lease_stores_nothing_more_and_the_next_one_goes_on(
    project: Any, teacher: ModelEndpoint, server: ScriptedServer, problems: list[Problem]
) -> None:
    zombie = context_for(project, teacher="t", n=10)
    real = generation.store

    def lose_lease(ctx: Any, work: Any, results: Any) -> None:
        real(ctx, work, results[:1])
        Job.objects.filter(pk=ctx.job.pk).update(lease_epoch=99)
        real(ctx, work, results)

    generation.store = lose_lease
    try:
        with pytest.raises(jobs.LeaseLost):
            generation.run_generate(zombie)
    finally:
        generation.store = real
    assert Trace.objects.count() == 1
    heir = jobs.JobContext(Job.objects.get(pk=zombie.job.pk), 99)
    generation.run_generate(heir)
    counts = Job.objects.get(pk=zombie.job.pk).counts
    assert Trace.objects.count() == counts["generated"] == 30
    assert counts["existing"] == 0
    assert adds_up(heir.job)


def test_answers_are_stored_while_others_are_still_awaited(
    project: Any, server: ScriptedServer, problems: list[Problem]
) -> None:
    slow = threading.Event()
    seen: list[int] = []

    def answer(body: dict[str, Any]) -> Reply:
        if body["messages"][-1]["content"] == problems[-1].text:
            reply = stream(body, ["late"])
            reply.hang = 1.5
            return reply
        return completion(body, ["soon"])

    server.fallback = answer
    make_teacher(project, server)
    ctx = context_for(project, teacher="t", n=1)
    real = generation.store

    def watch(ctx: Any, work: Any, results: Any) -> None:
        real(ctx, work, results)
        seen.append(Trace.objects.count())

    generation.store = watch
    try:
        generation.run_generate(ctx)
    finally:
        generation.store = real
        slow.set()
    assert seen[-1] == 3
    assert seen[0] < 3


@pytest.mark.slow
def test_memory_stays_flat_with_500_requests_in_flight(
    run_job: Callable[..., Job],
    project: Any,
    problems: list[Problem],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """1,500 answers of 40 KB must not need more than 500 did: kept, they would be 40 MB more."""
    import psutil

    caplog.set_level("WARNING", "httpx")  # pytest keeps every log line
    long = "<think>\n" + "x" * 40_000 + "\n</think>\n\n1"
    process, used = psutil.Process(), []
    with ScriptedServer(fallback=lambda body: completion(body, [long]), latency=0.5) as server:
        server.keep_requests = False
        limits = QUICK | {"concurrency": 500}
        make_teacher(project, server, limits=limits, capabilities=PROBED | {"streaming": "no"})
        for seed, n in ((1, 167), (2, 167), (3, 500)):
            run_job(generation.run_generate, "generate", teacher="t", n=n, sampling={"seed": seed})
            used.append(process.memory_info().rss)
    assert Trace.objects.count() == 501 + 501 + 1500
    assert server.most_in_flight > 300
    assert used[2] - used[1] < 15_000_000, used


CHILD = """
import django, os, sys
from django.conf import settings
name, job_id = sys.argv[1], int(sys.argv[2])
settings.DATABASES["default"]["NAME"] = name
django.setup()
from curation import generation, jobs
from curation.models import Job
jobs.run_claimed(Job.objects.get(pk=job_id), jobs.claim(job_id), generation.run_generate)
"""


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_killed_worker_loses_no_stored_answer_and_its_successor_asks_only_for_the_rest(
    project: Any, problems: list[Problem]
) -> None:
    wanted, concurrency = 180, 8
    with ScriptedServer(latency=0.05) as server:
        make_teacher(project, server, limits=QUICK | {"concurrency": concurrency})
        job = jobs.create_job(project=project, kind="generate", params={"teacher": "t", "n": 60})
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(connection.settings_dict["NAME"]), str(job.pk)],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "curation.settings"},
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while Trace.objects.count() < 20 and time.monotonic() < deadline:
            time.sleep(0.02)
        child.send_signal(signal.SIGKILL)
        child.wait()
        stored = list(Trace.objects.order_by("pk").values())
        assert 20 <= len(stored) < wanted
        Job.objects.filter(pk=job.pk).update(lease_until="2000-01-01T00:00:00Z")
        epoch = jobs.claim(job.pk)
        assert epoch is not None
        job = jobs.run_claimed(Job.objects.get(pk=job.pk), epoch, generation.run_generate)
    assert job.state == "done"
    assert Trace.objects.count() == job.counts["generated"] == wanted
    assert job.counts["completion_tokens"] == sum(t.completion_tokens for t in Trace.objects.all())
    assert job.done == wanted
    assert adds_up(job)
    assert list(Trace.objects.order_by("pk").values())[: len(stored)] == stored
    assert len(server.chats) <= wanted + concurrency + BATCH
