"""The import job on real tables: exact counts, and no second effect."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.curation.ingest_made import adds_up, dump, row, write


def test_each_row_is_accepted_a_duplicate_or_rejected(
    import_path: Callable[..., Any], tmp_path: Path
) -> None:
    from curation.models import ImportReject, Problem, ProblemOccurrence, Trace

    path = write(
        tmp_path / "data.jsonl",
        row(1),
        row(1),  # the same again
        row(1, "another sample"),  # a known problem with a new trace
        {"question": "WHAT  is 1?"},  # the same problem, written otherwise
        '{"question": "half',
        row(2, "a", "a"),  # two equal samples are two traces
        {"question": ""},
        {"question": "\ud800"},
    )
    counts = import_path(path).counts
    assert adds_up(counts)
    assert {name: counts[name] for name in ("rows", "accepted", "duplicate", "rejected")} == {
        "rows": 8,
        "accepted": 3,
        "duplicate": 2,
        "rejected": 3,
    }
    assert counts["reject_reasons"] == {"invalid_json": 1, "no_problem": 1, "surrogate": 1}
    assert (counts["problems_created"], counts["traces_created"]) == (2, 4)
    assert (Problem.objects.count(), Trace.objects.count()) == (2, 4)
    assert ProblemOccurrence.objects.count() == 5
    assert [(r.line, r.reason) for r in ImportReject.objects.order_by("line")] == [
        (5, "invalid_json"),
        (7, "no_problem"),
        (8, "surrogate"),
    ]


def test_the_same_import_again_changes_nothing(
    import_path: Callable[..., Any], tmp_path: Path
) -> None:
    path = write(tmp_path / "a.jsonl", *(row(n, "x", "y") for n in range(30)), "bad", row(3))
    first = import_path(path, licence="MIT").counts
    before = dump()
    second = import_path(path, licence="MIT").counts
    assert dump() == before
    assert adds_up(second)
    assert (second["rows"], second["accepted"], second["duplicate"]) == (32, 0, 31)
    assert second["rejected"] == first["rejected"] == 1
    assert (second["problems_created"], second["traces_created"]) == (0, 0)


def test_a_stored_row_says_where_it_came_from(
    import_path: Callable[..., Any], tmp_path: Path
) -> None:
    from curation.models import ImportReject, ProblemOccurrence, Source, SourceFile

    path = write(tmp_path / "p.jsonl", row(1), "bad", row(2))
    import_path(path, licence="Apache-2.0")
    data = path.read_bytes()
    for found in (*ProblemOccurrence.objects.all(), *ImportReject.objects.all()):
        line = data[found.byte_offset :].split(b"\n")[0]
        assert data.split(b"\n")[found.line - 1] == line
        assert found.file_sha256 == hashlib.sha256(data).hexdigest()
    assert bytes(ImportReject.objects.get().raw) == b"bad\n"
    file = SourceFile.objects.get()
    assert (file.name, file.bytes, file.rows) == ("p.jsonl", len(data), 3)
    source = Source.objects.get()
    assert (source.licence, source.adapter, source.uri) == ("Apache-2.0", "generic", "p.jsonl")
    (way,) = source.mapping["ways"]
    assert {c["column"]: c["role"] for c in way["mapping"]["columns"]} == {
        "question": "problem",
        "generations": "response",
        "gt": "reference_answer",
    }


def test_a_trace_is_stored_as_given_with_its_ranges_and_evidence(
    import_path: Callable[..., Any], tmp_path: Path
) -> None:
    from curation.models import Trace, Verdict

    text = "<think>\r\n𝑥 e\u0301 \U0001f600 \u202e\n</think>\n\n4\t "
    given = row(1, text, model="m", score=[True], finish_reasons=["length"])
    import_path(write(tmp_path / "t.jsonl", given))
    trace = Trace.objects.get()
    assert trace.text == text
    assert (
        text[trace.reasoning_start : trace.reasoning_end].strip() == "𝑥 e\u0301 \U0001f600 \u202e"
    )
    assert (trace.model, trace.truncated, trace.origin) == ("m", True, "imported")
    assert trace.upstream == {"score": True}
    assert not Verdict.objects.exists()


def test_what_a_row_says_about_a_known_trace_is_kept(
    import_path: Callable[..., Any], tmp_path: Path
) -> None:
    from curation.models import ProblemOccurrence, Trace

    import_path(write(tmp_path / "t.jsonl", row(1, "x", score=[True]), row(1, "x", score=[False])))
    trace = Trace.objects.get()
    assert trace.upstream == {"score": True}
    second = ProblemOccurrence.objects.get(line=2)
    assert second.metadata["evidence_on_known_traces"] == [
        {"identity": trace.identity, "upstream": {"score": False}}
    ]


def test_contradicting_references_are_kept_and_shown(
    import_path: Callable[..., Any], project: Any, tmp_path: Path
) -> None:
    from curation.models import Problem
    from curation.problems import conflicting_references

    rows = [{"question": "q?", "gt": answer} for answer in ("27", "27.0", "28", 27)]
    counts = import_path(write(tmp_path / "c.jsonl", *rows)).counts
    assert counts["reference_conflicts"] == 1
    assert Problem.objects.get().reference_answer == "27"
    (found,) = conflicting_references(project)
    assert (found.line, found.reference_answer) == (3, "28")


def test_a_missing_reference_is_filled_by_a_later_row(
    import_path: Callable[..., Any], tmp_path: Path
) -> None:
    from curation.models import Problem

    import_path(write(tmp_path / "a.jsonl", {"question": "q?"}), "one")
    counts = import_path(write(tmp_path / "b.jsonl", {"question": "q?", "gt": "4"}), "two").counts
    assert (counts["references_filled"], counts["duplicate"]) == (1, 1)
    assert Problem.objects.get().reference_answer == "4"


def test_a_problem_of_another_source_is_seen_twice_and_kept_once(
    import_path: Callable[..., Any], tmp_path: Path
) -> None:
    from curation.models import Problem, ProblemOccurrence

    path = write(tmp_path / "a.jsonl", row(1), row(2))
    import_path(path, "one")
    counts = import_path(path, "two").counts
    assert (counts["accepted"], counts["duplicate"]) == (0, 2)
    assert Problem.objects.count() == 2
    assert ProblemOccurrence.objects.count() == 4


def test_projects_do_not_share_problems(import_path: Callable[..., Any], tmp_path: Path) -> None:
    from curation.ingest import run_import
    from curation.jobs import JobContext, Right, claim, create_job
    from curation.models import Job, Problem, Project

    path = write(tmp_path / "a.jsonl", row(1))
    import_path(path)
    other = Project.objects.create(slug="other", name="Other")
    params = {"path": str(path), "name": "made"}
    job = create_job(project=other, kind="import", params=params, right=Right.OPERATOR)
    run_import(JobContext(Job.objects.get(pk=job.pk), claim(job.pk) or 0))
    assert Problem.objects.count() == 2


def test_a_folder_of_several_formats_is_one_source(
    import_path: Callable[..., Any], tmp_path: Path
) -> None:
    import gzip

    import pyarrow as pa
    import pyarrow.parquet as pq
    import zstandard

    (tmp_path / "in").mkdir()
    rows = [row(n) for n in range(5)]
    lines = "".join(json.dumps(r) + "\n" for r in rows).encode()
    (tmp_path / "in" / "a.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "in" / "b.json").write_text(json.dumps([row(n) for n in range(4, 9)]))
    (tmp_path / "in" / "c.jsonl.zst").write_bytes(zstandard.compress(lines + b"oops"))
    (tmp_path / "in" / "d.csv").write_text('question,answer\n"What is 9?",9\nbad\n')
    pq.write_table(pa.Table.from_pylist([row(10)]), tmp_path / "in" / "e.parquet")
    (tmp_path / "in" / "README.md").write_text("no data")
    job = import_path(tmp_path / "in")
    assert adds_up(job.counts)
    assert (job.counts["rows"], job.counts["accepted"]) == (19, 11)
    assert job.counts["reject_reasons"] == {"invalid_json": 1, "column_count": 1}
    assert job.counts["problems_created"] == 11
    messages = " ".join(job.log_lines.values_list("message", flat=True))
    assert "README.md" in messages


def test_a_broken_file_costs_only_itself(import_path: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no parquet")
    write(tmp_path / "b.jsonl", row(1))
    counts = import_path(tmp_path).counts
    assert adds_up(counts)
    assert counts["reject_reasons"] == {"parquet_unreadable": 1}
    assert counts["accepted"] == 1


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"name": ""}, "bad_name"),
        ({"name": "x" * 201}, "bad_name"),
        ({"name": "a\x07b"}, "bad_name"),
        ({"path": ""}, "bad_path"),
        ({"path": "/nowhere/at/all"}, "unreadable"),
        ({"adapter": "no_such"}, "unknown_adapter"),
        ({"mapping": {"problem": 3}}, "bad_params"),
        ({"mapping": {"problem": "q"}, "adapter": "gsm8k"}, "bad_mapping"),
        ({"limits": {"depth": -1}}, "bad_params"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_code_and_nothing_written(
    run_job: Callable[..., Any], tmp_path: Path, params: dict[str, Any], code: str
) -> None:
    from curation.ingest import run_import
    from curation.jobs import JobError
    from curation.models import Source

    path = write(tmp_path / "a.jsonl", row(1))
    given = {"path": str(path), "name": "made"} | params
    with pytest.raises(JobError) as caught:
        run_job(run_import, "import", **given)
    assert caught.value.code == code
    assert not Source.objects.exists()


def test_an_empty_folder_is_told(import_path: Callable[..., Any], tmp_path: Path) -> None:
    from curation.jobs import JobError

    with pytest.raises(JobError, match="no file of a known format"):
        import_path(tmp_path)


def test_a_given_mapping_is_used(import_path: Callable[..., Any], tmp_path: Path) -> None:
    from curation.models import Problem, Source

    path = write(tmp_path / "m.jsonl", {"frage": "q", "antwort": "4", "question": "not this"})
    import_path(path, mapping={"problem": "frage", "reference_answer": "antwort"})
    assert Problem.objects.get().text == "q"
    assert Source.objects.get().mapping["ways"][0]["mapping"]["columns"][0]["column"] == "frage"


REAL = os.environ.get("WHITTLE_REAL_DATA")
# Folder -> rows, problems, traces of the whole import; rejected rows would be listed by reason.
WHOLE = {
    "skythought": (560, 70, 560),
    "gsm8k": (2638, 1319, 5276),
    "thought-anchors": (24, 6, 24),
    "qwen-math-eval": (1070, 1070, 0),
    "olymmath": (200, 200, 0),
    "zeroeval": (1442, 721, 1442),
    "mr-gsm8k": (496, 387, 410),
}


@pytest.mark.skipif(not REAL, reason="WHITTLE_REAL_DATA is not set")
@pytest.mark.parametrize("folder", WHOLE)
def test_a_published_data_set_imports_whole_and_a_second_time_changes_nothing(
    import_path: Callable[..., Any], folder: str
) -> None:
    path = Path(str(REAL)) / folder
    counts = import_path(path, folder).counts
    assert adds_up(counts)
    assert counts["rejected"] == 0
    found = (counts["rows"], counts["problems_created"], counts["traces_created"])
    assert found == WHOLE[folder]
    before = dump()
    again = import_path(path, folder).counts
    assert dump() == before
    assert (again["rows"], again["duplicate"]) == (counts["rows"], counts["rows"])
