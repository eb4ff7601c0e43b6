"""As whom, and by which paths, an embedded server runs.

PostgreSQL refuses to run as root, and neither server should. Started by an ordinary user they run
as that user. Started by root they run as an unprivileged account that owns nothing but their own
folders, and those may lie below a folder only root may enter (``/root``, ``mktemp -d``). No
permission of such a parent is changed. Instead, in this order:

1. the account can enter the folders as they are: nothing special;
2. the server gets a mount namespace of its own, in which its folders are shown under ``/mnt``;
3. where namespaces are refused (many containers), others may pass through the home;
4. where a parent of the home stops them too, its folders live under ``/var/lib/whittle``,
   in a folder named by a hash of the home, and ``MOVED.txt`` in the home says so.
"""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from curation import paths
from workers.services import launch
from workers.services.errors import ServiceError

ACCOUNT_VARIABLE = "WHITTLE_SERVICE_USER"
# Not "nobody" first: sandboxed programs run as it, and process limits count per user.
ACCOUNTS = ("daemon", "nobody")
MOVED = "MOVED.txt"
RELOCATED = Path("/var/lib/whittle")


@dataclass(frozen=True)
class Account:
    """A user other than root."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Placement:
    """Where a server's folders are for us (``folders``) and for the server (``seen``)."""

    account: Account | None
    folders: Mapping[str, Path]
    seen: Mapping[str, str]
    binds: Mapping[str, str] = field(default_factory=dict)

    def command(self, argv: list[str]) -> list[str]:
        """The argument list that runs ``argv`` as the account, with the folders in their place."""
        return argv if self.account is None else launch_command(self.account, argv, self.binds)

    def give(self, path: Path) -> None:
        """Make the account the owner of something inside one of its folders."""
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid)


def place(owned: Mapping[str, Path], needed: Mapping[str, Path]) -> Placement:
    """Make the ``owned`` folders (mode 0700) and find a way for the server to reach them all.

    ``needed`` are folders that the server only reads, such as its program files. A name may be a
    relative path: folders that look for each other keep their places.
    """
    folders = {**owned, **needed}
    if os.geteuid() != 0:
        for path in owned.values():
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            if path.stat().st_uid != os.geteuid():
                raise ServiceError(f"{path} belongs to another user: was this home used by root?")
        return Placement(None, folders, _as_they_are(folders))
    account = choose_account(owned)
    _own(owned, account)
    if any((path / MOVED).exists() for path in owned.values()):
        return relocate(account, owned, needed)
    if reachable(account, folders.values()):
        return Placement(account, folders, _as_they_are(folders))
    binds = _as_they_are(folders)
    if can_stage(account, binds):
        return Placement(account, folders, {n: f"{launch.STAGE}/{n}" for n in folders}, binds)
    if open_home(account, folders.values()):
        return Placement(account, folders, _as_they_are(folders))
    return relocate(account, owned, needed)


def open_home(account: Account, folders: Iterable[Path]) -> bool:
    """Let others pass through the home, but not look into it, where that alone is missing."""
    home = paths.home()
    mode = home.stat().st_mode
    home.chmod(mode | 0o011)
    if reachable(account, folders):
        return True
    home.chmod(mode)
    return False


def choose_account(owned: Mapping[str, Path]) -> Account:
    """The owner of folders that already exist, else the first account that this machine has."""
    for path in owned.values():
        if path.exists() and (status := path.stat()).st_uid != 0:
            return Account(status.st_uid, status.st_gid)
    given = os.environ.get(ACCOUNT_VARIABLE)
    for name in (given,) if given else ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid)
    raise ServiceError(
        f"started by root, and there is no user {given or ' or '.join(ACCOUNTS)} to run the "
        f"embedded servers as: name one in {ACCOUNT_VARIABLE}, or start as an ordinary user"
    )


def reachable(account: Account, folders: Iterable[Path]) -> bool:
    """Whether the account may enter each folder, asked of the kernel (so access lists count)."""
    script = 'for folder; do cd "$folder" || exit 1; done'
    result = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *map(str, folders)],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        check=False,
        capture_output=True,
    )
    return bool(result.returncode == 0)


def can_stage(account: Account, binds: Mapping[str, str]) -> bool:
    """Whether this machine lets us give the server a mount namespace."""
    command = launch_command(account, ["/bin/sh", "-c", "true"], binds)
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def launch_command(account: Account, argv: list[str], binds: Mapping[str, str]) -> list[str]:
    """The command line of ``launch.py``."""
    spec = {"uid": account.uid, "gid": account.gid, "argv": argv, "binds": dict(binds)}
    # -I -S: no site-packages, none of the caller's Python variables, 15 ms.
    return [sys.executable, "-I", "-S", launch.__file__, json.dumps(spec)]


def relocate(account: Account, owned: Mapping[str, Path], needed: Mapping[str, Path]) -> Placement:
    """Put the folders where the account can enter, and leave a note in the home."""
    digest = hashlib.sha256(os.fsencode(paths.home())).hexdigest()[:16]
    base = RELOCATED / digest
    base.mkdir(parents=True, exist_ok=True, mode=0o755)
    folders = {name: base / name for name in (*owned, *needed)}
    _own({name: folders[name] for name in owned}, account)
    for name, source in needed.items():
        _copy_once(source, folders[name])
    if not reachable(account, folders.values()):
        raise ServiceError(
            f"the user with id {account.uid} can enter neither {paths.home()} nor {base}: choose a "
            "WHITTLE_HOME that others may enter, or start as an ordinary user"
        )
    for path in owned.values():
        (path / MOVED).write_text(f"The files of this folder are in {base}.\n")
    return Placement(account, folders, _as_they_are(folders))


def _as_they_are(folders: Mapping[str, Path]) -> dict[str, str]:
    return {name: str(path) for name, path in folders.items()}


def _own(folders: Mapping[str, Path], account: Account) -> None:
    for path in folders.values():
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.stat().st_uid == account.uid:
            continue
        try:
            os.chown(path, account.uid, account.gid)
        except OSError as error:
            raise ServiceError(
                f"root cannot give {path} to the user with id {account.uid} ({error.strerror}): "
                "start as an ordinary user, or name outside servers in DATABASE_URL and REDIS_URL"
            ) from error


def _copy_once(source: Path, target: Path) -> None:
    """Copy a program folder; again only when the package was replaced since."""
    stamp = f"{source} {source.stat().st_mtime_ns}"
    note = target.with_suffix(".copied")
    if target.exists() and note.exists() and note.read_text() == stamp:
        return
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    note.write_text(stamp)
