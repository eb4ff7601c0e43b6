"""Published tiers: DeepDistill's stages, bands, staged RL and teachability over stored rows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from curation.difficulty import published
from curation.difficulty.grade import run_grade
from curation.difficulty.measures import Group, groups
from curation.ingest import run_import
from curation.models import Problem, Project, Source, Trace, Verdict
from curation.verifiers import verify

pytestmark = pytest.mark.django_db
ADDRESS = "/p/demo/difficulty/tiers/"
# Problem -> model -> the answers of its attempts; "4" is right everywhere.
GIVEN = {
    "solved by all": {"s": "4444", "m": "4444", "l": "4444", "t": "4444"},
    "small sometimes": {"s": "4999", "m": "4449", "l": "4444", "t": "4444"},
    "middle sometimes": {"s": "9999", "m": "4999", "l": "4449", "t": "4444"},
    "teacher alone": {"s": "1239", "m": "9999", "l": "9999", "t": "4449"},
    "nobody": {"s": "9999", "m": "9999", "l": "9999", "t": "9999"},
}


@pytest.fixture
def world(project: Project, run_job: Any) -> dict[str, int]:
    """Problem ids by name, every attempt checked and graded."""
    source = Source.objects.create(project=project, name="made")
    found = {}
    for name, models in GIVEN.items():
        problem = Problem.objects.create(
            project=project, source=source, text=name, text_sha256=name, norm_sha256=name,
            reference_answer="4",
        )  # fmt: skip
        found[name] = problem.pk
        for model, answers in models.items():
            for number, answer in enumerate(answers):
                add(problem, model, number, answer)
    run_job(run_grade, "grade")
    return found


def add(problem: Problem, model: str, number: int, answer: str) -> None:
    trace = Trace.objects.create(
        project=problem.project, problem=problem, source=problem.source, origin="imported",
        identity=f"{problem.text} {model} {number}", model=model, sample_no=number, text=answer,
        text_sha256=answer, char_count=1,
    )  # fmt: skip
    right = answer == "4"
    Verdict.objects.create(
        trace=trace, verifier="math", version="1", reference_sha256="r", extracted=answer,
        verdict="correct" if right else "incorrect", score=float(right), method="exact",
    )  # fmt: skip


def group_of(project: Project, model: str) -> Group:
    return next(one for one in groups(project) if one.model == model)


def keys(project: Project) -> dict[str, str]:
    roles = {"small": "s", "middle": "m", "large": "l", "teacher": "t"}
    return {role: group_of(project, model).key for role, model in roles.items()}


def test_stages_drop_the_unsolved_and_keep_what_varies(
    project: Project, world: dict[str, int]
) -> None:
    found = published.scored(project, group_of(project, "s"))
    stages = published.stages(found, 0.99, 1.0, "population")
    assert stages == {
        "drop": [world[name] for name in ("middle sometimes", "teacher alone", "nobody")],
        "keep_passing": [world["small sometimes"]],  # 1, 0, 0, 0: sqrt(3)
        "sample": [world["solved by all"]],
    }
    assert published.stages(found, 0.99, 1.9, "population")["keep_passing"] == []
    assert published.stages(found, 0.99, 1.9, "sample")["keep_passing"] == [
        world["small sometimes"]
    ]  # 2 with n - 1 below
    bounds = published.kept_by_limit(found, 0.99, "population", points=2)
    assert [count for _, count in bounds] == [1, 1, 0]


def test_bands_count_what_lies_beside_them() -> None:
    by_name = {band.name: band for band in published.bands_of([0.0, 0.25, 0.375, 0.7, 1.0])}
    light = by_name["light-r1"]
    assert (light.below, light.inside, light.above) == (1, 2, 2)
    assert by_name["acereason"].inside == 3


def test_tiers_take_each_model_for_itself(project: Project, world: dict[str, int]) -> None:
    roles = {role: group_of(project, role[0]) for role in ("small", "middle", "large", "teacher")}
    found = published.staged(project, roles)
    assert found.tiers == {
        "easy": [world["solved by all"]],
        "L1": [world["small sometimes"]],
        "L2": [world["middle sometimes"]],
        "L3": [world["teacher alone"]],
        "dropped": [world["nobody"]],
    }
    without = {role: group for role, group in roles.items() if role != "middle"}
    assert published.staged(project, without).open == 1  # L2 or L3: the middle model says


def test_teachability_is_the_agreement_with_the_plurality_which_is_no_reference(
    project: Project, world: dict[str, int]
) -> None:
    weak = [group_of(project, "s"), group_of(project, "m")]
    found = published.teachable(project, group_of(project, "t"), weak, 3, 0.5)
    one = found.found[world["small sometimes"]]
    assert (one.proxy, one.votes, one.share) == ("4", 4, 1.0)
    assert list(one.agreement.values()) == [0.25, 0.75]
    assert found.disputed == {world["nobody"]}
    assert (found.none, found.left) == (0, 0)
    strict = published.teachable(project, group_of(project, "t"), weak, 4, 0.5)
    assert strict.none == 1 and world["teacher alone"] not in strict.found


def test_equal_answers_written_otherwise_are_one(project: Project, world: dict[str, int]) -> None:
    assert published.alike("1/2", "0.5")
    assert not published.alike("x+1", "1+x")  # only exact arithmetic, and what is written alike


def test_the_page_shows_plots_for_one_model_and_tiers_once_roles_are_chosen(
    owner: Client, project: Project, world: dict[str, int]
) -> None:
    html = owner.get(ADDRESS).content.decode()
    assert "light-r1" in html and html.count("<svg") >= 5
    assert "Choose a small and a large model" in html
    chosen = keys(project) | {"group": group_of(project, "s").key, "cv": "1"}
    html = owner.get(ADDRESS, chosen).content.decode()
    assert "keep_passing" in html and "Problems by tier" in html
    assert "Agreement of m" in html and "a proxy is no truth" in html
    assert f"/p/demo/problems/{world['nobody']}/" in html


@pytest.mark.parametrize(
    "bad", ["cv=x", "cv=-1", "threshold=nan", "votes=1e99", "share=", "small=none", "group=%00"]
)
def test_senseless_values_count_as_not_given(
    owner: Client, project: Project, world: dict[str, int], bad: str
) -> None:
    chosen = "&".join(f"{role}={key}" for role, key in keys(project).items())
    assert owner.get(f"{ADDRESS}?{chosen}&{bad}").status_code == 200


REAL = os.environ.get("WHITTLE_REAL_DATA")


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason="WHITTLE_REAL_DATA is not set")
def test_the_page_works_on_the_four_models_of_gsm8k(
    owner: Client, project: Project, run_job: Any, django_assert_max_num_queries: Any
) -> None:
    run_job(run_import, "import", path=str(Path(str(REAL)) / "gsm8k"), name="gsm8k")
    rows = []
    for trace in Trace.objects.select_related("problem"):
        said = verify("numeric", trace.text, trace.problem.reference_answer)
        rows.append(
            Verdict(trace=trace, verifier="numeric", version="1", reference_sha256="r",
                    verdict=said.verdict, score=said.score, extracted=said.extracted)
        )  # fmt: skip
    Verdict.objects.bulk_create(rows)
    run_job(run_grade, "grade")
    found = sorted(groups(project), key=lambda one: one.model)
    assert len(found) == 4
    chosen = {role: one.key for role, one in zip(published.ROLES, found, strict=True)}
    with django_assert_max_num_queries(23):  # three note the use of the session
        answer = owner.get(ADDRESS, chosen | {"cv": "0.5", "votes": "1"})
    tiers = answer.context["staged"]
    assert sum(count for _, _, count, _ in tiers) + answer.context["staged_open"] == 1319
    assert len(answer.context["teachable"].found) == 1319  # one answer each: its own plurality
    assert len(answer.content) < 400_000


def test_the_page_without_grades_says_what_to_do(owner: Client, project: Project) -> None:
    assert "Nothing graded yet" in owner.get(ADDRESS).content.decode()


def test_a_stranger_gets_the_404_of_a_project_that_is_not(
    client: Client, project: Project, django_user_model: Any
) -> None:
    client.force_login(django_user_model.objects.create_user("x", password="correct horse 9"))
    assert client.get(ADDRESS).status_code == 404
