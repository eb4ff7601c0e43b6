"""Objects of the candidate as the tests see them: names, functions, classes, instances.

Plain values arrive as plain values, so ``==`` on them is the test's own. Everything else stays
where it is, and what is asked of it is asked there. The candidate must not be shown what a test
expects, nor decide what a test compares:

- No comparison of a candidate's object with a value of the tests is asked of it: they differ.
- Arithmetic with values of the tests (``Vector(1, 2) * 3``) is, but only for objects made by a
  name that the tests themselves use as a class. What the candidate says of it does not count.
- Two objects of the candidate may be compared and added; a test of nothing else is weak.
- Only an exception that a test raises by itself may be swallowed by a candidate's ``with``.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing costs more to import than the runner itself
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .link import Link


class State:
    """What a proxy stands for."""

    def __init__(self, link: Link, target: Any, info: dict[str, Any], made: bool) -> None:
        self.link = link
        self.target = target
        self.info = info
        self.made = made
        # The name by which the tests asked for it; empty for everything else.
        self.name = ""

    def ask(self, op: str, *arguments: Any, made: bool = False) -> Any:
        return self.link.request(op, self.target, *arguments, made=made or self.made)


def state_of(value: Any) -> State | None:
    return object.__getattribute__(value, "_whittle") if isinstance(type(value), Meta) else None


def plain_inside(value: Any) -> Any:
    """The plain value of a candidate's object whose class is derived from a plain type."""
    state = state_of(value)
    return None if state is None else state.info.get("is")


class Meta(type):
    """The type of the proxies' types: tells them without asking an instance."""


class Proxy(metaclass=Meta):
    """An object of the candidate."""

    __slots__ = ("_whittle",)

    def __init__(self, state: State) -> None:
        object.__setattr__(self, "_whittle", state)

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            plain = object.__getattribute__(self, "_whittle").info.get("is")
            return type(self) if plain is None else type(plain)
        if name.startswith("__") and name.endswith("__") and name not in _ASKED:
            return object.__getattribute__(self, name)
        state = object.__getattribute__(self, "_whittle")
        return state.link.request("get", state.target, name)

    def __setattr__(self, name: str, value: Any) -> None:
        object.__getattribute__(self, "_whittle").ask("set", name, value)

    def __delattr__(self, name: str) -> None:
        object.__getattribute__(self, "_whittle").ask("del", name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        state = object.__getattribute__(self, "_whittle")
        making = state.name in state.link.classes
        return state.link.request("call", state.target, args, kwargs, made=making)

    def __eq__(self, other: object) -> Any:
        state, theirs = object.__getattribute__(self, "_whittle"), state_of(other)
        if "is" in state.info:
            mine = state.info["is"]
            return mine == (theirs.info.get("is", other) if theirs else other)
        if theirs is None:
            return NotImplemented
        return theirs.target == state.target or bool(state.ask("eq", other))

    def __ne__(self, other: object) -> Any:
        same = self.__eq__(other)
        return same if same is NotImplemented else not same

    def __hash__(self) -> int:
        info = object.__getattribute__(self, "_whittle").info
        return hash(info["is"]) if "is" in info else hash(info.get("id", 0))

    def __contains__(self, item: Any) -> bool:
        state = object.__getattribute__(self, "_whittle")
        if "is" not in state.info and (state.made or state_of(item) is not None):
            return bool(state.ask("contains", item))
        return any(item == mine for mine in self)

    def __iter__(self) -> Any:
        info = object.__getattribute__(self, "_whittle").info
        if isinstance(info.get("is"), str | bytes | list | tuple | dict | set | frozenset):
            return iter(info["is"])
        return object.__getattribute__(self, "_whittle").ask("iter")

    def __enter__(self) -> Any:
        return object.__getattribute__(self, "_whittle").ask("enter")

    def __exit__(self, *how: Any) -> Any:
        plain = (None, None, None) if how[0] is None else (how[0], None, None)
        said = object.__getattribute__(self, "_whittle").ask("exit", *plain)
        return bool(said) and how[0] is not None and _is_raised_by_test(how[1], how[2])


def _is_raised_by_test(problem: BaseException, traceback: Any) -> bool:
    """Whether a ``raise`` in the test's own text is where an exception comes from.

    An assertion, or what an operation on a candidate's object raised, is what the test found out.
    """
    import opcode

    if not isinstance(problem, Exception) or isinstance(problem, AssertionError):
        return False
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    code = traceback.tb_frame.f_code
    ours = code.co_filename in ("<tests>", "test_solution.py")
    return ours and code.co_code[traceback.tb_lasti] == opcode.opmap["RAISE_VARARGS"]


_ASKED = ("__name__", "__doc__", "__wrapped__", "__members__", "__annotations__", "__dict__")


class ClassProxy(Proxy):
    """A class of the candidate; ``isinstance`` and ``issubclass`` are asked there."""

    __slots__ = ()

    def __instancecheck__(self, value: Any) -> bool:
        if state_of(value) is None and not isinstance(value, BaseException):
            return False
        return bool(object.__getattribute__(self, "_whittle").ask("isinstance", value))

    def __subclasscheck__(self, value: Any) -> bool:
        if state_of(value) is None:
            return False
        return bool(object.__getattribute__(self, "_whittle").ask("issubclass", value))


CLASSES: dict[str, type[Proxy]] = {"class": ClassProxy}


_COMPARISONS = ("lt", "le", "gt", "ge")
_WRITING = ("setitem", "delitem", "str", "repr", "format")


def _on_plain(mine: Any, op: str, *arguments: Any) -> Any:
    """The operation on the plain value inside, by the plain type's own method."""
    method = getattr(mine, f"__{op.strip('_')}__", None)
    return NotImplemented if method is None else method(*arguments)


def _unary(op: str) -> Callable[..., Any]:
    def method(self: Proxy, *arguments: Any) -> Any:
        state = object.__getattribute__(self, "_whittle")
        if "is" in state.info and op not in _WRITING:
            return _on_plain(state.info["is"], op, *arguments)
        return state.ask(op, *arguments)

    return method


def _binary(op: str) -> Callable[[Proxy, Any], Any]:
    def method(self: Proxy, other: Any) -> Any:
        state = object.__getattribute__(self, "_whittle")
        theirs = state_of(other)
        if "is" in state.info:
            return _on_plain(
                state.info["is"], op, theirs.info.get("is", other) if theirs else other
            )
        if theirs is None and (op in _COMPARISONS or not state.made):
            return NotImplemented
        return state.ask(op, other, made=state.made)

    return method


for _name in [
    "len",
    "next",
    "reversed",
    "bool",
    "str",
    "repr",
    "format",
    "int",
    "float",
    "index",
    "abs",
    "neg",
    "pos",
    "invert",
    "round",
    "getitem",
    "setitem",
    "delitem",
]:
    setattr(Proxy, f"__{_name}__", _unary(_name))
for _name in [
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
    "and",
    "xor",
    "or",
    "pow",
    "divmod",
    "radd",
    "rsub",
    "rmul",
    "rtruediv",
    "rfloordiv",
    "rmod",
    "rand",
    "rxor",
    "ror",
]:
    setattr(Proxy, f"__{_name}__", _binary({"and": "and_", "or": "or_"}.get(_name, _name)))
