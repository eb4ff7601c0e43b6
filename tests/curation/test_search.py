"""Vectors for problems, with a tiny encoder in the place of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pgvector.django import CosineDistance

from curation import problems, search
from curation.jobs import JobError
from curation.models import Problem, Source
from curation.models.problem import EMBEDDING_DIMENSIONS


def tiny(texts: Sequence[str]) -> list[list[float]]:
    """Counts of letters: near for texts of the same letters."""
    rows = []
    for text in texts:
        row = [0.0] * EMBEDDING_DIMENSIONS
        for char in text.lower():
            row[ord(char) % EMBEDDING_DIMENSIONS] += 1
        rows.append(row)
    return rows


def add(project: Any, *texts: str, source: str = "made") -> None:
    row, _ = Source.objects.get_or_create(project=project, name=source)
    for text in texts:
        Problem.objects.create(
            project=project,
            source=row,
            text=text,
            text_sha256=problems.sha256(text),
            norm_sha256=problems.norm_hash(text),
        )


run_tiny = partial(search.run_embed, encoder=tiny)


def test_every_problem_gets_a_vector_that_finds_it(
    project: Any, run_job: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "BLOCK", 2)
    add(project, "aaab", "bbba", "cccd", "zzzz", "qqq")
    job = run_job(run_tiny, "embed")
    assert job.counts == {"embedded": 5}
    assert job.done == job.total == 5
    nearest = Problem.objects.order_by(CosineDistance("embedding", tiny(["bbb"])[0]))
    assert [row.text for row in nearest[:2]] == ["bbba", "aaab"]


def test_a_second_run_encodes_nothing_again(project: Any, run_job: Callable[..., Any]) -> None:
    add(project, "one", "two")
    run_job(run_tiny, "embed")
    add(project, "three")
    seen: list[str] = []

    def watching(texts: Sequence[str]) -> list[list[float]]:
        seen.extend(texts)
        return tiny(texts)

    assert run_job(partial(search.run_embed, encoder=watching), "embed").counts == {"embedded": 1}
    assert seen == ["three"]


def test_only_the_named_source_is_embedded(project: Any, run_job: Callable[..., Any]) -> None:
    add(project, "one")
    add(project, "two", source="other")
    run_job(run_tiny, "embed", source="other")
    assert [row.text for row in Problem.objects.exclude(embedding=None)] == ["two"]


def test_a_model_of_other_dimensions_fails_with_its_reason(
    project: Any, run_job: Callable[..., Any]
) -> None:
    add(project, "one")
    with pytest.raises(JobError) as error:
        run_job(partial(search.run_embed, encoder=lambda texts: [[1.0, 2.0]]), "embed")
    assert error.value.code == "bad_embedding_model"


def test_a_missing_own_model_is_named_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHITTLE_EMBEDDING_MODEL", str(tmp_path / "none" / "model"))
    with pytest.raises(JobError) as error:
        search.ensure_model()
    assert error.value.code == "no_embedding_model"
    assert list(tmp_path.iterdir()) == []


def test_a_query_has_no_vector_while_there_is_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHITTLE_EMBEDDING_MODEL", str(tmp_path))
    assert search.embed_query("anything") is None


class Model:
    def __init__(self, size: int) -> None:
        self.size = size

    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        assert all(len(text) <= search.MAX_CHARS for text in texts)
        return [[1.0] * self.size for _ in texts]


@pytest.mark.parametrize(("size", "usable"), [(EMBEDDING_DIMENSIONS, True), (3, False)])
def test_a_query_is_encoded_only_by_a_model_that_fits(
    size: int, usable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.safetensors").touch()
    monkeypatch.setenv("WHITTLE_EMBEDDING_MODEL", str(tmp_path))
    monkeypatch.setattr(search, "load", lambda folder: Model(size))
    vector = search.embed_query("x" * 2 * search.MAX_CHARS)
    assert (vector is not None) is usable


def test_the_model_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    def distil(target: Path) -> None:
        target.mkdir()
        (target / "model.safetensors").touch()
        made.append(target)

    monkeypatch.delenv("WHITTLE_EMBEDDING_MODEL", raising=False)
    monkeypatch.setattr(search.paths, "home", lambda: tmp_path)
    monkeypatch.setattr(search, "distil", distil)
    assert search.ensure_model() == search.ensure_model() == search.model_folder()
    assert made == [search.model_folder()]
