"""From a path to rows and records: which files, which adapter, which mapping.

The one entry for an import; everything here is pure, and reads in bounded memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from curation.sources.adapters import ADAPTERS, Adapter, Sample, best, generic
from curation.sources.checks import check_records
from curation.sources.detection import detect
from curation.sources.limits import Limits
from curation.sources.mapping import Mapping
from curation.sources.opening import open_input_file
from curation.sources.readers import InputFile, data_files, fingerprint, read_file, safe_name
from curation.sources.records import BadRow, ProblemRecord, ReadRow, Reject, Row, reject
from curation.sources.strictjson import check_text, parse

SAMPLE_ROWS = 16
MAX_SHAPES = 100  # other sets of columns that are looked at in one file
TEXTS = ("problem", "messages")
# Where the sample is looked for, so that a file of nothing but bad rows is not read twice.
_SAMPLE_READ = 10_000


@dataclass(frozen=True, slots=True)
class Converted:
    """A row and the problems in it."""

    row: ReadRow
    problems: list[ProblemRecord]


Convert = Callable[[ReadRow, str], list[ProblemRecord]]


class Shapes:
    """How rows are read that look unlike those by which the file's adapter was chosen.

    The first rows of a file do not decide for the others: a row whose columns were in no row of the
    sample, and of which the file's mapping finds no problem, is read as a file of rows like it
    would be. ``sampled`` is None where adapter or mapping were given, which then hold for all rows.
    """

    def __init__(self, sampled: frozenset[frozenset[str]] | None, mapping: Mapping | None) -> None:
        self.sampled = sampled
        self.mapping = mapping
        self._found: dict[frozenset[str], tuple[str, Convert] | None] = {}

    def conversion(self, row: Row, file: str) -> Convert | None:
        """The conversion for the columns of this row; None where the file's own one holds."""
        columns = frozenset(row)
        if self.sampled is None or self._is_usual(row, columns):
            return None
        if columns not in self._found:
            if len(self._found) >= MAX_SHAPES:
                return None
            self._found[columns] = self._look(row, file)
        found = self._found[columns]
        return found[1] if found else None

    def ways(self) -> list[tuple[str, str]]:
        """(columns, adapter) of each other shape that was met and could be read."""
        return [
            (", ".join(sorted(columns))[:200], found[0])
            for columns, found in self._found.items()
            if found
        ]

    def _is_usual(self, row: Row, columns: frozenset[str]) -> bool:
        if self.mapping is not None:  # a column of the problem that is there and empty is a bad row
            if not self.mapping.has(*TEXTS):
                return False
            own = {name for role in TEXTS for name in self.mapping.of(role)}
            return any(name.partition(".")[0] in columns or name in columns for name in own)
        return columns in (self.sampled or frozenset())

    def _look(self, row: Row, file: str) -> tuple[str, Convert] | None:
        chosen = best(Sample(file, [row]))
        if chosen is not generic.ADAPTER:
            return chosen.name, chosen.convert
        mapping = detect([row])
        return ("generic", generic.with_mapping(mapping)) if mapping.has(*TEXTS) else None


@dataclass(frozen=True, slots=True)
class Input:
    """One input with the adapter that reads it; ``mapping`` is set for the generic one."""

    file: InputFile
    adapter: Adapter
    mapping: Mapping | None
    convert: Callable[[ReadRow, str], list[ProblemRecord]]
    limits: Limits
    shapes: Shapes = field(default_factory=lambda: Shapes(frozenset(), None))

    def rows(self) -> Iterator[Converted | Reject]:
        """Each row converted, or its reject; nothing is left out."""
        for item in _read(self.file, self.adapter, self.limits):
            yield item if isinstance(item, Reject) else self._converted(item)

    def describe(self) -> Row:
        """Adapter and mapping as JSON, to be shown and kept."""
        shown = {"adapter": self.adapter.name, "about": self.adapter.about}
        return shown | ({"mapping": self.mapping.as_json()} if self.mapping else {})

    def _converted(self, row: ReadRow) -> Converted | Reject:
        try:
            return Converted(row, self._checked(self.convert, row))
        except BadRow as why:
            refused = reject(self.file.name, row.line, row.byte_offset, why, row.raw)
        own = self.shapes.conversion(row.data, self.file.name)
        if own is None:
            return refused
        try:
            return Converted(row, self._checked(own, row))
        except BadRow:
            return refused

    def _checked(self, convert: Convert, row: ReadRow) -> list[ProblemRecord]:
        problems = convert(row, self.file.name)
        check_records(problems)
        return problems


