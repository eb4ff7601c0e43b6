"""Asking a model to go on from a text it did not write, in the two ways that servers offer.

``chat``: the prefix is the last message, of the assistant, with ``continue_final_message`` (vLLM,
SGLang). ``text``: the conversation is written out by a format and sent to ``/completions``, for
servers without the former (transformers, llama.cpp).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import orjson

from curation.teachers.client import ChatRequest

CHAT, TEXT = "chat", "text"
MANNERS = (CHAT, TEXT)
PROBLEM = "{problem}"
# How the demo teacher's template writes a question; others name theirs.
DEMO_FORMAT = "<|user|>{problem}<|end|><|assistant|>"


@dataclass(frozen=True)
class ContinueRequest(ChatRequest):
    """A chat request whose last message is the beginning of the answer."""

    prefix: str = ""

    def body(self, model: str) -> bytes:
        """With an empty prefix it is a plain question."""
        if not self.prefix:
            return super().body(model)
        message = {"role": "assistant", "content": self.prefix}
        fields = {"continue_final_message": True, "add_generation_prompt": False}
        longer = replace(
            self, messages=[*self.messages, message], prefix="", fields=self.fields | fields
        )
        return ChatRequest.body(longer, model)


@dataclass(frozen=True)
class TextRequest(ChatRequest):
    """The conversation as one text; no stream, no chat template of the server's."""

    prompt: str = ""
    path: ClassVar[str] = "/completions"

    def body(self, model: str) -> bytes:
        value: dict[str, Any] = orjson.loads(super().body(model))
        del value["messages"]
        value.pop("stream", None)
        value.pop("stream_options", None)
        return orjson.dumps(value | {"prompt": self.prompt})


def written_out(form: str, problem: str, prefix: str) -> str:
    """A question in a text format with the beginning of its answer; ValueError without a slot.

    The problem is only ever put in, never read as a format.
    """
    before, slot, after = form.partition(PROBLEM)
    if not slot or PROBLEM in after:
        raise ValueError(f"the format needs {PROBLEM} exactly once")
    return before + problem + after + prefix
