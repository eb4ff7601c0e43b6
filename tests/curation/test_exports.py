"""Exports as files: formats, manifest, verify_export, and what faults may leave. No database."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from curation.exports import files as export_files
from curation.exports.formats import DEFAULT_FORMAT, FORMATS
from curation.exports.manifest import canonical_json, export_id, verify_export
from curation.exports.records import Completion, ExportError, ExportRecord
from curation.exports.writers import PARTIAL, Written, sweep, write_export
from curation.selection.presets import PRESETS

TEXT = "<think>\nadd 𝑥 and é\r\nso 4\u2028🙂\n</think>\n\n\\boxed{4}"
ALL_FORMATS = sorted(FORMATS)


def completion(number: int, text: str = TEXT) -> Completion:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Completion(number, text, digest, model="teacher", sample_no=number % 8)


def records(count: int, kind: str = "sft") -> Iterator[ExportRecord]:
    for n in range(count):
        yield ExportRecord(
            problem_id=n,
            problem_sha256=f"{n:064x}",
            prompt=({"role": "user", "content": f"What is {n} + 4?"},),
            chosen=completion(n, TEXT + str(n)),
            rejected=completion(1000 + n, f"<think>hm</think> {n}") if kind == "dpo" else None,
            source="made",
            licence="CC0-1.0",
        )


def facts(rows: int, kind: str = "sft") -> dict[str, Any]:
    preset = {"sft": "sft-verified", "dpo": "dpo-correct-incorrect"}[kind]
    return {
        "recipe": PRESETS[preset].to_dict(),
        "selection_sha256": "a" * 64,
        "counts": {"candidates": 3 * rows, "selected": rows, "rows": rows},
        "exclusions": {"incorrect": 2 * rows},
        "verifiers": [{"name": "math", "version": "1", "verdicts": rows}],
        "licences": {"CC0-1.0": rows},
    }


def export(parent: Path, rows: int = 5, form: str = "trl_sft", **options: Any) -> Written:
    kind = FORMATS[form].kind
    return write_export(parent, records(rows, kind), FORMATS[form], facts(rows, kind), **options)


def lines(written: Written, name: str = "data/train-00000-of-00001.jsonl") -> list[Any]:
    return [json.loads(line) for line in (written.folder / name).read_bytes().split(b"\n")[:-1]]


@pytest.mark.parametrize("form", ALL_FORMATS)
def test_each_format_gives_a_whole_export_that_verifies(tmp_path: Path, form: str) -> None:
    written = export(tmp_path, form=form)
    assert verify_export(written.folder) == []
    assert written.folder.name == written.id == export_id(manifest_bytes(written))
    assert [p.name for p in tmp_path.iterdir()] == [written.id]


def manifest_bytes(written: Written) -> bytes:
    return (written.folder / "manifest.json").read_bytes()


@pytest.mark.parametrize("form", ALL_FORMATS)
def test_the_same_selection_gives_the_same_bytes_anywhere(tmp_path: Path, form: str) -> None:
    one, two = export(tmp_path / "one", form=form), export(tmp_path / "two", form=form)
    assert one.id == two.id
    for entry in one.files:
        assert (one.folder / entry.path).read_bytes() == (two.folder / entry.path).read_bytes()


def _reversed(value: Any) -> Any:
    """The same JSON with every object's keys in another order, as a database may give them."""
    if isinstance(value, dict):
        return {k: _reversed(value[k]) for k in reversed(value)}
    return [_reversed(v) for v in value] if isinstance(value, list) else value


def test_the_order_of_keys_in_what_was_stored_does_not_change_the_id(tmp_path: Path) -> None:
    other = write_export(tmp_path / "b", records(5), FORMATS["trl_sft"], _reversed(facts(5)))
    assert other.id == export(tmp_path).id


def test_a_second_export_of_the_same_selection_changes_nothing(tmp_path: Path) -> None:
    first = export(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in first.folder.rglob("*")}
    again = export(tmp_path)
    assert (again.id, again.created, first.created) == (first.id, False, True)
    assert before == {p: p.stat().st_mtime_ns for p in first.folder.rglob("*")}


