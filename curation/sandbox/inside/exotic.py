"""Values of the standard library and numpy that cross the wire by value, as plain stand-ins.

``to_plain`` gives ``(name, payload)``; ``from_plain`` builds the value again from a payload that
may be hostile: only the types named here can come out, and modules are imported only when needed.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing costs more to import than the runner itself
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MAX_ARRAY = 64 * 1024**2
# numpy's kinds that hold values and no objects.
_KINDS = "biufcUSmM?"


def to_plain(value: Any) -> tuple[str, Any] | None:
    """The stand-in of a value of one of the known types; None for any other."""
    kind = type(value)
    name = f"{getattr(kind, '__module__', '')}.{getattr(kind, '__qualname__', '')}"
    known = _OUT.get(name)
    if known is not None:
        return name, known(value)
    if name.startswith("numpy.") and "numpy" in sys.modules:
        return _numpy_out(value)
    return None


def from_plain(name: str, payload: Any) -> Any:
    """The value of a stand-in; ValueError or TypeError for what cannot be."""
    if name == "numpy":
        return _numpy_in(*payload)
    return _IN[name](payload)


def _numpy_out(value: Any) -> tuple[str, Any] | None:
    import numpy

    if type(value) is not numpy.ndarray and not isinstance(value, numpy.generic):
        return None
    array = numpy.asarray(value)
    if array.dtype.kind not in _KINDS or array.nbytes > MAX_ARRAY:
        return None
    scalar = type(value) is not numpy.ndarray
    return "numpy", (array.dtype.str, list(array.shape), array.tobytes(), scalar)


def _numpy_in(dtype: str, shape: list[int], raw: bytes, scalar: bool) -> Any:
    import numpy

    kind = numpy.dtype(str(dtype))
    if kind.kind not in _KINDS:
        raise ValueError("an array of objects")
    array = numpy.frombuffer(bytes(raw), kind).reshape([int(n) for n in shape]).copy()
    return array[()] if scalar else array


def _decimal(text: Any) -> Any:
    from decimal import Decimal

    return Decimal(str(text))


def _fraction(parts: Any) -> Any:
    from fractions import Fraction

    return Fraction(int(parts[0]), int(parts[1]))


def _collection(name: str) -> Callable[[Any], Any]:
    def build(payload: Any) -> Any:
        import collections

        return getattr(collections, name)(payload)

    return build


def _date(name: str) -> Callable[[Any], Any]:
    def build(payload: Any) -> Any:
        import datetime

        kind = getattr(datetime, name)
        return kind(*payload) if name == "timedelta" else kind.fromisoformat(str(payload))

    return build


def _path(payload: Any) -> Any:
    import pathlib

    return pathlib.Path(str(payload))


_OUT: dict[str, Callable[[Any], Any]] = {
    "builtins.range": lambda v: (v.start, v.stop, v.step),
    "builtins.slice": lambda v: (v.start, v.stop, v.step),
    "builtins.bytearray": bytes,
    "builtins.ellipsis": lambda v: None,
    "builtins.NotImplementedType": lambda v: None,
    "builtins.dict_keys": list,
    "builtins.dict_values": list,
    "builtins.dict_items": list,
    "decimal.Decimal": str,
    "fractions.Fraction": lambda v: (v.numerator, v.denominator),
    "collections.deque": list,
    "collections.Counter": dict,
    "collections.OrderedDict": dict,
    "collections.defaultdict": dict,
    "datetime.datetime": lambda v: v.isoformat(),
    "datetime.date": lambda v: v.isoformat(),
    "datetime.time": lambda v: v.isoformat(),
    "datetime.timedelta": lambda v: (v.days, v.seconds, v.microseconds),
    "pathlib.PosixPath": str,
}
_IN: dict[str, Callable[[Any], Any]] = {
    "builtins.range": lambda p: range(*(int(n) for n in p)),
    "builtins.slice": lambda p: slice(*p),
    "builtins.bytearray": bytearray,
    "builtins.ellipsis": lambda p: ...,
    "builtins.NotImplementedType": lambda p: NotImplemented,
    # Views of a dictionary cannot be built alone; what they hold is compared as the like of it.
    "builtins.dict_keys": lambda p: dict.fromkeys(p).keys(),
    "builtins.dict_values": list,
    "builtins.dict_items": lambda p: dict(p).items(),
    "decimal.Decimal": _decimal,
    "fractions.Fraction": _fraction,
    "collections.deque": _collection("deque"),
    "collections.Counter": _collection("Counter"),
    "collections.OrderedDict": _collection("OrderedDict"),
    "collections.defaultdict": dict,
    "datetime.datetime": _date("datetime"),
    "datetime.date": _date("date"),
    "datetime.time": _date("time"),
    "datetime.timedelta": _date("timedelta"),
    "pathlib.PosixPath": _path,
}
