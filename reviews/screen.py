"""What the review screen shows of a trace: its leaves, proposals, verdicts and siblings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.safestring import SafeString, mark_safe

from curation.models import CutProposal, Difficulty, Segment, Segmentation, Trace, Verdict
from curation.segmentation.boxes import boxes, slices
from curation.segmentation.kinds import KINDS
from curation.templatetags.whittle import HUE_OF
from reviews.markup import body
from reviews.models import Assignment, Review
from reviews.schema import ReviewSchema
from reviews.submission import quote_hash

# Boxes are handed to the browser in chunks of about this height (review.css, .chunk), which it lays
# out one after the other. A line of the screen holds about so many characters.
CHUNK_PIXELS = 1400
LINE_CHARS = 90
LINE_PIXELS = 23
LIGHT = ("pk", "model", "sample_no", "char_count", "parent_id", "completion_tokens")
SPACE = re.compile(r"\W+")
MATHS = re.compile(r"\$|\\[(\[]")
SCORING = r"^(prm|reward|format)(-|$)"  # families of verdicts that say nothing by themselves
MIN_REPEAT = 24  # characters of a box that counts as a repeat of an earlier one
HUES = ("exec", "plan", "check", "back", "final", "restate", "other")


@dataclass(frozen=True, slots=True)
class Piece:
    """One box of the screen; ``start`` and ``end`` are code points of the trace's text. It is shown
    and addressed by ``number``, which counts from 1."""

    index: int
    start: int
    end: int
    kind: str
    part: str
    text: str
    first_correct: bool
    heading: str

    @property
    def number(self) -> int:
        return self.index + 1


def newest_segmentation(trace: Trace) -> Segmentation | None:
    return Segmentation.objects.filter(trace=trace).order_by("-pk").first()


def ranges_of(trace: Trace, segmentation: Segmentation | None) -> list[tuple[int, int, str, str]]:
    """(start, end, kind, part) for the whole text, without a gap."""
    if segmentation is None:
        return [(a, b, "text", "") for a, b in slices(trace.text)]
    rows = Segment.objects.filter(segmentation=segmentation).order_by("index")
    return [
        (start, end, kind, part_name(path))
        for start, end, kind, path in rows.values_list("start", "end", "kind", "path")
    ]


def part_name(path: list[str]) -> str:
    """The part that a leaf stands in, in the words of the screen: "Attempt 3", "Verify"."""
    inner = path[1] if len(path) > 1 else path[0] if path else ""
    return inner.replace("_", " ").replace("Solution ", "Attempt ")


def pieces_of(trace: Trace, segmentation: Segmentation | None) -> list[Piece]:
    """Every character of the text, in boxes."""
    first = segmentation.first_correct if segmentation else None
    pieces: list[Piece] = []
    part = None
    for start, end, kind, now in ranges_of(trace, segmentation):
        for low, high in boxes(start, end):
            hit = first is not None and low <= first < high
            heading = now if now != part else ""
            part = now
            text = trace.text[low:high]
            pieces.append(Piece(len(pieces), low, high, kind, now, text, hit, heading))
    return pieces


def hue_of(kind: str) -> str:
    return HUE_OF.get(kind, "other")


def text_html(pieces: list[Piece], first: bool = True, prefix: str = "s") -> SafeString:
    """The boxes as HTML, in chunks. Built by hand: a template would take ten times as long."""
    return mark_safe(  # noqa: S308  every text in it is escaped by markup.body and escape
        "".join(
            f'<div class="chunk">{"".join(box_html(p, first, prefix) for p in chunk)}</div>'
            for chunk in chunks_of(pieces)
        )
    )


def chunks_of(pieces: list[Piece]) -> Iterator[list[Piece]]:
    """Neighbouring boxes that are about ``CHUNK_PIXELS`` high together."""
    chunk: list[Piece] = []
    height = 0
    for piece in pieces:
        chunk.append(piece)
        lines = piece.text.strip().count("\n") + 1 + len(piece.text) // LINE_CHARS
        height += lines * LINE_PIXELS + 12
        if height >= CHUNK_PIXELS:
            yield chunk
            chunk, height = [], 0
    if chunk:
        yield chunk


def box_html(piece: Piece, first: bool, prefix: str = "s") -> str:
    maths = " data-maths" if MATHS.search(piece.text) else ""
    mark = ' data-first=""' if first and piece.first_correct else ""
    return (
        f'<div class="seg hue-{hue_of(piece.kind)}" id="{prefix}{piece.number}"{mark}>'
        f'<a class="n" href="#{prefix}{piece.number}" tabindex="-1">{piece.number}</a>'
        f'<div class="model-text"{maths} dir="auto">{body(piece.text)}</div></div>'
    )


def repeats_of(pieces: list[Piece]) -> dict[int, int]:
    """Box -> the first box with the same words; short ones are left out."""
    seen: dict[str, int] = {}
    found = {}
    for piece in pieces:
        words = SPACE.sub(" ", piece.text).strip().lower()
        if len(words) < MIN_REPEAT:
            continue
        if words in seen:
            found[piece.index] = seen[words]
        else:
            seen[words] = piece.index
    return found


def proposals_of(segmentation: Segmentation | None) -> list[dict[str, Any]]:
    """Proposed cuts in order, as the page's script takes them."""
    if segmentation is None:
        return []
    rows = CutProposal.objects.filter(segmentation=segmentation).order_by("start", "pk")
    return [
        {"id": r.pk, "start": r.start, "end": r.end, "reason": r.reason, "policy": r.policy}
        for r in rows
    ]


