"""Heimdall over stored votes: answers of N solutions ranked by M verifications of each.

The job ``judge`` with the prompt ``solution-check`` and ``k`` = M makes the votes; this job reads
them, groups the answers and stores the ranking as a pseudo-reference of the method ``heimdall``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from curation.consensus import PAGE, Equality, attempts_of, problems_of
from curation.jobs import JobContext, JobError
from curation.judges import heimdall
from curation.models import JudgeVote, Problem, PseudoReference
from curation.policies import CORRECT, INCORRECT
from curation.sandbox.client import VerifierClient
from curation.teachers.canonical import digest
from curation.voting import Rules, Vote, majority

METHOD = "heimdall"


def run_rank(ctx: JobContext) -> None:
    """Job handler. Params: ``verifier`` (a judge's, as its verdicts name it), ``alpha`` (0.1),
    ``source``. Counts: problems, ranked, against_majority (the best answer is not the most
    frequent one).
    """
    verifier, alpha = str(ctx.params.get("verifier") or ""), ctx.params.get("alpha", heimdall.ALPHA)
    if not verifier.startswith("judge-"):
        raise JobError(
            "bad_parameters", "verifier is the name of a judge, as judge-x-solution-check"
        )
    if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not 0 <= alpha <= 100:
        raise JobError("bad_parameters", "alpha is a number from 0 to 100")
    problems = problems_of(ctx).filter(pk__gt=ctx.checkpoint.get("after", 0))
    ids = list(problems.order_by("pk").values_list("pk", flat=True))
    ctx.count(problems=0, ranked=0, against_majority=0)
    ctx.set_total(ctx.job.done + len(ids))
    with VerifierClient() as client:
        equality = Equality(client)
        for at in range(0, len(ids), PAGE):
            ctx.check()
            page = ids[at : at + PAGE]
            votes = votes_of(page, verifier)
            found = [
                rank(one, votes, equality, verifier, float(alpha)) for one in attempts_of(page)
            ]
            with ctx.chunk():
                for row in found:
                    _store(ctx, row)
                ctx.checkpoint["after"] = page[-1]
                ctx.advance(len(page), problems=len(page))


def votes_of(problems: Sequence[int], verifier: str) -> dict[int, list[float]]:
    """trace -> its verifications (1 correct, 0 incorrect) of the newest version of a judge."""
    rows = JudgeVote.objects.filter(trace__problem_id__in=problems, verifier=verifier)
    named = rows.order_by("pk").values_list("trace_id", "version", "verdict")
    by_version: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for trace, version, verdict in named:
        if verdict in (CORRECT, INCORRECT):
            by_version[trace][version].append(float(verdict == CORRECT))
    return {trace: list(versions.values())[-1] for trace, versions in by_version.items()}


def rank(
    loaded: tuple[Problem, list[Vote]],
    votes: dict[int, list[float]],
    equality: Equality,
    verifier: str,
    alpha: float,
) -> tuple[PseudoReference, bool] | None:
    """The unsaved ranking of one problem, and whether it is against the majority; None without
    votes."""
    problem, attempts = loaded
    same = equality.of(problem.kind, problem.choices)
    grouped = majority(attempts, Rules(min_votes=1, min_share=0), same)
    scores: dict[str, list[list[float]]] = defaultdict(list)
    for trace, answer in grouped.group.items():
        if votes.get(trace):
            scores[answer].append(votes[trace])
    ranked = heimdall.rank(scores, alpha)
    if not ranked:
        return None
    params: dict[str, Any] = {"verifier": verifier, "alpha": alpha}
    best = ranked[0]
    row = PseudoReference(
        problem=problem,
        method=METHOD,
        params=params,
        params_sha256=digest(params),
        answer=best.answer,
        votes=best.solutions,
        total=sum(one.solutions for one in ranked),
        share=best.mean,
        table=[one.as_dict() for one in ranked],
        models_voting=sorted({vote.model for vote in attempts}),
    )
    return row, best.answer != grouped.table[0][0]


def _store(ctx: JobContext, found: tuple[PseudoReference, bool] | None) -> None:
    if found is None:
        return
    row, against = found
    names = ("params", "answer", "votes", "total", "share", "table", "models_voting")
    PseudoReference.objects.update_or_create(
        problem=row.problem,
        method=row.method,
        params_sha256=row.params_sha256,
        defaults={name: getattr(row, name) for name in names},
    )
    ctx.count(ranked=1, against_majority=int(against))
