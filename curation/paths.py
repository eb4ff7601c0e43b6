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


def private_folder(*parts: str) -> Path:
    """A folder under the home, made if missing; it and the home are closed to other users.

    A home that was made by hand or by an older version may be open: it is closed here. One that
    belongs to another user is left alone.
    """
    path = home()
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Started by root, the embedded servers run as another user who may have to pass through
    # (workers.services.placement); what lies in the home is closed in any case.
    close_folder(path, keep=0o011 if os.geteuid() == 0 else 0)
    for part in parts:
        path /= part
        path.mkdir(exist_ok=True, mode=0o700)
        close_folder(path)
    return path


def close_folder(path: Path, keep: int = 0) -> None:
    """Take the permissions of group and others, but those in ``keep``, from a folder of ours."""
    status = path.stat()
    mode = status.st_mode & (0o700 | keep)
    if status.st_mode & 0o777 != mode and status.st_uid == os.geteuid():
        path.chmod(mode)


def run_dir() -> Path:
    """Folder for sockets, ports and pid files of the running copy; private, made if missing."""
    return private_folder("run")


def log_dir() -> Path:
    """Folder of the log files; private, made if missing."""
    return private_folder("log")


def secrets_dir() -> Path:
    """Folder of everything that opens something; parts that need no secret do not see it."""
    return private_folder("secrets")


def open_private(path: Path, flags: int = os.O_CREAT | os.O_APPEND | os.O_WRONLY) -> int:
    """A descriptor of a file that only this user may read and write; made if missing."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    status = os.fstat(descriptor)
    if status.st_mode & 0o077 and status.st_uid == os.geteuid():
        os.fchmod(descriptor, 0o600)
    return descriptor


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