def test_the_manifest_holds_no_clock_host_or_path(tmp_path: Path) -> None:
    manifest = manifest_bytes(export(tmp_path)).decode()
    for secret in (str(tmp_path), os.uname().nodename, time.strftime("%Y-%m-%d")):
        assert secret not in manifest
    names = "counts exclusions files format licences recipe schema_version selection_sha256"
    assert " ".join(json.loads(manifest)) == f"{names} verifiers"


@pytest.mark.parametrize("form", ["trl_dpo", "trl_sft_parquet"])
def test_a_byte_changed_anywhere_fails_verification(tmp_path: Path, form: str) -> None:
    folder = export(tmp_path, 3, form).folder
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        good = path.read_bytes()
        for position in {0, 1, len(good) // 3, len(good) // 2, len(good) - 2, len(good) - 1}:
            changed = bytearray(good)
            changed[position] ^= 1
            path.write_bytes(changed)
            assert verify_export(folder), f"{path.name} at {position}"
        path.write_bytes(good)
    assert verify_export(folder) == []


def test_every_single_byte_of_the_manifest_counts(tmp_path: Path) -> None:
    folder = export(tmp_path, 1).folder
    path = folder / "manifest.json"
    good = path.read_bytes()
    for position in range(len(good)):
        path.write_bytes(good[:position] + bytes([good[position] ^ 32]) + good[position + 1 :])
        assert verify_export(folder), position


@pytest.mark.parametrize("name", ["README.md", "data/train-00000-of-00001.jsonl", "manifest.json"])
def test_a_truncated_or_missing_file_fails_verification(tmp_path: Path, name: str) -> None:
    folder = export(tmp_path).folder
    path = folder / name
    path.write_bytes(path.read_bytes()[:-7])
    assert any(name in problem for problem in verify_export(folder))
    path.unlink()
    assert any("missing" in p for p in verify_export(folder))


def test_a_file_too_many_fails_verification(tmp_path: Path) -> None:
    folder = export(tmp_path).folder
    (folder / "data" / "train-00001-of-00001.jsonl").write_text("{}\n")
    assert verify_export(folder) == ["data/train-00001-of-00001.jsonl: not in the manifest"]


def test_a_file_replaced_by_a_link_fails_verification(tmp_path: Path) -> None:
    folder = export(tmp_path / "out").folder
    data = folder / "data" / "train-00000-of-00001.jsonl"
    data.rename(tmp_path / "elsewhere")
    data.symlink_to(tmp_path / "elsewhere")
    assert verify_export(folder) == ["data/train-00000-of-00001.jsonl: not a plain file"]


def test_a_renamed_folder_verifies_only_against_the_id_it_had(tmp_path: Path) -> None:
    written = export(tmp_path)
    moved = written.folder.rename(tmp_path / "my-favourite")
    assert "not the export's id" in verify_export(moved)[0]
    assert verify_export(moved, written.id) == []


def _forge(folder: Path, **changes: Any) -> Path:
    """A folder whose name does fit its manifest, with ``changes`` in it."""
    path = folder / "manifest.json"
    path.write_bytes(canonical_json({**json.loads(path.read_bytes()), **changes}))
    return folder.rename(folder.parent / export_id(path.read_bytes()))


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "data/../../secret", "", "a\0b"])
def test_a_manifest_cannot_make_verification_read_outside(tmp_path: Path, path: str) -> None:
    entry = {"path": path, "sha256": "0" * 64, "bytes": 1, "rows": None}
    folder = _forge(export(tmp_path).folder, files=[entry])
    assert verify_export(folder) == [f"manifest.json: {path!r} leaves the export's folder"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 99}, "unknown schema_version 99"),
        ({"counts": {"rows": 4}}, "4 rows, but the files hold 5"),
        ({"licences": None}, "licences is missing"),
        ({"files": [{"path": "x"}]}, "has not the keys"),
        ({"files": [1]}, "has not the keys"),
        ({"files": [{"path": 1, "sha256": "", "bytes": 1, "rows": 1}]}, "wrong type"),
        ({"files": [{"path": "x", "sha256": "", "bytes": 1, "rows": 1}] * 2}, "listed twice"),
    ],
)
def test_a_forged_manifest_is_named(tmp_path: Path, changes: Any, message: str) -> None:
    folder = _forge(export(tmp_path).folder, **changes)
    assert any(message in problem for problem in verify_export(folder))


