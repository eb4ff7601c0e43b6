"""The last build of a recipe: how long its rows are, from where, how difficult; one read for all.

A frozen selection never changes, so what is read of it is remembered. Of a large one up to
``SAMPLE`` rows are read, evenly spaced.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from django.core.cache import cache

from curation.charts import Bin, Svg, histogram
from curation.models import Export, Project, Selection, SelectionRow
from curation.selection.candidates import Candidate
from curation.selection.queries import BLOCK, candidates_of
from curation.selection.recipe import Recipe

SAMPLE = 1000
BINS = 24
REMEMBERED = 600  # seconds; pass rates may be graded anew
UNKNOWN = "not measured"  # the band of a problem without a pass rate


@dataclass(frozen=True)
class Build:
    """The newest selection of a recipe, and its newest export."""

    selection: int
    rows: int
    made: str  # ISO time
    export: str  # id of its newest export, empty without one
    sources: dict[str, int]
    read: int  # rows that the next three were read from
    unit: str  # "tokens" where all of them are counted, else "chars"
    lengths: list[int] = field(default_factory=list)
    bands: dict[str, int] = field(default_factory=dict)


def last_build(project: Project, recipe: Recipe) -> Build | None:
    """The newest selection by any version of the recipe; None before the first."""
    found = Selection.objects.filter(project=project, recipe__name=recipe.name).order_by("-pk")
    selection = found.first()
    if selection is None:
        return None
    key = f"build:{selection.pk}:{recipe.policy}:{recipe.pass_rate_model}"
    sampled: tuple[str, list[int], dict[str, int]] | None = cache.get(key)
    if sampled is None:
        sampled = sample(selection, recipe)
        cache.set(key, sampled, REMEMBERED)
    unit, lengths, bands = sampled
    export = Export.objects.filter(selection=selection).order_by("-pk").values_list("digest")
    return Build(
        selection=selection.pk,
        rows=selection.selected,
        made=selection.created_at.isoformat(timespec="seconds"),
        export=str((export.first() or [""])[0]),
        sources=dict(selection.summary.get("sources", {})),
        read=len(lengths),
        unit=unit,
        lengths=lengths,
        bands=bands,
    )


def sample(selection: Selection, recipe: Recipe) -> tuple[str, list[int], dict[str, int]]:
    """Unit, lengths and bands of up to ``SAMPLE`` evenly spaced rows (their chosen traces)."""
    step = max(1, -(-selection.selected // SAMPLE))
    places = list(range(0, selection.selected, step))
    rows = SelectionRow.objects.filter(selection=selection, position__in=places)
    wanted = dict(rows.values_list("trace_id", "problem_id"))
    problems = sorted(set(wanted.values()))
    chosen: list[Candidate] = []
    for at in range(0, len(problems), BLOCK):
        block = candidates_of(problems[at : at + BLOCK], recipe)
        chosen += [c for c in block if c.trace_id in wanted]
    counted = [c.tokens for c in chosen if c.tokens is not None]
    all_counted = bool(chosen) and len(counted) == len(chosen)
    lengths = counted if all_counted else [c.chars for c in chosen]
    bands = Counter(band_of(c.pass_rate) for c in chosen)
    return ("tokens" if all_counted else "chars"), lengths, dict(bands)


def band_of(rate: float | None) -> str:
    """The band of a pass rate; the middle one is SwS's, 0.25 to 0.75."""
    if rate is None:
        return UNKNOWN
    if rate in (0.0, 1.0):
        return "0" if rate == 0 else "1"
    if rate < 0.25:
        return "below 0.25"
    return "0.25 to 0.75" if rate <= 0.75 else "above 0.75"


def bins_of(build: Build, most: int = 0) -> list[tuple[int, int, int]]:
    """(from, below, rows) of the lengths, in ``BINS`` equal steps that reach ``most`` too."""
    width = -(-(max([most, *build.lengths]) + 1) // BINS)
    counts = Counter(length // width for length in build.lengths)
    return [(i * width, (i + 1) * width, counts[i]) for i in range(BINS)]


def length_chart(bins: list[tuple[int, int, int]], unit: str, before: int, after: int) -> Svg:
    """The lengths of a build's rows with lines for the trace in hand before and after its cuts."""
    label = f"Lengths of the last build's rows in {unit}; this trace {before:,}"
    marks = [(before, "mark-before")]
    if after != before:
        label += f", without the cuts {after:,}"
        marks.append((after, "mark-after"))
    drawn = [Bin(low, high, count) for low, high, count in bins]
    return histogram(drawn, label, x_label=unit, y_label="rows", css="soft", marks=marks)


def share_after(part: float, rows: int, part_change: int, change: int) -> float:
    """A share once ``change`` rows came, ``part_change`` of them of its kind; 0 without rows."""
    return max(0.0, part + part_change) / (rows + change) if rows + change > 0 else 0.0
