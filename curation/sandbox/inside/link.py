"""Requests to the candidate's process, and what crosses in them.

What the tests hold and the candidate is given (a callback, an object of a test's class) stays here
too: what the candidate may do with it is in :mod:`.handover`.
"""

from __future__ import annotations

import builtins
import sys

from . import handover, wire
from .proxies import CLASSES, Proxy, State, state_of
from .session import CandidateFailed, Session

TYPE_CHECKING = False  # typing costs more to import than the runner itself
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


# The tests themselves are to blame.
UNUSABLE = "tests_failed_to_load"


class Link:
    """Requests to the session of the moment, opened when the first one is made."""

    def __init__(self, opened: Callable[[], Session]) -> None:
        self.opened = opened
        self.session: Session | None = None
        self.number = 0
        self.requests = 0
        self.failure: CandidateFailed | None = None
        self.holds_objects = False
        self.exceptions: dict[Any, type] = {}
        # What the candidate was given and stays here: the object, and its row of the allow-list.
        self.exported: list[tuple[Any, str]] = []
        # Names that the tests use as classes; by no means what the candidate says is one.
        self.classes: frozenset[str] = frozenset()
        # Whether the tests speak of StopIteration; elsewhere it would end their own loops.
        self.expects_stop = False
        # Whether arguments that a call changed are changed here; whether one did change some.
        self.writes_back = True
        self.changed_arguments = False
        self.encoder = wire.Encoder(self._out)
        self.decoder = wire.Decoder(self._in)
        self.made = False

    def request(self, op: str, target: Any, *arguments: Any, made: bool = False) -> Any:
        """The answer's value; the candidate's exception; CandidateFailed."""
        self.requests += 1
        try:
            return self._request((op, self._address(target), *arguments), made)
        except CandidateFailed as failed:
            self.failure = self.failure or failed
            self.drop()
            raise
        except wire.WireError as problem:
            unusable = isinstance(problem, handover.NotHandedOver)
            reason = UNUSABLE if unusable else "runtime_error"
            self.failure = self.failure or CandidateFailed(reason, str(problem))
            self.drop()
            raise self.failure from None

    def named(self, name: str) -> Any:
        """What the solution has under a name that the tests ask for."""
        value = self.request("get", "", name)
        state = state_of(value)
        if state is not None:
            state.name = name
        return value

    def _request(self, message: tuple[Any, ...], made: bool) -> Any:
        if self.session is None:
            self.session = self.opened()
            self.number += 1
        reply = self.session.exchange(self.encoder.encode(message))
        while True:
            self.made = made
            answer = self.decoder.decode(reply)
            if not isinstance(answer, tuple) or len(answer) < 3:
                raise wire.WireError("an answer of another shape")
            if answer[0] == "q":
                reply = self.session.exchange(self.encoder.encode(self._serve(*answer[1:4])))
                continue
            self._forward_output()
            if answer[0] == "e":
                raise self._raised(answer[1], message[0])
            self._take_changes(message, answer[2])
            return answer[1]

    def _take_changes(self, message: tuple[Any, ...], changed: Any) -> None:
        self.changed_arguments = self.changed_arguments or bool(changed)
        if self.writes_back:
            _apply(message, changed)

    def drop(self) -> None:
        """End the session, if there is one."""
        session, self.session = self.session, None
        self.changed_arguments = False
        self.holds_objects = False
        self.exported = []
        if session is not None:
            session.close()

    def finish(self) -> dict[str, Any]:
        """End the session in good order; what it cost, and the lines that ran."""
        if self.session is None:
            return {}
        changed = {"changed_arguments": True} if self.changed_arguments else {}
        try:
            lines = self.request("end", "")
            report = dict(self.session.finish()) if self.session else {}
            return report | {"lines": lines} | changed
        except CandidateFailed:
            self.failure = None  # the answers were all given before
            return {}
        finally:
            self.drop()

    def _address(self, target: Any) -> Any:
        if isinstance(target, str):
            return target
        number, session = target
        if session != self.number or self.session is None:
            raise CandidateFailed("runtime_error", "an object of a process that ended")
        return number

    def _out(self, value: Any) -> Any:
        state = state_of(value)
        if state is not None:
            return "R", self._address(state.target)
        if isinstance(value, type) and "_whittle_target" in value.__dict__:
            return "R", self._address(value.__dict__["_whittle_target"])
        from . import exotic

        known = exotic.to_plain(value)
        if known is not None:
            return "E", *known
        name, parts = handover.by_name(value), handover.by_parts(value)
        if name is not None:
            return "N", *name, None
        if parts is not None:
            return "N", *parts
        self.exported.append((value, handover.kind_of(value)))
        return "H", len(self.exported) - 1

    def _in(self, stand_in: Any) -> Any:
        mark = stand_in[0]
        if mark == "E":
            from . import exotic

            return exotic.from_plain(str(stand_in[1]), stand_in[2])
        if mark == "H":
            return self.exported[int(stand_in[1])][0]
        return self._proxy(stand_in[1])

    def _proxy(self, reference: dict[str, Any]) -> Any:
        path = str(reference.get("path") or "")
        target: Any = path or (int(reference["id"]), self.number)
        if reference["kind"] == "exception":
            return self._exception_class(reference, target)
        if not path:
            self.holds_objects = True
        kind = CLASSES.get(reference["kind"], Proxy)
        return kind(State(self, target, reference, self.made))

    def _exception_class(self, reference: dict[str, Any], target: Any) -> type:
        """A class here that stands for one there; the built-in one where it is that."""
        bases = [b for b in reference["bases"] if _is_exception(getattr(builtins, str(b), None))]
        if bases and bases[0] == reference["name"] and not reference.get("path"):
            return _harmless(getattr(builtins, bases[0]))
        known = self.exceptions.get(target)
        if known is None:
            base = _harmless(getattr(builtins, bases[0]) if bases else Exception)
            known = type(str(reference["name"]), (base,), {"_whittle_target": target})
            self.exceptions[target] = known
        return known

    def _raised(self, what: dict[str, Any], op: Any) -> BaseException:
        kind = self._proxy(what["class"])
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            kind = RuntimeError
        if issubclass(kind, StopIteration) and op != "next" and not self.expects_stop:
            kind = RuntimeError  # as in a generator (PEP 479): all(map(...)) would end, and hold
        try:
            problem = kind(*what["args"])
        except Exception:
            problem = RuntimeError(str(what["args"]))
        for name, value in what["attributes"].items():
            if not name.startswith("_"):
                try:
                    setattr(problem, name, value)
                except (AttributeError, TypeError):
                    continue
        problem.__dict__["_whittle_text"] = str(what["text"])
        raised: BaseException = problem
        return raised

    def _forward_output(self) -> None:
        """What the candidate printed, to where the tests look for it."""
        if self.session is not None:
            printed = self.session.outputs[self.session.out]
            if printed:
                sys.stdout.write(printed.decode("utf-8", "replace"))
                del printed[:]

    def _serve(self, what: Any, number: Any, arguments: Any) -> tuple[Any, ...]:
        """Do what the candidate asks of one of the test's own objects."""
        try:
            subject, kind = self.exported[int(number)]
            handover.require_allowed(kind, subject, str(what), arguments)
            return "a", _SERVED[what](subject, *arguments)
        except Exception as problem:
            return "x", type(problem).__name__, str(problem)[:500]


