"""Open a file for reading, unpacking gzip and Zstandard on the way under caps.

The first bytes decide, not the name: a ``.jsonl`` that is packed is unpacked, a ``.gz`` that is
not is read as it is, and an archive of several files is refused.
"""

from __future__ import annotations

import contextlib
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

from curation.regularfiles import NotRegular, open_regular
from curation.sources.limits import MIB, Limits
from curation.sources.records import BadFile

_GZIP, _ZSTD, _PARQUET, _ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1", b"PK\x03\x04"
_XZ, _BZIP = b"\xfd7zXZ\x00", b"BZh"
_READ = 256 * 1024
# The densest block unpacks 4 bytes to 128 KiB, so this many bytes to 32 MiB at the most.
_ZSTD_READ = 1024
_RATIO_FROM = 64 * MIB


def open_input_file(path: Path) -> BinaryIO:
    """An input for reading; BadFile ``not_a_regular_file`` for a pipe, a device or a link.

    All readers open what they read here: opening a pipe would wait for somebody to write.
    """
    try:
        return open_regular(path)
    except NotRegular as error:
        raise BadFile("not_a_regular_file", str(error)) from error


def packing(path: Path) -> str:
    """``gzip``, ``zstd``, ``parquet``, ``archive`` or ``plain``, by the first bytes."""
    with open_input_file(path) as file:
        head = file.read(8)
    if head.startswith(_GZIP):
        return "gzip"
    if head.startswith(_ZSTD):
        return "zstd"
    if head.startswith(_PARQUET):
        return "parquet"
    return "archive" if head.startswith((_ZIP, _XZ, _BZIP)) else "plain"


@contextlib.contextmanager
def unpacked(path: Path, limits: Limits) -> Iterator[IO[bytes]]:
    """The unpacked bytes of a file; BadFile while reading when they break or pass a cap."""
    kind = packing(path)
    if kind == "archive":
        raise BadFile("unsupported_archive", "unpack it first: only .gz and .zst are read")
    with open_input_file(path) as file:
        if kind == "plain":
            yield file
            return
        source = _gunzip(file) if kind == "gzip" else _unzstd(file, limits)
        with io.BufferedReader(_Capped(source, file, limits), _READ) as stream:
            yield stream


class _Capped(io.RawIOBase):
    """Pieces of unpacked bytes as a file, counted against the caps."""

    def __init__(self, pieces: Iterator[bytes], packed: IO[bytes], limits: Limits) -> None:
        self.pieces, self.packed, self.limits = pieces, packed, limits
        self.rest, self.total = b"", 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if not self.rest:
            self.rest = next(self.pieces, b"")
            self._count(len(self.rest))
        size = min(len(buffer), len(self.rest))
        buffer[:size] = self.rest[:size]
        self.rest = self.rest[size:]
        return size

    def _count(self, size: int) -> None:
        self.total += size
        ratio = self.total / max(1, self.packed.tell())
        if self.total > self.limits.unpacked_bytes:
            raise BadFile("unpacked_too_large", f"more than {self.limits.unpacked_bytes} bytes")
        if self.total > _RATIO_FROM and ratio > self.limits.unpacked_ratio:
            raise BadFile("unpacked_too_large", f"unpacks to more than {ratio:.0f} times its size")


def _gunzip(file: IO[bytes]) -> Iterator[bytes]:
    """All members of a gzip file; never more than a piece in memory."""
    unpacker = zlib.decompressobj(wbits=31)
    pending = b""
    while data := pending or file.read(_READ):
        if unpacker.eof:
            if not data.strip(b"\x00"):  # padding behind the last member is allowed
                pending = b""
                continue
            unpacker = zlib.decompressobj(wbits=31)
        try:
            piece = unpacker.decompress(data, _READ)
        except zlib.error as error:
            raise BadFile("broken_compression", f"gzip: {error}") from error
        pending = unpacker.unconsumed_tail or unpacker.unused_data
        if piece:
            yield piece
    if not unpacker.eof:
        raise BadFile("broken_compression", "gzip: the file ends in the middle")


def _unzstd(file: IO[bytes], limits: Limits) -> Iterator[bytes]:
    """All frames of a Zstandard file; small reads bound what one call can unpack to."""
    import zstandard

    factory = zstandard.ZstdDecompressor(max_window_size=2**limits.zstd_window_log)
    unpacker, pending = factory.decompressobj(), b""
    while data := pending or file.read(_ZSTD_READ):
        if unpacker.eof:
            unpacker = factory.decompressobj()
        try:
            piece = unpacker.decompress(data)
        except zstandard.ZstdError as error:
            raise _zstd_error(error, limits) from error
        pending = unpacker.unused_data if unpacker.eof else b""
        if piece:
            yield piece
    if not unpacker.eof:
        raise BadFile("broken_compression", "zstd: the file ends in the middle")


def _zstd_error(error: Exception, limits: Limits) -> BadFile:
    if "too much memory" in str(error):
        hint = f"needs a window above 2**{limits.zstd_window_log}; raise zstd_window_log"
        return BadFile("unpacked_too_large", hint)
    return BadFile("broken_compression", f"zstd: {error}")
