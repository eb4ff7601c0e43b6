"""The job that lets models judge traces: votes first, stored one by one, then verdicts from them.

A vote is named by judge, prompt, sampling, reference, order, round and number, so a killed job asks
for what is missing and nothing twice. What a server could not answer is asked again by a later
run; until then the trace has no verdict of this judge. Verdicts are stored beside those of rules,
under the judge's name, and merged with them by nothing but a recipe's policy.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from django.db.models import QuerySet

from curation.consensus import write_verdicts
from curation.difficulty.outcomes import decide
from curation.endpoints import stop_teacher
from curation.jobs import JobContext, JobError
from curation.judges import reward, temporal, votes
from curation.judges import steps as prm
from curation.judges.prompts import Rendered
from curation.judges.reading import ERROR, Reading, read, read_reward
from curation.judging.settle import goes_on, row_of, settle, votes_of, winners
from curation.judging.subjects import Subject, pair_of, subject_of
from curation.judging.work import Work, prepare
from curation.models import JudgeVote, Trace, Verdict
from curation.policies import CORRECT
from curation.teachers.canonical import digest
from curation.teachers.client import ChatRequest
from curation.teachers.outcome import DEFERRED, Answer, Completion, Failure
from curation.teachers.pool import RequestPool, Result
from curation.teachers.probe import NO, YES
from curation.teachers.sampling import messages_hash, request_seed

PAGE = 50  # traces whose texts are in memory together


@dataclass(frozen=True)
class Ask:
    """One vote to get."""

    subject: Subject
    order: int
    number: int
    round: int
    identity: str
    rendered: Rendered | None
    messages: list[dict[str, Any]] = field(repr=False)


def run_judge(ctx: JobContext) -> None:
    """Job handler. Params: ``judge`` (a model of the project), ``prompt`` (name or object; not for
    rewards), ``k`` (votes per order), ``source``, ``model``, ``ids``, ``limit`` (traces), ``only``
    (``all``, or what the rules ``refused`` or ``accepted``), ``sampling``, ``min_valid``,
    ``threshold`` (rubric, reward), ``reward`` (``{"api", "attributes", "top"}``, of a process
    reward model also ``tag``, ``positive``, ``aggregate``, ``max_chars``), ``rounds`` and
    ``stable`` (step review), ``pairs`` (of trace ids, for a prompt that compares).

    Counts: correct, incorrect, unverifiable, error (verdicts), votes (asked now), deferred (traces
    to be asked again later), prompt_tokens, completion_tokens; for pairs A, B, tie, error.
    """
    work = prepare(ctx)
    if work.prompt is not None and work.prompt.mode == "pair":
        _run_pairs(ctx, work)
        return
    traces = _traces(ctx)
    ctx.count(**dict.fromkeys(COUNTERS, 0))
    ctx.set_total(ctx.job.done + traces.filter(pk__gt=ctx.checkpoint.get("after", 0)).count())
    ctx.log(_opening(work))
    make = reward.client_for(work.settings["api"])
    with RequestPool[Ask](work.endpoint, work.limits, make=make) as pool:
        for page in _pages(traces, int(ctx.checkpoint.get("after", 0))):
            _judge_page(ctx, work, pool, page)
            if pool.closed_because is not None:
                stop_teacher(work.judge, pool.closed_because)


def _run_pairs(ctx: JobContext, work: Work) -> None:
    """Compare pairs of attempts; the results are votes (``A``, ``B``, ``tie``), no verdicts."""
    pairs = _pairs(ctx)
    ctx.restart_counts(votes=0, A=0, B=0, tie=0, error=0, deferred=0)
    ctx.set_total(len(pairs))
    with RequestPool[Ask](work.endpoint, work.limits) as pool:
        for at in range(0, len(pairs), PAGE):
            page = pairs[at : at + PAGE]
            ids = {pk for pair in page for pk in pair}
            traces = Trace.objects.select_related("problem").in_bulk(ids)
            subjects = [pair_of(traces[one], traces[two], work) for one, two in page]
            _drain(ctx, work, pool, _missing(work, subjects, 0))
            with ctx.chunk():
                ctx.advance(len(page), **Counter(winners(work, subjects)))
            if pool.closed_because is not None:
                stop_teacher(work.judge, pool.closed_because)


def _pairs(ctx: JobContext) -> list[tuple[int, int]]:
    """The job's pairs of trace ids; JobError ``bad_pairs`` unless each is of one problem here."""
    given = ctx.params.get("pairs")
    good = isinstance(given, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(type(pk) is int for pk in pair)
        for pair in given
    )
    if not good or not given:
        raise JobError("bad_pairs", "pairs is a list of [trace, trace]")
    ids = {pk for pair in given for pk in pair}
    rows = Trace.objects.filter(project=ctx.project, pk__in=ids)
    problem = dict(rows.values_list("pk", "problem_id"))
    for one, two in given:
        if one == two or one not in problem or problem[one] != problem.get(two):
            raise JobError("bad_pairs", f"{one} and {two} are not two attempts at one problem here")
    return [(one, two) for one, two in given]


