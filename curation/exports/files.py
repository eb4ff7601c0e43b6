"""Writers of one data file each: rows in, a hashed and synced file out. Pure."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any, Protocol

import orjson

from curation.exports.formats.common import Column, Format, Row
from curation.exports.manifest import FileEntry

# A row group of Parquet ends at whichever comes first; both are part of the bytes, so of the id.
GROUP_ROWS = 1_000
GROUP_CHARS = 16_000_000


class HashingFile(io.RawIOBase):
    """A new file that knows the SHA-256 and size of what was written; synced on close."""

    def __init__(self, path: Path) -> None:
        """Create ``path``; it must not exist."""
        super().__init__()
        self._file = path.open("xb", buffering=1024 * 1024)
        self._hash = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: Any) -> int:
        """Write all of ``data``; returns its bytes."""
        view = memoryview(data).cast("B")
        self._file.write(view)
        self._hash.update(view)
        self.size += len(view)
        return len(view)

    def tell(self) -> int:
        """Bytes written so far."""
        return self.size

    def sync(self) -> str:
        """Put everything on the disk and give the SHA-256 in hex."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._hash.hexdigest()

    def close(self) -> None:
        """Close the file; what was not synced may be lost."""
        if not self.closed:
            self._file.close()
        super().close()


class RowWriter(Protocol):
    """One data file being written."""

    def add(self, row: Row) -> None:
        """Append a row."""

    def finish(self, path: str) -> FileEntry:
        """Sync and close; ``path`` is the file's place inside the export."""

    def abandon(self) -> None:
        """Close without finishing; the file is worthless."""


class JsonlWriter:
    """One JSON object a line, keys in the format's order, text as UTF-8."""

    def __init__(self, path: Path, _form: Format) -> None:
        """Create the file."""
        self._sink, self._rows = HashingFile(path), 0

    def add(self, row: Row) -> None:
        """Append a row."""
        self._sink.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
        self._rows += 1

    def finish(self, path: str) -> FileEntry:
        """Sync and close."""
        entry = FileEntry(path, self._sink.sync(), self._sink.size, self._rows)
        self._sink.close()
        return entry

    def abandon(self) -> None:
        """Close without finishing."""
        self._sink.close()


class ParquetWriter:
    """Parquet with zstd, in row groups of bounded size; its bytes depend on rows and version."""

    def __init__(self, path: Path, form: Format) -> None:
        """Create the file with the format's columns."""
        import pyarrow.parquet

        self._sink, self._rows = HashingFile(path), 0
        self._pending: list[Row] = []
        self._chars = 0
        self._schema = _schema(form)
        self._writer = pyarrow.parquet.ParquetWriter(
            self._sink, self._schema, compression="zstd", version="2.6", store_schema=False
        )

    def add(self, row: Row) -> None:
        """Append a row; a full group is written."""
        self._pending.append(row)
        self._chars += _chars(row)
        if len(self._pending) >= GROUP_ROWS or self._chars >= GROUP_CHARS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow

        if self._pending:
            table = pyarrow.Table.from_pylist(self._pending, schema=self._schema)
            self._writer.write_table(table, row_group_size=len(self._pending))
        self._rows += len(self._pending)
        self._pending, self._chars = [], 0

    def finish(self, path: str) -> FileEntry:
        """Write the footer, sync and close."""
        self._flush()
        self._writer.close()
        entry = FileEntry(path, self._sink.sync(), self._sink.size, self._rows)
        self._sink.close()
        return entry

    def abandon(self) -> None:
        """Close without finishing."""
        self._sink.close()


def _chars(value: Any) -> int:
    """Code points of all text in a row."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_chars, value.values()))
    return sum(map(_chars, value)) if isinstance(value, list) else 0


def _schema(form: Format) -> Any:
    import pyarrow

    turn = pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.string())])
    types: dict[Column, Any] = {
        "text": pyarrow.string(),
        "int": pyarrow.int64(),
        "messages": pyarrow.list_(turn),
    }
    return pyarrow.schema([(name, types[column]) for name, column in form.columns.items()])


WRITERS: dict[str, type[JsonlWriter] | type[ParquetWriter]] = {
    "jsonl": JsonlWriter,
    "parquet": ParquetWriter,
}
