"""Writes one batch of rows: only what is missing, in few statements, under the project's lock."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from django.conf import settings
from django.db import connection, models
from django.utils import timezone

from curation.models import ImportReject, Problem, ProblemOccurrence, Source, Trace
from curation.problems import norm_hash, same_reference, sha256
from curation.sources.plan import Converted
from curation.sources.readers import InputFile
from curation.sources.records import ProblemRecord, Reject, Row, TraceRecord
from curation.textsearch import search_words
from curation.traces import CUT_OFF, import_identity, text_fields

Item = Converted | Reject
# Namespace of the advisory lock: imports into one project write one batch at a time.
_LOCK = 0x1A9057


@dataclass
class Batch:
    """Rows for one transaction; ``size`` is about the bytes of their texts."""

    items: list[Item] = field(default_factory=list)
    size: int = 0

    @property
    def rows(self) -> int:
        return len(self.items)

    def add(self, item: Item) -> None:
        self.items.append(item)
        self.size += len(item.raw if isinstance(item, Reject) else item.row.raw)


@dataclass
class Counts:
    """What a batch did; rows = accepted + duplicate + rejected."""

    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    problems_created: int = 0
    traces_created: int = 0
    references_filled: int = 0
    reference_conflicts: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, int]:
        counts: dict[str, int] = asdict(self)
        del counts["reasons"]
        return counts


def write_batch(source: Source, file: InputFile, items: list[Item]) -> Counts:
    """Store a batch of one file inside the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK, source.project_id])
    writer = _Writer(source, file)
    writer.rejects([item for item in items if isinstance(item, Reject)])
    writer.rows([item for item in items if isinstance(item, Converted)])
    return writer.counts


@dataclass
class _Entry:
    """One problem of one row, with the hash of its text and, later, its stored row."""

    row: Converted
    record: ProblemRecord
    norm: str
    problem: Problem | None = None

    @property
    def stored(self) -> Problem:
        assert self.problem is not None
        return self.problem


class _Writer:
    def __init__(self, source: Source, file: InputFile) -> None:
        self.source, self.file, self.counts = source, file, Counts()
        self.fresh: set[int] = set()  # rows that brought something, by identity
        # What a row says about traces that were there before it: (line, problem) -> evidence.
        self.evidence: dict[tuple[int, int], list[Row]] = {}

    def rejects(self, rejects: list[Reject]) -> None:
        self.counts.rejected = len(rejects)
        self.counts.reasons = Counter(reject.reason for reject in rejects)
        lines = [reject.line for reject in rejects]
        known = set(self._here(ImportReject).filter(line__in=lines).values_list("line", flat=True))
        room = {reason: self._room(reason) for reason in self.counts.reasons}
        missing: dict[int, Row] = {}
        for reject in rejects:
            if reject.line in known or reject.line in missing or room[reject.reason] <= 0:
                continue
            room[reject.reason] -= 1
            missing[reject.line] = self._reject(reject)
        copy_rows(ImportReject, list(missing.values()))

    def _room(self, reason: str) -> int:
        """How many more rows of this reason the source keeps the text of."""
        most = int(settings.IMPORT_REJECTS_KEPT)
        kept = ImportReject.objects.filter(source_id=self.source.pk, reason=reason)
        return most - len(kept.values_list("pk", flat=True)[:most])

    def rows(self, rows: list[Converted]) -> None:
        entries = [
            _Entry(row, record, norm_hash(record.text)) for row in rows for record in row.problems
        ]
        self._problems(entries)
        self._references(entries)
        self._traces(entries)
        self._occurrences(entries)
        self.counts.accepted = sum(id(row) in self.fresh for row in rows)
        self.counts.duplicate = len(rows) - self.counts.accepted

    def _here(self, model: Any) -> Any:
        """Rows of a table that came from this file of this source."""
        return model.objects.filter(**self._place())

    def _place(self) -> Row:
        return {
            "source_id": self.source.pk,
            "file": self.file.name,
            "file_sha256": self.file.sha256,
        }

    def _reject(self, reject: Reject) -> Row:
        return self._place() | {
            "line": reject.line,
            "byte_offset": reject.byte_offset,
            "reason": reject.reason,
            "detail": _storable(reject.detail),
            "raw": reject.raw,
            "raw_sha256": reject.raw_sha256,
        }

    def _problems(self, entries: list[_Entry]) -> None:
        """Find or make the problem of each entry."""
        first: dict[str, _Entry] = {}  # in the order of the file, and so are the new ids
        for entry in entries:
            first.setdefault(entry.norm, entry)
        known = self._known_problems(first)
        missing = [norm for norm in first if norm not in known]
        if missing:
            copy_rows(Problem, [_problem(self.source, first[norm]) for norm in missing])
            known |= self._known_problems(missing)
            self.fresh |= {id(first[norm].row) for norm in missing}
            self.counts.problems_created = len(missing)
        for entry in entries:
            entry.problem = known[entry.norm]

    def _known_problems(self, norms: Any) -> dict[str, Problem]:
        found = Problem.objects.filter(
            project_id=self.source.project_id, norm_sha256__in=list(norms)
        ).only("id", "norm_sha256", "reference_answer", "reference_solution")
        return {problem.norm_sha256: problem for problem in found}

    def _references(self, entries: list[_Entry]) -> None:
        """Give a problem without a reference the first one that a row has."""
        filled: dict[int, Problem] = {}
        for entry in entries:
            for name in ("reference_answer", "reference_solution"):
                given = getattr(entry.record, name)
                if given is not None and getattr(entry.stored, name) is None:
                    setattr(entry.stored, name, given)
                    filled[entry.stored.pk] = entry.stored
                    self.counts.references_filled += name == "reference_answer"
        fields = ["reference_answer", "reference_solution"]
        Problem.objects.bulk_update(filled.values(), fields, batch_size=200)

    def _occurrences(self, entries: list[_Entry]) -> None:
        lines = {entry.row.row.line for entry in entries}
        stored = self._here(ProblemOccurrence).filter(line__in=lines)
        known = set(stored.values_list("line", "problem_id"))
        missing: dict[tuple[int, int], Row] = {}
        for entry in entries:
            key = (entry.row.row.line, entry.stored.pk)
            if key not in known and key not in missing:
                missing[key] = self._occurrence(entry)
        copy_rows(ProblemOccurrence, list(missing.values()))

    def _occurrence(self, entry: _Entry) -> Row:
        given, kept = entry.record.reference_answer, entry.stored.reference_answer
        conflict = given is not None and kept is not None and not same_reference(kept, given)
        self.counts.reference_conflicts += conflict
        return self._place() | {
            "problem_id": entry.stored.pk,
            "line": entry.row.row.line,
            "byte_offset": entry.row.row.byte_offset,
            "reference_answer": given,
            "metadata": self._occurrence_metadata(entry, conflict),
        }

    def _occurrence_metadata(self, entry: _Entry, conflict: bool) -> Row:
        evidence = self.evidence.get((entry.row.row.line, entry.stored.pk))
        return (
            entry.record.metadata
            | ({"reference_conflict": True} if conflict else {})
            | ({"evidence_on_known_traces": evidence} if evidence else {})
        )

    def _traces(self, entries: list[_Entry]) -> None:
        """Make the traces that are not there; keep what rows say about those that are."""
        wanted = [
            (entry, identity, record)
            for entry in entries
            for identity, record in _identities(entry.record.traces)
        ]
        known = _known_traces(wanted)
        missing: list[Row] = []
        for entry, identity, record in wanted:
            key = (entry.stored.pk, identity)
            if key in known:
                self._note_evidence(entry, identity, record)
                continue
            known.add(key)
            missing.append(_trace(self.source, entry.stored, identity, record))
            self.fresh.add(id(entry.row))
        copy_rows(Trace, missing)
        self.counts.traces_created = len(missing)

    def _note_evidence(self, entry: _Entry, identity: str, record: TraceRecord) -> None:
        if record.upstream:
            key = (entry.row.row.line, entry.stored.pk)
            told = {"identity": identity, "upstream": record.upstream}
            self.evidence.setdefault(key, []).append(told)


