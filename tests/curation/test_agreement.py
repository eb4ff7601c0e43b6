"""Agreement of verdicts with the source, with people and between versions, by hand."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from curation import agreement
from curation.models import Problem, ReviewOutcome, Source, Trace, Verdict
from curation.verifiers import VERIFIERS
from curation.views.verifiers import running_version

pytestmark = pytest.mark.django_db

# (verdict here, flag of the source, verdict of the old version), hence: 4 both decided with the
# source, 2 of them equal, one each way; one trace without a flag.
CASES: list[tuple[str, dict[str, Any], str]] = [
    ("correct", {"is_correct": True}, "correct"),
    ("incorrect", {"score": 0}, "incorrect"),
    ("correct", {"score": 0.0}, "incorrect"),
    ("incorrect", {"is_solved": "true"}, "incorrect"),
    ("correct", {}, "incorrect"),
    ("error", {"correct": True}, "correct"),
]


@pytest.fixture
def traces(project: Any) -> list[Trace]:
    problem = Problem.objects.create(
        project=project,
        source=Source.objects.create(project=project, name="s"),
        text="1+1?",
        text_sha256="a",
        norm_sha256="a",
        reference_answer="2",
    )
    made = []
    for number, (mine, upstream, old) in enumerate(CASES):
        trace = Trace.objects.create(
            project=project,
            problem=problem,
            text=str(number),
            char_count=1,
            text_sha256=str(number),
            identity=str(number),
            upstream=upstream,
        )
        for version, verdict in (("1", old), ("2", mine)):
            Verdict.objects.create(
                trace=trace, verifier="math", version=version, reference_sha256="r", verdict=verdict
            )
        made.append(trace)
    return made


def voice(traces: list[Trace], name: str) -> agreement.Voice:
    found = agreement.voices(traces[0].project_id, "math", "2")
    return next(v for v in found if v.name == name)


def test_flags_of_the_source_are_counted_by_hand(traces: list[Trace]) -> None:
    source = voice(traces, "source")
    assert (source.both, source.same, source.more, source.less, source.open) == (4, 2, 1, 1, 1)
    assert source.agreement == 0.5
    assert source.kappa == 0.0  # half would agree by chance


def test_versions_are_compared_with_each_other(traces: list[Trace]) -> None:
    old = voice(traces, "math 1")
    assert (old.both, old.same, old.more, old.less) == (5, 3, 2, 0)
    assert old.kappa == pytest.approx((3 / 5 - 11 / 25) / (1 - 11 / 25))


def test_the_newest_outcome_of_reviewers_is_their_voice(traces: list[Trace]) -> None:
    for decision in ("reject", "accept"):
        ReviewOutcome.objects.create(trace=traces[0], decision=decision, policy="single")
    ReviewOutcome.objects.create(trace=traces[1], decision="undecided", policy="single")
    people = voice(traces, "people")
    assert (people.both, people.same) == (1, 1)


@pytest.mark.parametrize(
    ("name", "way", "expected"),
    [("source", "more", [2]), ("source", "less", [3]), ("math 1", "more", [2, 4]),
     ("math 1", "less", []), ("people", "more", [])],
)  # fmt: skip
def test_disagreements_are_listed_one_way_at_a_time(
    traces: list[Trace], name: str, way: str, expected: list[int]
) -> None:
    key = (traces[0].project_id, "math", "2")
    ids = agreement.disagreements(key, name, way)
    found = list(Verdict.objects.filter(pk__in=ids).order_by("pk").values_list("trace", flat=True))
    assert found == [traces[n].pk for n in expected]
    if ids:
        assert agreement.disagreements(key, name, way, after=ids[0]) == ids[1:]


def test_the_page_lists_disagreements_and_judges_again(traces: list[Trace], user: Any) -> None:
    client = Client()
    client.force_login(user)
    html = client.get("/p/demo/verifiers/math/?version=2&with=source&way=more").content.decode()
    assert f"/traces/{traces[2].pk}/" in html and f"/traces/{traces[3].pk}/" not in html
    assert client.get("/p/demo/verifiers/oracle/").status_code == 404
    assert client.get("/p/demo/verifiers/math/?with=x%27&way=more&after=-1").status_code == 200
    answer = client.post("/p/demo/verifiers/math/again/")
    assert answer.status_code == 302
    job = traces[0].project.jobs.get()
    assert (job.kind, job.params["verifier"]) == ("verify", "math")
    assert running_version("math") == VERIFIERS["math"].version