@pytest.mark.parametrize("form", ["trl_sft", "trl_sft_parquet"])
def test_a_wrong_row_count_is_found_even_when_the_hashes_fit(tmp_path: Path, form: str) -> None:
    folder = export(tmp_path, form=form).folder
    entries = json.loads((folder / "manifest.json").read_bytes())["files"]
    for entry in entries:
        if entry["rows"] is not None:
            entry["rows"] = 6
    problems = verify_export(_forge(folder, files=entries, counts={"rows": 6}))
    assert len(problems) == 1
    assert "5 rows, the manifest says 6" in problems[0]


@pytest.mark.parametrize("content", [b"", b"[]", b"not json", b"\xff\xfe", b"9" * 5000])
def test_rubbish_as_a_manifest_is_a_problem_and_no_crash(tmp_path: Path, content: bytes) -> None:
    folder = export(tmp_path).folder
    (folder / "manifest.json").write_bytes(content)
    assert len(verify_export(folder)) >= 2


def test_a_folder_that_is_not_there_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    assert verify_export(tmp_path / "nothing")
    (tmp_path / "file").write_text("x")
    assert verify_export(tmp_path / "file")


def test_texts_come_back_exactly_from_both_containers(tmp_path: Path) -> None:
    wanted = [TEXT + str(n) for n in range(5)]
    rows = lines(export(tmp_path))
    assert [row["messages"][-1]["content"] for row in rows] == wanted
    folder = export(tmp_path, form="trl_sft_parquet").folder
    table = pyarrow.parquet.read_table(next(folder.glob("data/*.parquet"))).to_pylist()
    assert table == rows


def test_rows_carry_their_ids_and_hashes(tmp_path: Path) -> None:
    row = lines(export(tmp_path, form="trl_dpo"))[2]
    assert (row["problem_id"], row["chosen_trace_id"], row["rejected_trace_id"]) == (2, 2, 1002)
    for side in ("chosen", "rejected"):
        text = row[side][0]["content"]
        assert row[f"{side}_trace_sha256"] == hashlib.sha256(text.encode()).hexdigest()


def test_rows_have_the_shapes_that_trainers_document(tmp_path: Path) -> None:
    def turns(value: Any) -> Any:
        return [message["role"] for message in value]

    assert turns(lines(export(tmp_path))[0]["messages"]) == ["user", "assistant"]
    row = lines(export(tmp_path, form="trl_sft_completion"))[0]
    assert (turns(row["prompt"]), turns(row["completion"])) == (["user"], ["assistant"])
    row = lines(export(tmp_path, form="trl_dpo"))[0]
    assert [turns(row[k]) for k in ("prompt", "chosen", "rejected")] == [
        ["user"],
        ["assistant"],
        ["assistant"],
    ]
    assert list(lines(export(tmp_path, form="openai_sft"))[0]) == ["messages"]
    row = lines(export(tmp_path, form="openai_dpo"))[0]
    assert list(row) == ["input", "preferred_output", "non_preferred_output"]


def test_text_parts_are_joined_and_what_has_no_place_is_refused() -> None:
    base = next(records(1))
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]

    def with_prompt(*messages: Any) -> ExportRecord:
        return ExportRecord(1, "0", messages, base.chosen)

    row = FORMATS["trl_sft"].row(with_prompt({"role": "user", "content": parts}))
    assert row["messages"][0] == {"role": "user", "content": "ab"}
    picture = {"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}
    tool = {"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}
    for bad in ((picture,), (tool,), ()):
        with pytest.raises(ExportError):
            FORMATS["trl_sft"].row(with_prompt(*bad))


def test_many_rows_are_split_into_numbered_files(tmp_path: Path) -> None:
    written = export(tmp_path, 7, rows_per_file=3)
    data = [(e.path, e.rows) for e in written.files if e.rows is not None]
    assert data == [(f"data/train-0000{n}-of-00003.jsonl", r) for n, r in enumerate((3, 3, 1))]
    assert verify_export(written.folder) == []


@pytest.mark.parametrize("form", ["trl_sft", "trl_sft_parquet"])
def test_an_empty_selection_is_an_export_too(tmp_path: Path, form: str) -> None:
    assert verify_export(export(tmp_path, 0, form).folder) == []


def test_parquet_is_written_in_groups_of_bounded_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_files, "GROUP_ROWS", 4)
    folder = export(tmp_path, 10, "trl_sft_parquet").folder
    metadata = pyarrow.parquet.ParquetFile(next(folder.glob("data/*"))).metadata
    groups = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
    assert groups == [4, 4, 2]


@pytest.mark.parametrize("declared", [4, 6])
def test_another_number_of_rows_than_frozen_is_an_error(tmp_path: Path, declared: int) -> None:
    with pytest.raises(ExportError):
        write_export(tmp_path, records(5), FORMATS["trl_sft"], facts(declared))
    assert list(tmp_path.iterdir()) == []


def test_a_format_for_pairs_refuses_a_recipe_for_single_traces(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="trl_dpo is for dpo"):
        write_export(tmp_path, records(1), FORMATS["trl_dpo"], facts(1))
    assert all(FORMATS[name].kind == kind for kind, name in DEFAULT_FORMAT.items())


def test_too_little_space_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no space"):
        export(tmp_path, expected_bytes=2**60)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["trl_sft", "trl_sft_parquet"])
