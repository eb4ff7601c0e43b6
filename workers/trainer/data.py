"""Reads the rows of a downloaded export and says what of them can be trained on."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Row = dict[str, Any]
Message = dict[str, Any]


def read_rows(folder: Path) -> Iterator[Row]:
    """Rows of every JSONL or Parquet file under ``data/``, in the order of the file names.

    Where a set is there in both forms (the same stem), the JSONL is read. ValueError names a bad
    line; so does an export without rows.
    """
    files = sorted(path for path in (folder / "data").rglob("*") if path.is_file())
    written = {_stem(path) for path in files if ".jsonl" in path.name}
    found = False
    for path in files:
        if path.suffix == ".parquet" and _stem(path) in written:
            continue
        for row in _rows_of(path):
            found = True
            yield row
    if not found:
        raise ValueError("the export has no rows")


def _stem(path: Path) -> Path:
    return path.parent / path.name.split(".")[0]


def _rows_of(path: Path) -> Iterator[Row]:
    if path.suffix == ".parquet":
        yield from _parquet(path)
    elif path.name.endswith((".jsonl", ".jsonl.gz")):
        yield from _jsonl(path)


def _jsonl(path: Path) -> Iterator[Row]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path.name} line {number}: {error}") from error
            if not isinstance(row, dict):
                raise ValueError(f"{path.name} line {number}: not an object")
            yield row


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches():
        yield from batch.to_pylist()


def sft_pair(row: Row) -> tuple[list[Message], list[Message]]:
    """(prompt, completion) of an SFT row: ``messages``, or ``prompt`` with ``completion``.

    The last assistant message is the completion; ValueError where there is none.
    """
    if "messages" in row:
        messages = [_message(message) for message in row["messages"]]
        if not messages or messages[-1]["role"] != "assistant":
            raise ValueError("a row's last message must be the assistant's")
        return messages[:-1], messages[-1:]
    if "prompt" in row and "completion" in row:
        return _messages(row["prompt"], "user"), _messages(row["completion"], "assistant")
    raise ValueError(f"not an SFT row: columns {sorted(row)}")


def dpo_triple(row: Row) -> tuple[list[Message], list[Message], list[Message]]:
    """(prompt, chosen, rejected) of a preference row; ``prompt`` may be part of both answers."""
    if "chosen" not in row or "rejected" not in row:
        raise ValueError(f"not a preference row: columns {sorted(row)}")
    chosen, rejected = (_messages(row[name], "assistant") for name in ("chosen", "rejected"))
    if "prompt" in row:
        return _messages(row["prompt"], "user"), chosen, rejected
    if chosen[:-1] != rejected[:-1] or not chosen[:-1]:
        raise ValueError("a preference row without a prompt must share all but the last message")
    return chosen[:-1], chosen[-1:], rejected[-1:]


def _messages(value: str | list[Message], role: str) -> list[Message]:
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    return [_message(message) for message in value]


def _message(raw: Message) -> Message:
    """One message; separate reasoning is put back in front of the answer."""
    content = raw.get("content") or ""
    reasoning = raw.get("reasoning_content")
    if reasoning:
        content = f"<think>\n{reasoning}\n</think>\n\n{content}"
    return {"role": raw["role"], "content": content}


def fits(tokenizer: PreTrainedTokenizerBase, messages: list[Message], max_length: int) -> bool:
    """Whether the chat has at most ``max_length`` tokens."""
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    return len(tokenizer(text, add_special_tokens=False)["input_ids"]) <= max_length
