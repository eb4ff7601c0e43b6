"""The job that makes puzzles, and the calibration record that says how hard they turned out.

SynLogic's and SATURN's way: a generator with knobs, a rule that verifies, and measured pass rates
by setting. A puzzle is a problem like any other: its knobs, seed, index and the puzzle itself stand
in its metadata, so it can be made again, and the verifier ``logic`` judges its traces. The record
is a query over the difficulty of such problems, so it is never older than the last grading.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db.models import Count, Sum

from curation.difficulty.stats import Interval, wilson
from curation.ingest_rows import Counts, write_batch
from curation.jobs import JobContext, JobError
from curation.models import Difficulty, Project, Source
from curation.sources.plan import Converted
from curation.sources.readers import InputFile
from curation.sources.records import ProblemRecord, ReadRow
from curation.verifiers import puzzlemaker
from curation.verifiers.puzzlemaker import MakerError, Puzzle, Setting

MAX_PUZZLES = 100_000
META = "problem__metadata__"


@dataclass(frozen=True, slots=True)
class Plan:
    """What one job makes: ``counts[i]`` puzzles of ``settings[i]``, indices from ``first`` on."""

    generator: str
    settings: list[Setting]
    counts: list[int]
    seed: int
    first: int
    source: str

    @property
    def total(self) -> int:
        return sum(self.counts)


def run_make_problems(ctx: JobContext) -> None:
    """Job handler. Params: ``generator``, ``n``; optional ``seed`` (0), ``first`` (index, 0),
    ``source`` (name) and one of ``knobs`` (object), ``levels`` (list of numbers, or ``all``) or
    ``target`` (``{"model", "low", "high"}``: settings whose measured pass rate lies there).

    ``n`` counts all puzzles, spread evenly over the settings. Counts: wanted = made + existing
    (the same text was there). JobError with a code for what cannot be made.
    """
    try:
        plan = plan_of(ctx)
        _log(ctx, plan)
        if not ctx.checkpoint:  # a killed attempt's puzzles stay made
            ctx.restart_counts(wanted=plan.total, made=0, existing=0)
        ctx.set_total(plan.total)
        source = _source(ctx.project, plan)
        for setting, count in zip(plan.settings, plan.counts, strict=True):
            _make_setting(ctx, plan, source, setting, count)
    except MakerError as problem:
        raise JobError(problem.code, str(problem)) from None


def plan_of(ctx: JobContext) -> Plan:
    """The job's parameters, checked and resolved against the calibration record."""
    params = ctx.params
    generator = str(params.get("generator") or "")
    n = _whole(params, "n", None, 1, MAX_PUZZLES)
    given = [name for name in ("knobs", "levels", "target") if params.get(name) is not None]
    if len(given) > 1:
        raise JobError("bad_parameters", f"give one of knobs, levels and target, not {given}")
    settings = _settings(ctx.project, generator, params)[:n]
    even, rest = divmod(n, len(settings))
    counts = [even + (place < rest) for place in range(len(settings))]
    seed = _whole(params, "seed", 0, 0, 2**31 - 1)
    first = _whole(params, "first", 0, 0, 10_000_000)
    source = str(params.get("source") or f"made-{generator}")[:200]
    return Plan(generator, settings, counts, seed, first, source)


def _whole(params: dict[str, Any], name: str, default: int | None, low: int, high: int) -> int:
    value = params.get(name, default)
    if type(value) is not int or not low <= value <= high:
        raise JobError("bad_parameters", f"{name} must be a whole number from {low} to {high}")
    return value


def _settings(project: Project, generator: str, params: dict[str, Any]) -> list[Setting]:
    if (knobs := params.get("knobs")) is not None:
        if not isinstance(knobs, dict):
            raise JobError("bad_parameters", "knobs is an object")
        return [Setting(generator, {**puzzlemaker.knobs_of(generator), **knobs})]
    if (target := params.get("target")) is not None:
        return _on_target(project, generator, target)
    levels = params.get("levels")
    if levels is None or levels == "all":
        return puzzlemaker.settings_of(generator)
    if not isinstance(levels, list) or not all(type(level) is int for level in levels):
        raise JobError("bad_parameters", "levels is a list of numbers, or all")
    return puzzlemaker.settings_of(generator, sorted(set(levels)))


def _on_target(project: Project, generator: str, target: Any) -> list[Setting]:
    """Settings that the model solves at a wanted rate; JobError ``not_calibrated`` without any."""
    try:
        model, low, high = str(target["model"]), float(target["low"]), float(target["high"])
    except (TypeError, KeyError, ValueError):
        raise JobError("bad_parameters", "a target has a model, low and high") from None
    record = [row for row in calibration(project, generator) if row.model == model]
    found = [row.setting for row in record if row.rate is not None and low <= row.rate <= high]
    if found:
        return list({setting.name: setting for setting in found}.values())
    measured = ", ".join(f"{row.rate:.2f}" for row in record if row.rate is not None) or "nothing"
    raise JobError(
        "not_calibrated",
        f"no setting of {generator} is solved by {model} at {low:g} to {high:g}; measured: "
        f"{measured}. Make some of all levels, let the model answer, verify and grade first.",
    )


