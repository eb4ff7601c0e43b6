"""What the tests may hand to the candidate, and what the candidate may then do with it.

An allow-list of types, and of operations for each. Frames, code objects, modules, tracebacks and
everything else that leads into the runner's process has no entry, so it cannot cross, neither as
an argument nor as the attribute or result of something that did.
"""

from __future__ import annotations

import sys

from . import wire

TYPE_CHECKING = False  # typing costs more to import than the runner itself
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# The modules whose functions and classes are the tests' own.
TEST_MODULES = ("tests", "test_solution")
# Packages that both sides import, so that their functions and classes cross by name.
SHARED_PACKAGES = frozenset({"numpy"})

_FUNCTION = type(lambda: None)
_METHOD = type(wire.Encoder().encode)
_BUILTIN = type(len)
_DESCRIPTORS = (type(str.upper), type(int.__add__))
_PLAIN_BASES = (int, float, complex, str, bytes, list, tuple, dict, set, frozenset)
# A method such as ``results.append`` changes or reads one value of these types, no more.
_BOUND_TO = ("list", "dict", "set", "bytearray", "deque", "Counter", "defaultdict", "OrderedDict",
             "StringIO", "BytesIO")  # fmt: skip
_STREAM_METHODS = frozenset((
    "read", "readline", "readlines", "write", "writelines", "getvalue", "seek", "tell", "flush",
    "close", "closed", "truncate",
))  # fmt: skip
# Python's own methods that a class of the tests may define.
SPECIAL = frozenset((
    "__next__", "__len__", "__bool__", "__iter__", "__str__", "__repr__", "__getitem__",
    "__setitem__", "__contains__", "__eq__", "__lt__", "__le__", "__gt__", "__ge__", "__add__",
    "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__", "__enter__", "__exit__",
))  # fmt: skip


class NotHandedOver(wire.WireError):
    """The tests give the candidate something that it may not have: the tests' fault."""


def by_name(value: Any) -> tuple[str, str] | None:
    """``(module, qualified name)`` of a function or class that both sides can import.

    The candidate gets its own ``int``, ``len`` or ``math.sqrt``, never the runner's.
    """
    kind = type(value)
    module: Any
    name: Any
    if kind in _DESCRIPTORS:
        owner = value.__objclass__
        module, name = owner.__module__, f"{owner.__qualname__}.{value.__name__}"
    elif isinstance(value, type) or kind in (_FUNCTION, _BUILTIN):
        module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    else:
        return None
    if not isinstance(module, str) or not isinstance(name, str):
        return None
    shared = module.partition(".")[0] in sys.stdlib_module_names | SHARED_PACKAGES
    return (module, name) if shared and resolve(module, name) is value else None


def resolve(module: str, name: str) -> Any:
    """The object of a qualified name in a module that is loaded; None where there is none."""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def by_parts(value: Any) -> tuple[str, str, list[Any]] | None:
    """``(module, name, arguments)`` that build a like value on the other side; None for others."""
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name in ("operator.itemgetter", "operator.attrgetter", "operator.methodcaller"):
        return "operator", kind.__qualname__, list(value.__reduce__()[1])
    if name == "re.Pattern":
        return "re", "compile", [value.pattern, value.flags]
    if name in ("uuid.UUID", "array.array"):
        parts = [str(value)] if name == "uuid.UUID" else [value.typecode, value.tolist()]
        return kind.__module__, kind.__qualname__, parts
    if isinstance(value, BaseException) and kind.__module__ == "builtins":
        return "builtins", kind.__qualname__, list(value.args)
    return None


def kind_of(value: Any) -> str:
    """The row of the allow-list that an object falls under; NotHandedOver where it has none."""
    for kind, matches in _KINDS:
        if matches(value):
            return kind
    raise NotHandedOver(f"a {type(value).__name__} cannot be handed to the candidate")


def _is_tests_class(kind: type) -> bool:
    return getattr(kind, "__module__", None) in TEST_MODULES


def _is_function(value: Any) -> bool:
    kind = type(value)
    if kind is _FUNCTION:
        return value.__globals__.get("__name__") in TEST_MODULES
    if kind is _METHOD:
        return _is_function(value.__func__)
    if kind is _BUILTIN:
        return type(value.__self__).__name__ in _BOUND_TO
    if kind.__module__ == "functools" and kind.__qualname__ == "partial":
        return _is_function(value.func) or by_name(value.func) is not None
    if kind.__module__ == "functools" and kind.__qualname__ == "_lru_cache_wrapper":
        return _is_function(value.__wrapped__)
    return False


