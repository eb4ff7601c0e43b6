"""Build the interpreter tree in which candidates run: ``python workers/services/sandbox_tree.py``.

A copy of the base interpreter and its library, with the packages of ``sandbox-requirements.txt``
and nothing of the application. Made in ``<venv>/sandbox`` (or the folder given), whole or not at
all, and only when something it is made of has changed. The interpreter's file can be executed and
not read: the kernel then lets no process of the sandbox look into the memory of another.
Standard library only. Ends with 0 when the tree is there, 1 with a sentence when it cannot be.
"""

from __future__ import annotations

import compileall
import hashlib
import os
import py_compile
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("sandbox-requirements.txt")
STAMP = "whittle-tree"
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
# Parts of the library that no candidate needs.
LEFT_OUT = (
    "site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "turtledemo",
    "ensurepip", "lib2to3", "__pycache__", f"config-{VERSION}*", "_test*.so", "*.a",
)  # fmt: skip


def main() -> int:
    """Build if needed."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(sys.prefix) / "sandbox"
    wanted = fingerprint()
    if current(target) == wanted:
        return 0
    if sys.platform != "linux":
        print("no sandbox on this system: code cannot be verified", file=sys.stderr)
        return 1
    print(f"building the interpreter tree of the sandbox in {target}", file=sys.stderr)
    target.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=".sandbox-", dir=target.parent))
    try:
        build(new)
        (new / STAMP).write_text(f"{VERSION} {wanted}\n")
        new.chmod(0o755)
        replace(new, target)
    except (OSError, subprocess.CalledProcessError) as problem:
        print(f"the sandbox's interpreter tree could not be built: {problem}", file=sys.stderr)
        print("code cannot be verified, everything else works", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return 0


def fingerprint() -> str:
    """Of everything that decides what the tree holds."""
    parts = [sys.version, sys.base_prefix, REQUIREMENTS.read_text(), Path(__file__).read_text()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def current(target: Path) -> str:
    """The fingerprint of the tree that is there; empty without one."""
    try:
        return (target / STAMP).read_text().split()[1]
    except (OSError, IndexError):
        return ""


def build(root: Path) -> None:
    """Interpreter, library, packages, compiled."""
    library = root / "lib" / f"python{VERSION}"
    source = Path(sysconfig.get_path("stdlib"))
    left_out = shutil.ignore_patterns(*LEFT_OUT)
    shutil.copytree(source, library, symlinks=False, ignore=left_out, ignore_dangling_symlinks=True)
    dynamic = Path(sysconfig.get_config_var("DESTSHARED") or library)
    if not (library / "lib-dynload").exists() and dynamic.exists():
        shutil.copytree(dynamic, library / "lib-dynload")
    for shared in Path(sysconfig.get_config_var("LIBDIR") or "").glob(f"libpython{VERSION}*.so*"):
        shutil.copy2(shared, root / "lib" / shared.name)
    install_packages(library / "site-packages")
    compileall.compile_dir(
        library,
        quiet=2,
        workers=1,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    readable(root)
    install_interpreter(root)


def install_packages(folder: Path) -> None:
    """Into the tree alone; pip's own settings are honoured."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-deps"]
    command += ["--disable-pip-version-check", "--no-compile", "--target", str(folder)]
    subprocess.run([*command, "-r", str(REQUIREMENTS)], check=True)
    shutil.rmtree(folder / "bin", ignore_errors=True)


def install_interpreter(root: Path) -> None:
    """To be executed by all and read by none (see the module)."""
    (root / "bin").mkdir(mode=0o755, exist_ok=True)
    binary = root / "bin" / "python3"
    shutil.copyfile(Path(sys.base_prefix) / "bin" / f"python{VERSION}", binary)
    binary.chmod(0o111)


def readable(root: Path) -> None:
    """Files and folders that every user may read, whatever the umask was."""
    for folder, _, files in os.walk(root):
        os.chmod(folder, 0o755)  # noqa: S103 - the sandbox's user reads it
        for name in files:
            path = Path(folder, name)
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def replace(new: Path, target: Path) -> None:
    """Put the new tree in the place of the old one."""
    old = target.with_name(f".sandbox-old-{os.getpid()}")
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
