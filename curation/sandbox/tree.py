"""The interpreter that candidates run in: a tree of its own, with pytest, coverage and numpy.

``make install`` builds it into ``.venv/sandbox`` (``workers/services/sandbox_tree.py``): a copy of
the base interpreter and its library, without the application's packages. In the sandbox it stands
read-only under ``INSIDE``. Where root runs the service and the unprivileged user of the sandbox
cannot reach the checkout, it is copied once to ``RELOCATED``; no parent's permissions are changed.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .bwrap import SANDBOX_UID, SandboxUnavailable

INSIDE = "/opt/python"
VARIABLE = "WHITTLE_SANDBOX_TREE"
RELOCATED = Path("/var/lib/whittle")
STAMP = "whittle-tree"


@dataclass(frozen=True, slots=True)
class Tree:
    """Where the tree lies outside, and the version of its interpreter (``3.11``)."""

    root: Path
    version: str
    fingerprint: str

    @property
    def interpreter(self) -> str:
        """Its path inside the sandbox."""
        return f"{INSIDE}/bin/python3"

    @property
    def packages(self) -> str:
        """Its site-packages inside the sandbox."""
        return f"{INSIDE}/lib/python{self.version}/site-packages"

    @property
    def binds(self) -> list[str]:
        """What bwrap is told to show."""
        return ["--ro-bind", str(self.root), INSIDE, "--setenv", "LD_LIBRARY_PATH", f"{INSIDE}/lib"]


def default_root() -> Path:
    """Where ``make install`` puts it; ``WHITTLE_SANDBOX_TREE`` names another folder."""
    given = os.environ.get(VARIABLE)
    return Path(given) if given else Path(sys.prefix) / "sandbox"


@functools.cache
def find_tree() -> Tree:
    """The tree, reachable for the sandbox's user; SandboxUnavailable says how to get one."""
    root = default_root()
    try:
        version, fingerprint = (root / STAMP).read_text().split()
    except (OSError, ValueError):
        raise SandboxUnavailable(
            f"no interpreter tree for candidates in {root}: make install builds it"
        ) from None
    if os.geteuid() == 0 and not _reachable(root):
        root = _relocate(root, fingerprint)
    return Tree(root, version, fingerprint)


def _reachable(root: Path) -> bool:
    """Whether the sandbox's user may enter it, asked of the kernel."""
    done = subprocess.run(
        ["/bin/sh", "-c", 'cd "$1" && test -x bin/python3', "sh", str(root)],
        user=SANDBOX_UID,
        group=SANDBOX_UID,
        extra_groups=[],
        cwd="/",
        check=False,
        capture_output=True,
    )
    return done.returncode == 0


def _relocate(root: Path, fingerprint: str) -> Path:
    """A copy where the sandbox's user can go, made once per fingerprint."""
    name = hashlib.sha256(f"{root} {fingerprint}".encode()).hexdigest()[:16]
    target = RELOCATED / f"sandbox-{name}"
    if (target / STAMP).exists():
        return target
    try:
        RELOCATED.mkdir(parents=True, exist_ok=True, mode=0o755)
        new = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=RELOCATED))
        shutil.copytree(root, new, symlinks=True, dirs_exist_ok=True)
        new.chmod(0o755)
        try:
            new.rename(target)
        except OSError:  # another process was first
            shutil.rmtree(new, ignore_errors=True)
    except OSError as problem:
        raise SandboxUnavailable(
            f"the sandbox's user can enter neither {root} nor {RELOCATED}: {problem.strerror}"
        ) from problem
    if not _reachable(target):
        raise SandboxUnavailable(f"the sandbox's user cannot enter {target}")
    return target
