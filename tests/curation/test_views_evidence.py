"""Pages of difficulty, disputed references and judges: what they show and who may do what."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from curation.consensus import run_consensus
from curation.difficulty.measures import (
    groups,
    import_rewards,
    levels,
    process_scores,
    reward_rows,
    runs,
    summary,
)
from curation.models import (
    Difficulty,
    DisputeDecision,
    JudgePrompt,
    Membership,
    Problem,
    ReferenceDispute,
    Source,
    Trace,
    Verdict,
)
from curation.verification import reference_hash

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script>{{7*7}}"


@pytest.fixture
def world(project: Any, run_job: Callable[..., Any]) -> list[Problem]:
    """Six problems with four attempts each by one model; the first two are never solved."""
    source = Source.objects.create(project=project, name="made")
    problems = []
    for i in range(6):
        problem = Problem.objects.create(
            project=project, source=source, text=f"{HOSTILE} {i}", text_sha256=str(i),
            norm_sha256=str(i), reference_answer="9",
        )  # fmt: skip
        problems.append(problem)
        for n in range(4):
            right = n < i - 1
            answer = "9" if right else ("4" if i == 0 else str(10 + n))
            text = f"so \\boxed{{{answer}}}" + "." * (40 - 10 * n)
            trace = Trace.objects.create(
                project=project, problem=problem, source=source, origin="imported", text=text,
                identity=str(n), sample_no=n, model=f"m{HOSTILE}", text_sha256="x",
                char_count=len(text),
            )  # fmt: skip
            Verdict.objects.create(
                trace=trace, verifier="math", version="1", extracted=answer,
                verdict="correct" if right else "incorrect", score=float(right),
                reference_sha256=reference_hash("9"),
            )  # fmt: skip
    from curation.difficulty.grade import run_grade

    run_job(run_grade, "grade")
    run_job(run_consensus, "consensus")
    return problems


def member(project: Any, role: str) -> Client:
    person = get_user_model().objects.create_user(f"a-{role}", password="correct horse 2")
    Membership.objects.create(project=project, user=person, role=role)
    client = Client()
    client.force_login(person)
    return client


def test_a_summary_counts_one_group_and_never_two(world: list[Problem], project: Any) -> None:
    other = Difficulty.objects.filter(problem=world[5]).get()
    other.pk, other.model = None, "other"
    other.save()
    first, second = groups(project)
    assert (first.problems, second.problems) == (6, 1)
    found = summary(project, first)
    assert sorted(found.rates) == [0.0, 0.0, 0.25, 0.5, 0.75, 1.0]
    assert (found.never, found.of, found.uneven) == (2, 4, 0)
    assert found.skywork == {0: 1, 1: 1, 2: 1, 3: 1, 4: 2}
    assert found.bands["code"]["fail"] == 2
    assert found.pass_at[1] == (pytest.approx(2.5 / 6), 6)
    assert found.unit == "chars"
    assert found.history[0][1] == sorted(found.history[0][1], reverse=True)
    assert {pk: level.level for pk, level in levels(project, first).items()} == {
        world[0].pk: 5, world[1].pk: 5, world[2].pk: 4, world[3].pk: 3, world[4].pk: 1,
        world[5].pk: 1,
    }  # fmt: skip


def test_process_scores_are_of_wrong_attempts_only(world: list[Problem], project: Any) -> None:
    (group, *_) = groups(project)
    for trace in Trace.objects.filter(problem=world[2]):
        score = 1.0 if trace.verdicts.get(verifier="math").verdict == "correct" else 0.8
        Verdict.objects.create(trace=trace, verifier="reward-r", version="1", verdict="incorrect",
                               score=score)  # fmt: skip
    assert process_scores(project, group) == {world[2].pk: pytest.approx(0.8)}
    level = levels(project, group)[world[2].pk]
    assert (level.level, level.by) == (2, "process")


def test_reward_series_are_imported_once_per_problem_and_scored(
    world: list[Problem], project: Any
) -> None:
    rows = [
        {"problem": world[0].pk, "values": [0, 0, 1]},
        {"problem": world[1].pk, "values": [0, 1, 1]},
        {"problem": 10**9, "values": [1]},
        {"problem": world[2].pk, "values": [2]},
        {"problem": world[2].pk, "values": "all"},
        {"values": [1]},
    ]
    assert import_rewards(project, "run-1", "s", rows) == {"stored": 2, "refused": 4}
    assert import_rewards(project, "run-1", "s", rows[:2])["stored"] == 2
    assert runs(project) == ["run-1"]
    found = {row.problem: (row.lim, row.variance) for row in reward_rows(project, "run-1")}
    assert found == {
        world[0].pk: (pytest.approx(0.8), pytest.approx(2 / 9)),
        world[1].pk: (pytest.approx(0.8), pytest.approx(2 / 9)),
    }
    with pytest.raises(ValueError, match="name"):
        import_rewards(project, " ", "s", rows)


def test_the_difficulty_page_shows_its_plots_a_sample_and_its_shortage(
    owner: Client, world: list[Problem], project: Any
) -> None:
    import_rewards(project, "run-1", "s", [{"problem": world[0].pk, "values": [0, 1]}])
    html = owner.get("/p/demo/difficulty/?total=15&run=run-1").content.decode()
    assert html.count("<svg") >= 7
    assert "<script>alert(1)" not in html
    assert "Rewards of run-1" in html
    assert "15 asked for, 10 short" in html
    assert "sampling not known" in html
    for bad in ("total=x", "total=-1", "total=99999999999", "group=none", "run=none"):
        assert owner.get(f"/p/demo/difficulty/?{bad}").status_code == 200, bad


def test_the_pages_without_data_say_what_to_do(owner: Client, project: Any) -> None:
    assert "Nothing graded yet" in owner.get("/p/demo/difficulty/").content.decode()
    assert "No open disputes" in owner.get("/p/demo/disputes/").content.decode()
    assert "No judge was asked yet" in owner.get("/p/demo/judges/").content.decode()


def test_made_puzzles_show_their_calibration(
    owner: Client, project: Any, run_job: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from curation.puzzles import run_make_problems
    from curation.verifiers import puzzlemaker

    monkeypatch.setattr(puzzlemaker, "_library_names", tuple)
    run_job(run_make_problems, "make_problems", generator="saturn", n=3, levels=[0, 3, 8])
    for n, row in enumerate(Problem.objects.order_by("pk")):
        Difficulty.objects.create(
            problem=row, model="m", sampling_hash="s", policy="checked", correct=4 - 2 * n,
            incorrect=2 * n, unverifiable=0, error=0, pass_rate=1 - n / 2,
        )  # fmt: skip
    html = owner.get("/p/demo/difficulty/").content.decode()
    assert "12.7845" in html
    assert "R² = 0.9" in html


def test_the_queue_lists_open_disputes_and_deciding_leads_to_the_next(
    owner: Client, world: list[Problem]
) -> None:
    html = owner.get("/p/demo/disputes/").content.decode()
    assert html.count("/p/demo/disputes/") >= 2
    assert "<script>alert(1)" not in html
    first, second = ReferenceDispute.objects.order_by("pk")
    assert (first.reason, second.reason) == ("majority", "all_fail")
    shown = owner.get(f"/p/demo/disputes/{first.pk}/").content.decode()
    assert "reference now" in shown
    assert "<script>alert(1)" not in shown
    data = {"decision": "replace", "new_reference": "4", "note": HOSTILE}
    answer = owner.post(f"/p/demo/disputes/{first.pk}/decide/", data)
    assert answer["Location"] == f"/p/demo/disputes/{second.pk}/"
    assert Problem.objects.get(pk=world[0].pk).reference_answer == "4"
    assert owner.post(f"/p/demo/disputes/{second.pk}/decide/", {"decision": "hard"})[
        "Location"
    ].endswith("/disputes/")
    assert "No open disputes" in owner.get("/p/demo/disputes/").content.decode()
    listed = owner.get("/p/demo/disputes/?state=all").content.decode()
    assert "replace" in listed
    assert "&lt;script&gt;" in owner.get(f"/p/demo/disputes/{first.pk}/").content.decode()


def test_reviewers_decide_but_only_curators_replace(world: list[Problem], project: Any) -> None:
    dispute = ReferenceDispute.objects.first()
    assert dispute is not None
    address = f"/p/demo/disputes/{dispute.pk}/decide/"
    replace = {"decision": "replace", "new_reference": "4"}
    viewer, reviewer = member(project, "viewer"), member(project, "reviewer")
    assert viewer.post(address, {"decision": "keep"}).status_code == 403
    assert reviewer.post(address, replace).status_code == 403
    assert 'value="replace"' not in reviewer.get(f"/p/demo/disputes/{dispute.pk}/").content.decode()
    assert not DisputeDecision.objects.exists()
    assert reviewer.post(address, {"decision": "keep"}).status_code == 302
    assert reviewer.post(address, {"decision": "perhaps"}).status_code == 302
    assert DisputeDecision.objects.count() == 1
    stranger = Client()
    stranger.force_login(get_user_model().objects.create_user("x", password="correct horse 3"))
    for page in ("difficulty/", "disputes/", f"disputes/{dispute.pk}/", "judges/",
                 "judges/answer-match/"):  # fmt: skip
        assert stranger.get(f"/p/demo/{page}").status_code == 404, page


def test_a_prompt_is_stored_by_version_and_shown_in_both_orders(
    owner: Client, project: Any
) -> None:
    form = owner.get("/p/demo/judges/add/?from=solution-check").content.decode()
    assert "own-solution-check" in form
    spec = {"name": "mine", "mode": "answer", "task": f"Compare. {HOSTILE}"}
    for given in (spec, spec, spec | {"task": "Compare well."}):
        answer = owner.post("/p/demo/judges/add/", {"spec": json.dumps(given)})
        assert answer["Location"] == "/p/demo/judges/mine/"
    assert list(JudgePrompt.objects.values_list("version", flat=True)) == [1, 2]
    html = owner.get("/p/demo/judges/mine/").content.decode()
    assert "order 2 of 2" in html
    assert "Compare well." in html
    assert "<script>alert(1)" not in owner.get("/p/demo/judges/").content.decode()
    for bad in ({"name": "answer-match", "mode": "answer", "task": "t"}, {"name": "A b"}, {}):
        answer = owner.post("/p/demo/judges/add/", {"spec": json.dumps(bad)})
        assert answer.status_code == 200
    assert JudgePrompt.objects.count() == 2
    assert member(project, "reviewer").get("/p/demo/judges/add/").status_code == 403


def test_the_judges_page_counts_verdicts_and_orders_that_disagree(
    owner: Client, world: list[Problem]
) -> None:
    trace = Trace.objects.first()
    Verdict.objects.create(trace=trace, verifier="judge-j-answer-match", version="1.ab.k1",
                           verdict="error", reason="orders_disagree")  # fmt: skip
    html = owner.get("/p/demo/judges/").content.decode()
    assert "judge-j-answer-match" in html
    assert "orders disagree" in html


def test_the_number_of_queries_does_not_grow_with_the_rows(
    owner: Client, world: list[Problem], django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(16):
        owner.get("/p/demo/difficulty/")
    with django_assert_max_num_queries(12):
        owner.get("/p/demo/disputes/")
    with django_assert_max_num_queries(12):
        owner.get("/p/demo/judges/")
