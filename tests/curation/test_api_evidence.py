"""REST of judges, consensus, disputes, reward series, levels and calibrations."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from curation.consensus import run_consensus
from curation.models import (
    Difficulty,
    JudgeVote,
    Membership,
    Problem,
    Project,
    ReferenceDispute,
    Source,
    Trace,
)
from tests.curation.test_api import client_of

pytestmark = pytest.mark.django_db
JSON = "application/json"
RESOURCES = ("judge-prompts", "judge-votes", "pseudo-references", "disputes", "reward-series")


@pytest.fixture
def api(user: Any, project: Project) -> Client:
    return client_of(user)


@pytest.fixture
def problem(project: Project, run_job: Any) -> Problem:
    """A problem whose attempts agree on another answer than its reference."""
    source = Source.objects.create(project=project, name="s")
    found = Problem.objects.create(project=project, source=source, text="q", text_sha256="q",
                                   norm_sha256="q", reference_answer="9")  # fmt: skip
    for n in range(3):
        text = "so \\boxed{4}"
        trace = Trace.objects.create(
            project=project, problem=found, source=source, origin="imported", text=text, model="m",
            identity=str(n), sample_no=n, text_sha256="x", char_count=len(text),
        )  # fmt: skip
    JudgeVote.objects.create(trace=trace, judge="j", verifier="judge-j", version="1",
                             identity="i", verdict="correct", text="{}")  # fmt: skip
    run_job(run_consensus, "consensus")
    return found


def results(api: Client, address: str) -> Any:
    answer = api.get(address)
    assert answer.status_code == 200, answer.content
    return answer.json()["results"]


def test_each_resource_is_closed_to_strangers_and_open_to_members(
    api: Client, problem: Problem, client: Client
) -> None:
    api.post("/api/v1/judge-prompts/", {"project": "demo", "spec": {
        "name": "mine", "mode": "answer", "task": "Compare."}}, JSON)  # fmt: skip
    series = [{"problem": problem.pk, "values": [0, 1]}]
    body = {"project": "demo", "run": "r", "series": series}
    assert api.post("/api/v1/reward-series/", body, JSON).json() == {"stored": 1, "refused": 0}
    stranger = client_of(get_user_model().objects.create_user("x", password="correct horse 9"))
    for name in RESOURCES:
        assert client.get(f"/api/v1/{name}/").status_code == 401
        assert len(results(api, f"/api/v1/{name}/")) == 1, name
        assert results(stranger, f"/api/v1/{name}/") == [], name
    for address in ("levels", "calibrations"):
        assert stranger.get(f"/api/v1/{address}/?project=demo").status_code == 404
    assert stranger.post("/api/v1/reward-series/", body, JSON).status_code == 404


def test_a_dispute_is_decided_by_role(api: Client, problem: Problem, project: Project) -> None:
    dispute = ReferenceDispute.objects.get()
    person = get_user_model().objects.create_user("r", password="correct horse 9")
    Membership.objects.create(project=project, user=person, role="reviewer")
    reviewer = client_of(person)
    address = f"/api/v1/disputes/{dispute.pk}/decide/"
    replace = {"decision": "replace", "new_reference": "4"}
    assert reviewer.post(address, replace, JSON).status_code == 403
    assert api.post(address, {"decision": "replace"}, JSON).status_code == 400
    answer = api.post(address, replace, JSON)
    assert (answer.status_code, answer.json()["decision"]) == (201, "replace")
    problem.refresh_from_db()
    assert problem.reference_answer == "4"
    assert reviewer.post(address, {"decision": "reopen"}, JSON).json()["decision"] == "reopen"


def test_a_prompt_that_is_none_is_a_400_with_its_reason(api: Client, project: Project) -> None:
    for spec in ({}, {"name": "answer-match", "mode": "answer", "task": "t"}):
        answer = api.post("/api/v1/judge-prompts/", {"project": "demo", "spec": spec}, JSON)
        assert answer.status_code == 400
        assert "spec" in answer.json()["fields"]


def test_scores_of_a_run_and_their_bad_requests(api: Client, problem: Problem) -> None:
    body = {"project": "demo", "run": "r", "series": [{"problem": problem.pk, "values": [1, 1]}]}
    api.post("/api/v1/reward-series/", body, JSON)
    (row,) = results(api, "/api/v1/reward-series/scores/?project=demo&run=r")
    assert (row["lim"], row["variance"], row["weakness"]) == (None, 0.0, False)
    assert results(api, "/api/v1/reward-series/scores/?project=demo&run=none") == []
    assert api.get("/api/v1/reward-series/scores/").status_code == 400
    assert api.post("/api/v1/reward-series/", body | {"run": ""}, JSON).status_code == 400
    assert api.post("/api/v1/reward-series/", body | {"series": [1]}, JSON).status_code == 400


def test_levels_and_a_sample_with_its_shortage(api: Client, problem: Problem) -> None:
    Difficulty.objects.create(problem=problem, model="m", sampling_hash="", policy="checked",
                              correct=0, incorrect=3, unverifiable=0, error=0)  # fmt: skip
    found = api.get("/api/v1/levels/?project=demo&model=m&total=15").json()
    assert found["problems"] == [problem.pk]
    assert found["shortage"] == {"1": 5, "2": 4, "3": 3, "4": 2}
    for bad in ("total=-1", "total=x", "seed=1e3"):
        assert api.get(f"/api/v1/levels/?project=demo&model=m&{bad}").status_code == 400


def test_calibrations_are_listed_by_setting(api: Client, project: Project) -> None:
    source = Source.objects.create(project=project, name="made")
    made = Problem.objects.create(
        project=project, source=source, text="p", text_sha256="p", norm_sha256="p", kind="logic",
        metadata={"generator": "saturn", "knobs": {"n": 3}, "level": 0, "analytic_difficulty": 9.6},
    )  # fmt: skip
    Difficulty.objects.create(problem=made, model="m", sampling_hash="s", policy="checked",
                              correct=1, incorrect=3, unverifiable=0, error=0)  # fmt: skip
    (row,) = results(api, "/api/v1/calibrations/?project=demo&generator=saturn")
    assert (row["difficulty"], row["pass_rate"], row["knobs"]) == (9.6, 0.25, {"n": 3})
    assert results(api, "/api/v1/calibrations/?project=demo&generator=other") == []
