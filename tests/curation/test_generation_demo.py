"""Generation from the real demo teacher: a model, a server and the client, nothing scripted."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.curation.granting import granted
from tests.extras import NEEDS_DEMO

pytestmark = [NEEDS_DEMO, pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(400)]
MODEL = Path(__file__).parents[2] / "workers" / "demo_teacher" / "model"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of a demo teacher of our own."""
    if not (MODEL / "model.safetensors").exists():
        pytest.skip("the demo teacher's weights are not here")
    folder = tmp_path_factory.mktemp("teacher")
    file = folder / "port"
    command = [sys.executable, "-m", "workers.demo_teacher", "serve", "--port", "0"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--port-file", str(file)],
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        try:
            deadline = time.monotonic() + 180
            while not (file.exists() and file.read_text()):
                assert server.poll() is None, (folder / "log").read_text()[-2000:]
                assert time.monotonic() < deadline, "the demo teacher did not start"
                time.sleep(0.5)
            yield int(file.read_text())
        finally:
            server.terminate()
            server.wait(timeout=30)


@pytest.mark.django_db
def test_the_demo_teacher_is_probed_and_answers_problems_with_checkable_traces(
    run_job: Callable[..., Any], project: Any, port: int
) -> None:
    from curation.generation import run_generate
    from curation.models import ModelEndpoint, Problem, Source, Trace
    from curation.verifiers import verify
    from workers.demo_teacher.problems import make_problems

    source = Source.objects.create(project=project, name="sums")
    answers: dict[int, str] = {}
    for number, made in enumerate(make_problems(12, 3)):
        problem = Problem.objects.create(
            project=project,
            source=source,
            text=made.text,
            text_sha256=str(number),
            norm_sha256=str(number),
        )
        answers[problem.pk] = str(made.answer)
    granted(project, f"http://127.0.0.1:{port}/v1")
    teacher = ModelEndpoint.objects.create(
        project=project,
        name="demo",
        base_url=f"http://127.0.0.1:{port}/v1",
        model="demo-teacher",
        sampling={"temperature": 0.8, "max_tokens": 400},
    )
    job = run_job(run_generate, "generate", teacher="demo", n=4)
    teacher.refresh_from_db()
    assert teacher.capabilities["n"] == "no"
    assert teacher.capabilities["streaming"] == "yes"
    assert (job.counts["generated"], job.counts["failed"], job.counts["deferred"]) == (48, 0, 0)
    traces = list(Trace.objects.all())
    assert sum(trace.tag_style == "think" for trace in traces) > 40
    assert len({trace.text for trace in traces}) > 40
    assert all(trace.completion_tokens and trace.latency_ms for trace in traces)
    verdicts = [verify("math", t.text, answers[t.problem_id]).verdict for t in traces]
    assert verdicts.count("correct") > 12
    assert "error" not in verdicts
    again = run_job(run_generate, "generate", teacher="demo", n=4)
    assert (again.counts["existing"], again.counts["generated"]) == (48, 0)
