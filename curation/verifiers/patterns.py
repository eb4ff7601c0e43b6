"""Answers that must match a regular expression or a JSON schema; the reference is the pattern.

Pattern and answer may both be hostile: matching stops after a second, schemas are checked by an
engine with bounded backtracking, and nothing that a schema refers to is ever fetched.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from .base import MAX_REFERENCE, Verdict, correct, error, incorrect, unverifiable
from .extraction import ANSWER_WRAPPERS, extract_answer, split_answer

TIMEOUT = 1.0  # seconds of one match
MAX_SUBJECT = 200_000  # characters that a pattern is matched against
MAX_BACKTRACK = 100_000
MAX_PATTERN_BYTES = 1_000_000  # of a compiled pattern inside a schema
_FENCE = re.compile(r"```[ \t]*(?:json)?[ \t]*\n(.*?)```", re.S)


class RegexVerifier:
    """The final answer must match the reference, a regular expression.

    Options: ``mode`` (``fullmatch``, the default, or ``search``), ``flags`` (letters of ``ims``),
    ``subject`` (``answer``, the default, or ``response``: all that follows the reasoning),
    ``finish_reason``.
    """

    name = "regex"
    version = "2"

    def check(self, response: str, reference: str | None, **options: Any) -> Verdict:
        """See :class:`curation.verifiers.base.Verifier`."""
        if reference is None or not reference.strip():
            return unverifiable("no_reference")
        if len(reference) > MAX_REFERENCE:
            return unverifiable("bad_reference")
        subject, reason = _subject(response, options)
        if subject is None:
            return incorrect("extraction", reason)
        return _match(reference, subject[:MAX_SUBJECT], options)


def _subject(response: str, options: dict[str, Any]) -> tuple[str | None, str]:
    finish = str(options.get("finish_reason") or "")
    if options.get("subject") == "response":
        return _answer_part(response, finish)
    found = extract_answer(response, finish_reason=finish)
    return found.answer, found.reason


def _answer_part(response: str, finish_reason: str) -> tuple[str | None, str]:
    """All that follows the reasoning, or the reason why there is nothing."""
    parts = split_answer(response)
    if finish_reason == "length" or not parts.closed:
        return None, "truncated"
    text = ANSWER_WRAPPERS.sub("", response[parts.answer_start :]).strip()
    return (text, "") if text else (None, "no_answer")


def _match(pattern: str, subject: str, options: dict[str, Any]) -> Verdict:
    import regex

    shown = subject[:2_000]
    flags = sum(getattr(regex, name.upper()) for name in "ims" if name in _flags(options))
    try:
        compiled = regex.compile(pattern, flags)
        search = compiled.search if options.get("mode") == "search" else compiled.fullmatch
        found = search(subject, timeout=TIMEOUT)
    except TimeoutError:
        return error("timeout", shown, "regex", limit_s=TIMEOUT)
    except (regex.error, ValueError, OverflowError, RecursionError, MemoryError) as problem:
        return unverifiable("bad_reference", shown, problem=str(problem)[:200])
    if found is None:
        return incorrect("regex", "", shown)
    return correct("regex", shown, span=list(found.span()))


def _flags(options: dict[str, Any]) -> str:
    given = options.get("flags")
    return given.lower() if isinstance(given, str) else ""


class JsonSchemaVerifier:
    """The response must hold a JSON document that the reference, a JSON schema, allows.

    The document is the last fenced block of the answer part, else all of it, else what stands in
    ``<answer>`` tags. Options: ``finish_reason``.
    """

    name = "json_schema"
    version = "1"

    def check(self, response: str, reference: str | None, **options: Any) -> Verdict:
        """See :class:`curation.verifiers.base.Verifier`."""
        if reference is None or not reference.strip():
            return unverifiable("no_reference")
        try:
            schema = _schema(reference)
        except ValueError as problem:
            return unverifiable("bad_reference", problem=str(problem)[:200])
        part, reason = _answer_part(response, str(options.get("finish_reason") or ""))
        if part is None:
            return incorrect("extraction", reason)
        text, value = _document(part)
        if text is None:
            return incorrect("json", "unparsed_answer", part[:2_000])
        return _validate(schema, value, text[:2_000])


@lru_cache(maxsize=256)
def _schema(reference: str) -> Any:
    """A compiled schema; ValueError where it is none, or refers to anything outside itself."""
    import jsonschema_rs

    if len(reference) > MAX_REFERENCE * 5:
        raise ValueError("the schema is too long")
    schema = json.loads(reference)
    if not isinstance(schema, dict | bool):
        raise ValueError("a schema is an object")
    bounds = {"size_limit": MAX_PATTERN_BYTES, "dfa_size_limit": MAX_PATTERN_BYTES}
    engine = jsonschema_rs.FancyRegexOptions(backtrack_limit=MAX_BACKTRACK, **bounds)
    return jsonschema_rs.validator_for(schema, retriever=_never, pattern_options=engine)


def _never(uri: str) -> Any:
    raise ValueError("a schema may not refer to other documents")


def _document(part: str) -> tuple[str | None, Any]:
    """The text of the JSON document in an answer and its value; (None, None) where none parses."""
    import orjson

    found = _FENCE.findall(part)
    opened, close = part.rfind("<answer>"), part.rfind("</answer>")
    tagged = [part[opened + len("<answer>") : close]] if 0 <= opened < close else []
    for text in [*tagged, *found[-1:], part]:
        try:
            return text.strip(), orjson.loads(text.strip())
        except (orjson.JSONDecodeError, UnicodeEncodeError, RecursionError):
            continue
    return None, None


def _validate(schema: Any, value: Any, shown: str) -> Verdict:
    try:
        problems = [
            {"at": "/".join(map(str, e.instance_path)), "problem": e.message[:200]}
            for e, _ in zip(schema.iter_errors(value), range(20), strict=False)
        ]
    except (ValueError, RecursionError, OverflowError) as problem:
        return error("crashed", shown, "json_schema", error=str(problem)[:200])
    if problems:
        return incorrect("json_schema", "", shown, problems=problems)
    return correct("json_schema", shown)
