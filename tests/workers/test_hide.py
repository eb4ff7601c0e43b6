"""Parts that need no secret do not see the folder of secrets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from workers.services import hide
from workers.services.ensure import verifier_command
from workers.supervisor import parts

LOOK = (
    "import os, sys; print(os.path.exists(sys.argv[1]), os.listdir(os.path.dirname(sys.argv[1])))"
)


@pytest.fixture
def secret() -> Iterator[Path]:
    # Not below pytest's own folder, which other users may not enter.
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        folder = Path(name) / "secrets"
        folder.mkdir()
        (folder / "services.json").write_text("CANARY")
        yield folder / "services.json"


def run_hidden(
    secret: Path, code: str, user: int | None = None, python: str = sys.executable
) -> str:
    argv = [python, "-c", code, str(secret)]
    spec = json.dumps({"argv": argv, "folders": [str(secret.parent)]})
    result = subprocess.run(
        [python, "-I", "-S", "-", spec],
        input=Path(hide.__file__).read_text(),  # another user may not enter our folders
        capture_output=True,
        text=True,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        timeout=60,
        check=False,
        cwd="/",
    )
    return result.stdout + result.stderr


def skip_where_refused(output: str) -> None:
    if "cannot be hidden" in output:
        pytest.skip(f"this kernel refuses: {output}")


def test_a_hidden_folder_looks_empty_and_is_untouched_outside(secret: Path) -> None:
    output = run_hidden(secret, LOOK)
    skip_where_refused(output)
    assert output == "False []\n"
    assert secret.read_text() == "CANARY"


@pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists("/usr/bin/python3"),
    reason="needs root, to become another user, and a Python that user may run",
)
def test_an_ordinary_user_hides_its_own_folder_too(secret: Path) -> None:
    nobody = 65534
    for path in (secret.parent, secret):
        os.chown(path, nobody, nobody)
    output = run_hidden(secret, LOOK, user=nobody, python="/usr/bin/python3")
    skip_where_refused(output)
    assert output == "False []\n"


def test_a_part_runs_where_the_folder_cannot_be_hidden(secret: Path) -> None:
    spec = json.dumps({"argv": [sys.executable, "-c", "print('runs')"], "folders": ["/proc/self"]})
    command = [sys.executable, "-I", "-S", hide.__file__, spec]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.stdout.endswith("runs\n"), result


def test_each_part_that_needs_no_secret_is_started_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHITTLE_HOME", str(tmp_path))
    needs = {"web", "worker-default", "worker-llm", "beat"}
    hidden = {p.name for p in parts.all_parts() if hide.__file__ in p.command}
    assert hidden == {p.name for p in parts.all_parts()} - needs
    assert hide.__file__ in verifier_command()
    assert str(tmp_path / "secrets") in verifier_command()[-1]
