"""What the review screen shows of a trace: its leaves, proposals, verdicts and siblings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from curation.models import CutProposal, Difficulty, Segment, Segmentation, Trace, Verdict
from reviews.decisions import quote_hash

SLICE = 1500  # characters of a plain slice where a trace is not segmented
MAX_PIECE = 6000  # a longer leaf (code, display maths) is shown in several boxes
LIGHT = ("pk", "model", "sample_no", "char_count", "parent_id")


@dataclass(frozen=True, slots=True)
class Piece:
    """One box of the screen; ``start`` and ``end`` are code points of the trace's text."""

    index: int
    start: int
    end: int
    kind: str
    part: str
    text: str
    tail: str  # the white space at its end, kept in the page but not drawn
    first_correct: bool
    heading: str


def newest_segmentation(trace: Trace) -> Segmentation | None:
    return Segmentation.objects.filter(trace=trace).order_by("-pk").first()


def ranges_of(trace: Trace, segmentation: Segmentation | None) -> list[tuple[int, int, str, str]]:
    """(start, end, kind, part) for the whole text, without a gap."""
    if segmentation is None:
        size = len(trace.text)
        return [(i, min(i + SLICE, size), "text", "") for i in range(0, size, SLICE)]
    rows = Segment.objects.filter(segmentation=segmentation).order_by("index")
    return [
        (start, end, kind, " › ".join(path[:2]).replace("_", " "))
        for start, end, kind, path in rows.values_list("start", "end", "kind", "path")
    ]


def pieces_of(trace: Trace, segmentation: Segmentation | None) -> list[Piece]:
    """Every character of the text, in boxes."""
    first = segmentation.first_correct if segmentation else None
    pieces: list[Piece] = []
    part = None
    for start, end, kind, now in ranges_of(trace, segmentation):
        for low in range(start, max(end, start + 1), MAX_PIECE):
            high = min(end, low + MAX_PIECE)
            if low >= high:
                continue
            hit = first is not None and low <= first < high
            heading = now if now != part else ""
            part = now
            text = trace.text[low:high]
            body = text.rstrip() or text
            pieces.append(
                Piece(len(pieces), low, high, kind, now, body, text[len(body) :], hit, heading)
            )
    return pieces


def proposals_of(segmentation: Segmentation | None) -> list[dict[str, Any]]:
    """Proposed cuts in order, as the page's script takes them."""
    if segmentation is None:
        return []
    rows = CutProposal.objects.filter(segmentation=segmentation).order_by("start", "pk")
    return [
        {"id": r.pk, "start": r.start, "end": r.end, "reason": r.reason, "policy": r.policy}
        for r in rows
    ]


def side_of(trace: Trace) -> dict[str, Any]:
    """Verdicts, pass rates and the problem's other traces; no trace text is loaded."""
    others = list(
        Trace.objects.filter(problem_id=trace.problem_id)
        .exclude(pk=trace.pk)
        .only(*LIGHT)
        .order_by("pk")[:12]
    )
    verdicts: dict[int, str] = {}
    for pk, verdict in (
        Verdict.objects.filter(trace__in=[o.pk for o in others])
        .order_by("pk")
        .values_list("trace_id", "verdict")
    ):
        verdicts[pk] = verdict
    return {
        "verdicts": list(trace.verdicts.order_by("-pk")),
        "difficulties": list(Difficulty.objects.filter(problem_id=trace.problem_id)[:2]),
        "others": [{"trace": other, "verdict": verdicts.get(other.pk, "")} for other in others],
    }


def state_of(trace: Trace, segmentation: Segmentation | None) -> dict[str, Any]:
    """What the page's script starts from, besides what stands in the page."""
    return {
        "chars": len(trace.text),
        "tokens": trace.completion_tokens or trace.token_count,
        "proposals": proposals_of(segmentation),
        "segmenter": segmentation.segmenter if segmentation else "",
        "textHash": quote_hash(trace.text, 0, len(trace.text)),
    }
