"""Where Whittle keeps its state: everything lives under ``WHITTLE_HOME`` (default ``.whittle``)."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# sockaddr_un holds 108 bytes including the closing NUL.
MAX_SOCKET_PATH = 100


def home() -> Path:
    """The state folder; not created here."""
    return Path(os.environ.get("WHITTLE_HOME") or ROOT / ".whittle").resolve()


def run_dir() -> Path:
    """Folder for sockets, ports and pid files of the running copy; made private if missing."""
    path = home() / "run"
    path.mkdir(parents=True, exist_ok=True)
    return path


def socket_path(name: str) -> Path:
    """Path of the UNIX socket ``name``, short enough for the kernel.

    A home in a deep folder would not fit into a socket address, so such a home gets a private
    folder in the system's temporary folder, named by a hash of the home.
    """
    direct = home() / "run" / name
    if len(os.fsencode(direct)) <= MAX_SOCKET_PATH:
        return direct
    digest = hashlib.sha256(os.fsencode(home())).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"whittle-{os.getuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    return folder / name


def content_hash(folder: Path) -> str:
    """16 hex digits over the names and contents of all files of a folder."""
    digest = hashlib.sha256()
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(folder).as_posix()} {content}\n".encode())
    return digest.hexdigest()[:16]


def verifier_socket() -> Path:
    """Socket of the verifier service (``WHITTLE_VERIFIER_SOCKET`` overrides it)."""
    given = os.environ.get("WHITTLE_VERIFIER_SOCKET")
    return Path(given) if given else socket_path("verifier.sock")
