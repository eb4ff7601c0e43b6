"""The shape of a job's parameters, whatever its kind: sizes, types, and the chain behind it. Pure.

What is checked here is what several kinds read in the same way. A kind may still refuse a value
when it runs; it is then refused at once and with a reason, never tried again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr
from pydantic import ValidationError as PydanticError

MAX_BYTES = 4 * 2**20
MAX_DEPTH = 32
MAX_STEPS = 100  # jobs in one chain, at all levels
MAX_IDS = 200_000

Text = Annotated[StrictStr, Field(max_length=10_000)]
# Forms send digits as text.
Digits = Annotated[StrictStr, Field(pattern=r"^[0-9]{1,18}$")]
Id = Annotated[StrictInt, Field(ge=0, le=2**63 - 1)]
Count = Annotated[StrictInt, Field(ge=-(2**63), le=2**63 - 1)]
Decimals = Annotated[StrictStr, Field(pattern=r"^(-?[0-9]{1,18}(\.[0-9]{0,18})?)?$")]
Number = StrictInt | StrictFloat | Decimals
Object = dict[StrictStr, Any]


class BadParameter(ValueError):
    """Parameters that no job can have; the message names the one."""


class SharedParams(BaseModel):
    """Parameters that mean the same in every kind that reads them; others are left to the kind."""

    model_config = ConfigDict(extra="allow")

    ids: Annotated[list[Id | Digits], Field(max_length=MAX_IDS)] | None = None
    pairs: Annotated[list[list[Id]], Field(max_length=MAX_IDS)] | None = None
    limits: dict[StrictStr, Annotated[StrictInt, Field(gt=0)]] | None = None
    levels: Annotated[list[StrictInt], Field(max_length=1000)] | Text | None = None
    knobs: Object | None = None
    target: Object | None = None
    sampling: Object | None = None
    mapping: Object | None = None
    filters: Object | None = None
    reward: Object | None = None
    screening: Object | None = None
    hide: list[Text] | None = None
    members: list[Text] | None = None
    recipe: Text | Object | None = None
    template: Text | Object | None = None
    prompt: Text | Object | None = None
    selection: Id | Text | None = None
    selection_or_recipe: Id | Text | Object | None = None
    limit: Count | Digits | None = None
    n: Count | None = None
    k: Count | Digits | None = None
    seed: Count | Digits | None = None
    first: Count | None = None
    tries: Count | Digits | None = None
    least: Count | Digits | None = None
    rounds: Count | Digits | None = None
    min_votes: Count | None = None
    stable: Count | None = None
    overlap: Count | Digits | None = None
    threshold: Number | None = None
    containment: Number | None = None
    min_share: Number | None = None
    min_valid: Number | None = None
    min_coverage: Number | None = None
    gold_share: Number | None = None
    alpha: Number | None = None
    enough: Number | None = None
    gain: Number | None = None
    efficiency: Number | None = None
    held_back: StrictBool | None = None
    enabled: StrictBool | None = None
    path: Text | None = None
    out: Text | None = None
    name: Text | None = None
    licence: Text | None = None
    adapter: Text | None = None
    source: Text | None = None
    model: Text | None = None
    third: Text | None = None
    teacher: Text | None = None
    judge: Text | None = None
    verifier: Text | None = None
    policy: Text | None = None
    form: Text | None = None
    format: Text | None = None
    method: Text | None = None
    benchmark: Text | None = None
    generator: Text | None = None
    queue: Text | None = None
    order: Text | None = None
    kinds: Text | None = None
    vectors: Text | None = None
    mode: Text | None = None
    manner: Text | None = None
    task: Text | None = None
    upto: Text | None = None
    answer: Text | None = None
    ending: Text | None = None
    only: Text | None = None
    step: Text | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One job of a chain: its kind and its parameters."""

    kind: str
    params: dict[str, Any]


def read_chain(kind: object, params: object, known: Collection[str]) -> list[Step]:
    """The job and all that is chained behind it, at every level; BadParameter for a bad shape.

    ``known`` holds the kinds of jobs there are.
    """
    if not isinstance(params, dict):
        raise BadParameter("params: an object is needed")
    check_size(params)
    steps = []
    for step in each_step(kind, params, known):
        steps.append(step)
        if len(steps) > MAX_STEPS:
            raise BadParameter(f"then: a chain has at most {MAX_STEPS} jobs")
    return steps


def each_step(kind: object, params: object, known: Collection[str]) -> Iterator[Step]:
    """The steps one by one, each checked before it is given out."""
    if not isinstance(kind, str) or kind not in known:
        raise BadParameter(f"kind: there is no kind of job {str(kind)[:60]!r}")
    if not isinstance(params, dict):
        raise BadParameter(f"params of {kind}: an object is needed")
    check_types(kind, params)
    yield Step(kind, params)
    then = params.get("then")
    if then is not None and not isinstance(then, list):
        raise BadParameter("then: a list of jobs, each with kind and params, is needed")
    for step in then or []:
        if not isinstance(step, dict) or step.keys() - {"kind", "params"}:
            raise BadParameter("then: each job is an object with kind and params, nothing else")
        yield from each_step(step.get("kind"), step.get("params", {}), known)


def check_types(kind: str, params: dict[str, Any]) -> None:
    """BadParameter names the first parameter of a wrong type."""
    try:
        SharedParams.model_validate(params)
    except PydanticError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"][:1])
        raise BadParameter(f"{name} of {kind}: {first['msg']}") from None


def check_size(params: dict[str, Any]) -> None:
    """BadParameter for parameters that are too many, too deep, or not JSON."""
    if depth_of(params) > MAX_DEPTH:
        raise BadParameter(f"params: nested deeper than {MAX_DEPTH}")
    try:
        size = len(json.dumps(params, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise BadParameter(f"params: not JSON ({error})") from None
    if size > MAX_BYTES:
        raise BadParameter(f"params: {size} bytes; {MAX_BYTES} is the most")


def depth_of(value: Any) -> int:
    """How deep objects and lists are nested; counted without recursion, up to MAX_DEPTH + 1."""
    level, depth = [value], 0
    while level and depth <= MAX_DEPTH:
        inner: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                inner += each.values()
            elif isinstance(each, list | tuple):
                inner += each
        level = [each for each in inner if isinstance(each, dict | list | tuple)]
        depth += 1
    return depth