COUNTERS = (
    "correct", "incorrect", "unverifiable", "error", "votes", "deferred", "prompt_tokens",
    "completion_tokens",
)  # fmt: skip


def _opening(work: Work) -> str:
    how = "constrained by schema" if work.capabilities.response_format == YES else "read as JSON"
    return f"{work.verifier} {work.version}: {len(work.slots)} votes a trace, answers {how}"


def _traces(ctx: JobContext) -> QuerySet[Trace]:
    params = ctx.params
    found = Trace.objects.filter(project=ctx.project)
    if source := params.get("source"):
        if not ctx.project.sources.filter(name=source).exists():
            raise JobError("unknown_source", f"this project has no source {source!r}")
        found = found.filter(source__name=source)
    if params.get("model"):
        found = found.filter(model=params["model"])
    if (ids := params.get("ids")) is not None:
        if not isinstance(ids, list) or not all(type(pk) is int for pk in ids):
            raise JobError("bad_parameters", "ids is a list of numbers")
        found = found.filter(pk__in=ids)
    if (limit := params.get("limit")) is not None:
        if type(limit) is not int or limit < 1:
            raise JobError("bad_parameters", "limit must be a whole number above 0")
        found = found.filter(pk__in=list(found.order_by("pk").values_list("pk", flat=True)[:limit]))
    wanted = params.get("only") or "all"
    if wanted not in ("all", "refused", "accepted"):
        raise JobError("bad_parameters", "only is all, refused or accepted")
    return found


def _pages(traces: QuerySet[Trace], after: int) -> Iterator[list[Trace]]:
    light = traces.select_related("problem").defer(
        "messages", "manifest", "upstream", "metadata", "problem__embedding", "problem__search_text"
    )
    while page := list(light.filter(pk__gt=after).order_by("pk")[:PAGE]):
        yield page
        after = page[-1].pk


def _judge_page(ctx: JobContext, work: Work, pool: RequestPool[Ask], page: list[Trace]) -> None:
    subjects = [subject_of(trace, work) for trace in _wanted(ctx, page)]
    for round_no in range(work.rounds):
        asks = list(_missing(work, subjects, round_no))
        _drain(ctx, work, pool, asks)
        if not asks and round_no:
            break
    verdicts, open_ = settle(work, subjects)
    with ctx.chunk():
        write_verdicts([row_of(work, subject, verdict) for subject, verdict in verdicts])
        ctx.checkpoint["after"] = page[-1].pk
        counts = Counter[str](verdict.verdict for _, verdict in verdicts)
        ctx.advance(len(page), deferred=open_, **counts)


def _wanted(ctx: JobContext, page: list[Trace]) -> list[Trace]:
    """Those of a page that ``only`` asks for, by what the rules say of them."""
    only = ctx.params.get("only") or "all"
    if only == "all":
        return page
    found: dict[int, dict[str, tuple[Any, ...]]] = defaultdict(dict)
    rows = Verdict.objects.filter(trace__in=page).order_by("pk")
    for row in rows.values_list("trace_id", "verifier", "verdict", "score"):
        found[row[0]][row[1]] = row[1:]
    decisions = {t.pk: decide(found[t.pk].values(), "checked") for t in page}
    return [t for t in page if (decisions[t.pk] == CORRECT) == (only == "accepted")]


def _missing(work: Work, subjects: Sequence[Subject], round_no: int) -> Iterator[Ask]:
    """The votes of one round that are still to be had."""
    stored = votes_of(work, subjects)
    for subject in subjects:
        mine = stored.get(subject.key, [])
        if subject.verdict is not None or (round_no and not goes_on(work, mine, round_no)):
            continue
        known = {(row.order, row.number) for row in mine if row.round == round_no}
        before = {row.number: row.location for row in mine if row.round == round_no - 1}
        for order, number in work.slots:
            if (order, number) not in known:
                yield _ask(work, subject, order, number, round_no, before.get(number))