def _is_iterator(value: Any) -> bool:
    kind = type(value)
    return hasattr(kind, "__next__") and not _is_tests_class(kind) and not _is_stream(value)


def _is_stream(value: Any) -> bool:
    return type(value).__module__ == "_io" and type(value).__name__ in ("StringIO", "BytesIO")


def _is_mock(value: Any) -> bool:
    return type(value).__name__ in ("Mock", "MagicMock") and isinstance(
        value, _class_of("unittest.mock", "NonCallableMock")
    )


def _is_instance(value: Any) -> bool:
    kind = type(value)
    return _is_tests_class(kind) or kind is _class_of("types", "SimpleNamespace")


def _class_of(module: str, name: str) -> type:
    found = resolve(module, name)
    return found if isinstance(found, type) else _Nothing


class _Nothing:
    """Stands for a class whose module is not loaded: nothing is an instance of it."""


_KINDS: tuple[tuple[str, Callable[[Any], bool]], ...] = (
    ("function", _is_function),
    ("class", lambda value: isinstance(value, type) and _is_tests_class(value)),
    ("stream", _is_stream),
    ("mock", _is_mock),
    ("instance", _is_instance),
    ("iterator", _is_iterator),
)


def require_allowed(kind: str, value: Any, what: str, arguments: tuple[Any, ...]) -> None:
    """AttributeError for an operation that the allow-list does not have for this object."""
    name = arguments[0] if what in ("get", "set") and arguments else ""
    if what in ("get", "set") and (not isinstance(name, str) or name.startswith("_")):
        raise AttributeError(str(name))
    if not _ALLOWED[kind](value, what, name):
        raise AttributeError(str(name) or what)


def _allowed_for_instance(value: Any, what: str, name: str) -> bool:
    kind = type(value)
    if what == "get":
        return _is_readable(value, name)
    if what == "set":
        return not any(name in vars(base) for base in kind.__mro__ if not _is_tests_class(base))
    return (what in SPECIAL or what == "call") and _defines(kind, _METHOD_OF.get(what, what))


_METHOD_OF = {"call": "__call__"}


def _defines(kind: type, method: str) -> bool:
    """Whether a class of the tests, or a plain type that it is derived from, has the method."""
    owners = (base for base in kind.__mro__ if method in vars(base))
    owner = next(owners, object)
    return owner in _PLAIN_BASES or _is_tests_class(owner)


def _is_readable(value: Any, name: str) -> bool:
    """Data of the object, what the tests' own classes define, and what tells an enum's member."""
    if name in (getattr(value, "__dict__", None) or {}):
        return True
    if isinstance(value, BaseException) and name == "args":
        return True
    owner = next((base for base in type(value).__mro__ if name in vars(base)), object)
    if owner in _PLAIN_BASES:
        return name not in ("format", "format_map")  # their fields read attributes of any name
    is_enum = owner.__module__ == "enum" and name in ("name", "value")
    return is_enum or _is_tests_class(owner)


def _allowed_for_class(value: Any, what: str, name: str) -> bool:
    if what == "get":
        return any(name in vars(base) for base in value.__mro__ if _is_tests_class(base))
    members = ("__iter__", "__len__", "__contains__", "__getitem__")
    is_enum = type(value).__module__ == "enum"
    return what == "call" or (is_enum and what in members)


def _allowed_for_mock(value: Any, what: str, name: str) -> bool:
    """Calls and children; nothing by which a mock tells or changes what it is asked later."""
    if what == "get":
        return not hasattr(_class_of("unittest.mock", "NonCallableMock"), name) and not (
            name.startswith("assert") or name in ("return_value", "side_effect")
        )
    return what == "call"


_ALLOWED: dict[str, Callable[[Any, str, str], bool]] = {
    "function": lambda value, what, name: what == "call",
    "iterator": lambda value, what, name: what in ("__next__", "__iter__", "__len__"),
    "stream": lambda value, what, name: (
        what in ("__next__", "__iter__") or (what == "get" and name in _STREAM_METHODS)
    ),
    "mock": _allowed_for_mock,
    "class": _allowed_for_class,
    "instance": _allowed_for_instance,
}
