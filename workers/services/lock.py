"""The lock file: which versions this project was tested with.

``lock.py write`` walks from the dependencies in ``pyproject.toml`` through what is installed here
and writes ``requirements.lock``. ``lock.py wanted EXTRA...`` prints the direct dependencies, which
``make install`` hands to pip with the lock as constraints; so one lock serves every choice of
extras. Run by path; needs nothing but the standard library and, to write, ``packaging``.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
LOCKED_EXTRAS = ("demo", "logic", "dev")
# A CUDA build of torch brings its own; a lock that named them would force them on every machine.
GPU_ONLY = re.compile(r"^(nvidia-|cuda-|triton$|pytorch-triton)")
HEADER = """\
# Made by `make lock` from pyproject.toml and an environment in which the tests pass. Versions only:
# no hashes (torch has a CPU build and CUDA builds) and no wheels that only a GPU machine can use.
"""


def project() -> dict[str, Any]:
    """The [project] table of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def wanted(extras: Iterable[str]) -> list[str]:
    """The direct dependencies of the application and of the extras, as pip takes them."""
    table = project()
    names = list(table["dependencies"])
    for extra in extras:
        if extra not in table["optional-dependencies"]:
            raise SystemExit(f"pyproject.toml has no extra named {extra}")
        names += table["optional-dependencies"][extra]
    return names


def normal(name: str) -> str:
    """A package name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(requirements: Iterable[str]) -> dict[str, str]:
    """Name -> version of everything the requirements lead to, among what is installed.

    Raises SystemExit when a direct dependency is not installed.
    """
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    queue = [(text, "", True) for text in requirements]
    while queue:
        text, extra, direct = queue.pop()
        name, extras = _applies(text, extra)
        if not name or GPU_ONLY.match(name):
            continue
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if direct:
                raise SystemExit(f"{name} is not installed: run make install first") from None
            continue  # for another platform or Python
        found[name] = package.version.partition("+")[0]
        for chosen in ("", *extras):
            if (name, chosen) not in seen:
                seen.add((name, chosen))
                queue += [(line, chosen, False) for line in package.requires or ()]
    return found


def _applies(text: str, extra: str) -> tuple[str, frozenset[str]]:
    """Name and extras of a requirement line; an empty name when its marker is false here."""
    from packaging.requirements import Requirement

    requirement = Requirement(text)
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
        return "", frozenset()
    return normal(requirement.name), frozenset(requirement.extras)


def lines(versions: dict[str, str]) -> Iterator[str]:
    """The lines of the lock, sorted."""
    for name in sorted(versions):
        yield f"{name}=={versions[name]}\n"


def main(arguments: list[str]) -> None:
    """Run ``write`` or ``wanted``."""
    match arguments:
        case ["write"]:
            versions = closure(wanted(LOCKED_EXTRAS))
            LOCK.write_text(HEADER + "".join(lines(versions)))
            print(f"{LOCK.name}: {len(versions)} packages")
        case ["wanted", *extras]:
            print("\n".join(wanted(extras)))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
