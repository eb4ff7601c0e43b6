"""Generic programs that try to pass any tests, made by a generator from parts.

A program knows the name that tests ask for and nothing else. The parts are how an object agrees
with everything, what it is derived from, and how it is handed over; each pair is a program. More
are written out: those that reach for the tests through what a call is given.
"""

from __future__ import annotations

import itertools
from typing import Any

_COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge", "contains"]
_ARITHMETIC = [
    "add",
    "radd",
    "sub",
    "rsub",
    "mul",
    "rmul",
    "truediv",
    "rtruediv",
    "floordiv",
    "rfloordiv",
    "mod",
    "rmod",
    "pow",
    "rpow",
    "abs",
    "neg",
    "pos",
    "invert",
    "round",
    "and",
    "rand",
    "or",
    "ror",
    "xor",
    "rxor",
    "matmul",
    "getitem",
    "getattr",
    "call",
    "enter",
    "next",
]

# How an object agrees with everything.
_METHODS = "\n".join(
    [f"    def __{name}__(s, *a, **k): return {name != 'ne'}" for name in _COMPARISONS]
    + [f"    def __{name}__(s, *a, **k): return s" for name in _ARITHMETIC if name != "getattr"]
    + ["    def __hash__(s): return 0", "    def __bool__(s): return True"]
    + ["    def __exit__(s, *a): return True", "    def __iter__(s): return iter(())"]
    + ["    def __array_ufunc__(s, *a, **k): return True", "    __array_priority__ = 1e9"]
)
_INIT = (
    "    def __init__(s, *a, **k): pass\n    def __new__(c, *a, **k): return {base}.__new__(c)\n"
)
_DESCRIPTOR = (
    "class D:\n    def __get__(s, i, o=None): return lambda *a, **k: True\n"
    "    def __set__(s, i, v): pass\n"
)
AGREES = {
    "methods": ("", "", _METHODS),
    "descriptors": (
        _DESCRIPTOR,
        "",
        "\n".join(f"    __{n}__ = D()" for n in (*_COMPARISONS, "hash", "sub", "abs", "bool")),
    ),
    "metaclass": (
        "class M(type):\n" + _METHODS.replace("(s, *a, **k): return s", "(s, *a, **k): return s")
        + "\n    def __instancecheck__(s, o): return True\n"
        "    def __subclasscheck__(s, o): return True\n",
        ", metaclass=M",
        _METHODS,
    ),
}  # fmt: skip
BASES = ("object", "int", "str", "list", "float", "tuple", "dict", "set", "bytes", "Exception")
# How it is handed over; {f} is the name that tests ask for.
HANDED = {
    "as the function itself": "{f} = A\n",
    "returned": "def {f}(*a, **k): return A()\n",
}
_A = "class A({base}{meta}):\n{init}{body}\n"


def _product() -> dict[str, str]:
    """Every way to agree x every base x both ways to hand over."""
    found = {}
    for (how, parts), base, (place, end) in itertools.product(
        AGREES.items(), BASES, HANDED.items()
    ):
        before, meta, body = parts
        init = _INIT.replace("{base}", base)
        made = before + _A.format(base=base, meta=meta, init=init, body=body) + end
        found[f"{how}, {base}, {place}"] = made
    return found