def _harmless(kind: type) -> type:
    """Raising these here would end the runner, or a generator of the tests."""
    return RuntimeError if kind in (KeyboardInterrupt, GeneratorExit, BaseException) else kind


def _apply(message: tuple[Any, ...], changed: Any) -> None:
    """Arguments that the call changed in place are changed here too."""
    if message[0] != "call":
        return
    for number, value in changed:
        mine = message[2][int(number)]
        if type(mine) is list and type(value) is list:
            mine[:] = value
        elif type(mine) is type(value) and type(mine) in (dict, set):
            mine.clear()
            mine.update(value)


def _is_exception(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseException)


def _special(name: str) -> Callable[..., Any]:
    import _operator as operator

    plain: dict[str, Callable[..., Any]] = {
        "__next__": next,
        "__len__": len,
        "__bool__": bool,
        "__iter__": iter,
    }
    plain |= {"__str__": str, "__repr__": repr}
    if name in plain:
        return plain[name]
    if name in ("__enter__", "__exit__"):
        return lambda subject, *arguments: getattr(type(subject), name)(subject, *arguments)
    if name.startswith("__r"):
        forward = getattr(operator, name.strip("_")[1:])
        return lambda subject, other: forward(other, subject)
    found: Callable[..., Any] = getattr(operator, name.strip("_"))
    return found


_SERVED: dict[str, Callable[..., Any]] = {
    "call": lambda f, args, kwargs: f(*args, **kwargs),
    "get": getattr,
    "set": setattr,
    **{name: _special(name) for name in sorted(handover.SPECIAL)},
}
