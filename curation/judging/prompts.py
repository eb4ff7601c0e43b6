"""A project's own judge prompts: stored by version, found by name, never changed."""

from __future__ import annotations

import re
from typing import Any

from django.db import transaction

from curation.judges.prompts import PROMPTS, JudgePrompt
from curation.models import JudgePrompt as StoredPrompt
from curation.models import Project

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


def store_prompt(project: Project, spec: dict[str, Any], user: Any = None) -> StoredPrompt:
    """The stored version of a prompt; the one that is there if nothing changed.

    ``version`` in the specification is ignored: it is the next number. ValueError for anything
    that is no prompt, and for the name of a built-in one.
    """
    given = {name: value for name, value in spec.items() if name != "version"}
    prompt = JudgePrompt.from_dict(given | {"version": 0})
    if not NAME.fullmatch(prompt.name) or prompt.name in PROMPTS:
        raise ValueError("the name is taken by a built-in prompt, or holds more than a-z 0-9 - _")
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)
        mine = StoredPrompt.objects.filter(project=project, name=prompt.name)
        newest = mine.order_by("-version").first()
        same = mine.filter(sha256=prompt.hash).first()
        if same is not None:
            return same
        version = newest.version + 1 if newest else 1
        return StoredPrompt.objects.create(
            project=project,
            name=prompt.name,
            version=version,
            spec=prompt.as_dict() | {"version": version},
            sha256=prompt.hash,
            created_by=user if user is not None and user.is_authenticated else None,
        )
