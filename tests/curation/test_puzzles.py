"""Making puzzles: the same for the same request, at measured difficulty, verified by a rule."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

from curation.difficulty.stats import linear_fit
from curation.jobs import JobError
from curation.puzzles import calibration, formula_points, run_make_problems, synlogic_range
from curation.verifiers import puzzlemaker, verify

pytestmark = pytest.mark.django_db
Run = Callable[..., Any]
needs_gym = pytest.mark.skipif(not find_spec("reasoning_gym"), reason="no reasoning-gym")


@pytest.fixture(autouse=True)
def without_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting the library takes seconds: only slow tests do."""
    if "slow" not in request.keywords:
        monkeypatch.setattr(puzzlemaker, "_library_names", lambda: ("leg_counting",))


def make(run_job: Run, **params: Any) -> Any:
    return run_job(run_make_problems, "make_problems", generator="saturn", **params)


def test_puzzles_are_problems_with_their_knobs_and_their_gold_passes(run_job: Run) -> None:
    from curation.models import Problem

    job = make(run_job, n=6, levels=[3, 8], seed=5)
    assert job.counts == {"wanted": 6, "made": 6, "existing": 0}
    rows = list(Problem.objects.order_by("pk"))
    assert {row.source.name for row in rows} == {"made-saturn"}
    assert [row.metadata["level"] for row in rows] == [3, 3, 3, 8, 8, 8]
    assert {row.metadata["analytic_difficulty"] for row in rows} == {9.6325, 12.7845}
    for row in rows:
        options = row.metadata["verifier_options"]
        good = f"<answer>{row.reference_answer}</answer>"
        assert verify("logic", good, row.reference_answer, **options).verdict == "correct"
        wrong = "".join("10"[int(bit)] for bit in row.reference_answer or "")
        assert verify("logic", f"<answer>{wrong}</answer>", None, **options).score != 1.0


def test_the_same_request_makes_nothing_new_and_a_larger_one_fills_up(run_job: Run) -> None:
    from curation.models import Problem

    make(run_job, n=4, levels=[3])
    texts = set(Problem.objects.values_list("text", flat=True))
    assert make(run_job, n=4, levels=[3]).counts["existing"] == 4
    job = make(run_job, n=6, levels=[3])
    assert (job.counts["made"], job.counts["existing"]) == (2, 4)
    assert texts < set(Problem.objects.values_list("text", flat=True))


def test_a_killed_attempt_goes_on_where_it_stood(run_job: Run, project: Any) -> None:
    from curation import jobs
    from curation.models import Job, Problem

    params = {"generator": "saturn", "n": 120, "levels": [3, 4]}
    job = jobs.create_job(project=project, kind="make_problems", params=params)

    class Killed(BaseException):
        pass

    def attempt(beat: int | None) -> Any:
        epoch = jobs.claim(job.pk)
        assert epoch is not None
        context = jobs.JobContext(Job.objects.get(pk=job.pk), epoch)
        left = iter(range(beat)) if beat else iter(range(99))

        def check() -> None:
            if next(left, None) is None:
                raise Killed

        context.check = check  # type: ignore[method-assign]
        run_make_problems(context)
        return context.job

    with pytest.raises(Killed):
        attempt(4)
    assert 0 < Problem.objects.count() < 120
    Job.objects.filter(pk=job.pk).update(state="queued", lease_until=None)
    done = attempt(None)
    assert done.counts == {"wanted": 120, "made": 120, "existing": 0}
    assert (done.done, done.total) == (120, 120)


def test_all_levels_share_the_number_evenly(run_job: Run) -> None:
    from curation.models import Problem

    make(run_job, n=23, levels="all")
    levels = [row.metadata["level"] for row in Problem.objects.all()]
    assert sorted({levels.count(level) for level in range(10)}) == [2, 3]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"n": 0}, "bad_parameters"),
        ({"n": True}, "bad_parameters"),
        ({"n": 5, "seed": -1}, "bad_parameters"),
        ({"n": 5, "levels": [99]}, "unknown_level"),
        ({"n": 5, "levels": "some"}, "bad_parameters"),
        ({"n": 5, "levels": [1], "knobs": {}}, "bad_parameters"),
        ({"n": 5, "knobs": {"n": 9, "k": 2, "l": 3}}, "bad_knobs"),
        ({"n": 5, "knobs": {"l": "many"}}, "bad_knobs"),
        ({"n": 5, "knobs": []}, "bad_parameters"),
        ({"n": 5, "target": {"model": "m"}}, "bad_parameters"),
        ({"n": 5, "target": {"model": "m", "low": 0, "high": 1}}, "not_calibrated"),
    ],
)
def test_what_cannot_be_made_is_refused_with_a_code(
    run_job: Run, params: dict[str, Any], code: str
) -> None:
    with pytest.raises(JobError) as caught:
        make(run_job, **params)
    assert caught.value.code == code


