"""One test in the candidate's process: does what the runner asks, answers with values.

A request is ``(op, target, arguments...)``. A target is an object's number or the name of
something in the solution; the answer holds plain values, and references to everything else.
"""

from __future__ import annotations

import _operator as operator
import sys

from . import wire

TYPE_CHECKING = False  # typing costs more to import than the runner itself
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MAX_TEXT = 2_000


def snapshot(value: Any) -> Any:
    """The plain value inside an object of a subclass of a plain type; None where there is none.

    By the base type's own methods, so that nothing the subclass overrides is asked.
    """
    for kind, copy in _SNAPSHOTS:
        if isinstance(value, kind):
            return copy(value)
    return None


_SNAPSHOTS: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (int, lambda v: int.__add__(v, 0)),
    (float, lambda v: float.__add__(v, 0.0)),
    (str, lambda v: str.__getitem__(v, slice(None))),
    (bytes, lambda v: bytes.__getitem__(v, slice(None))),
    (list, lambda v: list.__getitem__(v, slice(None))),
    (tuple, lambda v: tuple(tuple.__iter__(v))),
    (dict, lambda v: dict(dict.items(v))),
    (set, lambda v: set(set.__iter__(v))),
    (frozenset, lambda v: frozenset(frozenset.__iter__(v))),
)


