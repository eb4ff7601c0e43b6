"""Start one program as an unprivileged user, from root, without touching anybody's permissions.

Run by path in an isolated interpreter: ``python -I -S launch.py SPEC`` where SPEC is JSON with
``uid``, ``gid``, ``argv`` and ``binds`` (name -> folder). With ``binds`` the process first gets a
mount namespace of its own in which ``STAGE`` is a small tmpfs holding each folder under its name.
So a user that may not enter the parents of those folders still reaches them, and nobody else
sees a difference.
"""

import ctypes
import json
import os
import sys

STAGE = "/mnt"  # exists on every Linux that follows the file hierarchy standard
CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_PRIVATE, MS_NOSUID, MS_NODEV = 1 << 12, 1 << 14, 1 << 18, 2, 4
PR_SET_NO_NEW_PRIVS = 38
UNSHARE_REFUSED = 78  # exit status that says: no mount namespace here

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        print(f"{what}: {os.strerror(number)}", file=sys.stderr)
        raise SystemExit(UNSHARE_REFUSED)


def mount(source: str, target: str, kind: "bytes | None", flags: int, data: "bytes | None") -> None:
    arguments = os.fsencode(source), os.fsencode(target), kind, ctypes.c_ulong(flags), data
    check(libc.mount(*arguments), f"mount {target}")


def stage(binds: "dict[str, str]") -> None:
    """Show each folder of ``binds`` under ``STAGE``, to this process and its children alone."""
    check(libc.unshare(CLONE_NEWNS), "unshare")
    mount("none", "/", None, MS_REC | MS_PRIVATE, None)
    # Opened before the tmpfs covers STAGE: a folder may lie under it.
    handles = {name: os.open(path, os.O_PATH) for name, path in binds.items()}
    mount("tmpfs", STAGE, b"tmpfs", MS_NOSUID | MS_NODEV, b"size=64k,mode=0755")
    for name, handle in handles.items():
        target = f"{STAGE}/{name}"
        os.makedirs(target)
        mount(f"/proc/self/fd/{handle}", target, None, MS_BIND, None)
        os.close(handle)


def drop(uid: int, gid: int) -> None:
    """Become ``uid`` for good."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def main() -> None:
    spec = json.loads(sys.argv[1])
    if spec["binds"]:
        stage(spec["binds"])
    drop(spec["uid"], spec["gid"])
    os.chdir("/")
    os.execv(spec["argv"][0], spec["argv"])  # noqa: S606 - the point of this file


if __name__ == "__main__":
    main()
