"""The interpreter tree of the sandbox is built whole, found, and reached from private folders."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from curation.sandbox import tree
from curation.sandbox.bwrap import SandboxUnavailable
from workers.services import sandbox_tree


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A tree of the right shape that holds nothing."""
    root = tmp_path / "private" / "sandbox"
    (root / "bin").mkdir(parents=True)
    (root / "lib").mkdir()
    (root / "bin" / "python3").write_text("#!/bin/sh\n")
    (root / "bin" / "python3").chmod(0o111)
    (root / tree.STAMP).write_text("3.11 abcdef\n")
    return root


def find() -> tree.Tree:
    return tree.find_tree.__wrapped__()


def test_the_tree_is_named_by_a_variable_or_lies_beside_the_packages(
    monkeypatch: pytest.MonkeyPatch, made: Path
) -> None:
    monkeypatch.delenv(tree.VARIABLE, raising=False)
    assert tree.default_root().name == "sandbox"
    monkeypatch.setenv(tree.VARIABLE, str(made))
    monkeypatch.setattr(tree, "_reachable", lambda root: True)
    found = find()
    assert (found.root, found.version, found.fingerprint) == (made, "3.11", "abcdef")
    assert found.packages == "/opt/python/lib/python3.11/site-packages"


@pytest.mark.parametrize("stamp", [None, "", "one", "1 2 3"])
def test_without_a_whole_tree_there_is_no_sandbox(
    monkeypatch: pytest.MonkeyPatch, made: Path, stamp: str | None
) -> None:
    monkeypatch.setenv(tree.VARIABLE, str(made))
    if stamp is None:
        (made / tree.STAMP).unlink()
    else:
        (made / tree.STAMP).write_text(stamp)
    with pytest.raises(SandboxUnavailable, match="make install"):
        find()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root works for another user")
def test_a_tree_in_a_private_folder_is_copied_once_to_where_the_user_can_go(
    monkeypatch: pytest.MonkeyPatch, made: Path
) -> None:
    made.parent.chmod(0o700)
    with tempfile.TemporaryDirectory(prefix="whittle-moved-", dir="/tmp") as name:
        with_access = Path(name)
        with_access.chmod(0o755)
        monkeypatch.setattr(tree, "RELOCATED", with_access)
        monkeypatch.setenv(tree.VARIABLE, str(made))
        found = find()
        assert found.root.parent == with_access
        assert (found.root / "bin" / "python3").stat().st_mode & 0o777 == 0o111
        assert find().root == found.root
        assert len(list(with_access.iterdir())) == 1
        assert made.parent.stat().st_mode & 0o777 == 0o700


def test_a_tree_is_built_again_only_when_something_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    target = tmp_path / "sandbox"
    monkeypatch.setattr("sys.argv", ["sandbox_tree.py", str(target)])
    built: list[Path] = []
    monkeypatch.setattr(sandbox_tree, "build", built.append)
    assert sandbox_tree.main() == 0
    assert sandbox_tree.main() == 0
    assert len(built) == 1
    assert sandbox_tree.current(target) == sandbox_tree.fingerprint()
    (target / sandbox_tree.STAMP).write_text("3.11 older\n")
    assert sandbox_tree.main() == 0
    assert len(built) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["sandbox"]


def test_a_build_that_fails_leaves_the_old_tree_and_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "sandbox"
    target.mkdir()
    (target / sandbox_tree.STAMP).write_text("3.11 older\n")
    monkeypatch.setattr("sys.argv", ["sandbox_tree.py", str(target)])

    def fail(root: Path) -> None:
        raise OSError("no space")

    monkeypatch.setattr(sandbox_tree, "build", fail)
    assert sandbox_tree.main() == 1
    assert "no space" in capsys.readouterr().err
    assert sandbox_tree.current(target) == "older"
    assert [path.name for path in tmp_path.iterdir()] == ["sandbox"]


def test_the_trees_interpreter_can_be_run_and_not_read() -> None:
    try:
        found = tree.find_tree()
    except SandboxUnavailable as problem:
        pytest.skip(str(problem))
    assert (found.root / "bin" / "python3").stat().st_mode & 0o777 == 0o111
    names = {path.name for path in (found.root / "lib").glob("python*/site-packages/*")}
    assert {"numpy", "pytest", "coverage"} <= names
    assert not {"django", "celery"} & names
