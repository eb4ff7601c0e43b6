"""Which folder a model's name stands for."""

from __future__ import annotations

from pathlib import Path

_SHIPPED = Path(__file__).resolve().parent.parent / "demo_teacher"
SHIPPED: dict[str, Path] = {
    "demo-teacher": _SHIPPED / "model",
    "demo-student-start": _SHIPPED / "student_start",
}


def resolve_model(name: str, *, allow_hub: bool = False) -> str:
    """The folder of a shipped model, a local folder, or (if allowed) a hub id as it is.

    Raises ValueError for anything else, so that nothing is fetched that nobody asked for.
    """
    path = SHIPPED.get(name, Path(name))
    if (path / "config.json").is_file():
        return str(path)
    if allow_hub and name not in SHIPPED:
        return name
    raise ValueError(f"no model {name!r} on this machine")
