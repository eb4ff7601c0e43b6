"""Open a file that must be a plain one, whatever stands in its place by now. Pure.

A path is checked and opened at two moments, and a pipe or a device waits or never ends. So each
folder on the way is opened below the one before it, no symbolic link is followed, opening never
waits, and what was opened is looked at once more. Give a resolved path: one without links.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

# What the kernel makes up or drives: no file of anybody's.
KERNEL_FOLDERS = (Path("/proc"), Path("/sys"), Path("/dev"))
_MADE_UP = ("/proc", "/sys")
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC


class NotRegular(OSError):
    """It is a pipe, a socket, a device, a folder, a file of the kernel, or behind a link."""


def open_regular(path: Path) -> BinaryIO:
    """The regular file at ``path``, for reading; never waits, never follows a link.

    Raises NotRegular for anything else, OSError for what cannot be opened at all.
    """
    path = Path(os.path.abspath(path))
    with _folder_above(path) as folder:
        name = path.name or "."
        try:
            # Looked at before it is opened too: opening alone makes some devices act.
            check_regular(path, os.stat(name, dir_fd=folder, follow_symlinks=False))
            handle = os.open(name, _FILE, dir_fd=folder)
        except NotRegular:
            raise
        except OSError as error:
            raise _reason(path, error) from error
    try:
        check_regular(path, os.fstat(handle))
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def check_regular(path: Path, state: os.stat_result) -> None:
    """NotRegular unless ``state`` is that of a plain file outside of the kernel's file systems."""
    if not stat.S_ISREG(state.st_mode) or state.st_dev in kernel_devices():
        raise NotRegular(f"{path.name}: not a regular file")


def open_folder(path: Path) -> int:
    """A descriptor of the folder at ``path``, reached without following a link; close it."""
    path = Path(os.path.abspath(path))
    handle = os.open(path.anchor, _FOLDER)
    try:
        for part in path.parts[1:]:
            above = handle
            try:
                handle = os.open(part, _FOLDER, dir_fd=above)
            finally:
                if handle != above:
                    os.close(above)
    except OSError as error:
        os.close(handle)
        raise _reason(path, error) from error
    return handle


def make_folder(path: Path) -> None:
    """Make ``path`` and the folders above it that are missing; no link is followed or made."""
    path = Path(os.path.abspath(path))
    missing = [each for each in (path, *path.parents) if not os.path.lexists(each)]
    for each in reversed(missing):
        with _folder_above(each) as above:
            try:
                os.mkdir(each.name, dir_fd=above)
            except FileExistsError:  # another process of this copy was first
                continue
    os.close(open_folder(path))


def walk_files(path: Path) -> list[Path]:
    """All that is no folder below ``path``, sorted; hidden folders and links are not entered."""
    found: list[Path] = []
    top = open_folder(path)
    try:
        for folder, folders, names, _ in os.fwalk(".", dir_fd=top):
            folders[:] = [name for name in folders if not name.startswith(".")]
            found += [path / folder / name for name in names]
    finally:
        os.close(top)
    return sorted(found)


@contextmanager
def _folder_above(path: Path) -> Iterator[int]:
    handle = open_folder(path.parent)
    try:
        yield handle
    finally:
        os.close(handle)


def _reason(path: Path, error: OSError) -> OSError:
    """The error itself, or NotRegular when a link (or what is no file) stood in the way."""
    try:
        if path.resolve() != path or not stat.S_ISREG(os.lstat(path).st_mode):
            return NotRegular(f"{path.name}: not a regular file")
    except (OSError, RuntimeError):
        pass
    return error


@lru_cache(maxsize=1)
def kernel_devices() -> frozenset[int]:
    """Device numbers of /proc and /sys, by which they are known wherever they are mounted."""
    root = os.stat("/").st_dev
    present = [os.stat(name).st_dev for name in _MADE_UP if os.path.isdir(name)]
    return frozenset(device for device in present if device != root)
