"""Readers of packed files and of Parquet, with bombs, cuts and lies about their size."""

from __future__ import annotations

import gzip
import hashlib
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import zstandard

from curation.sources.limits import Limits
from curation.sources.readers import read_file
from tests.curation.sources_reading import GOOD, read, write


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
