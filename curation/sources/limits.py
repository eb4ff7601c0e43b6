"""How much one import may ask of the machine."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

MIB = 2**20
GIB = 2**30


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps of the readers; sizes in bytes. A job may give its own in ``limits``."""

    row_bytes: int = 16 * MIB
    depth: int = 64
    document_bytes: int = 64 * MIB  # one JSON document that is not an array of rows
    unpacked_bytes: int = 64 * GIB  # of one compressed file
    unpacked_ratio: int = 250  # unpacked / packed, looked at after the first 64 MiB
    zstd_window_log: int = 27  # frames written with --long=31 need 31, and 2 GiB of memory
    parquet_rows: int = 100_000_000
    parquet_columns: int = 2_000
    parquet_unpacked_bytes: int = 64 * GIB
    parquet_memory: int = 4 * GIB  # address space of the child process that reads it
    parquet_ratio: int = 1000  # decoded values / bytes of the file, after the first 64 MiB of them
    parquet_idle_seconds: int = 120  # the child must give the next batch within this time


def limits_from(given: dict[str, Any] | None) -> Limits:
    """Limits with the given ones replaced; ValueError for an unknown name or a bad number."""
    known = {field.name for field in fields(Limits)}
    for name, value in (given or {}).items():
        if name not in known:
            raise ValueError(
                f"there is no limit called {name!r}; known: {', '.join(sorted(known))}"
            )
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            raise ValueError(f"limit {name} must be a whole number above 0, not {value!r}")
    return Limits(**(given or {}))
