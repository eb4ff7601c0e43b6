"""Files that people upload: how large, how many, for how long.

Django spools an upload into ``WHITTLE_HOME/uploads/.incoming`` while it comes in; there its size is
counted, whatever its headers say. It is moved into a folder of its own below the project's, and
deleted once an import has read it, or ``UPLOAD_KEPT_DAYS`` later.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, TemporaryFileUploadHandler
from django.http import HttpRequest
from django.utils.crypto import get_random_string

from curation import paths
from curation.jobs import JobError
from curation.models import Job, Project

SAFE = re.compile(r"[^A-Za-z0-9._-]+")
INCOMING = ".incoming"
# Of a form's other parts, and of somebody who is not signed in.
SMALL = 2**20
# What an upload that nobody imported may be younger than.
HOUR = 3600


class UploadRefused(RequestDataTooBig):
    """An upload over a limit, noticed while it comes in; answered with 413."""

    code = "upload_too_large"


class IncomingFile(TemporaryUploadedFile):
    """Django's temporary file, in the home: /tmp may be small, or memory."""

    def __init__(self, name: Any, content_type: Any, charset: Any, extra: Any = None) -> None:
        file = tempfile.NamedTemporaryFile(dir=incoming(), suffix=".upload")  # noqa: SIM115
        UploadedFile.__init__(self, file, name, content_type, 0, charset, extra)


class MeasuredUploadHandler(TemporaryFileUploadHandler):
    """Spools into the home, and stops at the limit instead of at the end."""

    def __init__(self, request: HttpRequest | None = None) -> None:
        super().__init__(request)
        self.received = 0

    def handle_raw_input(
        self, input_data: Any, META: Any, content_length: int, boundary: Any, encoding: Any = None
    ) -> None:
        """Refuse what says that it is too large before it is read."""
        self.most = self._most()
        if content_length and content_length > self.most + SMALL:
            raise UploadRefused(f"At most {self.most} bytes can be uploaded.")
        incoming().mkdir(parents=True, exist_ok=True, mode=0o700)

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """A file of the form begins."""
        FileUploadHandler.new_file(self, *args, **kwargs)
        self.file = IncomingFile(
            self.file_name, self.content_type, self.charset, self.content_type_extra
        )

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Count what has come, and look at the disk now and then."""
        self.received += len(raw_data)
        trouble = ""
        if self.received > self.most:
            trouble = f"At most {self.most} bytes can be uploaded."
        elif free_bytes() < settings.DISK_RESERVE_BYTES:
            trouble = "The server's disk is nearly full."
        if trouble:
            self.file.close()  # which deletes it
            raise UploadRefused(trouble)
        super().receive_data_chunk(raw_data, start)

    def _most(self) -> int:
        user = getattr(self.request, "user", None)
        return int(settings.UPLOAD_MAX_BYTES) if user and user.is_authenticated else SMALL


def root() -> Path:
    """Where uploads are kept, one folder a project."""
    return paths.home() / "uploads"


def incoming() -> Path:
    """Where uploads are while they come in."""
    return root() / INCOMING


def free_bytes() -> int:
    """Bytes that are left on the disk of the home."""
    return shutil.disk_usage(paths.home()).free


def require_space() -> None:
    """JobError ``disk_full`` where less than the reserve is left."""
    if free_bytes() < settings.DISK_RESERVE_BYTES:
        raise JobError(
            "disk_full",
            f"less than {settings.DISK_RESERVE_BYTES // 2**20} MiB are left on the server's disk; "
            "make room, then start the job again: it goes on where it stopped",
        )


def keep_upload(project: Project, upload: UploadedFile[bytes]) -> Path:
    """Put an upload into a folder of its own; its path. JobError over the project's quota."""
    require_space()
    used, size = used_bytes(project), int(upload.size or 0)
    if used + size > settings.UPLOAD_PROJECT_BYTES:
        raise JobError(
            "upload_quota",
            f"the project's uploads hold {used} bytes; with this one they would be over "
            f"{settings.UPLOAD_PROJECT_BYTES}",
        )
    name = SAFE.sub("_", Path(upload.name or "upload").name).lstrip(".")[-120:] or "upload"
    folder = root() / project.slug / get_random_string(12)
    folder.mkdir(parents=True)
    if isinstance(upload, TemporaryUploadedFile):
        os.replace(upload.temporary_file_path(), folder / name)
    else:
        with (folder / name).open("wb") as file:
            for chunk in upload.chunks():
                file.write(chunk)
    return folder / name


def used_bytes(project: Project) -> int:
    """Bytes that a project's uploads hold now."""
    folder = root() / project.slug
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())


def forget_upload(path: Path) -> None:
    """Delete an upload that was imported; anything that is no upload is left alone."""
    with contextlib.suppress(ValueError):
        parts = path.resolve().relative_to(root().resolve()).parts
        if len(parts) > 1 and parts[0] != INCOMING:
            shutil.rmtree(root() / parts[0] / parts[1], ignore_errors=True)


def sweep_uploads() -> int:
    """Delete uploads that are older than UPLOAD_KEPT_DAYS and in no open job; how many."""
    now, removed = time.time(), 0
    for part in incoming().glob("*"):
        if now - part.lstat().st_mtime > HOUR:
            part.unlink(missing_ok=True)
    for folder in root().glob("*/*"):
        age = now - folder.lstat().st_mtime
        if folder.parent.name == INCOMING or age < settings.UPLOAD_KEPT_DAYS * 86_400:
            continue
        if not _in_use(folder):
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed


def _in_use(folder: Path) -> bool:
    open_jobs = Job.objects.filter(state__in=[Job.State.QUEUED, Job.State.RUNNING])
    return open_jobs.filter(kind="import", params__path__startswith=f"{folder}/").exists()
