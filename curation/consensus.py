"""Consensus of traces: majority answers, disputed references, problems that nobody solves.

A majority answer is a *pseudo-reference*: it stands in a table of its own and is never compared
with as if it were a reference. Where it contradicts the reference (AM-Thinking: most attempts
against the reference, a third model as witness), or where no attempt is correct (published audits
found over half of such problems wrong or unverifiable), people decide.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery

from curation.difficulty.outcomes import decide
from curation.difficulty.tiers import group_answers
from curation.jobs import JobContext, JobError
from curation.models import Problem, PseudoReference, ReferenceDispute, Trace, Verdict
from curation.policies import CORRECT, INCORRECT, family_of
from curation.sandbox.client import VerifierClient
from curation.teachers.canonical import digest
from curation.verification import AWAY, VerifierAway, reference_hash, reference_of
from curation.verifiers.choice import letter_of
from curation.verifiers.exact import fold_text
from curation.verifiers.extraction import extract_answer
from curation.verifiers.math import quick_equal
from curation.voting import (
    MIN_SHARE,
    MIN_VOTES,
    VERSION,
    Result,
    Rules,
    Same,
    Vote,
    majority,
    suggestion,
)

PAGE = 100
NAME = "consensus-majority"
METHOD = "majority"
MAX_ANSWER = 500  # longer answers (boards, programs) are not voted on


class Equality:
    """Whether two answers to a problem of a kind are the same; asks the verifier service where
    exact arithmetic does not settle it. Raises VerifierAway when the service does not answer."""

    def __init__(self, client: VerifierClient) -> None:
        self._client = client
        self._known: dict[tuple[str, str], bool] = {}

    def of(self, kind: str, choices: Any = None) -> Same:
        if kind == "choice":
            listed = [str(item) for item in choices] if isinstance(choices, list) else []
            return lambda a, b: (letter_of(a, listed) or a) == (letter_of(b, listed) or b)
        if kind in ("math", "numeric"):
            return self._maths
        return lambda a, b: fold_text(a) == fold_text(b)

    def _maths(self, a: str, b: str) -> bool:
        quick = quick_equal(a, b)
        if quick is not None:
            return quick
        key = (min(a, b), max(a, b))
        if key not in self._known:
            self._known[key] = self._asked(*key)
        return self._known[key]

    def _asked(self, a: str, b: str) -> bool:
        verdict = self._client.verify("math", f"\\boxed{{{b}}}", a)
        if verdict.verdict == "error" and verdict.reason in AWAY:
            raise VerifierAway(f"the verifier service does not answer: {verdict.reason}")
        return verdict.verdict == CORRECT


def rules_of(params: dict[str, Any]) -> Rules:
    """The job's parameters, checked; JobError ``bad_parameters``."""
    votes, share = params.get("min_votes", MIN_VOTES), params.get("min_share", MIN_SHARE)
    if type(votes) is not int or not 1 <= votes <= 10_000:
        raise JobError("bad_parameters", "min_votes must be a whole number from 1 to 10000")
    if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 1:
        raise JobError("bad_parameters", "min_share must be a number from 0 to 1")
    model, third = (str(params.get(name) or "") for name in ("model", "third"))
    if model and model == third:
        raise JobError("bad_parameters", "the third model cannot be the one that votes")
    return Rules(votes, float(share), model, third)


def run_consensus(ctx: JobContext) -> None:
    """Job handler. Params: ``source`` and those of ``Rules``, all optional.

    Counts: problems, with_majority, pseudo_references (majority, but no reference), disputes
    (majority against reference), all_fail, verdicts written. A second run changes nothing.
    """
    rules = rules_of(ctx.params)
    problems = problems_of(ctx).filter(pk__gt=ctx.checkpoint.get("after", 0))
    ids = list(problems.order_by("pk").values_list("pk", flat=True))
    ctx.count(**dict.fromkeys(COUNTERS, 0))
    ctx.set_total(ctx.job.done + len(ids))
    with VerifierClient() as client:
        equality = Equality(client)
        for at in range(0, len(ids), PAGE):
            ctx.check()
            page = ids[at : at + PAGE]
            found = [judge(problem, rules, equality) for problem in attempts_of(page)]
            with ctx.chunk():
                counts = Counter({name: 0 for name in COUNTERS})
                for one in found:
                    counts.update(store(one, rules))
                ctx.checkpoint["after"] = page[-1]
                ctx.advance(len(page), **counts)


COUNTERS = (
    "problems", "with_majority", "pseudo_references", "disputes", "all_fail", "verdicts",
)  # fmt: skip


def problems_of(ctx: JobContext) -> QuerySet[Problem]:
    found = Problem.objects.filter(project=ctx.project)
    if source := ctx.params.get("source"):
        if not ctx.project.sources.filter(name=source).exists():
            raise JobError("unknown_source", f"this project has no source {source!r}")
        found = found.filter(source__name=source)
    return found


