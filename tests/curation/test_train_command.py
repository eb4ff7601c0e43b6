"""``manage.py train`` when the copy's own trainer was quicker."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from django.core.management import call_command

from curation.management.commands import train
from curation.models import Export, Recipe, Selection, TrainingRun

pytestmark = pytest.mark.django_db


@pytest.fixture
def export(project: Any, user: Any, monkeypatch: pytest.MonkeyPatch) -> Export:
    for name in ("ensure_services", "ensure_tables"):
        monkeypatch.setattr(train, name, lambda: None)
    monkeypatch.setattr(train, "POLL_SECONDS", 0)
    recipe = Recipe.objects.create(
        project=project, name="r", version=1, spec={}, spec_sha256="0" * 64
    )
    selection = Selection.objects.create(
        project=project, recipe=recipe, sha256="0" * 64, candidates=0, selected=0
    )
    return Export.objects.create(
        project=project, selection=selection, format="trl_sft", digest="a" * 64, path="x",
        manifest={}, rows=0, bytes=0,
    )  # fmt: skip


@pytest.mark.parametrize(("end", "status"), [("done", 0), ("failed", 1), ("cancelled", 1)])
def test_a_run_that_another_trainer_took_is_waited_for(
    export: Export,
    end: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    states = ["running", "running", end]

    def taken(command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess(command, 4)

    def look(run: TrainingRun) -> None:
        run.state = states.pop(0) if states else end

    monkeypatch.setattr(subprocess, "run", taken)
    monkeypatch.setattr(TrainingRun, "refresh_from_db", look)
    with pytest.raises(SystemExit) as ended:
        call_command("train", "aaaa", project="demo", json=True)
    assert ended.value.code == status
    shown = capsys.readouterr()
    assert json.loads(shown.out)["state"] == end
    assert "waiting for its end" in shown.err
