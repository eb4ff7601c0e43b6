"""What the rules find in real traces, against what is known of them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import pytest

from curation.segmentation import (
    POLICIES,
    Analysis,
    Cut,
    analyse,
    apply_cuts,
    check_derived,
    cuts_of,
)
from curation.segmentation.leaves import LEAF_LIMIT
from curation.segmentation.multiturn import NotDerived, check_turns, multi_turn

DATA = os.environ.get("WHITTLE_REAL_DATA")
pytestmark = [
    pytest.mark.skipif(not DATA, reason="WHITTLE_REAL_DATA is not set"),
    pytest.mark.slow,
]
_DISPLAY = re.compile(r"\\\[.*?\\\]|\$\$.*?\$\$|\\begin\{.*?\\end\{\w+\*?\}|```.*?```", re.DOTALL)
_OPENER = re.compile(r"(?:wait|hmm|but|alternatively|so|and)[,.]?\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Real:
    text: str
    reference: str
    upstream: bool
    analysis: Analysis

    @property
    def usable(self) -> bool:
        split = self.analysis.split
        return self.upstream and split.closed and split.style == "begin_of_thought"


def read() -> Iterator[Real]:
    for path in sorted(Path(DATA or "").glob("skythought/*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            for text, score in zip(row["code"], row["score"], strict=True):
                reference = str(row["gt"])
                yield Real(text, reference, bool(score), analyse(text, reference))


@pytest.fixture(scope="module")
def traces() -> list[Real]:
    return list(read())


def test_all_traces_are_partitioned_into_leaves_below_the_limit(traces: list[Real]) -> None:
    assert len(traces) == 560
    for trace in traces:
        leaves = [trace.text[leaf.start : leaf.end] for leaf in trace.analysis.segments]
        assert "".join(leaves) == trace.text
        assert all(len(leaf) <= LEAF_LIMIT or len(_DISPLAY.sub("", leaf)) <= LEAF_LIMIT
                   for leaf in leaves)  # fmt: skip


def test_the_cut_off_traces_that_loop_are_found_and_enumerations_are_not(
    traces: list[Real],
) -> None:
    tagged = [trace for trace in traces if trace.analysis.split.style == "begin_of_thought"]
    cut_off = [trace for trace in tagged if not trace.analysis.split.closed]
    assert len(cut_off) == 119
    assert sum(trace.analysis.loop is not None for trace in cut_off) == 115
    complete = [trace for trace in tagged if trace.analysis.split.closed]
    assert sum(trace.analysis.loop is not None for trace in complete) <= 3


def test_every_correct_trace_has_a_first_correct_answer(traces: list[Real]) -> None:
    right = [trace for trace in traces if trace.upstream and trace.analysis.split.closed]
    assert len(right) > 300
    assert all(trace.analysis.first_correct is not None for trace in right)


def test_derived_traces_still_state_the_answer_and_keep_the_answer_part(
    traces: list[Real],
) -> None:
    unstated = changed = 0
    for trace in traces:
        cuts = cuts_of(trace.analysis, "after-first-correct") if trace.usable else []
        if not cuts:
            continue
        changed += 1
        text = apply_cuts(trace.text, cuts).text
        after = analyse(text, trace.reference)
        before = trace.analysis.split
        answer = text[after.split.answer_start : after.split.answer_end]
        assert answer == trace.text[before.answer_start : before.answer_end]
        assert after.split.closed
        assert not _OPENER.search(text[: cuts[0].start][-40:])
        assert text.count("\\[") - text.count("\\]") == (
            trace.text.count("\\[") - trace.text.count("\\]")
        )
        first = after.first_correct
        unstated += first is None or first.start >= after.split.reasoning_end
    assert changed > 140
    assert unstated <= 2


def test_what_the_policies_save_is_in_the_known_range(traces: list[Real]) -> None:
    def share(trace: Real, policy: str) -> float:
        cuts = cuts_of(trace.analysis, policy)
        return sum(cut.end - cut.start for cut in cuts) / len(trace.text)

    usable = [trace for trace in traces if trace.usable]
    assert 0.05 < mean(share(trace, "after-first-correct") for trace in usable) < 0.35
    cut_off = [trace for trace in traces if not trace.analysis.split.closed]
    assert mean(share(trace, "loops") for trace in cut_off) > 0.5


def labelled() -> Iterator[tuple[str, str, dict[str, list[int] | None]]]:
    """Traces of the hand check with what the reader marked."""
    labels = json.loads(Path(__file__).with_name("first_correct_labels.json").read_text())
    for label in labels:
        lines = (Path(DATA or "") / "skythought" / label["file"]).read_text("utf-8").splitlines()
        row = json.loads(lines[label["row"]])
        yield row["code"][label["sample"]], str(row["gt"]), label


def leaf_at(analysis: Analysis, position: int) -> int:
    return next(i for i, s in enumerate(analysis.segments) if s.start <= position < s.end)


def test_first_correct_answers_are_those_of_the_hand_check_and_never_earlier() -> None:
    right = late = early = 0
    for text, reference, label in labelled():
        analysis = analyse(text, reference)
        marked = label["first"]
        if marked is None or analysis.first_correct is None:
            continue
        away = analysis.first_correct.leaf - leaf_at(analysis, marked[0])
        right, late, early = right + (abs(away) <= 1), late + (away > 1), early + (away < -1)
    assert (right, late, early) >= (52, 0, 0) and early == 0


def test_other_readers_who_saw_neither_marks_nor_program_marked_the_same_places() -> None:
    for text, reference, label in labelled():
        marked, blind = label["first"], label["blind"]
        assert (marked is None) == (blind is None)
        if marked and blind:
            analysis = analyse(text, reference)
            assert leaf_at(analysis, blind[0]) == leaf_at(analysis, marked[0])


def test_no_derived_trace_of_any_policy_is_broken_and_cutting_everything_is(
    traces: list[Real],
) -> None:
    checked = 0
    for trace in [t for t in traces if t.usable][::4]:
        for policy in POLICIES:
            if cuts := cuts_of(trace.analysis, policy):
                derived = apply_cuts(trace.text, cuts)
                assert check_derived(trace.text, derived, trace.reference) == [], policy
                checked += 1
        split = trace.analysis.split
        everything = apply_cuts(trace.text, [Cut(split.reasoning_start, split.reasoning_end, "")])
        assert check_derived(trace.text, everything, trace.reference)
    assert checked > 150


def test_right_traces_with_several_values_take_the_form_of_turns(traces: list[Real]) -> None:
    made = 0
    for trace in (t for t in traces if t.usable):
        try:
            found = multi_turn(trace.analysis)
        except NotDerived as error:
            assert error.code == "one_turn"
            continue
        made += 1
        assert check_turns(trace.text, found, trace.reference) == []
    assert made >= 120
