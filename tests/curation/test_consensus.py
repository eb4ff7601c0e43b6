"""Majorities, pseudo-references, disputed references and what people decide of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from curation.consensus import NAME, Equality, rules_of, run_consensus
from curation.disputes import decide_dispute, open_disputes, say_wrong
from curation.jobs import JobError
from curation.verification import VerifierAway, reference_hash
from curation.verifiers import Verdict as Judgement
from curation.voting import Rules, Vote, majority, suggestion

Run = Callable[..., Any]


def same(a: str, b: str) -> bool:
    return a.strip("$") == b.strip("$")


def votes(*answers: str | None) -> list[Vote]:
    return [Vote(number, answer) for number, answer in enumerate(answers)]


@pytest.mark.parametrize(
    ("answers", "rules", "winner", "count", "total"),
    [
        (("4", "4", "$4$", "5"), Rules(), "4", 3, 4),
        (("4", "4", "5"), Rules(), None, 0, 3),  # too few votes
        (("4", "4", "4", "5", "6", "7", "8"), Rules(), None, 0, 7),  # too small a share
        (("4", "4", "4", "5", "5", "5"), Rules(), None, 0, 6),  # a tie
        (("4", "4", "4", None, None, None, None), Rules(), "4", 3, 3),  # silence does not vote
        ((None, None, None), Rules(), None, 0, 0),
        ((), Rules(), None, 0, 0),
        (("4",), Rules(min_votes=1, min_share=1.0), "4", 1, 1),
        (("4", "4", "5", "6"), Rules(min_votes=2, min_share=0.5), "4", 2, 4),
    ],
)
def test_a_majority_needs_votes_share_and_to_stand_alone(
    answers: tuple[str | None, ...], rules: Rules, winner: str | None, count: int, total: int
) -> None:
    found = majority(votes(*answers), rules, same)
    assert (found.winner, found.votes, found.total) == (winner, count, total)


def test_each_vote_knows_the_group_it_fell_into() -> None:
    found = majority(votes("$4$", "4", None, "5"), Rules(), same)
    assert found.group == {0: "$4$", 1: "$4$", 3: "5"}
    assert found.table == [("$4$", 2), ("5", 1)]


@pytest.mark.parametrize(
    ("third", "advice"), [("4", "replace"), ("5", "keep"), ("6", "look"), (None, "look")]
)
def test_a_third_model_only_suggests(third: str | None, advice: str) -> None:
    assert suggestion("4", "5", third, same) == advice


@pytest.mark.parametrize(
    "params",
    [{"min_votes": 0}, {"min_votes": 1.5}, {"min_votes": True}, {"min_share": 2},
     {"min_share": "half"}, {"model": "m", "third": "m"}],
)  # fmt: skip
def test_senseless_rules_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(JobError):
        rules_of(params)


class Client:
    """The verifier service as far as Equality asks it."""

    def __init__(self, verdict: Judgement) -> None:
        self.verdict, self.asked = verdict, 0

    def verify(self, kind: str, response: str, reference: str) -> Judgement:
        self.asked += 1
        return self.verdict


def test_equality_asks_the_service_once_and_only_for_what_arithmetic_leaves_open() -> None:
    client = Client(Judgement("correct", 1.0))
    equal = Equality(client).of("math")  # type: ignore[arg-type]
    assert equal("1/2", "0.5")
    assert not equal("1/2", "0.6")
    assert client.asked == 0
    assert equal("x+1", "1+x")
    assert equal("1+x", "x+1")
    assert client.asked == 1
    choice = Equality(client).of("choice", ["red", "blue"])  # type: ignore[arg-type]
    assert choice("B", "blue")
    assert Equality(client).of("logic")("Zoey", "zoey.")  # type: ignore[arg-type]


def test_a_service_that_is_away_decides_nothing() -> None:
    client = Client(Judgement("error", reason="overloaded"))
    with pytest.raises(VerifierAway):
        Equality(client).of("math")("x+1", "1+x")  # type: ignore[arg-type]


# -- the job ---------------------------------------------------------------------------------------


@pytest.fixture
def world(project: Any) -> Callable[..., Any]:
    """world(reference, {model: answers}) makes a problem with attempts and their maths verdicts."""
    from curation.models import Problem, Source, Trace, Verdict
    from curation.verifiers import verify

    source = Source.objects.create(project=project, name="made")
    numbers = iter(range(10_000))

    def make(reference: str | None, answers: dict[str, list[str]], judged: bool = True) -> Any:
        digest = hashlib.sha256(str(next(numbers)).encode()).hexdigest()
        problem = Problem.objects.create(
            project=project, source=source, text=f"q {digest}", text_sha256=digest,
            norm_sha256=digest, reference_answer=reference,
        )  # fmt: skip
        for model, given in answers.items():
            for number, answer in enumerate(given):
                text = f"so it is \\boxed{{{answer}}}" if answer else "I do not know what to say."
                trace = Trace.objects.create(
                    project=project, problem=problem, source=source, origin="imported",
                    identity=f"{model}{number}", model=model, sample_no=number, text=text,
                    text_sha256=digest, char_count=len(text),
                )  # fmt: skip
                if judged:
                    found = verify("math", text, reference)
                    Verdict.objects.create(
                        trace=trace, verifier="math", version="1",
                        reference_sha256=reference_hash(reference),
                        verdict=found.verdict, score=found.score, extracted=found.extracted,
                    )  # fmt: skip
        return problem

    return make


def test_a_majority_without_a_reference_is_a_pseudo_reference_apart(
    run_job: Run, world: Callable[..., Any]
) -> None:
    from curation.models import Problem, PseudoReference, ReferenceDispute, Verdict

    problem = world(None, {"m": ["0.5", "1/2", "\\frac12", "3", ""]})
    job = run_job(run_consensus, "consensus")
    assert job.counts["pseudo_references"] == 1
    row = PseudoReference.objects.get()
    assert (row.answer, row.votes, row.total, row.share) == ("0.5", 3, 4, 0.75)
    assert Problem.objects.get(pk=problem.pk).reference_answer is None
    found = {
        v.trace.sample_no: (v.verdict, v.reason) for v in Verdict.objects.filter(verifier=NAME)
    }
    assert found == {
        0: ("correct", ""), 1: ("correct", ""), 2: ("correct", ""), 3: ("incorrect", ""),
        4: ("incorrect", "no_answer"),
    }  # fmt: skip
    assert not ReferenceDispute.objects.exists()


def test_running_again_changes_nothing_and_a_changed_majority_is_a_newer_verdict(
    run_job: Run, world: Callable[..., Any]
) -> None:
    from curation.models import PseudoReference, Trace, Verdict

    world(None, {"m": ["4", "4", "4"], "other": ["5", "5", "5", "5"]}, judged=False)
    run_job(run_consensus, "consensus", model="m")
    assert run_job(run_consensus, "consensus", model="m").counts["verdicts"] == 0
    assert PseudoReference.objects.get().answer == "4"
    run_job(run_consensus, "consensus")
    assert {row.answer for row in PseudoReference.objects.all()} == {"4", "5"}
    first = Trace.objects.get(model="m", sample_no=0)

    def newest() -> str:
        row = Verdict.objects.filter(trace=first).order_by("-pk").first()
        assert row is not None
        return str(row.verdict)

    assert newest() == "incorrect"
    run_job(run_consensus, "consensus", model="m")  # the first rules again
    assert newest() == "correct"


def test_without_a_majority_attempts_are_unverifiable_and_not_wrong(
    run_job: Run, world: Callable[..., Any]
) -> None:
    from curation.models import PseudoReference, Verdict

    world(None, {"m": ["4", "5", "6"]})
    run_job(run_consensus, "consensus")
    assert PseudoReference.objects.get().answer is None
    assert set(Verdict.objects.filter(verifier=NAME).values_list("verdict", "score")) == {
        ("unverifiable", None)
    }


@pytest.mark.parametrize(
    ("third", "advice"), [(["4"], "replace"), (["9"], "keep"), (["7"], "look"), ([], "look")]
)
def test_a_majority_against_the_reference_is_a_dispute_with_a_witness(
    run_job: Run, world: Callable[..., Any], project: Any, third: list[str], advice: str
) -> None:
    world("9", {"r1": ["4", "4", "4", "9"], "o4": third})
    job = run_job(run_consensus, "consensus", third="o4")
    assert (job.counts["disputes"], job.counts["all_fail"]) == (1, 0)
    (dispute,) = open_disputes(project)
    assert (dispute.reference, dispute.majority, dispute.suggestion) == ("9", "4", advice)
    assert (dispute.votes, dispute.total) == (3, 4)  # the witness did not vote


def test_a_problem_that_nobody_solves_goes_to_people(
    run_job: Run, world: Callable[..., Any], project: Any
) -> None:
    world("9", {"m": ["1", "2", "3"]})
    world("9", {"m": ["1", "9", "3"]})
    world("9", {"m": ["1", "2"]})  # too few attempts to say
    assert run_job(run_consensus, "consensus").counts["all_fail"] == 1
    (dispute,) = open_disputes(project)
    assert (dispute.reason, dispute.suggestion) == ("all_fail", "look")


def test_what_reviewers_say_of_a_reference_is_one_dispute_until_it_is_decided(
    world: Callable[..., Any], project: Any, user: Any
) -> None:
    problem = world("9", {})
    colleague = get_user_model().objects.create_user("colleague")
    for _ in range(2):  # a repeat changes nothing
        say_wrong(problem, user, " 5 ", "see the table")
    say_wrong(problem, colleague, "6", "")
    say_wrong(problem, colleague, "5", "")  # changed their mind
    (dispute,) = open_disputes(project)
    assert (dispute.reason, dispute.majority, dispute.votes, dispute.total) == (
        "reviewer",
        "5",
        2,
        2,
    )
    assert [said["why"] for said in dispute.said] == ["see the table", ""]
    decide_dispute(dispute, user, "keep")
    say_wrong(problem, colleague, "5", "")  # nothing new
    assert not open_disputes(project)
    say_wrong(problem, colleague, "5", "the book has a misprint")
    (again,) = open_disputes(project)
    assert again == dispute
    assert dispute.decisions.order_by("pk").last().note == "the book has a misprint"
    decide_dispute(dispute, user, "replace", new_reference="5")
    problem.refresh_from_db()
    say_wrong(problem, user, "7", "")
    (other,) = open_disputes(project)  # of the new reference
    assert (other.reference, other.majority) == ("5", "7")


def test_replacing_a_reference_keeps_the_old_one_and_closes_the_dispute(
    run_job: Run, world: Callable[..., Any], project: Any, user: Any
) -> None:
    from curation.models import Problem

    problem = world("9", {"m": ["4", "4", "4"]})
    run_job(run_consensus, "consensus")
    (dispute,) = open_disputes(project)
    row = decide_dispute(dispute, user, "replace", new_reference=" 4 ", note="the table is right")
    assert (row.old_reference, row.new_reference, row.author) == ("9", "4", user)
    assert Problem.objects.get(pk=problem.pk).reference_answer == "4"
    assert not open_disputes(project)
    run_job(run_consensus, "consensus")
    assert not open_disputes(project)
    decide_dispute(dispute, user, "reopen")
    assert len(open_disputes(project)) == 1
    assert dispute.decisions.count() == 2


def test_a_bad_problem_keeps_its_traces_out_of_selections(
    run_job: Run, world: Callable[..., Any], project: Any, user: Any
) -> None:
    from curation.models import ReviewOutcome
    from curation.selection.queries import candidates_of
    from curation.selection.recipe import Recipe

    problem = world("9", {"m": ["1", "2", "3"]})
    run_job(run_consensus, "consensus")
    decide_dispute(open_disputes(project)[0], user, "bad_problem")
    assert ReviewOutcome.objects.get().policy == "reference-dispute"
    reviews = [c.review for c in candidates_of([problem.pk], Recipe(name="r"))]
    assert "bad_problem" in reviews


@pytest.mark.parametrize(("decision", "new"), [("replace", " "), ("perhaps", "4")])
def test_decisions_that_cannot_be_done_are_refused(
    run_job: Run, world: Callable[..., Any], project: Any, user: Any, decision: str, new: str
) -> None:
    world("9", {"m": ["4", "4", "4"]})
    run_job(run_consensus, "consensus")
    (dispute,) = open_disputes(project)
    with pytest.raises(ValueError, match=r"reference|decision"):
        decide_dispute(dispute, user, decision, new_reference=new)
    assert len(open_disputes(project)) == 1


# -- Heimdall --------------------------------------------------------------------------------------


def test_verifications_rank_answers_pessimistically_beside_the_majority(
    run_job: Run, world: Callable[..., Any]
) -> None:
    from curation.heimdall import run_rank
    from curation.models import JudgeVote, PseudoReference, Trace

    problem = world(None, {"m": ["4", "4", "4", "5", "5", "6"]})
    world(None, {"m": ["1"]})
    right = {"4": 0, "5": 3, "6": 4}
    for trace in Trace.objects.filter(problem=problem):
        answer = trace.text[-2]
        for number in range(4):
            verdict = "correct" if number < right[answer] else "incorrect"
            JudgeVote.objects.create(
                trace=trace, judge="j", verifier="judge-j-solution-check", version="1",
                identity=str(number), number=number, verdict=verdict,
            )  # fmt: skip
    params = {"verifier": "judge-j-solution-check"}
    job = run_job(run_rank, "rank", **params, alpha=0)
    assert (job.counts["ranked"], job.counts["against_majority"]) == (1, 1)
    assert PseudoReference.objects.get(method="heimdall").answer == "6"  # one solution, all right
    run_job(run_rank, "rank", **params, alpha=2)
    careful = PseudoReference.objects.get(method="heimdall", params__alpha=2)
    assert (careful.answer, careful.votes, careful.total) == ("5", 2, 6)
    assert [row["answer"] for row in careful.table] == ["5", "6", "4"]
    run_job(run_rank, "rank", **params, alpha=2)
    assert PseudoReference.objects.filter(method="heimdall").count() == 2


@pytest.mark.parametrize(
    "params", [{}, {"verifier": "math"}, {"verifier": "judge-x", "alpha": -1},
               {"verifier": "judge-x", "alpha": "much"}],
)  # fmt: skip
def test_a_ranking_needs_a_judge_and_a_sensible_alpha(run_job: Run, params: dict[str, Any]) -> None:
    from curation.heimdall import run_rank

    with pytest.raises(JobError):
        run_job(run_rank, "rank", **params)
