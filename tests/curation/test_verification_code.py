"""A HumanEval source is imported, and the job judges its traces by running them."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from curation.models import Trace, Verdict
from curation.verification import run_verify
from tests.curation.sandbox_holes import sandbox_here
from tests.verifier import running_service

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not sandbox_here(), reason="no sandbox here"),
]
PROMPT = 'def twice(n: int) -> int:\n    """Two times n."""\n'
TEST = "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(5) == 10\n"
# Completions as base and chat models write them, and what becomes of each.
COMPLETIONS = {
    "    return 2 * n\n": "correct",
    "```python\ndef twice(n):\n    return n + n\n```": "correct",
    "    return n + 2\n": "incorrect",
    "import os\nos._exit(0)": "incorrect",
    "I would rather not.": "incorrect",
}


@pytest.fixture(scope="module")
def service() -> Iterator[Any]:
    with running_service("--workers", "1") as running:
        yield running


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A made file in HumanEval's shape, imported by its adapter."""
    path = tmp_path / "simple_1_made_pass_at_k_1.jsonl.gz"
    with gzip.open(path, "wt") as file:
        for text in COMPLETIONS:
            row = {"task_id": "Made/0", "prompt": PROMPT, "entry_point": "twice", "test": TEST}
            row |= {"canonical_solution": "    return 2 * n\n", "solution": text}
            file.write(json.dumps(row | {"is_solved": True}) + "\n")
    return path


@pytest.mark.slow
def test_the_job_runs_code_and_a_change_of_the_tests_is_a_new_verdict(
    source: Path, run_job: Callable[..., Any], service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curation.ingest import run_import

    monkeypatch.setenv("WHITTLE_VERIFIER_SOCKET", str(service.socket))
    run_job(run_import, "import", path=str(source), name="made", adapter="humaneval")
    assert Trace.objects.count() == len(COMPLETIONS)
    job = run_job(run_verify, "verify")
    assert (job.counts["correct"], job.counts["incorrect"], job.counts["error"]) == (2, 3, 0)
    verdicts = {row.trace.text: row for row in Verdict.objects.select_related("trace")}
    assert {text: row.verdict for text, row in verdicts.items()} == COMPLETIONS
    assert verdicts["    return n + 2\n"].score == 0.5
    assert run_job(run_verify, "verify").counts["present"] == len(COMPLETIONS)
    problem = Trace.objects.first().problem  # type: ignore[union-attr]
    problem.tests = {**problem.tests, "test": TEST.replace("5) == 10", "5) == 11")}
    problem.save()
    again = run_job(run_verify, "verify").counts
    assert (again["present"], again["correct"]) == (0, 0)
    assert Verdict.objects.count() == 2 * len(COMPLETIONS)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_real_humaneval_is_judged_end_to_end_with_a_models_solutions(
    run_job: Callable[..., Any], service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curation.ingest import run_import

    folder = os.environ.get("WHITTLE_REAL_DATA")
    if not folder:
        pytest.skip("WHITTLE_REAL_DATA is not set")
    monkeypatch.setenv("WHITTLE_VERIFIER_SOCKET", str(service.socket))
    problems = Path(folder) / "humaneval" / "HumanEval.jsonl.gz"
    run_job(run_import, "import", path=str(problems), name="humaneval")
    (solved,) = (Path(folder) / "reflexion").glob("*gpt-4*.jsonl")
    run_job(run_import, "import", path=str(solved), name="gpt-4")
    assert Trace.objects.count() == 164
    assert {trace.problem.kind for trace in Trace.objects.select_related("problem")} == {"code"}
    counts = run_job(run_verify, "verify").counts
    assert (counts["correct"], counts["incorrect"], counts["error"]) == (134, 30, 0)