def _known_traces(wanted: list[tuple[_Entry, str, TraceRecord]]) -> set[tuple[int, str]]:
    """Which of the wanted (problem, identity) pairs are stored."""
    found = Trace.objects.filter(
        problem_id__in={entry.stored.pk for entry, _, _ in wanted},
        identity__in={identity for _, identity, _ in wanted},
    )
    return set(found.values_list("problem_id", "identity"))


def _problem(source: Source, entry: _Entry) -> Row:
    record = entry.record
    return {
        "project_id": source.project_id,
        "source_id": source.pk,
        "text": record.text,
        "text_sha256": sha256(record.text),
        "norm_sha256": entry.norm,
        "kind": record.kind,
        "category": _short(record.metadata.get("category"), 64),
        "language": _short(record.metadata.get("language"), 16),
        "reference_answer": record.reference_answer,
        "reference_solution": record.reference_solution,
        "choices": record.choices,
        "tests": record.tests,
        "metadata": record.metadata,
        "char_count": len(record.text),
        "search_text": search_words(record.text),
    }


def _identities(traces: tuple[TraceRecord, ...]) -> list[tuple[str, TraceRecord]]:
    """Each trace of a row with its identity; equal ones are numbered copies."""
    copies: Counter[tuple[str, str]] = Counter()
    result = []
    for trace in traces:
        key = (trace.model, sha256(trace.text))
        result.append((import_identity(*key, copies[key]), trace))
        copies[key] += 1
    return result


def _trace(source: Source, problem: Problem, identity: str, record: TraceRecord) -> Row:
    return text_fields(record.text) | {
        "project_id": source.project_id,
        "problem_id": problem.pk,
        "source_id": source.pk,
        "origin": Trace.Origin.IMPORTED.value,
        "identity": identity,
        "model": record.model,
        "messages": record.messages,
        "sample_no": record.sample_no,
        "finish_reason": record.finish_reason,
        "truncated": record.finish_reason in CUT_OFF,
        "upstream": record.upstream,
        "metadata": record.metadata,
    }


def _short(value: Any, longest: int) -> str:
    """A label, or "" where the value is no text or too long for the column."""
    return value if isinstance(value, str) and len(value) <= longest else ""


def _storable(text: str) -> str:
    """Text about a bad row, without what PostgreSQL cannot hold."""
    return text.replace("\x00", "\\0").encode("utf-8", "backslashreplace").decode()


def copy_rows(model: type[models.Model], rows: list[Row]) -> None:
    """Insert rows, given as values by column, with COPY; what a row lacks is the field's default.

    Several times as fast as objects and INSERT. A row that breaks a constraint fails the
    transaction. Primary keys are given by the database.
    """
    if not rows:
        return
    fields = [f for f in model._meta.concrete_fields if not f.primary_key]
    quote = connection.ops.quote_name
    columns = ", ".join(quote(str(field.column)) for field in fields)
    readers = [(f.attname, _default(f), isinstance(f, models.JSONField)) for f in fields]
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {quote(model._meta.db_table)} ({columns}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row(
                [_column(row.get(name, kept), is_json) for name, kept, is_json in readers]
            )


def _default(field: models.Field[Any, Any]) -> Any:
    return timezone.now() if getattr(field, "auto_now_add", False) else field.get_default()


def _column(value: Any, is_json: bool) -> Any:
    return json.dumps(value) if is_json and value is not None else value
