"""The manifest of a generated trace: all that decided its text, and no clock, path or secret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from curation.teachers.client import Endpoint
from curation.teachers.outcome import Answer, Completion
from curation.teachers.probe import UNKNOWN, Capabilities
from curation.teachers.sampling import PromptTemplate, Sampling

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class TeacherFacts:
    """What is known of a teacher beside its address; empty means that nobody said."""

    revision: str = ""
    dtype: str = ""
    output_licence: str = ""


def generation_manifest(
    *,
    endpoint: Endpoint,
    facts: TeacherFacts,
    capabilities: Capabilities,
    template: PromptTemplate,
    prompt_hash: str,
    sampling: Sampling,
    seed: int | None,
    sample_nos: Sequence[int],
    answer: Answer,
    choice: Completion,
) -> dict[str, Any]:
    """JSON for one trace. ``usage`` counts the whole request, which held ``sample_nos``."""
    return {
        "schema_version": SCHEMA_VERSION,
        "model": {
            "requested": endpoint.model,
            "served": answer.model,
            "revision": facts.revision,
        },
        "engine": {
            "name": capabilities.engine,
            "system_fingerprint": answer.system_fingerprint,
            "dtype": facts.dtype,
        },
        "endpoint": endpoint.host,
        "template": {
            "name": template.name,
            "version": template.version,
            "sha256": template.hash,
        },
        "prompt_sha256": prompt_hash,
        "sampling": sampling.identity(),
        "sampling_sha256": sampling.hash,
        "seed": {
            "sent": seed,
            # A seed that is known to fail is not sent; without a base seed nobody asked.
            "honoured": UNKNOWN if sampling.seed is None else capabilities.seed,
        },
        "request": {
            "sample_nos": list(sample_nos),
            "choice": choice.index,
            "attempts": answer.attempts,
            "response_id": answer.response_id,
        },
        "usage": answer.usage.as_dict(),
        "finish_reason": choice.finish_reason,
        "truncated": choice.truncated,
        "latency_seconds": round(answer.latency, 3),
        "output_licence": facts.output_licence,
    }
