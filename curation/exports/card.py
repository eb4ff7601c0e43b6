"""The dataset card of an export: README.md with the hub's YAML front matter. Pure.

Like the manifest it holds no clock, host or path, and not the export's id, which is a hash over
the card. Names and licences come from users: each is quoted for YAML and for Markdown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from curation.exports.formats.common import Format
from curation.exports.manifest import FileEntry

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))


def render_card(facts: Mapping[str, Any], form: Format, files: Sequence[FileEntry]) -> str:
    """The card's text; ``facts`` as in ``build_manifest``."""
    parts = [_front_matter(facts, form), _about(facts, form), _table("Counts", facts["counts"])]
    parts.append(_table("Excluded, by reason", facts["exclusions"]))
    parts.append(_table("Licences, by rows", facts["licences"]))
    parts.append(_verifiers(facts["verifiers"]))
    parts.append(_table("Recipe", facts["recipe"]))
    parts.append(_loading(form, files))
    return "\n".join(parts)


def _front_matter(facts: Mapping[str, Any], form: Format) -> str:
    rows = facts["counts"]["rows"]
    size = next((name for limit, name in _SIZES if rows < limit), "n>1M")
    return "\n".join(
        [
            "---",
            f"pretty_name: {_yaml(facts['recipe']['name'])}",
            f"license: {_licence(facts['licences'])}",
            f"size_categories: [{_yaml(size)}]",
            f"task_categories: [{_yaml('text-generation')}]",
            f"tags: [{', '.join(map(_yaml, ('reasoning', form.kind, 'whittle')))}]",
            "configs:",
            "- config_name: default",
            "  data_files:",
            "  - split: train",
            f"    path: {_yaml(f'data/train-*.{form.container}')}",
            "---",
            "",
        ]
    )


def _licence(licences: Mapping[str, int]) -> str:
    """The hub's identifier when every row has the same plain one, else ``other``."""
    only = next(iter(licences)).lower() if len(licences) == 1 else ""
    return _yaml(only if re.fullmatch(r"[a-z0-9][a-z0-9.\-]*", only) else "other")


def _about(facts: Mapping[str, Any], form: Format) -> str:
    recipe = facts["recipe"]
    return (
        f"# {_cell(recipe['name'])}, version {recipe['version']}\n\n"
        f"{_cell(recipe['description'])}\n\n"
        f"{facts['counts']['rows']} rows for {form.kind.upper()} in the format `{form.name}`, "
        f"exported by Whittle from the frozen selection `{facts['selection_sha256']}`. "
        "Every file is listed with its SHA-256 in `manifest.json`.\n"
    )


def _table(title: str, values: Mapping[str, Any]) -> str:
    lines = [f"| {_cell(k)} | {_cell(_plain(v))} |" for k, v in values.items()]
    body = "\n".join(["| | |", "|---|---|", *lines]) if lines else "None."
    return f"## {title}\n\n{body}\n"


def _verifiers(verifiers: Sequence[Mapping[str, Any]]) -> str:
    counts = {f"{v['name']} {v['version']}": v["verdicts"] for v in verifiers}
    return _table("Verifiers, by verdicts of the selected traces", counts)


def _loading(form: Format, files: Sequence[FileEntry]) -> str:
    data = [entry for entry in files if entry.rows is not None]
    listed = "\n".join(f"- `{e.path}`: {e.rows} rows, {e.bytes} bytes" for e in data)
    loader = "json" if form.container == "jsonl" else "parquet"
    return (
        f"## How to load it\n\n{form.card}\n\n```python\n"
        "from datasets import load_dataset\n\n"
        f'rows = load_dataset("{loader}", data_files="data/train-*.{form.container}", '
        'split="train")\n```\n\n'
        f"{listed}\n\nReasoning stays in the assistant's `content`, tags included. Columns that "
        "name problems and traces are for tracing a row back; trainers drop them. Texts are "
        "model output: treat them as untrusted, and quote cells that start with `=`, `+`, `-` "
        "or `@` before opening them in a spreadsheet.\n"
    )


def _yaml(value: object) -> str:
    """A JSON string is a YAML scalar, whatever it holds."""
    return json.dumps(str(value), ensure_ascii=True)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cell(value: Any) -> str:
    """Text that can neither end a table cell nor start markup."""
    line = " ".join(str(value).split())
    return re.sub(r"([\\|<>`*_\[\]#!])", r"\\\1", line)
