"""Fixtures that several test files of this folder share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.fakes.openai_server import ScriptedServer


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A teacher's server that answers as its script says."""
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def import_path(run_job: Callable[..., Any]) -> Callable[..., Any]:
    """Import a file or folder in this process: import_path(path, name, **params) -> Job."""

    def run(path: Path, name: str = "made", **params: Any) -> Any:
        from curation.ingest import run_import

        return run_job(run_import, "import", path=str(path), name=name, **params)

    return run


@pytest.fixture
def world(project: Any, user: Any, tmp_path: Path) -> Any:
    """A small project in which every page has something to show: a views_world.World."""
    from tests.curation import views_world

    return views_world.build(project, user, tmp_path)


@pytest.fixture
def owner(client: Client, user: Any) -> Client:
    """A browser in which the owner of the project is logged in."""
    client.force_login(user)
    return client
