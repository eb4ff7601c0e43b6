"""Problems are found by their words: a column of words and an index over it."""

from typing import Any

from django.db import migrations

import curation.models.problem
from curation.textsearch import search_words

BATCH = 500


def fill(apps: Any, schema_editor: Any) -> None:
    """Make the words of the problems that are there."""
    model = apps.get_model("curation", "Problem")
    after = 0
    while block := list(model.objects.filter(pk__gt=after).order_by("pk").only("text")[:BATCH]):
        for row in block:
            row.search_text = search_words(row.text)
        model.objects.bulk_update(block, ["search_text"])
        after = block[-1].pk


class Migration(migrations.Migration):
    dependencies = [("curation", "0005_structure")]
    # An index cannot be made in a transaction that changed its table's rows.
    atomic = False

    operations = [
        migrations.AlterField(
            "problem", "search_text", curation.models.problem.WordsField(blank=True)
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.RunSQL(
            "CREATE INDEX IF NOT EXISTS problem_words ON curation_problem USING gin"
            " (array_to_tsvector(string_to_array(search_text, ' ')))",
            "DROP INDEX IF EXISTS problem_words",
        ),
    ]