def attempts_of(ids: Sequence[int]) -> list[tuple[Problem, list[Vote]]]:
    """Problems with their attempts in order; texts are read only where no verifier read them."""
    light = Problem.objects.filter(pk__in=ids).defer("search_text", "embedding", "tests", "text")
    problems = {problem.pk: problem for problem in light.order_by("pk")}
    verdicts = _evidence(ids)
    rows = Trace.objects.filter(problem_id__in=ids).exclude(origin=Trace.Origin.DERIVED)
    facts = ("pk", "problem_id", "model", "finish_reason", "truncated")
    attempts = list(rows.order_by("problem_id", "sample_no", "pk").values_list(*facts))
    unread = [row[0] for row in attempts if not _readings(verdicts.get(row[0], []))]
    texts = dict(Trace.objects.filter(pk__in=unread).values_list("pk", "text"))
    votes: dict[int, list[Vote]] = defaultdict(list)
    for pk, problem_id, model, finish, truncated in attempts:
        found = verdicts.get(pk, [])
        answer = _answer(found, texts.get(pk), "length" if truncated else finish)
        votes[problem_id].append(Vote(pk, answer, model, _checked(found, problems[problem_id])))
    return [(problem, votes[pk]) for pk, problem in problems.items()]


def _checked(found: list[tuple[Any, ...]], problem: Problem) -> str:
    """What rules and execution say, rules only where they compared with today's reference: a
    verdict against one that was replaced since says nothing about this one."""
    reference = reference_of(problem)
    own = (problem.metadata or {}).get("verifier_options")
    today = {reference_hash(reference, extra) for extra in (None, problem.choices, own)}
    rows = [row[:3] for row in found if family_of(row[0]) != "rule" or row[4] in today]
    return decide(rows, "checked")


def _evidence(ids: Sequence[int]) -> dict[int, list[tuple[Any, ...]]]:
    """trace -> its newest verdict by each verifier: (verifier, verdict, score, extracted, hash of
    the reference)."""
    newest: dict[tuple[int, str], tuple[Any, ...]] = {}
    rows = Verdict.objects.filter(trace__problem_id__in=ids).order_by("pk")
    facts = ("trace_id", "verifier", "verdict", "score", "extracted", "reference_sha256")
    for row in rows.values_list(*facts):
        newest[row[0], row[1]] = row[1:]
    found: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for (trace, _), row in newest.items():
        found[trace].append(row)
    return found


# Families whose verdicts do not stand on an answer that they read.
NOT_READERS = ("consensus", "judge", "reward", "prm", "format", "code")


def _readings(found: list[tuple[Any, ...]]) -> list[str | None]:
    """The answers that verifiers read from one trace."""
    return [row[3] for row in found if not row[0].startswith(NOT_READERS)]


def _answer(found: list[tuple[Any, ...]], text: str | None, finish: str) -> str | None:
    """The answer that a verifier read from a trace, else read now from its text."""
    read = next((answer for answer in _readings(found) if answer), None)
    if text is not None:
        read = extract_answer(text, finish_reason=finish).answer
    return read if read is not None and 0 < len(read) <= MAX_ANSWER else None


@dataclass(frozen=True, slots=True)
class Judged:
    """One problem's result with what it means for the reference."""

    problem: Problem
    votes: list[Vote]
    result: Result
    reference: str | None
    contradicts: bool
    third: str | None
    third_model: str
    suggestion: str
    all_fail: bool


def judge(loaded: tuple[Problem, list[Vote]], rules: Rules, equality: Equality) -> Judged:
    """The consensus of one problem's attempts; asks the verifier, writes nothing."""
    problem, attempts = loaded
    same = equality.of(problem.kind, problem.choices)
    voting = [v for v in attempts if (not rules.model or v.model == rules.model)
              and (not rules.third or v.model != rules.third)]  # fmt: skip
    result = majority(voting, rules, same)
    reference = reference_of(problem)
    stated = _stated(reference)
    contradicts = bool(result.winner and stated and not same(stated, result.winner))
    third = _witness(attempts, rules, same) if contradicts else None
    advice = suggestion(result.winner or "", stated or "", third, same) if contradicts else ""
    graded = [v for v in attempts if v.decision in (CORRECT, INCORRECT)]
    failed = len(graded) >= rules.min_votes and all(v.decision == INCORRECT for v in graded)
    return Judged(
        problem, voting, result, reference, contradicts, third, rules.third, advice, failed
    )


def _stated(reference: str | None) -> str | None:
    """The answer inside a reference that is a worked solution."""
    if reference is None:
        return None
    if "####" in reference or "boxed" in reference:
        return extract_answer(reference).answer or reference
    return reference


