"""Start one program that does not see some folders, without touching anybody's permissions.

Run by path in an isolated interpreter: ``python -I -S hide.py SPEC`` where SPEC is JSON with
``argv`` and ``folders``. The process gets a mount namespace of its own (as an ordinary user inside
a user namespace) in which an empty file system lies over each folder. Where the kernel refuses
that, the program runs all the same and the log says that it can read the folders: they stay closed
to other users of the machine.
"""

import ctypes
import json
import os
import sys

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
MS_REC, MS_PRIVATE, MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1 << 14, 1 << 18, 1, 2, 4, 8

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def mount(target: str, kind: "bytes | None", flags: int, data: "bytes | None") -> None:
    check(libc.mount(b"none", os.fsencode(target), kind, ctypes.c_ulong(flags), data))


def enter_namespace() -> None:
    """A mount namespace of our own; an ordinary user needs a user namespace to make one."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        check(libc.unshare(CLONE_NEWNS))
        return
    check(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS))
    maps = {"setgroups": "deny", "uid_map": f"{uid} {uid} 1", "gid_map": f"{gid} {gid} 1"}
    for name, text in maps.items():
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def hide(folders: "list[str]") -> None:
    """Lay an empty read-only file system over each folder, for this process and its children."""
    enter_namespace()
    mount("/", None, MS_REC | MS_PRIVATE, None)
    flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
    for folder in folders:
        mount(folder, b"tmpfs", flags, b"size=4k,mode=0700")


def refusal(folders: "list[str]") -> str:
    """Why the kernel refuses it, tried in a child: a half-made namespace would hinder the part."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            hide(folders)
        except OSError as error:
            os.write(writing, str(error).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        words = pipe.read().decode()
    os.waitpid(child, 0)
    return words


def main() -> None:
    spec = json.loads(sys.argv[1])
    folders = [folder for folder in spec["folders"] if os.path.isdir(folder)]
    if words := refusal(folders):
        print(f"{', '.join(folders)} cannot be hidden from this part: {words}", flush=True)
    else:
        hide(folders)
    os.execv(spec["argv"][0], spec["argv"])  # noqa: S606 - the point of this file


if __name__ == "__main__":
    main()
