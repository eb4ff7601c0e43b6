"""Search by words: which are made, and which problems they find."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from curation import textsearch
from curation.ingest import run_import
from curation.models import Problem, Source
from curation.views.search import by_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is 3.14 + 2?", ["what", "is", "3.14", "2"]),
        (r"\\frac{x}{2}", ["frac", "x", "2"]),
        ("Straße ÉCOLE", ["strasse", "ecole"]),
        ("求和", ["求", "和", "求和"]),
        ("x² ﬁve", ["x", "2", "five"]),
        ("a_b", ["a", "b"]),
        ("", []),
    ],
)
def test_words_are_what_people_would_look_for(text: str, expected: list[str]) -> None:
    assert list(textsearch.words(text)) == expected


@given(st.text(max_size=300))
def test_a_text_is_stored_as_words_and_spaces_alone(text: str) -> None:
    stored = textsearch.search_words(text)
    assert not set(stored) & set("'\\&|!():*\x00")
    assert stored.split() == sorted(set(textsearch.words(text)))


@pytest.mark.django_db
def test_problems_are_found_by_the_beginnings_of_their_words(project: Any) -> None:
    source = Source.objects.create(project=project, name="s")
    texts = [
        "The summation of odd numbers",
        "Find \\\\sqrt{2} in the set",
        "求所有的和。",
        "O'Hara's x & y",
    ]
    Problem.objects.bulk_create(
        Problem(project=project, source=source, text=text, text_sha256=str(n), norm_sha256=str(n))
        for n, text in enumerate(texts)
    )
    for asked, found in [
        ("sum odd", [0]),
        ("SQRT", [1]),
        ("的和", [2]),
        ("和", [2]),
        ("所和", []),
        ("o'hara", [3]),
        ("the", [0, 1]),
        ("& | ! ' :*", []),
    ]:
        rows = by_words(Problem.objects.all(), asked).order_by("pk")
        assert [texts.index(row.text) for row in rows] == found, asked


@pytest.mark.django_db
def test_a_large_table_is_searched_through_its_index(project: Any) -> None:
    plan = by_words(Problem.objects.all(), "odd").query
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        sql, params = plan.sql_with_params()
        cursor.execute("EXPLAIN " + sql, params)
        assert "problem_words" in str(cursor.fetchall())


@pytest.mark.django_db
def test_imported_problems_are_found_by_their_words(
    tmp_path: Path, project: Any, run_job: Callable[..., Any]
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"problem": "How many zebras?", "answer": "3"}\n')
    run_job(run_import, "import", path=str(path), name="a", licence="CC0-1.0")
    assert by_words(Problem.objects.all(), "zebra").count() == 1


@pytest.mark.django_db
def test_a_changed_text_changes_its_words(project: Any) -> None:
    source = Source.objects.create(project=project, name="s")
    row = Problem.objects.create(
        project=project, source=source, text="one", text_sha256="1", norm_sha256="1"
    )
    row.text = "two"
    row.save()
    assert Problem.objects.get().search_text == "two"
    light = Problem.objects.defer("text", "search_text").get()
    light.save()
    assert Problem.objects.get().search_text == "two"