def _witness(attempts: Sequence[Vote], rules: Rules, same: Same) -> str | None:
    """The third model's own most frequent answer; None without one, or with a tie."""
    answers = [v.answer for v in attempts if rules.third and v.model == rules.third and v.answer]
    table = group_answers(answers, same)
    if not table or (len(table) > 1 and table[1][1] == table[0][1]):
        return None
    return table[0][0]


def store(judged: Judged, rules: Rules) -> dict[str, int]:
    """Write one problem's consensus inside the caller's transaction; returns what to count."""
    result, problem = judged.result, judged.problem
    if not judged.votes:
        return {}
    params = rules.as_dict()
    PseudoReference.objects.update_or_create(
        problem=problem,
        method=METHOD,
        params_sha256=digest(params),
        defaults={
            "params": params,
            "answer": result.winner,
            "votes": result.votes,
            "total": result.total,
            "share": result.share if result.winner else None,
            "table": [list(row) for row in result.table],
            "models_voting": sorted({vote.model for vote in judged.votes}),
        },
    )
    disputed = _disputes(judged)
    written = write_verdicts(_verdicts(judged, digest(params)))
    has = result.winner is not None
    return {
        "problems": 1,
        "with_majority": int(has),
        "pseudo_references": int(has and judged.reference is None),
        "verdicts": written,
        **disputed,
    }


def _disputes(judged: Judged) -> dict[str, int]:
    """Open or refresh the disputes of a problem; decisions of people stay with their row."""
    result = judged.result
    base = {
        "reference": judged.reference,
        "table": [list(row) for row in result.table],
        "votes": result.votes,
        "total": result.total,
        "share": result.share,
    }
    reasons = {
        ReferenceDispute.Reason.MAJORITY: judged.contradicts,
        ReferenceDispute.Reason.ALL_FAIL: judged.all_fail and not judged.contradicts,
    }
    for reason, holds in reasons.items():
        if holds:
            ReferenceDispute.objects.update_or_create(
                problem=judged.problem,
                reason=reason,
                reference_sha256=reference_hash(judged.reference),
                defaults=base | _witnessed(judged, reason),
            )
    return {"disputes": int(judged.contradicts),
            "all_fail": int(reasons[ReferenceDispute.Reason.ALL_FAIL])}  # fmt: skip


def _witnessed(judged: Judged, reason: str) -> dict[str, Any]:
    if reason == ReferenceDispute.Reason.ALL_FAIL:
        return {"majority": judged.result.winner, "suggestion": "look"}
    return {
        "majority": judged.result.winner,
        "third_answer": judged.third,
        "suggestion": judged.suggestion,
        "third_model": judged.third_model,
    }


def _verdicts(judged: Judged, params_sha256: str) -> list[Verdict]:
    """One verdict of the family ``consensus`` for each attempt that voted."""
    result = judged.result
    key = reference_hash(result.winner, {"pseudo": params_sha256})
    counts = dict(result.table)
    rows = []
    for vote in judged.votes:
        first = result.group.get(vote.trace)
        verdict, reason = _of_vote(first, result.winner)
        score = counts[first] / result.total if first and result.winner else None
        rows.append(
            Verdict(
                trace_id=vote.trace, verifier=NAME, version=VERSION, reference_sha256=key,
                verdict=verdict, reason=reason, extracted=vote.answer, method="majority",
                score=score if verdict != "unverifiable" else None,
                detail={"pseudo_reference": result.winner, "votes": result.votes,
                        "total": result.total},
            )
        )  # fmt: skip
    return rows


def _of_vote(first: str | None, winner: str | None) -> tuple[str, str]:
    if winner is None:
        return "unverifiable", "no_majority"
    if first is None:
        return INCORRECT, "no_answer"
    return (CORRECT if first == winner else INCORRECT), ""


def write_verdicts(rows: Sequence[Verdict]) -> int:
    """Insert verdicts whose key is not their trace's newest of that verifier already.

    An older row under the same key (the majority went and came back) gives way, so that the
    newest row is always the current one. Returns how many were written.
    """
    if not rows:
        return 0
    traces = [row.trace_id for row in rows]
    newest = Verdict.objects.filter(trace=OuterRef("trace"), verifier=rows[0].verifier)
    current = Verdict.objects.filter(
        trace_id__in=traces,
        verifier=rows[0].verifier,
        pk=Subquery(newest.order_by("-pk").values("pk")[:1]),
    )
    known = {(r.trace_id, r.version, r.reference_sha256, r.verdict, r.score) for r in current}
    fresh = [
        row
        for row in rows
        if (row.trace_id, row.version, row.reference_sha256, row.verdict, row.score) not in known
    ]
    for row in fresh:
        Verdict.objects.filter(
            trace_id=row.trace_id, verifier=row.verifier, version=row.version,
            reference_sha256=row.reference_sha256,
        ).delete()  # fmt: skip
    Verdict.objects.bulk_create(fresh)
    return len(fresh)