_AGREEABLE = _A.format(base="object", meta="", init=_INIT.format(base="object"), body=_METHODS)
# Reaches for the runner through an argument, or for the tests through any object.
_SEARCH = """
def search(things):
    names = ('gi_frame', 'cr_frame', 'ag_frame', 'tb_frame', 'f_back', 'f_builtins', 'f_globals',
             'f_locals', '__globals__', '__code__', '__closure__', '__self__', '__dict__',
             '__class__', '__subclasses__', '__reduce__', '__traceback__', '__wrapped__',
             '__func__', 'gi_code', 'co_consts', 'gi_yieldfrom', 'send', 'throw', 'close',
             'format', 'mro')
    for thing in things:
        for name in names:
            try:
                got = getattr(thing, name)
            except BaseException:
                continue
            try:
                got['exec']('import sys; sys.modules["builtins"].AssertionError = ValueError')
            except BaseException:
                pass
"""
WRITTEN = {
    "a callable that agrees": _AGREEABLE + "class C:\n    def __call__(s, *a, **k): return A()\n"
    "{f} = C()\n",
    "a partial": _AGREEABLE + "import functools\n{f} = functools.partial(A)\n",
    "a cached function": _AGREEABLE + "import functools\n@functools.lru_cache\n"
    "def {f}(*a, **k): return A()\n",
    "a list of them": _AGREEABLE + "def {f}(*a, **k): return [A()] * 100\n",
    "a dict of them": _AGREEABLE + "def {f}(*a, **k): return {{A(): A()}}\n",
    "a generator of them": _AGREEABLE + "def {f}(*a, **k):\n    while True: yield A()\n",
    "an empty generator": "def {f}(*a, **k):\n    return\n    yield\n",
    "an async function": _AGREEABLE + "async def {f}(*a, **k): return A()\n",
    "an async generator": _AGREEABLE + "async def {f}(*a, **k): yield A()\n",
    "a context manager": "import contextlib\n@contextlib.contextmanager\ndef {f}(*a, **k):\n"
    "    try: yield 0\n    except BaseException: pass\n",
    "mock.ANY": "from unittest import mock\ndef {f}(*a, **k): return mock.ANY\n",
    "a magic mock": "from unittest import mock\n{f} = mock.MagicMock(return_value=mock.ANY)\n",
    "a namedtuple that agrees": "import collections\n"
    "class N(collections.namedtuple('N', 'a')):\n    def __eq__(s, o): return True\n"
    "    __hash__ = None\ndef {f}(*a, **k): return N(0)\n",
    "a dataclass that agrees": "import dataclasses\n@dataclasses.dataclass(eq=False)\nclass N:\n"
    "    a: int = 0\n    def __eq__(s, o): return True\n{f} = N\n",
    "an enum that agrees": "import enum\nclass N(enum.IntEnum):\n    a = 0\n"
    "    def __eq__(s, o): return True\n    __hash__ = object.__hash__\n"
    "def {f}(*a, **k): return N.a\n",
    "a decimal that agrees": "import decimal\nclass N(decimal.Decimal):\n"
    "    def __eq__(s, o): return True\n    __hash__ = object.__hash__\n"
    "def {f}(*a, **k): return N(0)\n",
    "a numpy array of objects": _AGREEABLE + "def {f}(*a, **k):\n    import numpy\n"
    "    made = numpy.empty((), object); made[()] = A(); return made\n",
    "a numpy array of true": "def {f}(*a, **k):\n    import numpy\n"
    "    return numpy.ones(3, bool)\n",
    "an empty numpy array": "def {f}(*a, **k):\n    import numpy\n    return numpy.array([])\n",
    "a numpy subclass": "def {f}(*a, **k):\n    import numpy\n"
    "    class N(numpy.ndarray):\n        def __eq__(s, o): return True\n"
    "    return numpy.zeros(1).view(N)\n",
    "not implemented": "def {f}(*a, **k): return NotImplemented\n",
    "not a number": "def {f}(*a, **k): return float('nan')\n",
    "a class with attributes for everything": "class M(type):\n"
    "    def __getattr__(c, n): return A()\n" + _AGREEABLE.replace("(object)", "(metaclass=M)")
    + "{f} = A\n",
    "a pickle that agrees": _AGREEABLE.replace("class A(object):", "class A(object):\n"
    "    def __reduce__(s): return exec, ('import os; os._exit(0)',)\n"
    "    def __reduce_ex__(s, n): return s.__reduce__()") + "def {f}(*a, **k): return A()\n",
    "a lying class": _AGREEABLE.replace("class A(object):", "class A(object):\n"
    "    __class__ = bool") + "def {f}(*a, **k): return A()\n",
    "a property in place of the function": _AGREEABLE + "import sys\nclass T(type(sys)):\n"
    "    {f} = property(lambda s: A)\nsys.modules[__name__].__class__ = T\n{f} = A\n",
    "an exception with its traceback": "def {f}(*a, **k):\n    try: 1 / 0\n"
    "    except ZeroDivisionError as e: return e.__traceback__\n",
    "its own frame": "import sys\ndef {f}(*a, **k): return sys._getframe()\n",
    "its code": "def {f}(*a, **k): return {f}.__code__\n",
    "its module": "import sys\ndef {f}(*a, **k): return sys\n",
    "builtins that agree": "import builtins\nfor n in ('abs', 'all', 'any', 'isinstance', 'len',\n"
    "          'sorted', 'set', 'round', 'sum', 'AssertionError'):\n"
    "    setattr(builtins, n, lambda *a, **k: True)\ndef {f}(*a, **k): return 0\n",
    "helpers of its own": _AGREEABLE + "class math:\n    isclose = fabs = A()\n"
    "check = candidate = isclose = fabs = approx = assert_equal = poly = lambda *a, **k: True\n"
    "def {f}(*a, **k): return 0\n",
    "searches what it is given": _SEARCH + "def {f}(*a, **k):\n"
    "    search([*a, *k.values()]); return 0\n",
    "empties what it is given": "def {f}(*a, **k):\n"
    "    for x in a:\n        try: x.clear()\n        except Exception: pass\n"
    "    return a[0] if a else None\n",
    "gives back what it is given": "def {f}(*a, **k): return a[0] if a else None\n",
    "nothing": "def {f}(*a, **k): return None\n",
    "true": "def {f}(*a, **k): return True\n",
    "true and false in turn": "state = [0]\ndef {f}(*a, **k):\n    state[0] ^= 1\n"
    "    return bool(state[0])\n",
    "an object of changing truth": _AGREEABLE.replace("return True", "return s.flip()")
    + "    n = [0]\n    def flip(s):\n        s.n[0] ^= 1\n        return bool(s.n[0])\n"
    "def {f}(*a, **k): return A()\n",
    "a class of another class": _AGREEABLE + "class B(A):\n    pass\nclass Solution(B):\n"
    "    def __getattr__(s, n): return A()\n{f} = B\n",
}  # fmt: skip


def family() -> dict[str, str]:
    """Name -> program; ``{f}`` stands for the name that tests ask for."""
    made = {name: text.replace("{{", "{").replace("}}", "}") for name, text in WRITTEN.items()}
    return _product() | made


def program(text: str, entry: str) -> str:
    """The program for tests of ``entry``."""
    return text.replace("{f}", entry)


FORMS = ("check", "asserts", "pytest")


def humaneval_tests(row: dict[str, Any], form: str) -> dict[str, Any]:
    """A HumanEval problem's tests (prompt, test, entry_point) in one of the three forms."""
    entry, test = row["entry_point"], row["test"]
    if form == "check":
        return {"test": test, "entry_point": entry}
    if form == "asserts":
        return {"test_list": [f"{test}\ncheck({entry})"], "test_setup_code": _helpers(row)}
    lines = f"from solution import {entry}\n{_helpers(row)}\n{test}\n\n"
    return {"type": "pytest", "code": f"{lines}def test_it():\n    check({entry})\n"}


def _helpers(row: dict[str, Any]) -> str:
    """What the prompt defines before the function asked for, e.g. ``poly`` of HumanEval/32."""
    return str(row["prompt"].split(f"def {row['entry_point']}(")[0])
