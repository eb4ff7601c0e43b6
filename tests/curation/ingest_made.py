"""Rows to import and what the tables say afterwards, for the tests of the import job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TABLES = ("source", "sourcefile", "problem", "problemoccurrence", "trace", "importreject")
THINK = "<think>\nTry {n}.\n</think>\n\n{n}"


def dump() -> dict[str, Any]:
    """Every column of every domain table, and where the id sequences stand."""
    from django.db import connection

    found: dict[str, Any] = {}
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"SELECT t::text FROM curation_{table} t ORDER BY id")
            rows = [row[0] for row in cursor.fetchall()]
            cursor.execute(f"SELECT last_value FROM curation_{table}_id_seq")
            found[table] = (rows, cursor.fetchone())
    return found


def contents() -> dict[str, list[Any]]:
    """What the tables say, without ids and times."""
    from curation.models import ImportReject, Problem, ProblemOccurrence, SourceFile, Trace

    models = (ImportReject, Problem, ProblemOccurrence, SourceFile, Trace)
    return {model.__name__: sorted(map(_content, model.objects.all())) for model in models}


def _content(row: Any) -> str:
    skipped = ("id", "created_at", "source_id", "problem_id", "project_id", "search_text")
    values = {k: str(v) for k, v in vars(row).items() if k not in skipped and k != "_state"}
    return json.dumps(values, sort_keys=True)


def write(path: Path, *rows: Any) -> Path:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(line + "\n" for line in lines))
    return path


def row(number: int, *answers: str, **more: Any) -> dict[str, Any]:
    texts = list(answers) or [THINK.format(n=number)]
    return {"question": f"What is {number}?", "gt": str(number), "generations": texts, **more}


def adds_up(counts: dict[str, Any]) -> bool:
    whole = counts["rows"] == counts["accepted"] + counts["duplicate"] + counts["rejected"]
    return whole and sum(counts["reject_reasons"].values()) == counts["rejected"]
