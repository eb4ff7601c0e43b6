"""Readers: what each format gives, and the golden reject of each bad input."""

from __future__ import annotations

import gzip
import hashlib
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from curation.sources.limits import Limits, limits_from
from curation.sources.readers import data_files, fingerprint, other_files, read_file, safe_name
from curation.sources.records import RAW_EXCERPT, ReadRow, Reject

SMALL = Limits(row_bytes=400, depth=8)


def read(path: Path, limits: Limits = SMALL) -> tuple[list[ReadRow], list[Reject]]:
    items = list(read_file(path, path.name, limits))
    rows = [item for item in items if isinstance(item, ReadRow)]
    return rows, [item for item in items if isinstance(item, Reject)]


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


GOOD = b'{"q": "1+1", "a": 2}\n'

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


class TestJsonFiles:
    def test_elements_of_an_array_are_rows_with_their_place(self, tmp_path: Path) -> None:
        text = '\n [ {"q": "a]\\"},{"},\n  {"q": [1, {"b": 2}]} ]\n'
        rows, rejects = read(write(tmp_path, "a.json", text.encode()))
        assert not rejects
        assert [row.data["q"] for row in rows] == ['a]"},{', [1, {"b": 2}]]
        assert [row.line for row in rows] == [1, 2]
        for row in rows:
            assert text.encode()[row.byte_offset :].startswith(row.raw)

    def test_a_byte_order_mark_before_the_array_counts_in_the_offset(self, tmp_path: Path) -> None:
        rows, _ = read(write(tmp_path, "a.json", b'\xef\xbb\xbf[{"q": 1}]'))
        assert (rows[0].byte_offset, rows[0].data) == (4, {"q": 1})

    def test_a_bad_element_spoils_only_itself(self, tmp_path: Path) -> None:
        data = b'[{"q": 1}, {"q": NaN}, 7, {"q": 1}}, , {"q": "' + b"y" * 900 + b'"}, {"q": 2}]'
        rows, rejects = read(write(tmp_path, "b.json", data))
        assert [row.data["q"] for row in rows] == [1, 2]
        assert [(reject.line, reject.reason) for reject in rejects] == [
            (2, "not_a_number"),
            (3, "not_an_object"),
            (4, "invalid_json"),
            (5, "invalid_json"),
            (6, "row_too_large"),
        ]

    def test_an_array_that_does_not_end_is_told(self, tmp_path: Path) -> None:
        rows, rejects = read(write(tmp_path, "c.json", b'[{"q": 1}, {"q": "cut'))
        assert len(rows) == 1
        assert [(r.line, r.reason) for r in rejects] == [(2, "invalid_json"), (0, "invalid_json")]

    def test_something_behind_the_array_is_told(self, tmp_path: Path) -> None:
        rows, rejects = read(write(tmp_path, "d.json", b'[{"q": 1}]\n[{"q": 2}]'))
        assert len(rows) == 1
        assert [(r.line, r.reason) for r in rejects] == [(0, "invalid_json")]

    @pytest.mark.parametrize("piece", [1, 2, 3, 7, 64])
    def test_elements_are_the_same_however_the_stream_is_cut(
        self, monkeypatch: pytest.MonkeyPatch, piece: int
    ) -> None:
        import io

        from curation.sources import elements

        values: list[Any] = [{"t": 'a"b\\'}, {"t": "[{]}"}, {"x": [[], {}]}, {"u": "ü\n\U0001f600"}]
        data = json.dumps(values, ensure_ascii=False).encode()
        monkeypatch.setattr(elements, "_PIECE", piece)
        found = list(elements.elements(io.BytesIO(data[1:]), b"[", 1000))
        assert [json.loads(line.data) for line in found] == values
        assert [data[line.offset : line.offset + len(line.data)] for line in found] == [
            line.data for line in found
        ]

    def test_an_element_over_the_cap_is_not_held(self, tmp_path: Path) -> None:
        path = tmp_path / "big.json"
        with open(path, "wb") as file:
            file.write(b'[{"q": 1}, {"q": "')
            for _ in range(40):
                file.write(b"\\n" * 2**19)
            file.write(b'"}, {"q": 2}]')
        tracemalloc.start()
        rows, rejects = read(path, Limits(row_bytes=2**20))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert [row.data["q"] for row in rows] == [1, 2]
        assert [reject.reason for reject in rejects] == ["row_too_large"]
        assert rejects[0].raw_bytes == 40 * 2**20 + len(' {"q": ""}')
        assert peak < 8 * 2**20

    def test_one_document_is_one_row(self, tmp_path: Path) -> None:
        rows, _ = read(write(tmp_path, "p.json", b'{\n "problem": "x",\n "results": [{"a": 1}]\n}'))
        assert [row.data["problem"] for row in rows] == ["x"]

    def test_rows_wrapped_in_a_document_keep_its_other_fields(self, tmp_path: Path) -> None:
        rows, _ = read(write(tmp_path, "w.json", b'{"name": "n", "results": [{"a": 1}, {"a": 2}]}'))
        assert [(row.line, row.data, row.context) for row in rows] == [
            (1, {"a": 1}, {"name": "n"}),
            (2, {"a": 2}, {"name": "n"}),
        ]

    def test_lines_under_the_name_json_are_read_as_lines(self, tmp_path: Path) -> None:
        rows, rejects = read(write(tmp_path, "l.json", b'{"q": 1}\n{"q": 2}\nbad\n'))
        assert [row.data["q"] for row in rows] == [1, 2]
        assert [(r.line, r.reason) for r in rejects] == [(3, "invalid_json")]

    def test_lines_larger_than_a_document_are_still_read(self, tmp_path: Path) -> None:
        data = b"".join(b'{"q": %d}\n' % number for number in range(200))
        rows, rejects = read(write(tmp_path, "l.json", data), Limits(document_bytes=64))
        assert [row.data["q"] for row in rows] == list(range(200))
        assert not rejects

    def test_a_document_over_its_cap_is_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path, "d.json", b'{\n"q": "' + b"x" * 500 + b'"}')
        _, rejects = read(path, Limits(document_bytes=64))
        assert [(r.line, r.reason) for r in rejects] == [(0, "document_too_large")]


