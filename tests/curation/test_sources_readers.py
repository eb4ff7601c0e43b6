"""Readers: lines of JSON with the golden reject of each bad line, folders, limits."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.sources.limits import Limits, limits_from
from curation.sources.readers import data_files, fingerprint, other_files, safe_name
from curation.sources.records import RAW_EXCERPT
from tests.curation.sources_reading import GOOD, read, write

# One bad line between two good ones, and the reason it must be refused for.
BAD_LINES = {
    "not json": (b'{"q": "1+1", \n', "invalid_json"),
    "a bare word": (b"question\n", "invalid_json"),
    "an array": (b"[1, 2]\n", "not_an_object"),
    "a string": (b'"just text"\n', "not_an_object"),
    "bytes that are no UTF-8": (b'{"q": "caf\xe9"}\n', "invalid_utf8"),
    "an encoded surrogate": (b'{"q": "\xed\xa0\x80"}\n', "invalid_utf8"),
    "an escaped lone surrogate": (b'{"q": "x \\ud83d y"}\n', "surrogate"),
    "a lone surrogate in a key": (b'{"\\uDC00": 1}\n', "surrogate"),
    "an escaped NUL": (b'{"q": {"deep": ["a\\u0000b"]}}\n', "nul_character"),
    "a NUL in a key": (b'{"a\\u0000": 1}\n', "nul_character"),
    "a raw NUL": (b'{"q": "a\x00b"}\n', "nul_character"),
    "NaN": (b'{"score": NaN}\n', "not_a_number"),
    "Infinity": (b'{"score": -Infinity}\n', "not_a_number"),
    "a number beyond a double": (b'{"score": 1e999}\n', "number_out_of_range"),
    "a key twice": (b'{"q": 1, "q": 2}\n', "duplicate_key"),
    "deep nesting": (b'{"q": ' + b"[" * 30 + b"]" * 30 + b"}\n", "too_deep"),
    "deep nesting never closed": (b"[" * 300 + b"\n", "too_deep"),
    "a row over the cap": (b'{"q": "' + b"x" * 5000 + b'"}\n', "row_too_large"),
    "a byte order mark in the middle": (b'\xef\xbb\xbf{"q": 1}\n', "invalid_json"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_is_refused_with_its_place_and_the_rest_goes_on(
    tmp_path: Path, name: str
) -> None:
    bad, reason = BAD_LINES[name]
    rows, rejects = read(write(tmp_path, "data.jsonl", GOOD + bad + GOOD))
    assert [row.line for row in rows] == [1, 3]
    assert [row.byte_offset for row in rows] == [0, len(GOOD) + len(bad)]
    (reject,) = rejects
    assert (reject.reason, reject.line, reject.byte_offset) == (reason, 2, len(GOOD))
    assert reject.raw == bad[:RAW_EXCERPT]
    assert reject.raw_sha256 == hashlib.sha256(bad).hexdigest()


def test_an_integer_with_more_digits_than_python_converts_is_refused(tmp_path: Path) -> None:
    data = b'{"n": ' + b"7" * 5000 + b"}\n" + GOOD
    rows, rejects = read(write(tmp_path, "n.jsonl", data), Limits())
    assert [reject.reason for reject in rejects] == ["number_out_of_range"]
    assert len(rows) == 1


def test_long_integers_and_decimals_are_kept_as_they_were_written(tmp_path: Path) -> None:
    from curation.sources.strictjson import literal

    long = "9" * 300
    line = f'{{"big": {long}, "price": 1.10, "exact": 27.0, "digits": 0.{"1" * 40}}}\n'
    rows, _ = read(write(tmp_path, "n.jsonl", line.encode()), Limits())
    data = rows[0].data
    assert data["big"] == int(long)
    assert [literal(data[name]) for name in ("price", "exact", "digits")] == [
        "1.10",
        "27.0",
        "0." + "1" * 40,
    ]


def test_a_backslash_before_u0000_is_not_a_nul(tmp_path: Path) -> None:
    rows, rejects = read(write(tmp_path, "a.jsonl", b'{"q": "\\\\u0000 and \\ud83d\\ude00"}\n'))
    assert not rejects
    assert rows[0].data["q"] == "\\u0000 and \U0001f600"


def test_a_byte_order_mark_blank_lines_and_crlf_are_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path, "w.jsonl", b'\xef\xbb\xbf{"q": "a"}\r\n\r\n  \r\n{"q": "b"}\r\n')
    rows, rejects = read(path)
    assert [(row.line, row.byte_offset, row.data["q"]) for row in rows] == [
        (1, 3, "a"),
        (4, 21, "b"),
    ]
    assert not rejects


def test_a_line_separator_inside_a_text_does_not_end_the_row(tmp_path: Path) -> None:
    text = "one\u2028two\u0085three"
    rows, _ = read(write(tmp_path, "u.jsonl", json.dumps({"q": text}, ensure_ascii=False).encode()))
    assert rows[0].data["q"] == text


def test_a_half_last_line_is_refused_and_the_others_are_read(tmp_path: Path) -> None:
    rows, rejects = read(write(tmp_path, "h.jsonl", GOOD + b'{"q": "cut of'))
    assert len(rows) == 1
    assert [(r.reason, r.line, r.byte_offset) for r in rejects] == [("invalid_json", 2, len(GOOD))]


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    for name in ("e.jsonl", "e.json", "e.csv"):
        assert read(write(tmp_path, name, b"")) == ([], [])


def test_utf_16_is_refused_as_a_file(tmp_path: Path) -> None:
    for name in ("u.jsonl", "u.json", "u.csv"):
        rows, rejects = read(write(tmp_path, name, '{"q": 1}\n'.encode("utf-16")))
        assert not rows
        assert [(r.reason, r.line) for r in rejects] == [("not_utf8", 0)]


def test_a_huge_line_is_skipped_without_being_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "huge.jsonl"
    with open(path, "wb") as file:
        file.write(GOOD + b'{"q": "')
        for _ in range(40):
            file.write(b"x" * 2**20)
        file.write(b'"}\n' + GOOD)
    tracemalloc.start()
    rows, rejects = read(path, Limits(row_bytes=2**20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [row.line for row in rows] == [1, 3]
    assert [(r.reason, r.line, r.raw_bytes) for r in rejects] == [
        ("row_too_large", 2, 40 * 2**20 + 10)
    ]
    assert peak < 8 * 2**20


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('ab\\"', max_size=3), inner)
    ),
    max_leaves=12,
)


@given(JSON, st.booleans())
def test_any_storable_value_comes_through_unchanged(value: Any, ascii_only: bool) -> None:
    from curation.sources.strictjson import parse

    found = parse(json.dumps(value, ensure_ascii=ascii_only).encode())
    assert json.dumps(found) == json.dumps(value)


def test_depth_is_checked_in_linear_time_on_unclosed_strings() -> None:
    from curation.sources.records import BadRow
    from curation.sources.strictjson import parse

    with pytest.raises(BadRow, match="invalid_json"):
        parse(b'{"a": "' + b'\\"{' * 200_000)


class TestFolders:
    def test_data_files_are_sorted_and_the_others_are_named(self, tmp_path: Path) -> None:
        for name in ("b.jsonl", "a/z.csv", "a/y.json.gz", "README.md", ".hidden.jsonl"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            write(tmp_path, name, b"")
        (tmp_path / "link.jsonl").symlink_to("/etc/hostname")
        names = [str(path.relative_to(tmp_path)) for path in data_files(tmp_path)]
        assert names == ["a/y.json.gz", "a/z.csv", "b.jsonl"]
        others = [str(path.relative_to(tmp_path)) for path in other_files(tmp_path)]
        assert others == [".hidden.jsonl", "README.md", "link.jsonl"]

    def test_hostile_names_become_text_that_can_be_stored(self, tmp_path: Path) -> None:
        import os

        raw = os.path.join(os.fsencode(tmp_path), b"caf\xe9<img>.jsonl")
        Path(os.fsdecode(raw)).write_bytes(GOOD)
        name = safe_name(Path(os.fsdecode(raw)), tmp_path)
        assert name == "caf\\xe9<img>.jsonl"
        deep = tmp_path
        for _ in range(5):
            deep = deep / ("x" * 200)
        name = safe_name(deep / "a.jsonl", tmp_path)
        assert len(name) <= 400
        assert name != safe_name(deep / "b.jsonl", tmp_path)

    def test_a_fingerprint_counts_the_lines_of_plain_json_lines(self, tmp_path: Path) -> None:
        file = fingerprint(write(tmp_path, "a.jsonl", GOOD + GOOD.rstrip()), tmp_path)
        assert (file.name, file.lines, file.bytes) == ("a.jsonl", 2, 2 * len(GOOD) - 1)
        assert file.sha256 == hashlib.sha256(GOOD + GOOD.rstrip()).hexdigest()
        assert fingerprint(write(tmp_path, "a.csv", GOOD), tmp_path).lines is None

    def test_an_unknown_format_is_told(self, tmp_path: Path) -> None:
        _, rejects = read(write(tmp_path, "a.xlsx", b"x"))
        assert [(r.line, r.reason) for r in rejects] == [(0, "unknown_format")]


def test_limits_are_checked() -> None:
    assert limits_from({"depth": 3}).depth == 3
    assert limits_from(None) == Limits()
    for wrong in ({"deepness": 3}, {"depth": 0}, {"depth": "3"}, {"depth": True}):
        with pytest.raises(ValueError, match="limit"):
            limits_from(wrong)


def test_the_readers_import_no_framework() -> None:
    import subprocess
    import sys

    code = (
        "import sys, curation.sources.plan as p; "
        "bad = {'django', 'celery', 'torch', 'pyarrow', 'zstandard'} & set(sys.modules); "
        "sys.exit(repr(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