def answers_of(segmentation: Segmentation | None, matched: bool) -> list[dict[str, Any]]:
    """Where answers are stated; whether each matches the reference only with ``matched``."""
    found = (segmentation.summary or {}).get("answers", []) if segmentation else []
    return [
        {"start": a["start"], "end": a["end"], "value": a["value"], "strength": a["strength"],
         "matches": a["matches"] if matched else None}
        for a in found
    ]  # fmt: skip


def verdicts_by_trace(ids: list[int]) -> dict[int, str]:
    """The newest verdict of each trace; scores of reward models are no yes or no."""
    rows = Verdict.objects.filter(trace__in=ids).exclude(verifier__regex=SCORING).order_by("pk")
    return dict(rows.values_list("trace_id", "verdict"))


def extracted_by_trace(ids: list[int]) -> dict[int, str]:
    """The newest extracted answer of each trace."""
    rows = Verdict.objects.filter(trace__in=ids).exclude(extracted=None).order_by("pk")
    return {pk: str(value)[:80] for pk, value in rows.values_list("trace_id", "extracted")}


def side_of(trace: Trace) -> dict[str, Any]:
    """Verdicts, pass rates and the problem's other traces; no trace text is loaded."""
    others = list(
        Trace.objects.filter(problem_id=trace.problem_id)
        .exclude(pk=trace.pk)
        .only(*LIGHT)
        .order_by("pk")[:12]
    )
    ids = [o.pk for o in others]
    verdicts, answers = verdicts_by_trace(ids), extracted_by_trace(ids)
    return {
        "verdicts": list(trace.verdicts.defer("detail").order_by("-pk")),
        "difficulties": list(Difficulty.objects.filter(problem_id=trace.problem_id)[:2]),
        "others": [
            {"trace": o, "verdict": verdicts.get(o.pk, ""), "answer": answers.get(o.pk, "")}
            for o in others
        ],
    }


def structure_of(pieces: list[Piece]) -> dict[str, Any]:
    """The boxes as parallel lists; a box ends where the next one starts."""
    kinds = sorted({p.kind for p in pieces})
    parts = list(dict.fromkeys(p.part for p in pieces))
    kind_no = {kind: i for i, kind in enumerate(kinds)}
    part_no = {part: i for i, part in enumerate(parts)}
    return {
        "starts": [p.start for p in pieces],
        "kinds": [kind_no[p.kind] for p in pieces],
        "parts": [part_no[p.part] for p in pieces],
        "kindNames": kinds,
        "hues": [hue_of(kind) for kind in kinds],
        "partNames": parts,
        "repeats": repeats_of(pieces),
    }


def shown(assignment: Assignment, thing: str) -> bool:
    """Whether a thing that the queue hides may be seen: after the first judgement."""
    return thing not in assignment.item.queue.hide or assignment.committed is not None


def open_reviews(user: Any, problem_id: int) -> QuerySet[Assignment]:
    """What a person took, of traces of the problem, and has not judged yet."""
    return Assignment.objects.filter(
        user_id=user.pk or 0,
        state=Assignment.State.OPEN,
        committed__isnull=True,
        item__trace__problem_id=problem_id,
    ).select_related("item")


def hidden_from(user: Any, problem_id: int) -> set[str]:
    """What stays hidden from a person who still has to judge a trace of the problem."""
    waiting = open_reviews(user, problem_id).exclude(item__queue__hide=[])
    return {thing for hide in waiting.values_list("item__queue__hide", flat=True) for thing in hide}


def state_of(
    trace: Trace,
    segmentation: Segmentation | None,
    assignment: Assignment,
    pieces: list[Piece],
    schema: ReviewSchema,
) -> dict[str, Any]:
    """What the page's script starts from, besides what stands in the page."""
    verdict = shown(assignment, "verdict")
    return {
        "chars": len(trace.text),
        "tokens": trace.token_count or trace.completion_tokens,
        "structure": structure_of(pieces),
        "answers": answers_of(segmentation, verdict),
        "first": first_box(pieces) if verdict else None,
        "proposals": proposals_of(segmentation) if shown(assignment, "proposals") else [],
        "segmenter": segmentation.segmenter if segmentation else "",
        "textHash": quote_hash(trace.text, 0, len(trace.text)),
        "schema": schema.as_json(),
        "allKinds": list(KINDS),
        "allHues": {kind: hue_of(kind) for kind in KINDS},
        "epoch": assignment.epoch,
        "draft": assignment.draft,
        "draftRev": assignment.draft_rev,
        "done": assignment.state == Assignment.State.DONE,
        "hidden": [] if assignment.committed else list(assignment.item.queue.hide),
        "committed": assignment.committed,
        "minCoverage": assignment.item.queue.min_coverage,
        "assignment": assignment.pk,
        "trace": trace.pk,
        "last": last_review(assignment),
    }


def first_box(pieces: list[Piece]) -> int | None:
    return next((p.index for p in pieces if p.first_correct), None)


def last_review(assignment: Assignment) -> dict[str, Any] | None:
    """What this reviewer said before, to change one's mind from; else None."""
    review = (
        Review.objects.filter(item=assignment.item_id, user=assignment.user_id)
        .order_by("-pk")
        .first()
    )
    if review is None:
        return None
    fields = ("decision", "cuts", "spans", "kinds", "kept", "rejected", "values", "dispute",
              "first_error", "flagged", "note")  # fmt: skip
    return {name: getattr(review, name) for name in fields} | {"labels": list(labels_of(review))}


def labels_of(review: Review) -> Iterator[dict[str, Any]]:
    for s in review.step_labels.order_by("start"):
        yield {"start": s.start, "end": s.end, "label": s.label, "flagged": s.flagged,
               "alternative": s.alternative}  # fmt: skip
