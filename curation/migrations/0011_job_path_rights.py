"""Jobs remember whether a command on the server made them, which may name any path."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("curation", "0010_job_progress")]
    operations = [
        migrations.AddField(
            "job", "operator_paths", models.BooleanField(db_default=False, default=False)
        ),
    ]
