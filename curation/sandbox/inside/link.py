"""Requests to the candidate's process, and what crosses in them.

What the tests hold and the candidate is given (a callback, an object of a test's class) stays here
too: the candidate may call it and use its public names, nothing more.
"""

from __future__ import annotations

import builtins
import sys

from . import wire
from .proxies import CLASSES, Proxy, State, state_of
from .session import CandidateFailed, Session

TYPE_CHECKING = False  # typing costs more to import than the runner itself
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


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
        self.exported: list[Any] = []
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
            self.failure = self.failure or CandidateFailed("runtime_error", str(problem))
            self.drop()
            raise self.failure from None

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
                raise self._raised(answer[1])
            _apply(message, answer[2])
            return answer[1]

    def drop(self) -> None:
        """End the session, if there is one."""
        session, self.session = self.session, None
        self.holds_objects = False
        self.exported = []
        if session is not None:
            session.close()

    def finish(self) -> dict[str, Any]:
        """End the session in good order; what it cost, and the lines that ran."""
        if self.session is None:
            return {}
        try:
            lines = self.request("end", "")
            report = dict(self.session.finish()) if self.session else {}
            return report | {"lines": lines}
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
        if isinstance(value, type(sys)):
            raise wire.WireError("a module cannot be handed to the candidate")
        self.exported.append(value)
        return "H", len(self.exported) - 1

    def _in(self, stand_in: Any) -> Any:
        mark = stand_in[0]
        if mark == "E":
            from . import exotic

            return exotic.from_plain(str(stand_in[1]), stand_in[2])
        if mark == "H":
            return self.exported[int(stand_in[1])]
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
        bases = [b for b in reference["bases"] if isinstance(getattr(builtins, b, None), type)]
        if bases and bases[0] == reference["name"] and not reference.get("path"):
            return _harmless(getattr(builtins, bases[0]))
        known = self.exceptions.get(target)
        if known is None:
            base = _harmless(getattr(builtins, bases[0]) if bases else Exception)
            known = type(str(reference["name"]), (base,), {"_whittle_target": target})
            self.exceptions[target] = known
        return known

    def _raised(self, what: dict[str, Any]) -> BaseException:
        kind = self._proxy(what["class"])
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            kind = RuntimeError
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
            done = _SERVED[what](self.exported[int(number)], *arguments)
            return "a", done
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


def _public(name: Any) -> str:
    if not isinstance(name, str) or name.startswith("_"):
        raise AttributeError(str(name))
    return name


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
    found: Callable[..., Any] = getattr(operator, name.strip("_"))
    return found


_SERVED: dict[str, Callable[..., Any]] = {
    "call": lambda f, args, kwargs: f(*args, **kwargs),
    "get": lambda subject, name: getattr(subject, _public(name)),
    "set": lambda subject, name, value: setattr(subject, _public(name), value),
    **{
        name: _special(name)
        for name in [
            "__next__",
            "__len__",
            "__bool__",
            "__iter__",
            "__str__",
            "__repr__",
            "__getitem__",
            "__setitem__",
            "__contains__",
            "__eq__",
            "__lt__",
            "__le__",
            "__gt__",
            "__ge__",
            "__add__",
            "__sub__",
            "__mul__",
        ]
    },
}
