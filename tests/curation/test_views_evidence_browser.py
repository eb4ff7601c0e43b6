"""Difficulty, disputes and judges in a real browser: drawn in both colours, without a fault."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from curation import jobs
from curation.consensus import run_consensus
from curation.difficulty.grade import run_grade
from curation.difficulty.measures import Group, groups, import_rewards
from curation.difficulty.published import ROLES
from curation.models import (
    Difficulty,
    Job,
    Membership,
    Problem,
    Project,
    ReferenceDispute,
    Verdict,
)
from curation.puzzles import run_make_problems
from curation.verifiers import puzzlemaker
from tests.curation.test_views_browser import DARK, LIGHT, Watched
from tests.curation.views_attempts import attempts

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def project(transactional_db: None) -> Project:
    user = get_user_model().objects.create_user("alice", password="correct horse 1")
    project = Project.objects.create(slug="demo", name="Demo")
    Membership.objects.create(project=project, user=user, role="owner")
    return project


@pytest.fixture
def full(project: Project, monkeypatch: pytest.MonkeyPatch) -> list[Problem]:
    """A project in which each of the pages has something to show."""
    monkeypatch.setattr(puzzlemaker, "_library_names", tuple)

    def run(handler: Callable[[Any], None], kind: str, **params: Any) -> None:
        job = jobs.create_job(project=project, kind=kind, params=params)
        epoch = jobs.claim(job.pk)
        assert epoch is not None
        handler(jobs.JobContext(Job.objects.get(pk=job.pk), epoch))

    problems = attempts(project, 24)
    run(run_grade, "grade")
    run(run_consensus, "consensus", third="witness")
    import_rewards(project, "run-1", "student", [
        {"problem": p.pk, "values": [min(1.0, (i % 7) * k / 12) for k in range(5)]}
        for i, p in enumerate(problems)
    ])  # fmt: skip
    run(run_make_problems, "make_problems", generator="saturn", n=10, levels="all")
    for n, row in enumerate(Problem.objects.filter(kind="logic").order_by("pk")):
        Difficulty.objects.create(
            problem=row, model="student", sampling_hash="s", policy="checked", unverifiable=0,
            correct=10 - n, incorrect=n, error=0, pass_rate=1 - n / 10,
        )  # fmt: skip
    for trace in problems[5].traces.all():
        Verdict.objects.create(trace=trace, verifier="judge-j-answer-match", version="1.ab12.k2",
                               verdict="correct", score=1.0)  # fmt: skip
    return problems


@pytest.fixture
def watched(browser: Any, live_server: Any, full: list[Problem]) -> Iterator[Watched]:
    found = Watched(browser, live_server)
    yield found
    found.context.close()
    assert not found.faults, found.faults
    assert not found.outside()


def test_the_pages_fit_and_are_drawn_in_light_and_dark(watched: Watched) -> None:
    dispute = ReferenceDispute.objects.order_by("pk")[0]
    base = "/p/demo/"
    pages = {
        "difficulty": f"{base}difficulty/?total=20&run=run-1",
        "tiers": f"{base}difficulty/tiers/?cv=0.5&{roles(groups(Project.objects.get()))}",
        "disputes": f"{base}disputes/",
        "dispute": f"{base}disputes/{dispute.pk}/",
        "judges": f"{base}judges/",
        "judge": f"{base}judges/answer-match/",
        "judge_add": f"{base}judges/add/",
    }
    for name, address in pages.items():
        page = watched.open(address)
        for scheme, ground in (("light", LIGHT), ("dark", DARK)):
            page.emulate_media(color_scheme=scheme)
            colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert colour == ground, name
            if folder := os.environ.get("WHITTLE_SCREENSHOTS"):
                page.screenshot(path=Path(folder, f"{name}-{scheme}.png"), full_page=True)
        for width in (1360, 900, 480):
            page.set_viewport_size({"width": width, "height": 860})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
        page.set_viewport_size({"width": 1360, "height": 860})


def roles(found: list[Group]) -> str:
    """The query of the page of tiers with a model for each role, as far as there are any."""
    return "&".join(f"{role}={one.key}" for role, one in zip(ROLES, found * 4, strict=False))


def test_another_model_is_chosen_in_the_filter_bar(watched: Watched) -> None:
    page = watched.open("/p/demo/difficulty/")
    other = page.locator("select[name=group] option").nth(1)
    wanted = other.inner_text()
    page.select_option("select[name=group]", other.get_attribute("value"))
    page.wait_for_url("**group=**")
    assert page.locator("select[name=group] option:checked").inner_text() == wanted


def test_a_dispute_is_decided_with_the_keyboard(watched: Watched) -> None:
    dispute = ReferenceDispute.objects.filter(reason="majority").order_by("pk")[0]
    page = watched.open(f"/p/demo/disputes/{dispute.pk}/")
    page.focus("input[name=decision][value=keep]")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")  # replace the reference
    page.focus("#note")
    page.keyboard.type("the table is right")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: str(dispute.pk) not in url.rsplit("/disputes", 1)[1])
    row = dispute.decisions.get()
    assert (row.decision, row.note) == ("replace", "the table is right")