def files(path: Path, adapter: str | None = None) -> list[InputFile]:
    """The inputs under a path, sorted, each with its hash. A missing path raises OSError."""
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    claimed = _claimed(path, adapter)
    if claimed:
        return [_folder(folder, path) for folder in claimed]
    return [fingerprint(file, path) for file in data_files(path)]


def open_input(
    file: InputFile,
    *,
    adapter: str | None = None,
    mapping: Mapping | None = None,
    limits: Limits | None = None,
) -> Input:
    """An input with its adapter: the given one, the one for the mapping, or the surest."""
    limits = limits or Limits()
    if mapping is not None:
        return _generic(file, mapping, limits)
    sample = Sample(file.name, _sample(file, limits))
    chosen = ADAPTERS[adapter] if adapter else best(sample)
    sampled = None if adapter else frozenset(frozenset(row) for row in sample.rows)
    if chosen is generic.ADAPTER:
        detected = detect(sample.rows)
        return _generic(file, detected, limits, Shapes(sampled, detected))
    return Input(file, chosen, None, chosen.convert, limits, Shapes(sampled, None))


def _generic(
    file: InputFile, mapping: Mapping, limits: Limits, shapes: Shapes | None = None
) -> Input:
    convert = generic.with_mapping(mapping)
    shapes = shapes or Shapes(None, mapping)
    return Input(file, generic.ADAPTER, mapping, convert, limits, shapes)


def _claimed(path: Path, adapter: str | None) -> list[Path]:
    """Folders that are one row each, for the given adapter or the first that claims any."""
    candidates = [ADAPTERS[adapter]] if adapter else list(ADAPTERS.values())
    for candidate in candidates:
        folders = candidate.claim(path) if candidate.claim and path.is_dir() else []
        if folders:
            return folders
    return []


def _folder(folder: Path, root: Path) -> InputFile:
    """A claimed folder; its hash is of the names and hashes of its files."""
    digest, size = hashlib.sha256(), 0
    for file in sorted(folder.glob("*.json")):
        part = fingerprint(file, folder)
        digest.update(f"{part.name} {part.sha256}\n".encode())
        size += part.bytes
    return InputFile(folder, safe_name(folder, root), digest.hexdigest(), size, 1)


def _sample(file: InputFile, limits: Limits) -> list[Row]:
    if file.path.is_dir():
        return [{"problem": {}, "base_solution": {}}]
    read = islice(read_file(file.path, file.name, limits), _SAMPLE_READ)
    rows = (item.data for item in read if isinstance(item, ReadRow))
    return list(islice(rows, SAMPLE_ROWS))


def _read(file: InputFile, adapter: Adapter, limits: Limits) -> Iterator[ReadRow | Reject]:
    if file.path.is_dir():
        yield _read_folder(file, adapter, limits)
    else:
        yield from read_file(file.path, file.name, limits)


def _read_folder(file: InputFile, adapter: Adapter, limits: Limits) -> ReadRow | Reject:
    """A claimed folder as one row: the parts' contents under their names."""
    data: Row = {}
    for part in adapter.parts:
        path = file.path / part
        if not path.is_file():
            continue
        raw = b""
        try:
            with open_input_file(path) as stream:
                raw = stream.read(limits.document_bytes + 1)
            if len(raw) > limits.document_bytes:
                raise BadRow("document_too_large", f"{part} is over {limits.document_bytes} bytes")
            data[path.stem] = parse(raw, limits.depth)
            check_text(part)
        except BadRow as why:
            return reject(file.name, 1, 0, BadRow(why.reason, f"{part}: {why.detail}"), raw)
    return ReadRow(1, 0, data, file.name.encode("utf-8", "replace"))
