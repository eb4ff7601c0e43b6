"""Search over problems: by words, and by meaning where embeddings exist."""

from __future__ import annotations

from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

from curation import textsearch
from curation.models import Problem
from curation.search import embed_query

# As in the index problem_words of the migration.
HAS_WORDS = "array_to_tsvector(string_to_array(curation_problem.search_text, ' ')) @@ %s::tsquery"


def by_words(rows: QuerySet[Problem], words: str) -> QuerySet[Problem]:
    """Problems whose text has words that begin like every one of these."""
    asked = textsearch.query(words)
    if not asked:
        return rows.none()
    return rows.filter(RawSQL(HAS_WORDS, [asked], output_field=BooleanField()))  # noqa: S611


def by_meaning(rows: QuerySet[Problem], words: str, limit: int) -> tuple[list[Problem], str]:
    """The nearest problems, and a note when there is nothing to compare with."""
    from pgvector.django import CosineDistance

    if not rows.filter(embedding__isnull=False).exists():
        return list(by_words(rows, words)[:limit]), (
            "Nothing here is embedded yet, so this searched by words. Start the job “embed”."
        )
    vector = embed_query(words)
    if vector is None:
        note = "No embedding model is installed, so this searched by words."
        return list(by_words(rows, words)[:limit]), note
    near = rows.filter(embedding__isnull=False).annotate(
        distance=CosineDistance("embedding", vector)
    )
    return list(near.order_by("distance", "pk")[:limit]), ""
