"""The formats an export can be written in. A new one is a file here and a line in LAYOUTS."""

from dataclasses import replace

from curation.exports.formats import openai_dpo, openai_sft, trl_dpo, trl_sft, trl_sft_completion
from curation.exports.formats.common import Format

LAYOUTS = (trl_sft, trl_sft_completion, trl_dpo, openai_sft, openai_dpo)


def _containers(layout: Format) -> list[Format]:
    """A layout as JSONL under its own name, and as Parquet where its columns are declared flat."""
    parquet = replace(layout, name=f"{layout.name}_parquet", container="parquet")
    return [layout, parquet] if len(layout.columns) > 1 else [layout]


FORMATS: dict[str, Format] = {
    form.name: form for layout in LAYOUTS for form in _containers(layout.FORMAT)
}
DEFAULT_FORMAT = {"sft": "trl_sft", "dpo": "trl_dpo"}