class TestCsv:
    def test_quoted_breaks_commas_and_quotes_are_part_of_a_value(self, tmp_path: Path) -> None:
        data = b'question,answer\r\n"a, ""b""\nsecond",1\r\nplain,2\r\n'
        rows, rejects = read(write(tmp_path, "a.csv", data))
        assert not rejects
        assert [row.data for row in rows] == [
            {"question": 'a, "b"\nsecond', "answer": "1"},
            {"question": "plain", "answer": "2"},
        ]
        assert [(row.line, row.byte_offset) for row in rows] == [(2, 17), (4, 38)]

    def test_a_byte_order_mark_is_not_part_of_the_first_column(self, tmp_path: Path) -> None:
        rows, _ = read(write(tmp_path, "b.csv", b"\xef\xbb\xbfq,a\n1,2\n"))
        assert rows[0].data == {"q": "1", "a": "2"}

    @pytest.mark.parametrize("mark", [";", "\t", "|"])
    def test_the_delimiter_is_found(self, tmp_path: Path, mark: str) -> None:
        rows, _ = read(write(tmp_path, "d.csv", f"q{mark}a\nx, y{mark}2\n".encode()))
        assert rows[0].data == {"q": "x, y", "a": "2"}

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            (b"only one\n", "column_count"),
            (b"a,b,c\n", "column_count"),
            (b'"open"tail,b\n', "invalid_csv"),
            (b"caf\xe9,b\n", "invalid_utf8"),
            (b"a\x00b,c\n", "nul_character"),
            (b"x" * 900 + b",b\n", "row_too_large"),
        ],
    )
    def test_a_bad_record_is_refused_and_the_rest_goes_on(
        self, tmp_path: Path, bad: bytes, reason: str
    ) -> None:
        rows, rejects = read(write(tmp_path, "c.csv", b"q,a\n1,2\n" + bad + b"3,4\n"))
        assert [row.data["q"] for row in rows] == ["1", "3"]
        assert [(r.line, r.byte_offset, r.reason) for r in rejects] == [(3, 8, reason)]
        assert rejects[0].raw_sha256 == hashlib.sha256(bad).hexdigest()

    def test_a_quote_that_never_closes_costs_only_its_line(self, tmp_path: Path) -> None:
        rows, rejects = read(write(tmp_path, "o.csv", b'q,a\n"open,1\n2,3\n4,5\n'))
        assert [row.data["q"] for row in rows] == ["2", "4"]
        assert [(r.line, r.reason) for r in rejects] == [(2, "invalid_csv")]

    @pytest.mark.parametrize("header", [b"q,q\n1,2\n", b'"q\n', b",\n1,2\n"])
    def test_a_header_that_names_no_columns_refuses_the_file(
        self, tmp_path: Path, header: bytes
    ) -> None:
        rows, rejects = read(write(tmp_path, "h.csv", header))
        assert not rows
        assert [(r.line, r.reason) for r in rejects] == [(0, "bad_header")]


