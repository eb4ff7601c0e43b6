"""Two to four traces of one problem beside each other: aligned rows, answers, where they part."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString

from curation.models import Problem, Project, Trace
from reviews import codecheck, evidence, scores, screen
from reviews.chains import longest_chain
from reviews.guidelines import current_guideline
from reviews.models import Preference
from reviews.submission import BadReview, number, text_of

MOST = 4
NUMBER = re.compile(r"\d+(?:[.,/]\d+)*")
STRENGTHS = ("", "slightly", "clearly", "far")


@dataclass(frozen=True)
class Column:
    """One trace of the comparison."""

    trace: Trace
    verdict: str
    answer: str
    html: SafeString
    chars: int
    starts: list[int]  # where each box begins, in code points
    anchors: list[tuple[int, str]]  # (box, a result that stands there for the first time)


def traces_of(project: Project, ids: list[int]) -> list[Trace]:
    """Two to four traces of one problem, in the order asked for; BadReview otherwise."""
    wanted = list(dict.fromkeys(ids))
    if not 2 <= len(wanted) <= MOST:
        raise BadReview("bad_traces", f"two to {MOST} traces are needed")
    found = Trace.objects.filter(project=project, pk__in=wanted).select_related("problem")
    by_id = found.in_bulk()
    if len(by_id) < len(wanted):
        raise BadReview("bad_traces", "no such trace in this project")
    if len({t.problem_id for t in by_id.values()}) > 1:
        raise BadReview("bad_traces", "traces of one problem are needed")
    return [by_id[pk] for pk in wanted]


def columns_of(traces: list[Trace], hidden: Collection[str] = ()) -> list[Column]:
    ids = [t.pk for t in traces]
    answers = screen.extracted_by_trace(ids)
    if "verdict" in hidden:
        return [column_of(t, i, {}, answers, first=False) for i, t in enumerate(traces)]
    verdicts = screen.verdicts_by_trace(ids)
    return [column_of(t, i, verdicts, answers) for i, t in enumerate(traces)]


def column_of(
    trace: Trace, no: int, verdicts: dict[int, str], answers: dict[int, str], first: bool = True
) -> Column:
    pieces = screen.pieces_of(trace, screen.newest_segmentation(trace))
    html = screen.text_html(pieces, first, prefix=f"t{no}s")
    return Column(
        trace, verdicts.get(trace.pk, ""), answers.get(trace.pk, ""),
        html,
        trace.char_count, [p.start for p in pieces], results(pieces),
    )  # fmt: skip


def evidence_of(traces: list[Trace], judged: bool) -> list[dict[str, Any]]:
    """What machines say of each trace: equations, step scores, and the answer it ends with. Not
    ``judged``: verdicts are hidden, so no scores and no comparison with the reference."""
    return [
        {
            "trace": trace.pk,
            "equations": evidence.checks_of(trace.text),
            "models": scores.scores_of(trace) if judged else [],
            "answer": last_answer(trace, judged),
        }
        for trace in traces
    ]


def last_answer(trace: Trace, judged: bool) -> dict[str, Any] | None:
    """The answer that is stated last, its place, and whether it matches the reference (None: that
    cannot be told); None without a segmentation or an answer."""
    stated = screen.answers_of(screen.newest_segmentation(trace), judged)
    return max(stated, key=lambda a: int(a["start"])) if stated else None


def code_of(traces: list[Trace], judged: bool) -> list[dict[str, Any]]:
    """What the sandbox says of each trace's Python blocks; on tests only where ``judged``."""
    return [
        {"trace": trace.pk, "code": codecheck.code_checks(trace.text, trace.problem, judged)}
        for trace in traces
    ]


def results(pieces: list[screen.Piece]) -> list[tuple[int, str]]:
    """The numbers of two digits or more, each where it first stands."""
    seen: set[str] = set()
    found = []
    for piece in pieces:
        for value in NUMBER.findall(piece.text):
            if len(value) > 1 and value not in seen:
                seen.add(value)
                found.append((piece.index, value))
    return found


def align(columns: list[Column]) -> list[list[int]]:
    """Rows of boxes that belong together: places where all columns first state the same result.

    Each row holds one box per column, the first row the beginnings; rows go forward in every
    column. Of the results that all columns state as many line up as can (``longest_chain``).
    """
    if not columns:
        return []
    places = [{value: box for box, value in reversed(c.anchors)} for c in columns]
    shared = [
        tuple(place[value] for place in places)
        for value in places[0]
        if all(value in place for place in places)
    ]
    rows = longest_chain([boxes for boxes in shared if min(boxes) > 0])
    return [[0] * len(columns), *(list(row) for row in rows)]


def clusters(columns: list[Column]) -> list[dict[str, Any]]:
    """Columns by their answer: [{"answer", "verdict", "columns": [number, ...]}], largest first."""
    groups: dict[str, list[int]] = defaultdict(list)
    for i, column in enumerate(columns):
        groups[column.answer or "no answer"].append(i + 1)
    found = [
        {"answer": answer, "columns": members, "verdict": columns[members[0] - 1].verdict}
        for answer, members in groups.items()
    ]
    return sorted(found, key=lambda g: (-len(g["columns"]), g["columns"]))


def shared_prefix(traces: list[Trace]) -> int:
    """Code points that all texts begin with."""
    shortest = min(t.text for t in traces)
    longest = max(t.text for t in traces)
    for i, character in enumerate(shortest):
        if i >= len(longest) or longest[i] != character:
            return i
    return len(shortest)


def save_preference(project: Project, user: Any, data: dict[str, Any]) -> Preference:
    """Store an order of traces; append-only."""
    ranking = data.get("ranking")
    if not isinstance(ranking, list) or not all(
        isinstance(group, list) and group and all(type(pk) is int for pk in group)
        for group in ranking
    ):
        raise BadReview("bad_ranking", "ranking: a list of lists of trace ids is needed")
    ids = [pk for group in ranking for pk in group]
    if len(set(ids)) < len(ids):
        raise BadReview("bad_ranking", "ranking: each trace once")
    traces = traces_of(project, ids)
    guideline = current_guideline(project)
    strength = str(data.get("strength") or "")
    if strength not in STRENGTHS:
        raise BadReview("bad_strength", f"strength: one of {', '.join(STRENGTHS[1:])}")
    return Preference.objects.create(
        project=project,
        problem=Problem.objects.get(pk=traces[0].problem_id),
        user=user,
        ranking=ranking,
        diverges=diverges_of(data, traces),
        strength=strength,
        note=text_of(data, "note"),
        seconds=number(data, "seconds", 1e6),
        guideline_version=guideline.version if guideline else None,
    )


def diverges_of(data: dict[str, Any], traces: list[Trace]) -> dict[str, int]:
    """{trace id: where it goes another way}; positions must lie in the trace."""
    given = data.get("diverges") or {}
    sizes = {str(t.pk): t.char_count for t in traces}
    if not isinstance(given, dict):
        raise BadReview("bad_diverges", "diverges: an object is needed")
    for pk, at in given.items():
        if pk not in sizes or type(at) is not int or not 0 <= at <= sizes[pk]:
            raise BadReview("bad_diverges", f"diverges: {str(pk)[:20]} is no place in its trace")
    return {str(pk): at for pk, at in given.items()}
