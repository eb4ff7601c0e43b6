"""Reads one Parquet file in a process of its own and writes its rows as JSON lines.

Run as a script, with the path and the limits as JSON; it imports nothing of the application. The
format lies easily (a few hundred bytes can claim a billion values), so the metadata is checked
first, memory is capped by the kernel, and the parent kills what takes too long.

Values that JSON does not have: NaN and infinities become the words for them, dates ISO 8601,
decimals their digits, and binary values their size and SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import resource
import sys
from typing import Any

BATCH_ROWS = 64
RATIO_FROM = 64 * 2**20
ROW_COST = 64  # bytes that a row counts beside its values; it is work even where it is empty


class Refused(Exception):
    """A file that is not read, with its reason code."""


def main(path: str, limits: dict[str, int]) -> int:
    memory = limits["parquet_memory"]
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        write_rows(path, limits)
    except Refused as why:
        emit({"refused": why.args[0], "detail": why.args[1]})
    except BrokenPipeError:
        return 1
    except MemoryError:
        emit({"refused": "parquet_too_large", "detail": f"needs more than {memory} bytes"})
    except Exception as error:  # pyarrow raises many types for a broken file
        detail = f"{type(error).__name__}: {error}"[:300]
        emit({"refused": "parquet_unreadable", "detail": detail})
    sys.stdout.flush()
    return 0


def write_rows(path: str, limits: dict[str, int]) -> None:
    import pyarrow.parquet as pq

    caution = {
        "thrift_string_size_limit": 64 << 20,
        "thrift_container_size_limit": 1_000_000,
        "page_checksum_verification": True,
    }
    file = pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False, **caution)
    check_metadata(file.metadata, limits)
    emit({"rows": file.metadata.num_rows})
    packed, decoded = os.stat(path).st_size, 0
    for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
        # As written: a dictionary or a run length stands for any number of equal values.
        decoded += write_batch(batch) + batch.num_rows * ROW_COST
        if decoded > RATIO_FROM and decoded / packed > limits["parquet_ratio"]:
            detail = f"decodes to more than {decoded / packed:.0f} times its size"
            raise Refused("unpacked_too_large", detail)


def check_metadata(metadata: Any, limits: dict[str, int]) -> None:
    """Refuse what claims too much, before any page is read."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    claims = {
        "parquet_rows": metadata.num_rows,
        "parquet_columns": metadata.num_columns,
        "parquet_unpacked_bytes": sum(group.total_byte_size for group in groups),
    }
    for name, value in claims.items():
        if value < 0 or value > limits[name]:
            raise Refused("parquet_too_large", f"{name} is {value}; the cap is {limits[name]}")
    if sum(group.num_rows for group in groups) != metadata.num_rows:
        raise Refused("parquet_unreadable", "the row groups do not add up to the rows")


def write_batch(batch: Any) -> int:
    """Write the rows; how many characters they took."""
    try:
        rows = batch.to_pylist()
    except UnicodeDecodeError:
        rows = [one_row(batch, number) for number in range(batch.num_rows)]
    return sum(emit(row if isinstance(row, BadText) else {"row": plain(row)}) for row in rows)


class BadText(dict[str, Any]):
    """A row with a text that is not UTF-8."""


def one_row(batch: Any, number: int) -> Any:
    try:
        return batch.slice(number, 1).to_pylist()[0]
    except UnicodeDecodeError as error:
        return BadText(bad="invalid_utf8", detail=f"{error.reason} at byte {error.start}")


def plain(value: Any) -> Any:
    """The value in terms of JSON."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, bytes):
        return {"binary_bytes": len(value), "sha256": hashlib.sha256(value).hexdigest()}
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def emit(message: dict[str, Any]) -> int:
    return sys.stdout.write(json.dumps(message, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogatepass")  # type: ignore[union-attr]
    sys.exit(main(sys.argv[1], json.loads(sys.argv[2])))