def _ask(
    work: Work, subject: Subject, order: int, number: int, round_no: int, before: int | None
) -> Ask:
    judge = [work.verifier, work.version, subject.reference_sha256, subject.other]
    identity = digest([*judge, order, round_no, number])
    if work.scoring is not None:
        asked = subject.ranges[: subject.asked]
        text = prm.conversation(
            subject.data["problem"], subject.data["response"], asked, work.scoring
        )
        return Ask(subject, order, number, round_no, identity, None, text)
    if work.prompt is None:
        messages = [
            {"role": "user", "content": subject.data["problem"]},
            {"role": "assistant", "content": subject.data["response"]},
        ]
        return Ask(subject, order, number, round_no, identity, None, messages)
    last = temporal.again(before) if before is not None else ""
    rendered = work.prompt.render(subject.data, order, last)
    return Ask(subject, order, number, round_no, identity, rendered, rendered.messages)


def _drain(ctx: JobContext, work: Work, pool: RequestPool[Ask], asks: Iterable[Ask]) -> None:
    pool.drain(asks, partial(_request, work), partial(_store, ctx, work), ctx.check)


def _request(work: Work, ask: Ask) -> ChatRequest:
    base = None if work.capabilities.seed == NO else work.sampling.seed
    place = [ask.order, ask.round, ask.number]
    fields: dict[str, Any] = {}
    if ask.rendered is not None and work.capabilities.response_format == YES:
        fields["response_format"] = ask.rendered.response_format
    return ChatRequest(
        messages=ask.messages,
        sampling=work.sampling,
        seed=request_seed(base, messages_hash(ask.messages), place),
        stream=work.capabilities.streaming != NO and ask.rendered is not None,
        stream_usage=work.capabilities.stream_usage != NO,
        fields=fields,
    )


def _store(ctx: JobContext, work: Work, results: Sequence[Result[Ask]]) -> None:
    rows = [row for result in results if (row := _vote(work, result)) is not None]
    used = [result.outcome.usage for result in results if isinstance(result.outcome, Answer)]
    with ctx.chunk():
        JudgeVote.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["trace", "identity"],
            update_fields=["verdict", "score", "location", "reason", "text", "manifest"],
        )
        ctx.count(
            votes=len(rows),
            prompt_tokens=sum(usage.prompt_tokens or 0 for usage in used),
            completion_tokens=sum(usage.completion_tokens or 0 for usage in used),
        )


def _vote(work: Work, result: Result[Ask]) -> JudgeVote | None:
    """The row of one answer; None for what a later run asks again."""
    ask, got = result.tag, result.outcome
    if isinstance(got, Failure):
        if got.code == DEFERRED or not got.attempts:
            return None
        return _vote_row(work, ask, Reading(ERROR, reason=got.code), got.message, {})
    choice = got.choices[0] if got.choices else Failure("bad_response", "no choice")
    if not isinstance(choice, Completion):
        return _vote_row(work, ask, Reading(ERROR, reason=choice.code), choice.message, {})
    return _vote_row(work, ask, _read(work, ask, choice), choice.text, _manifest(work, got))


def _read(work: Work, ask: Ask, choice: Completion) -> Reading:
    if (how := work.scoring) is not None:
        found = prm.read_scores(choice.text, ask.subject.asked, how.positive)
        if found is None:
            return Reading(ERROR, reason="unreadable")
        return Reading("graded", prm.AGGREGATES[how.aggregate](found))
    if ask.rendered is None or work.prompt is None:
        scores = read_reward(choice.text)
        settings = work.settings
        score = votes.reward_score(scores, settings["attributes"], float(settings["top"]))
        return (
            Reading("graded", score) if score is not None else Reading(ERROR, reason="unreadable")
        )
    reading = read(
        choice.text,
        work.prompt.mode,
        ask.rendered.fence,
        steps=len(ask.subject.steps),
        truncated=choice.truncated,
    )
    return replace(reading, verdict=votes.named_back(reading.verdict, ask.order))


def _manifest(work: Work, answer: Answer) -> dict[str, Any]:
    return {
        "model": answer.model,
        "endpoint": work.endpoint.host,
        "prompt_sha256": work.prompt.hash if work.prompt else None,
        "sampling_sha256": work.sampling.hash,
        "usage": answer.usage.as_dict(),
        "constrained": work.capabilities.response_format == YES,
    }


def _vote_row(
    work: Work, ask: Ask, reading: Reading, text: str, manifest: dict[str, Any]
) -> JudgeVote:
    return JudgeVote(
        trace_id=ask.subject.trace,
        other_id=ask.subject.other,
        endpoint=work.judge,
        judge=work.judge.model,
        verifier=work.verifier,
        version=work.version,
        reference_sha256=ask.subject.reference_sha256,
        identity=ask.identity,
        order=ask.order,
        round=ask.round,
        number=ask.number,
        verdict=reading.verdict,
        score=reading.score,
        location=reading.location,
        reason=reading.reason[:64],
        text=text[:100_000].replace("\x00", "\ufffd"),
        manifest=manifest,
    )