class HostRef:
    """An object of the test: what is done to it here is done there."""

    def __init__(self, server: Server, number: int) -> None:
        object.__setattr__(self, "_whittle", (server, number))

    def __getattr__(self, name: str) -> Any:
        return ask(self, "get", name)

    def __setattr__(self, name: str, value: Any) -> None:
        ask(self, "set", name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return ask(self, "call", args, kwargs)

    def __iter__(self) -> Any:
        return ask(self, "__iter__")

    def __eq__(self, other: object) -> bool:
        return self is other or ask(self, "__eq__", other) is True

    def __hash__(self) -> int:
        return hash(object.__getattribute__(self, "_whittle")[1])


def _asking(name: str) -> Callable[..., Any]:
    def method(self: HostRef, *args: Any) -> Any:
        return ask(self, name, *args)

    return method


for _name in [
    "__next__",
    "__len__",
    "__getitem__",
    "__setitem__",
    "__contains__",
    "__bool__",
    "__lt__",
    "__le__",
    "__gt__",
    "__ge__",
    "__add__",
    "__radd__",
    "__sub__",
    "__rsub__",
    "__mul__",
    "__rmul__",
    "__str__",
    "__repr__",
    "__enter__",
    "__exit__",
]:
    setattr(HostRef, _name, _asking(_name))


def ask(ref: HostRef, what: str, *arguments: Any) -> Any:
    """Have the test's process do something to one of its objects."""
    server, number = object.__getattribute__(ref, "_whittle")
    return server.ask(what, number, *arguments)


class Server:
    """Answers on the socket ``fd`` until it is told to end."""

    def __init__(self, fd: int, module: Any, coverage: Any) -> None:
        import _socket

        self.socket = _socket.socket(fileno=fd)
        self.module = module
        self.coverage = coverage
        self.objects: dict[int, Any] = {}
        self.numbers: dict[int, int] = {}
        self.hosts: dict[int, HostRef] = {}
        self.encoder = wire.Encoder(self._out)
        self.decoder = wire.Decoder(self._in)

    def serve(self) -> None:
        """Until ``end``; EOFError when the runner hangs up."""
        try:
            while self.answer(self._read()):
                pass
        except EOFError:
            pass

    def answer(self, request: Any) -> bool:
        """Do one request; False for ``end``."""
        if request[0] == "end":
            self._write(("v", self._lines(), []))
            return False
        try:
            reply = self._perform(*request)
        except BaseException as problem:
            reply = ("e", self._exception(problem), [])
        try:
            self._write(reply)
        except (wire.WireError, RecursionError) as problem:
            self._write(("e", self._exception(ValueError(str(problem))), []))
        return True

    def ask(self, what: str, number: int, *arguments: Any) -> Any:
        """Ask the test's process; its exception comes out here."""
        self._write(("q", what, number, arguments))
        while True:
            message = self._read()
            if message[0] == "a":
                return message[1]
            if message[0] == "x":
                raise _exception_like(*message[1:])
            self.answer(message)

    def _perform(self, op: str, target: Any, *arguments: Any) -> tuple[str, Any, list[Any]]:
        subject = self.resolve(target)
        before = [(n, self._plainly(a)) for n, a in enumerate(_mutable(op, arguments))]
        value = _OPERATIONS[op](subject, *arguments)
        after = _mutable(op, arguments)
        changed = [(n, after[n]) for n, raw in before if raw and raw != self._plainly(after[n])]
        return "v", value, changed

    def _plainly(self, value: Any) -> bytes:
        """The bytes of an argument that a call may change in place; empty for any other."""
        if type(value) not in (list, dict, set):
            return b""
        try:
            return wire.Encoder().encode(value)
        except wire.WireError:
            return b""

    def resolve(self, target: Any) -> Any:
        """The object of a number, or what a name in the solution stands for."""
        if isinstance(target, int):
            return self.objects[target]
        found: Any = self.module
        for name in target.split(".") if target else ():
            found = getattr(found, name)
        return found

    def _out(self, value: Any) -> Any:
        """A stand-in for what is no plain value."""
        if type(value) is HostRef:
            return "H", object.__getattribute__(value, "_whittle")[1]
        from . import exotic

        known = exotic.to_plain(value)
        if known is not None:
            return "E", *known
        return "R", self._reference(value)

    def _reference(self, value: Any) -> dict[str, Any]:
        number = self.numbers.get(id(value))
        if number is None:
            number = self.numbers[id(value)] = len(self.objects)
            self.objects[number] = value
        reference: dict[str, Any] = {"id": number, "kind": _kind(value), "path": self._path(value)}
        if isinstance(value, type):
            reference |= {"name": str(value.__name__)[:200], "bases": _builtin_bases(value)}
        elif reference["kind"] == "instance":
            plain = snapshot(value)
            reference |= {"name": str(type(value).__name__)[:200]}
            reference |= {"of": self._path(type(value))} | ({} if plain is None else {"is": plain})
        return reference

    def _path(self, value: Any) -> str:
        """The name under which the solution itself holds a function, class or module."""
        name = getattr(value, "__name__", None)
        if type(name) is str and self.module.__dict__.get(name) is value:
            return name
        return ""

    def _in(self, stand_in: Any) -> Any:
        mark = stand_in[0]
        if mark == "R":
            return self.resolve(stand_in[1])
        if mark == "H":
            return self.hosts.setdefault(stand_in[1], HostRef(self, stand_in[1]))
        if mark == "N":
            return _build(*stand_in[1:])
        from . import exotic

        return exotic.from_plain(stand_in[1], stand_in[2])

    def _exception(self, problem: BaseException) -> dict[str, Any]:
        from .candidate import last_lines

        arguments = []
        for argument in problem.args[:5]:
            plain = type(argument) in (str, int, float, bool, type(None))
            arguments.append(argument if plain else _text(argument))
        return {
            "class": self._reference(type(problem)),
            "args": arguments,
            "attributes": _attributes(problem),
            "text": last_lines(problem)[:MAX_TEXT],
        }

    def _lines(self) -> dict[str, list[int]] | None:
        """Lines of the solution that ran, as coverage.py saw them."""
        if self.coverage is None:
            return None
        self.coverage.stop()
        name = "/tmp/solution.py"  # noqa: S108
        ran = self.coverage.get_data().lines(name) or []
        _, statements, _, _, _ = self.coverage.analysis2(name)
        return {"ran": sorted(ran), "statements": sorted(statements)}

    def _read(self) -> Any:
        return self.decoder.decode(wire.read_frame(self.socket.recv))

    def _write(self, message: Any) -> None:
        sys.stdout.flush()
        self.socket.sendall(wire.frame(self.encoder.encode(message)))


def _mutable(op: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(arguments[0]) if op == "call" else ()


def _kind(value: Any) -> str:
    if isinstance(value, type):
        return "exception" if issubclass(value, BaseException) else "class"
    if isinstance(value, type(sys)):
        return "module"
    return "function" if type(value).__name__ in _FUNCTIONS else "instance"


_FUNCTIONS = ("function", "builtin_function_or_method", "method", "_lru_cache_wrapper", "partial")


def _builtin_bases(kind: type) -> list[str]:
    return [base.__name__ for base in kind.__mro__ if base.__module__ == "builtins"][:20]


def _attributes(problem: BaseException) -> dict[str, Any]:
    plain = (str, int, float, bool, type(None))
    held = getattr(problem, "__dict__", None) or {}
    return {str(k)[:100]: v for k, v in list(held.items())[:20] if type(v) in plain}


def _text(value: Any) -> str:
    try:
        return str(value)[:MAX_TEXT]
    except BaseException:
        return ""


def _build(module: str, name: str, arguments: list[Any] | None) -> Any:
    """This process's own object of that name, called if there are arguments."""
    found: Any = __import__(module, fromlist=["*"])
    for part in name.split("."):
        found = getattr(found, part)
    return found if arguments is None else found(*arguments)


def _exception_like(name: str, text: str) -> Exception:
    import builtins

    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        return kind(text)
    return Exception(f"{name}: {text}")


def _construct(target: Any, method: str) -> Any:
    """``f`` of the solution, or the method of a class ``Solution`` without arguments."""
    found = getattr(target, method, None)
    return getattr(target.Solution(), method) if found is None else found


def _reflected(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda mine, other: operation(other, mine)


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "call": lambda f, args, kwargs: f(*args, **kwargs),
    "get": getattr,
    "set": setattr,
    "del": delattr,
    "has": hasattr,
    "entry": _construct,
    "isinstance": lambda kind, value: isinstance(value, kind),
    "issubclass": lambda kind, value: issubclass(value, kind),
    "getitem": operator.getitem,
    "setitem": operator.setitem,
    "delitem": operator.delitem,
    "contains": operator.contains,
    "enter": lambda it: type(it).__enter__(it),
    "exit": lambda it, *how: type(it).__exit__(it, *how),
    "len": len,
    "iter": iter,
    "next": next,
    "reversed": lambda it: list(reversed(it)),
    "bool": bool,
    "str": str,
    "repr": repr,
    "format": format,
    "int": int,
    "float": float,
    "index": operator.index,
    "abs": abs,
    "neg": operator.neg,
    "pos": operator.pos,
    "invert": operator.invert,
    "round": round,
    **{
        name: getattr(operator, name)
        for name in [
            "eq",
            "ne",
            "lt",
            "le",
            "gt",
            "ge",
            "add",
            "sub",
            "mul",
            "truediv",
            "floordiv",
            "mod",
            "matmul",
            "and_",
            "or_",
            "xor",
            "lshift",
            "rshift",
            "iadd",
            "isub",
            "imul",
        ]
    },
    "pow": pow,
    "divmod": divmod,
    **{
        "r" + name: _reflected(getattr(operator, name))
        for name in ["add", "sub", "mul", "truediv", "floordiv", "mod", "and_", "or_", "xor"]
    },
}
