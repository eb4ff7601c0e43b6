"""Who decides what is compared: the tests alone, whatever the candidate's objects are.

A family of generic programs (:mod:`tests.curation.cheat_family`) against made tests in every form
and against HumanEval; then the single attacks; then what honest solutions need to keep working.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from curation.sandbox.inside import handover, uses
from curation.verifiers.code import CodeVerifier
from tests.curation import cheat_family as made
from tests.curation import code_cheats as cheats
from tests.curation.sandbox_holes import hole, inside, sandbox_here

needs_sandbox = pytest.mark.skipif(not sandbox_here(), reason="no sandbox here")
soak = pytest.mark.skipif(not os.environ.get("WHITTLE_SOAK"), reason="an hour: make soak")
FAMILY = made.family()
MADE = {"check": cheats.CHECK, "asserts": cheats.ASSERTS, "pytest": cheats.PYTEST}


def judge(program: str, tests: Any, prompt: str = "") -> Any:
    return CodeVerifier().check(f"```python\n{program}\n```", None, tests=tests, prompt=prompt)


def humaneval() -> list[dict[str, Any]]:
    folder = os.environ.get("WHITTLE_REAL_DATA")
    if not folder:
        pytest.skip("WHITTLE_REAL_DATA is not set")
    with gzip.open(Path(folder) / "humaneval" / "HumanEval.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


def test_the_family_has_at_least_60_programs_that_are_python() -> None:
    assert len(FAMILY) >= 60
    for name, text in FAMILY.items():
        compile(made.program(text, "f"), name, "exec")


@needs_sandbox
@pytest.mark.parametrize("form", MADE)
def test_no_generic_program_passes_made_tests(form: str) -> None:
    """Every program in one of the forms; make soak tries all of them in all forms."""
    every = 1 if os.environ.get("WHITTLE_SOAK") else 3
    chosen = [n for i, n in enumerate(FAMILY) if (i + list(MADE).index(form)) % every == 0]
    with ThreadPoolExecutor(2) as threads:
        verdicts = threads.map(lambda n: judge(made.program(FAMILY[n], "f"), MADE[form]), chosen)
        passed = [n for n, v in zip(chosen, verdicts, strict=True) if v.verdict != "incorrect"]
    assert passed == []


@needs_sandbox
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_generic_program_passes_a_problem_of_humaneval() -> None:
    """Each problem with one program of the family, in one form."""
    rows, names = humaneval(), list(FAMILY)
    jobs = [(names[n * 37 % len(names)], row, made.FORMS[n % 3]) for n, row in enumerate(rows)]
    assert scored(jobs) == []


@needs_sandbox
@pytest.mark.slow
@soak
@pytest.mark.timeout(4 * 3600)
def test_no_generic_program_passes_any_problem_of_humaneval_in_any_form() -> None:
    jobs = [(n, row, form) for n in FAMILY for row in humaneval() for form in made.FORMS]
    assert scored(jobs) == []


@needs_sandbox
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_canonical_solutions_pass_as_asserts_and_as_pytest_files() -> None:
    def wrong(job: tuple[dict[str, Any], str]) -> str:
        row, form = job
        program = row["prompt"] + row["canonical_solution"]
        verdict = judge(program, made.humaneval_tests(row, form), row["prompt"])
        return "" if verdict.verdict == "correct" else f"{row['task_id']} {form} {verdict}"

    every = 1 if os.environ.get("WHITTLE_SOAK") else 4
    jobs = [(row, form) for row in humaneval()[::every] for form in ("asserts", "pytest")]
    with ThreadPoolExecutor(2) as threads:
        assert [w for w in threads.map(wrong, jobs) if w] == []


def scored(jobs: list[tuple[str, dict[str, Any], str]]) -> list[tuple[str, str, str]]:
    """The jobs whose verdict is anything but incorrect."""

    def one(job: tuple[str, dict[str, Any], str]) -> str:
        name, row, form = job
        program = made.program(FAMILY[name], row["entry_point"])
        return str(judge(program, made.humaneval_tests(row, form), row["prompt"]).verdict)

    with ThreadPoolExecutor(2) as threads:
        verdicts = list(threads.map(one, jobs))
    return [
        (name, row["task_id"], form)
        for (name, row, form), verdict in zip(jobs, verdicts, strict=True)
        if verdict != "incorrect"
    ]


# --- single attacks

CLASS = "class f:\n    def __init__(s, *a): pass\n    def __eq__(s, o): return True\n"
FRAMES = (
    "def f(it):\n"
    "    for name in ('gi_frame', 'gi_code', 'gi_yieldfrom', 'send', 'throw'):\n"
    "        try:\n"
    "            got = getattr(it, name)\n"
    "            got.f_builtins['exec']('import sys; "
    'sys.modules["whittle_inside.asserts"].Places.failed = '
    'sys.modules["whittle_inside.asserts"].Places.passed\')\n'
    "        except Exception:\n            continue\n"
    "    return 0\n"
)
GENERATOR = "assert f(i for i in range(3)) == [0, 2, 4]"
SWALLOWS = (
    "class C:\n    def __enter__(s): return 0\n    def __exit__(s, *a): return True\n"
    "def f(n): return C()\n"
)
ATTACKS: dict[str, tuple[str, dict[str, Any]]] = {
    "a class that equals everything, asserts": (CLASS, {"test_list": ["assert f(2) == 17"]}),
    "the same, check without an entry point": (
        CLASS,
        {"type": "check", "code": "assert f(2) == 17"},
    ),
    "the same, pytest": (CLASS, cheats.PYTEST),
    "frames of a generator, asserts": (FRAMES, {"test_list": [GENERATOR]}),
    "frames of a generator, check": (
        FRAMES,
        {
            "test": f"def check(candidate):\n    {GENERATOR.replace('f(i', 'candidate(i')}",
            "entry_point": "f",
        },
    ),
    "frames of a generator, pytest": (
        FRAMES,
        {"test": f"from solution import f\ndef test_it():\n    {GENERATOR}\n"},
    ),
    "a fake math": (
        "class math:\n    isclose = lambda *a: True\ndef f(n): return 0\n",
        {"test_list": ["assert math.isclose(f(2), 17)"]},
    ),
    "a fake isclose": (
        "isclose = lambda *a: True\ndef f(n): return 0\n",
        {"test_list": ["assert isclose(f(2), 17)"]},
    ),
    "a with that swallows the assertion": (
        SWALLOWS,
        {"test_list": ["with f(2) as n:\n    assert n == 17"]},
    ),
    "a with that swallows what its object raised": (
        SWALLOWS.replace("return 0", "return s"),
        {"test_list": ["with f(2) as n:\n    assert abs(n - 17) < 1"]},
    ),
    "the loop of the test is ended": (
        "def f(n): raise StopIteration",
        {"test_list": ["assert all(map(lambda c: f(c[0]) == c[1], [(2, 17), (5, 38)]))"]},
    ),
    "the argument is emptied": (
        "def f(a):\n    a.clear()\n    return []\n",
        {"test_list": ["a = [3, 1, 2]\nassert f(a) == sorted(a)"]},
    ),
    "the argument is emptied, pytest": (
        "def f(a):\n    a.clear()\n    return []\n",
        {
            "test": "from solution import f\ndef test_it():\n    a = [3, 1, 2]\n"
            "    got = f(a)\n    assert got == sorted(a)\n"
        },
    ),
    "the argument becomes the answer": (
        "def f(a):\n    a[:] = [0]\n    return a\n",
        {"test_list": ["a = [1, 2, 3]\nassert f(a) == a[::-1][::-1]"]},
    ),
}


@needs_sandbox
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_incorrect(name: str) -> None:
    program, tests = ATTACKS[name]
    verdict = judge(program, tests)
    assert (verdict.verdict, verdict.score) == ("incorrect", 0.0), verdict


@needs_sandbox
@pytest.mark.parametrize(
    "tests",
    [
        ["assert near(f(2), 17)"],
        ["x = f(2)\nassert near(x, 17)"],
        ["for x in [f(2)]:\n    near(x, 17)\n    assert near(17, x)"],
        ["assert f(2) == EXPECTED"],
        ["assert f(2) == config.expected"],
        ["This is a task in words, with f(2) == 17."],
        ["f"],
    ],
)
def test_tests_that_only_the_candidate_could_complete_are_bad_tests(tests: list[str]) -> None:
    program = (
        "class near:\n    def __new__(c, *a): return True\n"
        "class config:\n    expected = 0\nEXPECTED = 0\ndef f(n): return 0\n"
    )
    verdict = judge(program, {"test_list": tests})
    assert (verdict.verdict, verdict.reason) == ("unverifiable", "bad_tests"), verdict


@needs_sandbox
def test_a_pytest_file_that_imports_everything_or_misses_a_name_is_bad_tests() -> None:
    for text in (
        "from solution import *\ndef test_it():\n    assert f(2) == 17\n",
        "from solution import f\ndef test_it():\n    assert near(f(2), 17)\n",
    ):
        verdict = judge(cheats.SOLUTION, {"test": text})
        assert (verdict.verdict, verdict.reason) == ("unverifiable", "bad_tests"), verdict


@needs_sandbox
def test_control_asked_what_it_is_a_class_in_place_of_the_function_would_reckon() -> None:
    cheat = made.program(FAMILY["methods, object, as the function itself"], "f")
    tests = {"test_list": ["assert abs(f(2) - 17) < 1e-6"]}
    assert judge(cheat, tests).verdict == "incorrect"
    decided = "making = state.name in state.link.classes"
    believed = 'making = state.info.get("kind") == "class"'
    compared = inside("proxies", "(op in _COMPARISONS or not state.made)", "(not state.made)")
    with hole(inside("proxies", decided, believed), compared):
        assert judge(cheat, tests).verdict == "correct"


@needs_sandbox
def test_control_with_every_operation_allowed_a_generator_gives_its_frame() -> None:
    tests = ATTACKS["frames of a generator, asserts"][1]
    spy = (
        "def f(it):\n    try:\n        it.gi_frame\n    except AttributeError:\n        return 0\n"
    )
    spy += "    return [0, 2, 4]\n"
    assert judge(spy, tests).verdict == "incorrect"
    with hole(inside("handover", "if not _ALLOWED[kind](value, what, name):", "if False:"),
              inside("handover", "raise NotHandedOver(", "return 'instance'  # ")):  # fmt: skip
        assert judge(spy, tests).verdict == "correct"


# --- what honest solutions need

VECTOR = (
    "class Vector:\n    def __init__(s, x, y): s.x, s.y = x, y\n"
    "    def __eq__(s, o): return (s.x, s.y) == (o.x, o.y)\n"
    "    def __mul__(s, n): return Vector(s.x * n, s.y * n)\n"
    "    def __contains__(s, n): return n in (s.x, s.y)\n"
)
HONEST: dict[str, tuple[str, list[str]]] = {
    "a generator": ("def f(it): return [2 * n for n in it]", [GENERATOR]),
    "a callback": ("def f(g, n): return g(n)", ["assert f(lambda n: n + 1, 2) == 3"]),
    "a function of the library": ("def f(g, x): return g(x)", ["assert f(len, 'ab') == 2"]),
    "a type": ("def f(t, x): return t(x)", ["assert f(int, '2') == 2"]),
    "a method of a type": ("def f(g, x): return g(x)", ["assert f(str.upper, 'a') == 'A'"]),
    "a bound method": (
        "def f(g, n):\n    for i in range(n): g(i)",
        ["out = []\nf(out.append, 3)\nassert out == [0, 1, 2]"],
    ),
    "an itemgetter": (
        "def f(rows, key): return sorted(rows, key=key)",
        ["import operator\nassert f([(2, 1), (1, 2)], operator.itemgetter(1)) == [(2, 1), (1, 2)]"],
    ),
    "an object of the tests": (
        "def f(node):\n    node.seen = True\n    return node.value + node.double()",
        [
            "class Node:\n    def __init__(s, v): s.value = v\n"
            "    def double(s): return 2 * s.value\n"
            "n = Node(2)\nassert f(n) == 6\nassert n.seen"
        ],
    ),
    "a named tuple of the tests": (
        "def f(p):\n    x, y = p\n    return p.x + y + len(p) + p[0]",
        ["from collections import namedtuple\nP = namedtuple('P', 'x y')\nassert f(P(1, 2)) == 6"],
    ),
    "an enum of the tests": (
        "def f(c): return c.value",
        ["from enum import Enum\nclass C(Enum):\n    a = 3\nassert f(C.a) == 3"],
    ),
    "a text stream": (
        "def f(s): return [line.strip() for line in s] + [s.getvalue()]",
        ["import io\nassert f(io.StringIO('a\\nb')) == ['a', 'b', 'a\\nb']"],
    ),
    "a pattern": (
        "def f(p, s): return p.findall(s)",
        ["import re\nassert f(re.compile('a+'), 'aab') == ['aa']"],
    ),
    "a class of vectors": (
        VECTOR,
        ["assert isinstance(Vector(1, 2), Vector)\nassert Vector(1, 2) * 3 == Vector(3, 6)",
         "assert isinstance(Vector(1, 2), Vector) and 2 in Vector(1, 2)"],
    ),
    "an argument of a class of the solution": (
        "class Pair:\n    def __init__(s, a, b): s.a, s.b = a, b\n"
        "def f(pairs): return sum(p.b - p.a for p in pairs)",
        ["assert f([Pair(5, 24), Pair(1, 2)]) == 20"],
    ),
    "an iterator that ends, and a call that says so": (
        "def f(n): return iter(range(n))\ndef g(): raise StopIteration",
        [
            "assert list(f(2)) == [0, 1]",
            "try:\n    g()\n    assert False\nexcept StopIteration:\n    pass",
        ],
    ),
    "a list sorted in place": (
        "def f(a): a.sort()",
        ["a = [3, 1, 2]\nf(a)\nassert a == [1, 2, 3]"],
    ),
    "a list changed in place and its new length": (
        "def f(a, x):\n    a[:] = [n for n in a if n != x]\n    return len(a)",
        ["a = [3, 2, 3]\nk = f(a, 3)\nassert a[:k] == [2]"],
    ),
    "a solution that sorts its argument on the way": (
        "def f(a):\n    a.sort()\n    return a[0]",
        ["a = [3, 1, 2]\nassert f(a) == min(a)"],
    ),
    "tests that forgot an import": ("def f(n): return n / 3", ["assert math.isclose(f(1), 1 / 3)"]),
    "a with that suppresses what the test raises": (
        "import contextlib\ndef f(e): return contextlib.suppress(e)",
        ["with f(ValueError):\n    raise ValueError('x')\nassert f(ValueError)"],
    ),
}  # fmt: skip


@needs_sandbox
@pytest.mark.parametrize("name", HONEST)
def test_an_honest_solution_is_correct(name: str) -> None:
    program, tests = HONEST[name]
    verdict = judge(program, {"test_list": tests})
    assert verdict.verdict == "correct", verdict


# --- the allow-list itself


def a_generator() -> Any:
    yield 1


def refused() -> dict[str, Any]:
    running = a_generator()
    next(running)
    try:
        raise ValueError
    except ValueError as problem:
        traceback = problem.__traceback__
    return {
        "frame": running.gi_frame,
        "code": running.gi_code,
        "traceback": traceback,
        "module": sys,
        "function of another module": judge,
        "class of another module": Path,
        "module's dictionary": types.MappingProxyType(vars(sys)),
        "bound method of a module's object": sys.__stdout__.write,
        "method wrapper": (1).__add__,
    }


@pytest.mark.parametrize("name", refused())
def test_what_has_no_row_is_not_handed_over(name: str) -> None:
    value = refused()[name]
    if handover.by_name(value) is not None:  # crosses as the candidate's own
        assert name == "class of another module"
        return
    with pytest.raises(handover.NotHandedOver):
        handover.kind_of(value)


@needs_sandbox
def test_a_changed_argument_shows_in_the_verdict() -> None:
    tests = {"test_list": ["a = [3, 1, 2]\nf(a)\nassert a == [1, 2, 3]"]}
    assert judge("def f(a): a.sort()", tests).detail["tests"][0]["changed_arguments"] is True
    kept = judge("def f(a): return a", {"test_list": ["assert f([1]) == [1]"]})
    assert "changed_arguments" not in kept.detail["tests"][0]


@pytest.mark.parametrize("what", ["get", "set", "call", "__getitem__", "send", "gi_frame"])
def test_a_generator_is_only_iterated(what: str) -> None:
    running = a_generator()
    assert handover.kind_of(running) == "iterator"
    handover.require_allowed("iterator", running, "__next__", ())
    with pytest.raises(AttributeError):
        handover.require_allowed("iterator", running, what, ("gi_frame",))


def test_names_with_an_underscore_and_what_a_base_of_others_has_are_not_read() -> None:
    space: dict[str, Any] = {"__name__": "tests"}
    exec("import unittest\nclass T(unittest.TestCase):\n    x = 1\nt = T()", space)
    kind = handover.kind_of(space["t"])
    handover.require_allowed(kind, space["t"], "get", ("x",))
    for name in ("_x", "__class__", "skipTest", "assertEqual", "run"):
        with pytest.raises(AttributeError):
            handover.require_allowed(kind, space["t"], "get", (name,))
    with pytest.raises(AttributeError):
        handover.require_allowed(kind, space["t"], "set", ("assertEqual", None))


@pytest.mark.parametrize(
    ("text", "changing"),
    [
        ("f(a)\nassert a == [1]", True),
        ("assert f(a) == sorted(a)", False),
        ("k = f(a)\nassert a[:k] == [1]", True),
        ("r = f(a)\nassert r == a", False),
        ("assert f(a) == [1]\nassert a == [2, 1]", True),
        ("with raises(ValueError):\n    f(a)\nassert f(b) == sorted(b)", False),
        ("assert f([1]) == [1]", False),
    ],
)
def test_whether_a_test_is_about_a_changed_argument(text: str, changing: bool) -> None:
    assert uses.changes_arguments(uses.parse(text), {"f"}) is changing
