"""Traces: columns that follow from the text, identities, and derived traces."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

TEXT = "<think>\nTry 𝑥=2.\r\n\r\nWait, again: 𝑥=2 e\u0301.\n</think>\n\nIt is 2 \U0001f600."


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_ranges_are_code_points_of_the_text_as_it_is() -> None:
    from curation.traces import text_fields

    fields = text_fields(TEXT)
    reasoning = TEXT[fields["reasoning_start"] : fields["reasoning_end"]]
    assert reasoning.strip() == "Try 𝑥=2.\r\n\r\nWait, again: 𝑥=2 e\u0301."
    answer = TEXT[fields["answer_start"] : fields["answer_end"]]
    assert answer.strip() == "It is 2 \U0001f600."
    assert (fields["char_count"], fields["text_sha256"]) == (len(TEXT), sha(TEXT))
    assert fields["text"] == TEXT


def test_a_text_without_tags_has_an_answer_and_no_reasoning() -> None:
    from curation.traces import text_fields

    fields = text_fields("It is 2.")
    assert (fields["reasoning_start"], fields["reasoning_end"]) == (None, None)
    assert (fields["answer_start"], fields["answer_end"]) == (0, 8)


def test_reasoning_that_never_ends_has_no_answer() -> None:
    from curation.traces import text_fields

    fields = text_fields("<think>\non and on")
    assert fields["reasoning_closed"] is False
    assert (fields["answer_start"], fields["answer_end"]) == (None, None)


def test_identities_tell_apart_what_differs() -> None:
    from curation.traces import derived_identity, import_identity

    found = {
        import_identity("m", "t", 0),
        import_identity("m", "t", 1),
        import_identity("mt", "", 0),
        import_identity("", "mt", 0),
        derived_identity(1, [(0, 5)]),
        derived_identity(1, [(0, 4)]),
        derived_identity(2, [(0, 5)]),
    }
    assert len(found) == 7
    assert import_identity("m", "t", 0) == import_identity("m", "t", 0)


@pytest.fixture
def trace(project: Any) -> Any:
    from curation.models import Problem, Source, Trace
    from curation.traces import text_fields

    source = Source.objects.create(project=project, name="made")
    problem = Problem.objects.create(
        project=project, source=source, text="q", text_sha256=sha("q"), norm_sha256=sha("q")
    )
    return Trace.objects.create(
        project=project,
        problem=problem,
        source=source,
        origin="imported",
        identity=sha("1"),
        model="m",
        messages=[{"role": "user", "content": "q"}],
        upstream={"score": True},
        **text_fields(TEXT),
    )


def cut(start: int, end: int, **more: Any) -> dict[str, Any]:
    quoted = sha(TEXT[start:end])
    return {"start": start, "end": end, "reason": "repeats", "quote_sha256": quoted} | more


def test_a_derived_trace_keeps_its_parent_and_what_was_kept(trace: Any) -> None:
    from curation.traces import derive

    start = TEXT.index("Wait")
    end = TEXT.index("</think>")
    derived = derive(trace, [cut(start, end)])
    assert derived.kept_ranges == [[0, start], [end, len(TEXT)]]
    pieces = [TEXT[a:b] for a, b in derived.kept_ranges]
    rebuilt = "".join(pieces)
    for position, text in derived.insertions:
        rebuilt = rebuilt[:position] + text + rebuilt[position:]
    assert derived.text == rebuilt
    assert "Wait" not in derived.text
    assert (derived.parent_id, derived.origin, derived.model) == (trace.pk, "derived", "m")
    assert derived.text[derived.answer_start : derived.answer_end].strip() == "It is 2 \U0001f600."
    assert derived.metadata["cuts"][0]["reason"] == "repeats"
    assert derived.upstream == {}
    assert derived.text_sha256 == sha(derived.text)


def test_deriving_the_same_again_returns_the_same_row(trace: Any) -> None:
    from curation.models import Trace
    from curation.traces import derive

    first = derive(trace, [cut(8, 12), cut(14, 16)])
    again = derive(trace, [cut(14, 16, reason="other words"), cut(8, 12)])
    assert again.pk == first.pk
    assert Trace.objects.count() == 2


def test_the_parent_is_not_touched(trace: Any) -> None:
    from curation.models import Trace
    from curation.traces import derive

    before = Trace.objects.filter(pk=trace.pk).values().get()
    derive(trace, [cut(8, 12)])
    assert Trace.objects.filter(pk=trace.pk).values().get() == before


@pytest.mark.parametrize(
    "cuts",
    [
        [],
        [{"start": 8, "end": 12, "quote_sha256": "0" * 64}],
        [{"start": 8, "end": 8}],
        [{"start": 8, "end": 10_000}],
        [{"start": -3, "end": 5}],
        [{"start": 8, "end": 12}, {"start": 11, "end": 14}],
    ],
)
def test_cuts_that_do_not_belong_to_the_text_are_refused(
    trace: Any, cuts: list[dict[str, Any]]
) -> None:
    from curation.models import Trace
    from curation.traces import BadCuts, derive

    with pytest.raises(BadCuts):
        derive(trace, cuts)
    assert Trace.objects.count() == 1