def _log(ctx: JobContext, plan: Plan) -> None:
    for setting, count in zip(plan.settings, plan.counts, strict=True):
        level = "by hand" if setting.level is None else f"level {setting.level}"
        ctx.log(f"{plan.generator}, {level}: {count} puzzles, knobs {setting.name[:300]}")


def _source(project: Project, plan: Plan) -> Source:
    source, _ = Source.objects.get_or_create(
        project=project,
        name=plan.source,
        defaults={
            "adapter": "make_problems",
            "licence": "made here" if plan.generator == "saturn" else "Apache-2.0",
            "revision": puzzlemaker.version(plan.generator),
        },
    )
    return source


def _make_setting(
    ctx: JobContext, plan: Plan, source: Source, setting: Setting, count: int
) -> None:
    done = ctx.checkpoint.setdefault("made", {})
    place = f"{setting.level}:{setting.name}"
    indices = range(plan.first, plan.first + count)
    file = _file(plan, setting)
    for at in range(int(done.get(place, 0)), count, puzzlemaker.BATCH):
        ctx.check()
        batch = indices[at : at + puzzlemaker.BATCH]
        puzzles = puzzlemaker.make(setting, plan.seed, batch)
        with ctx.chunk():
            counts = write_batch(source, file, [_row(plan, setting, one) for one in puzzles])
            done[place] = at + len(batch)
            _count(ctx, counts, len(puzzles))


def _count(ctx: JobContext, counts: Counts, size: int) -> None:
    made = counts.problems_created
    ctx.advance(size, made=made, existing=size - made)


def _file(plan: Plan, setting: Setting) -> InputFile:
    """What stands in the place of a file: a row's key is its setting, its seed and its index."""
    request = json.dumps([plan.generator, setting.knobs, plan.seed], sort_keys=True)
    digest = hashlib.sha256(request.encode()).hexdigest()
    name = f"{plan.generator}/{digest[:12]}"
    return InputFile(Path(name), name, digest, 0)


def _row(plan: Plan, setting: Setting, puzzle: Puzzle) -> Converted:
    metadata = {
        "category": "logic",
        "generator": plan.generator,
        "generator_version": puzzlemaker.version(plan.generator),
        "knobs": setting.knobs,
        "level": setting.level,
        "seed": plan.seed,
        "index": puzzle.index,
        "analytic_difficulty": puzzlemaker.analytic_difficulty(plan.generator, setting.knobs),
        "verifier_options": {"puzzle": puzzle.puzzle},
    }
    record = ProblemRecord(
        puzzle.question, kind="logic", reference_answer=puzzle.answer, metadata=metadata
    )
    return Converted(ReadRow(puzzle.index + 1, -1, {}), [record])


@dataclass(frozen=True, slots=True)
class Calibrated:
    """How one model fared with one setting, at one sampling and policy."""

    setting: Setting
    model: str
    sampling_hash: str
    policy: str
    problems: int
    correct: int
    graded: int
    formula: float | None  # the analytic difficulty of the setting
    solved: int  # problems solved at least once

    @property
    def rate(self) -> float | None:
        return self.correct / self.graded if self.graded else None

    @property
    def interval(self) -> Interval | None:
        return wilson(self.correct, self.graded)


def calibration(project: Project, generator: str | None = None) -> list[Calibrated]:
    """The record: measured pass rates by setting, model, sampling and policy.

    Two models, samplings (so token budgets too) or policies are never added up.
    """
    rows = Difficulty.objects.filter(problem__project=project, problem__kind="logic")
    rows = rows.filter(problem__metadata__has_key="generator")
    if generator is not None:
        rows = rows.filter(problem__metadata__generator=generator)
    names = [META + name for name in ("generator", "knobs", "level", "analytic_difficulty")]
    found = (
        rows.values(*names, "model", "sampling_hash", "policy")
        .annotate(problems=Count("pk"), right=Sum("correct"), wrong=Sum("incorrect"), **_solved())
        .order_by(*names[:1], *names[2:3], "model", "sampling_hash", "policy")
    )
    return [_calibrated(row) for row in found]


def _solved() -> dict[str, Any]:
    from django.db.models import Q

    return {"solved": Count("pk", filter=Q(correct__gt=0))}


def _calibrated(row: dict[str, Any]) -> Calibrated:
    setting = Setting(row[META + "generator"], row[META + "knobs"] or {}, row[META + "level"])
    return Calibrated(
        setting,
        row["model"],
        row["sampling_hash"],
        row["policy"],
        row["problems"],
        row["right"],
        row["right"] + row["wrong"],
        row[META + "analytic_difficulty"],
        row["solved"],
    )


def synlogic_range(hard_model_solves: bool, chat_rate: float | None) -> str:
    """SynLogic's bounds of a setting: ``too_hard`` where the strong model never solves it (its
    pass@10 is 0), ``too_easy`` where the chat model's rate is 0.5 or more, ``too_hard_for_chat``
    where it is 0, else ``in_range``."""
    if not hard_model_solves:
        return "too_hard"
    if chat_rate is None:
        return "not_measured"
    if chat_rate >= 0.5:
        return "too_easy"
    return "in_range" if chat_rate > 0 else "too_hard_for_chat"


def formula_points(record: Sequence[Calibrated]) -> Iterator[tuple[str, float, float]]:
    """(model, formula difficulty, pass rate) of the settings that have both."""
    for row in record:
        if row.formula is not None and row.rate is not None:
            yield row.model, row.formula, row.rate
