"""Which answers of a teacher are streamed."""

from __future__ import annotations

from typing import Any

import pytest

from curation.endpoints import split_limits
from curation.generation import Work
from curation.teachers.client import Endpoint
from curation.teachers.manifest import TeacherFacts
from curation.teachers.pacing import Limits
from curation.teachers.probe import Capabilities
from curation.teachers.sampling import PromptTemplate, Sampling


def work(max_tokens: int | None, above: int, streaming: str = "yes") -> Work:
    teacher: Any = None
    return Work(
        teacher=teacher,
        endpoint=Endpoint("http://127.0.0.1:1/v1", "m", private=True),
        limits=Limits(),
        per_request=1,
        stream_above=above,
        facts=TeacherFacts(),
        capabilities=Capabilities.from_dict({"streaming": streaming}),
        template=PromptTemplate("bare", 1, "{problem}"),
        sampling=Sampling(max_tokens=max_tokens),
    )


@pytest.mark.parametrize(
    ("max_tokens", "above", "streaming", "wanted"),
    [
        (2048, 2048, "yes", False),
        (2049, 2048, "yes", True),
        (100, 1, "yes", True),
        (None, 2048, "yes", True),
        (None, 2048, "no", False),
        (None, 2048, "unknown", True),
    ],
)
def test_only_answers_that_may_be_long_are_streamed(
    max_tokens: int | None, above: int, streaming: str, wanted: bool
) -> None:
    assert work(max_tokens, above, streaming).stream is wanted


def test_the_bar_is_a_limit_of_the_endpoint_and_bad_ones_are_refused() -> None:
    assert split_limits({})[1]["stream_above"] == 2048
    assert split_limits({"stream_above": 50_000})[1]["stream_above"] == 50_000
    for bad in (0, "many", 10**8):
        with pytest.raises(ValueError, match="stream_above"):
            split_limits({"stream_above": bad})