class TestPacked:
    def test_gzip_and_zstandard_read_as_the_plain_file_does(self, tmp_path: Path) -> None:
        data = GOOD + b"bad\n" + GOOD
        plain = read(write(tmp_path, "x.jsonl", data))[0]
        half = len(data) // 2
        packed = {
            "x.jsonl.gz": gzip.compress(data),
            "two.jsonl.gz": gzip.compress(data[:half]) + gzip.compress(data[half:]),
            "x.jsonl.zst": zstandard.compress(data),
            "two.jsonl.zst": zstandard.compress(data[:half]) + zstandard.compress(data[half:]),
            "named_plain.jsonl": gzip.compress(data),
        }
        for name, content in packed.items():
            rows, rejects = read(write(tmp_path, name, content))
            assert [row.data for row in rows] == [row.data for row in plain], name
            assert [(r.line, r.byte_offset) for r in rejects] == [(2, len(GOOD))], name

    def test_a_plain_file_named_gz_is_read_as_it_is(self, tmp_path: Path) -> None:
        assert len(read(write(tmp_path, "x.jsonl.gz", GOOD))[0]) == 1

    @pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
    def test_a_file_cut_in_the_middle_keeps_its_rows_and_tells(
        self, tmp_path: Path, pack: Any
    ) -> None:
        data = b"".join(b'{"q": "%064d"}\n' % (n * 7919**9) for n in range(30_000))
        packed = pack(data)
        rows, rejects = read(write(tmp_path, "cut.jsonl.packed.jsonl", packed[: len(packed) // 2]))
        assert 0 < len(rows) < 30_000
        assert [(r.line, r.reason) for r in rejects][-1] == (0, "broken_compression")

    def test_damaged_bytes_are_told(self, tmp_path: Path) -> None:
        packed = bytearray(gzip.compress(GOOD * 5000))
        packed[len(packed) // 2] ^= 0xFF
        _, rejects = read(write(tmp_path, "d.jsonl.gz", bytes(packed)))
        assert rejects[-1].reason == "broken_compression"

    @pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
    def test_a_bomb_is_stopped_at_the_cap(self, tmp_path: Path, pack: Any) -> None:
        packed = pack(b" " * 200 * 2**20)
        assert len(packed) < 300_000
        path = write(tmp_path, "bomb.jsonl", packed)
        tracemalloc.start()
        rows, rejects = read(path, Limits(row_bytes=2**20, unpacked_bytes=20 * 2**20))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert not rows
        assert [r.reason for r in rejects] == ["unpacked_too_large"]
        assert peak < 48 * 2**20

    def test_an_unlikely_ratio_is_stopped_before_the_cap(self, tmp_path: Path) -> None:
        path = write(tmp_path, "bomb.jsonl", zstandard.compress(b" " * 100 * 2**20))
        _, rejects = read(path, Limits(row_bytes=2**20))
        assert [r.reason for r in rejects] == ["unpacked_too_large"]
        assert "times its size" in rejects[0].detail

    def test_a_window_that_needs_too_much_memory_names_the_limit(self, tmp_path: Path) -> None:
        parameters = zstandard.ZstdCompressionParameters(window_log=24, enable_ldm=True)
        packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        path = write(tmp_path, "w.jsonl.zst", packer.compress(GOOD) + packer.flush())
        _, rejects = read(path, Limits(zstd_window_log=20))
        assert [r.reason for r in rejects] == ["unpacked_too_large"]
        assert "zstd_window_log" in rejects[0].detail
        assert len(read(path, Limits(zstd_window_log=24))[0]) == 1

    @pytest.mark.parametrize("head", [b"PK\x03\x04rest", b"BZh91AY", b"\xfd7zXZ\x00\x00"])
    def test_other_archives_are_refused(self, tmp_path: Path, head: bytes) -> None:
        _, rejects = read(write(tmp_path, "z.jsonl", head))
        assert [r.reason for r in rejects] == ["unsupported_archive"]


class TestParquet:
    def table(self, path: Path, **columns: list[Any]) -> Path:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table(columns), path)
        return path

    def test_rows_come_with_nested_values(self, tmp_path: Path) -> None:
        turns = [[{"from": "human", "value": "hi 𝑥"}], []]
        path = self.table(tmp_path / "t.parquet", q=["a", None], turns=turns, n=[1, 2**60])
        rows, rejects = read(path)
        assert not rejects
        assert [(row.line, row.byte_offset) for row in rows] == [(1, -1), (2, -1)]
        assert [row.data for row in rows] == [
            {"q": "a", "turns": [{"from": "human", "value": "hi 𝑥"}], "n": 1},
            {"q": None, "turns": [], "n": 2**60},
        ]

    def test_values_that_json_lacks_are_kept_in_words(self, tmp_path: Path) -> None:
        import datetime as dt
        import decimal

        path = self.table(
            tmp_path / "v.parquet",
            f=[float("nan"), float("-inf")],
            b=[b"\xff\x00", None],
            d=[dt.date(2024, 2, 29), None],
            m=[decimal.Decimal("1.50"), None],
        )
        rows, _ = read(path)
        assert [row.data["f"] for row in rows] == ["NaN", "-Infinity"]
        assert rows[0].data["d"] == "2024-02-29"
        assert rows[0].data["m"] == "1.50"
        assert rows[0].data["b"] == {
            "binary_bytes": 2,
            "sha256": hashlib.sha256(b"\xff\x00").hexdigest(),
        }

    def test_a_bad_row_is_refused_and_the_rest_goes_on(self, tmp_path: Path) -> None:
        path = self.table(tmp_path / "r.parquet", q=["a", "b\x00", "x" * 5000, "d"])
        rows, rejects = read(path)
        assert [row.line for row in rows] == [1, 4]
        assert [(r.line, r.reason) for r in rejects] == [(2, "nul_character"), (3, "row_too_large")]

    def test_a_text_that_is_no_utf8_is_refused_alone(self, tmp_path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        raw = pa.array([b"good", b"\xff\xfe", b"fine"], pa.binary())
        bad = pa.StringArray.from_buffers(3, *raw.buffers()[1:])
        pq.write_table(pa.table({"q": bad}), tmp_path / "u.parquet")
        rows, rejects = read(tmp_path / "u.parquet")
        assert [row.data["q"] for row in rows] == ["good", "fine"]
        assert [(r.line, r.reason) for r in rejects] == [(2, "invalid_utf8")]

    def test_a_damaged_file_is_told(self, tmp_path: Path) -> None:
        path = self.table(tmp_path / "d.parquet", q=["a" * 50] * 200)
        data = path.read_bytes()
        for name, content in {
            "cut.parquet": data[: len(data) // 2],
            "footer.parquet": data[:-200] + b"\x00" * 192 + data[-8:],
            "notit.parquet": b"hello",
        }.items():
            rows, rejects = read(write(tmp_path, name, content))
            assert not rows, name
            assert [(r.line, r.reason) for r in rejects] == [(0, "parquet_unreadable")], name

    def test_flipped_bytes_never_take_the_reader_down(self, tmp_path: Path) -> None:
        path = self.table(tmp_path / "f.parquet", q=[f"text {n}" for n in range(50)])
        data = bytearray(path.read_bytes())
        for position in range(5, len(data) - 8, max(1, len(data) // 6)):
            damaged = bytearray(data)
            damaged[position] ^= 0x5A
            rows, rejects = read(write(tmp_path, "g.parquet", bytes(damaged)))
            assert len(rows) == 50 or rejects

    def test_what_the_metadata_claims_is_checked_first(self, tmp_path: Path) -> None:
        path = self.table(tmp_path / "c.parquet", q=["a"] * 100, r=[1] * 100)
        for limits in (
            Limits(parquet_rows=10),
            Limits(parquet_columns=1),
            Limits(parquet_unpacked_bytes=10),
        ):
            rows, rejects = read(path, limits)
            assert not rows
            assert [r.reason for r in rejects] == ["parquet_too_large"]

    def test_the_child_may_not_take_more_memory_than_allowed(self, tmp_path: Path) -> None:
        path = self.table(tmp_path / "m.parquet", q=["a"] * 10)
        rows, rejects = read(path, Limits(parquet_memory=60 * 2**20))
        assert not rows
        assert rejects[0].reason in ("parquet_too_large", "parquet_unreadable")

    def test_no_child_is_left_when_reading_stops_early(self, tmp_path: Path) -> None:
        import psutil

        path = self.table(tmp_path / "e.parquet", q=["a" * 2000] * 5000)
        reader = read_file(path, "e", Limits())
        next(reader)
        reader.close()  # type: ignore[attr-defined]
        assert not [
            child
            for child in psutil.Process().children()
            if "parquet_child" in " ".join(child.cmdline())
        ]


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
