"""Readers of JSON documents and of CSV: what they give, and the golden reject of each bad input."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from curation.sources.limits import Limits
from tests.curation.sources_reading import read, write


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