def test_an_unknown_generator_is_refused(run_job: Run) -> None:
    with pytest.raises(JobError) as caught:
        run_job(run_make_problems, "make_problems", generator="no/such", n=1)
    assert caught.value.code == "unknown_generator"


def grade_made(rates: dict[int, tuple[int, int]], model: str = "m") -> None:
    """Difficulty rows for made problems: level -> (correct, incorrect) of each."""
    from curation.models import Difficulty, Problem

    for row in Problem.objects.all():
        correct, wrong = rates[row.metadata["level"]]
        Difficulty.objects.create(
            problem=row, model=model, sampling_hash="s", policy="checked", correct=correct,
            incorrect=wrong, unverifiable=0, error=0, pass_rate=correct / (correct + wrong),
        )  # fmt: skip


def test_the_record_counts_by_setting_and_model_and_a_target_follows_it(
    run_job: Run, project: Any
) -> None:
    from curation.models import Problem

    make(run_job, n=9, levels=[0, 3, 8])
    grade_made({0: (4, 0), 3: (2, 2), 8: (0, 4)})
    grade_made({0: (4, 0), 3: (4, 0), 8: (2, 2)}, "stronger")
    record = calibration(project, "saturn")
    found = {(row.model, row.setting.level): (row.problems, row.rate, row.solved) for row in record}
    assert found[("m", 3)] == (3, 0.5, 3)
    assert found[("m", 8)] == (3, 0.0, 0)
    assert found[("stronger", 8)] == (3, 0.5, 3)
    make(run_job, n=5, first=100, target={"model": "m", "low": 0.25, "high": 0.75})
    assert Problem.objects.filter(metadata__level=3).count() == 8
    points = [(x, y) for model, x, y in formula_points(record) if model == "m"]
    fit = linear_fit(points)
    assert fit is not None
    assert fit.slope < 0
    assert 0.9 < fit.r2 <= 1


@pytest.mark.parametrize(
    ("solves", "rate", "where"),
    [(False, 0.3, "too_hard"), (True, None, "not_measured"), (True, 0.5, "too_easy"),
     (True, 0.2, "in_range"), (True, 0.0, "too_hard_for_chat")],
)  # fmt: skip
def test_synlogics_bounds(solves: bool, rate: float | None, where: str) -> None:
    assert synlogic_range(solves, rate) == where


def test_a_child_that_dies_or_answers_nonsense_is_a_named_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(puzzlemaker.sys, "executable", "/bin/false")
    with pytest.raises(puzzlemaker.MakerError) as caught:
        puzzlemaker._ask({"do": "names"})
    assert caught.value.code == "maker_failed"
    monkeypatch.undo()
    monkeypatch.setattr(puzzlemaker, "TIMEOUT", 0.01)
    with pytest.raises(puzzlemaker.MakerError) as caught:
        puzzlemaker._ask({"do": "names"})
    assert caught.value.code == "maker_timeout"


@needs_gym
@pytest.mark.slow
def test_a_generator_of_the_library_makes_puzzles_that_its_scorer_verifies(run_job: Run) -> None:
    from curation.models import Problem

    params = {"generator": "leg_counting", "n": 3, "levels": [0, 1], "seed": 11}
    assert run_job(run_make_problems, "make_problems", **params).counts["made"] == 3
    for row in Problem.objects.all():
        assert row.text.endswith("<answer> and </answer>.")
        options = row.metadata["verifier_options"]
        gold = row.reference_answer
        assert verify("logic", f"<answer>{gold}</answer>", gold, **options).verdict == "correct"
        assert verify("logic", f"<answer>{gold}9</answer>", gold, **options).verdict == "incorrect"


@needs_gym
@pytest.mark.slow
def test_knobs_and_levels_of_the_library_are_read_and_a_bad_knob_is_named() -> None:
    assert len(puzzlemaker.generators()) > 100
    assert "max_animals" in puzzlemaker.knobs_of("leg_counting")
    levels = puzzlemaker.settings_of("knights_knaves")
    assert len(levels) > 1
    assert levels[0].knobs != levels[-1].knobs
    with pytest.raises(puzzlemaker.MakerError) as caught:
        puzzlemaker.make(puzzlemaker.Setting("leg_counting", {"no_knob": 1}), 0, [0])
    assert caught.value.code == "bad_knobs"