def test_a_disk_that_fills_up_leaves_the_old_export_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    old = export(tmp_path, form=form)

    class Full(export_files.HashingFile):
        def write(self, data: Any) -> int:
            if self.size > 500:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(data)

    with monkeypatch.context() as patch:
        patch.setattr(export_files, "HashingFile", Full)
        with pytest.raises(ExportError, match="no space left"):
            export(tmp_path, 50, form)
    assert [p.name for p in tmp_path.iterdir()] == [old.id]
    assert verify_export(old.folder) == []
    assert verify_export(export(tmp_path, 50, form).folder) == []


def test_a_place_that_cannot_be_written_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExportError, match="cannot write"):
        export(tmp_path / "file" / "below")


def test_a_damaged_export_is_set_aside_and_written_again(tmp_path: Path) -> None:
    written = export(tmp_path)
    (written.folder / "README.md").write_text("damage")
    again = export(tmp_path)
    assert (again.id, again.created) == (written.id, True)
    assert verify_export(again.folder) == []
    aside = [p for p in tmp_path.iterdir() if p.name.startswith(".damaged-")]
    assert [(p / "README.md").read_text() for p in aside] == ["damage"]


SLOW_EXPORT = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_exports import FORMATS, facts, records, write_export
def slow():
    for record in records(60):
        print("row", flush=True)
        time.sleep(0.005)
        yield record
write_export(Path({parent!r}), slow(), FORMATS[{form!r}], facts(60), rows_per_file=10)
"""


@pytest.mark.parametrize("form", ["trl_sft", "trl_sft_parquet"])
@pytest.mark.parametrize("after", [1, 25, 60])
def test_a_writer_killed_in_the_middle_leaves_nothing_visible(
    tmp_path: Path, form: str, after: int
) -> None:
    code = SLOW_EXPORT.format(tests=str(Path(__file__).parent), parent=str(tmp_path), form=form)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(after):
            assert process.stdout.readline() == b"row\n"
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    left = list(tmp_path.iterdir())
    assert len(left) == 1
    assert left[0].name.startswith(PARTIAL)
    assert sweep(tmp_path, now=time.time() + 3599) == []
    assert sweep(tmp_path, now=time.time() + 3601) == left
    assert list(tmp_path.iterdir()) == []


def test_the_sweeper_never_touches_a_whole_export(tmp_path: Path) -> None:
    written = export(tmp_path)
    assert sweep(tmp_path, max_age_s=-1) == []
    assert verify_export(written.folder) == []


def test_the_card_cannot_be_broken_by_names_from_users(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    nasty = 'x"\n---\n# <script>| [a](javascript:1)'
    given = facts(2)
    given["recipe"] = {**given["recipe"], "name": nasty, "description": nasty}
    given["licences"] = {nasty: 2}
    written = write_export(tmp_path, records(2), FORMATS["trl_sft"], given)
    _, front, body = (written.folder / "README.md").read_text().split("---\n", 2)
    head = yaml.safe_load(front)
    assert head["pretty_name"] == nasty
    assert head["license"] == "other"
    assert head["configs"][0]["data_files"][0]["path"] == "data/train-*.jsonl"
    assert "<script>" not in body.replace("\\<", "")
    assert "\n# \\<" not in body


def test_the_cards_licence_is_the_one_that_all_rows_have(tmp_path: Path) -> None:
    card = (export(tmp_path).folder / "README.md").read_text()
    assert 'license: "cc0-1.0"' in card
