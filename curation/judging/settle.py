"""From stored votes to verdicts, and what is still to be asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from curation.judges import steps as prm
from curation.judges import temporal, votes
from curation.judges.reading import ERROR
from curation.judging.subjects import Subject
from curation.judging.work import Work
from curation.models import JudgeVote, Verdict
from curation.policies import CORRECT, INCORRECT
from curation.verifiers import Verdict as Judgement

Votes = dict[tuple[int, int | None], list[JudgeVote]]  # by Subject.key


def votes_of(work: Work, subjects: Sequence[Subject]) -> Votes:
    """Stored votes of these subjects by this judge, in order; failed ones are left out."""
    keys = {subject.key: subject.reference_sha256 for subject in subjects}
    rows = JudgeVote.objects.filter(
        trace_id__in={trace for trace, _ in keys}, verifier=work.verifier, version=work.version
    ).defer("manifest", *(() if work.scoring else ("text",)))
    found: Votes = defaultdict(list)
    for row in rows.order_by("round", "order", "number"):
        key = (row.trace_id, row.other_id)
        if row.reference_sha256 == keys.get(key) and not _to_ask_again(row):
            found[key].append(row)
    return found


def _to_ask_again(row: JudgeVote) -> bool:
    """A vote that the server failed to give; an unreadable answer is an answer."""
    return row.verdict == ERROR and row.reason not in ("unreadable", "truncated")


def goes_on(work: Work, mine: Sequence[JudgeVote], round_no: int) -> bool:
    """Whether a step review needs this round: the one before is whole and nothing is settled."""
    found = rounds(work, mine)[:round_no]
    settled = temporal.settled(found, int(work.settings["stable"]))
    return len(found) == round_no and not settled


def rounds(work: Work, mine: Sequence[JudgeVote]) -> list[temporal.Round]:
    """The whole rounds from the first on."""
    by_round: dict[int, list[int | None]] = defaultdict(list)
    for row in mine:
        by_round[row.round].append(row.location)
    found: list[temporal.Round] = []
    for number in range(work.rounds):
        one = by_round.get(number, [])
        tallied = temporal.tally(one) if len(one) == len(work.slots) else None
        if tallied is None:
            break
        found.append(tallied)
    return found


def settle(work: Work, subjects: Sequence[Subject]) -> tuple[list[tuple[Subject, Judgement]], int]:
    """Verdicts of the subjects whose votes are whole, and how many are not."""
    stored = votes_of(work, subjects)
    settled: list[tuple[Subject, Judgement]] = []
    for subject in subjects:
        verdict = subject.verdict or _combined(work, subject, stored.get(subject.key, []))
        if verdict is not None:
            settled.append((subject, verdict))
    return settled, len(subjects) - len(settled)


def _combined(work: Work, subject: Subject, mine: Sequence[JudgeVote]) -> Judgement | None:
    if work.steps:
        return _reviewed(work, subject, mine)
    if len({(row.order, row.number) for row in mine}) < len(work.slots):
        return None
    cast = [votes.Vote(r.order, r.number, r.verdict, r.score, r.location, r.reason) for r in mine]
    bar = float(work.settings["min_valid"])
    if (how := work.scoring) is not None:
        return _scored(work, how, subject, mine[0])
    if work.prompt is None or work.prompt.mode == "rubric":
        return votes.combine_scores(cast, float(work.settings["threshold"]), bar)
    return votes.combine(cast, bar)


def _scored(work: Work, how: prm.StepSettings, subject: Subject, vote: JudgeVote) -> Judgement:
    """The steps with what a process reward model said of each."""
    found = prm.read_scores(vote.text, subject.asked, how.positive)
    if found is None:
        return Judgement("error", reason=vote.reason or "unreadable", method="steps")
    steps = prm.scored(subject.ranges, found)
    return prm.verdict_of(steps, how.aggregate, float(work.settings["threshold"]))


def _reviewed(work: Work, subject: Subject, mine: Sequence[JudgeVote]) -> Judgement | None:
    """The verdict of a step review: the majority of the last round, and whether it had settled."""
    found = rounds(work, mine)
    done = temporal.settled(found, int(work.settings["stable"]))
    # A whole round in which no answer could be read ends the review.
    unread = sum(row.round == len(found) for row in mine) == len(work.slots)
    if not found:
        nothing = Judgement("error", reason="no_valid_votes", method="steps")
        return nothing if unread else None
    if not done and len(found) < work.rounds and not unread:
        return None
    last = found[-1]
    detail = {
        "location": last.location,
        "share": last.share,
        "converged": done,
        "rounds": [[one.location, round(one.share, 4)] for one in found],
        "step": subject.steps[last.location][:500] if last.location >= 0 else "",
    }
    if last.location == -1:
        return Judgement(CORRECT, last.share, "steps", detail=detail)
    return Judgement(INCORRECT, 0.0, "steps", "wrong_step", detail=detail)


def row_of(work: Work, subject: Subject, verdict: Judgement) -> Verdict:
    return Verdict(
        trace_id=subject.trace,
        verifier=work.verifier,
        version=work.version,
        reference_sha256=subject.reference_sha256,
        verdict=verdict.verdict,
        score=verdict.score,
        method=verdict.method or "judge",
        reason=verdict.reason,
        extracted=verdict.extracted,
        detail=verdict.detail,
    )


def winners(work: Work, subjects: Sequence[Subject]) -> list[str]:
    """``A``, ``B``, ``tie`` or ``error`` for each pair whose votes are whole, ``deferred`` else."""
    stored = votes_of(work, subjects)
    found = []
    for subject in subjects:
        cast = [votes.Vote(r.order, r.number, r.verdict) for r in stored.get(subject.key, [])]
        found.append(votes.winner(cast) if len(cast) == len(work.slots) else "deferred")
    return found
