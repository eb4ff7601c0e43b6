"""Step scores that a process reward model gave elsewhere, stored as its verdicts."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from curation.judges import steps as prm
from curation.models import Project, Trace, Verdict
from curation.teachers.canonical import digest
from curation.verification import reference_hash

MAX_ROWS = 1_000
NAME = re.compile(r"[^a-z0-9]+")
ODD = re.compile(r"[^\w ._:+-]+", re.ASCII)  # what a reason or a version has no need of


class BadRow(ValueError):
    """A row that cannot be stored: a reason code and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def import_steps(project: Project, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Store each row; counts of ``stored`` and ``present``, and ``rejected`` with row and reason.

    A row is ``{"trace", "model", "steps": [{"start", "end", "score", "reason", "quote_sha256"}]}``
    and may have ``version``, ``aggregate``, ``threshold`` and the trace's ``text_sha256``. Ranges
    are code points, in order and apart; a score is in [0, 1], or null with the reason why there is
    none. What was said is part of the verdict's version: other scores are a new verdict, and the
    same ones again change nothing.
    """
    asked = [row.get("trace") for row in rows]
    ids = [pk for pk in asked if type(pk) is int and 0 < pk < 2**63]
    traces = Trace.objects.filter(project=project, pk__in=ids).defer("messages", "manifest")
    known = traces.in_bulk()
    done = {"stored": 0, "present": 0}
    rejected = []
    for i, row in enumerate(rows):
        pk = asked[i]
        try:
            created = _store(known.get(pk) if type(pk) is int else None, row)
            done["stored" if created else "present"] += 1
        except BadRow as error:
            rejected.append({"row": i, "code": error.code, "detail": str(error)})
    return done | {"rejected": rejected}


def _store(trace: Trace | None, row: dict[str, Any]) -> bool:
    if trace is None:
        raise BadRow("unknown_trace", "no such trace in this project")
    if row.get("text_sha256") not in (None, trace.text_sha256):
        raise BadRow("text_differs", "text_sha256: the scores are of another text")
    model = NAME.sub("-", str(row.get("model") or "").casefold()).strip("-")
    if not model:
        raise BadRow("bad_model", "model: a name is needed")
    aggregate, threshold = row.get("aggregate", "min"), row.get("threshold", prm.THRESHOLD)
    if aggregate not in prm.AGGREGATES:
        raise BadRow("bad_aggregate", f"aggregate: one of {', '.join(prm.AGGREGATES)}")
    if not _share(threshold):
        raise BadRow("bad_threshold", "threshold: a number in [0, 1]")
    steps = _steps(trace, row.get("steps"))
    found = prm.verdict_of(steps, aggregate, float(threshold))
    said = digest([[s.as_json() for s in steps], aggregate, threshold])[:8]
    _, created = Verdict.objects.get_or_create(
        trace=trace,
        verifier=f"prm-{model}"[:64].rstrip("-"),
        version=f"{_plain(row.get('version') or 'imported')[:50]}.{said}",
        reference_sha256=reference_hash(None),
        defaults={"verdict": found.verdict, "score": found.score, "method": "steps",
                  "reason": found.reason, "detail": found.detail},
    )  # fmt: skip
    return created


def _steps(trace: Trace, given: Any) -> list[prm.StepScore]:
    if not isinstance(given, list) or not 0 < len(given) <= prm.MAX_STEPS:
        raise BadRow("bad_steps", f"steps: a list of 1 to {prm.MAX_STEPS} is needed")
    found: list[prm.StepScore] = []
    for i, item in enumerate(given):
        step = _step(trace, item, i)
        if found and step.start < found[-1].end:
            raise BadRow("bad_steps", f"steps[{i}]: starts before the one before it ends")
        found.append(step)
    return found


def _step(trace: Trace, item: Any, i: int) -> prm.StepScore:
    if not isinstance(item, dict):
        raise BadRow("bad_steps", f"steps[{i}]: an object is needed")
    start, end, score = item.get("start"), item.get("end"), item.get("score")
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= trace.char_count:
        raise BadRow("bad_steps", f"steps[{i}]: start < end within {trace.char_count} is needed")
    quote = trace.text[start:end].encode("utf-8", "surrogatepass")
    if item.get("quote_sha256") not in (None, "", hashlib.sha256(quote).hexdigest()):
        raise BadRow("text_differs", f"steps[{i}]: quotes another text")
    if score is not None and not _share(score):
        raise BadRow("bad_score", f"steps[{i}]: a score is in [0, 1], or null")
    reason = _plain(item.get("reason") or ("" if score is not None else "not_scored"))[:64]
    return prm.StepScore(start, end, None if score is None else float(score), reason)


def _plain(words: Any) -> str:
    return ODD.sub("_", str(words))


def _share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
