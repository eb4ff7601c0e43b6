"""What the text of tests says about the names of a solution. Reads syntax trees, runs nothing.

Three questions are settled by the tests alone, so that the candidate has no say in them: which
names it may define, which of them are classes, and whether a test is about an argument that is
changed in place.
"""

from __future__ import annotations

import _ast
import builtins
import sys

TYPE_CHECKING = False  # typing costs more to import than the runner itself
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# Names that tests often forget to import, and where they come from.
COMMON: dict[str, str] = {
    **dict.fromkeys(
        ("Counter", "OrderedDict", "defaultdict", "deque", "namedtuple"), "collections"
    ),
    **dict.fromkeys(
        ("Any", "Callable", "Dict", "Iterable", "List", "Optional", "Set", "Tuple", "Union"),
        "typing",
    ),
    **dict.fromkeys(("isclose", "sqrt", "pi", "inf", "nan"), "math"),
    **dict.fromkeys(("Decimal",), "decimal"),
    **dict.fromkeys(("Fraction",), "fractions"),
    **dict.fromkeys(("deepcopy",), "copy"),
}
# Calls whose second argument is a class.
_CLASS_TESTS = ("isinstance", "issubclass")
_RAISES = ("raises", "warns", "assertRaises", "assertRaisesRegex", "assertWarns", "suppress")
# Attributes that functions have too.
_OF_FUNCTIONS = ("cache_info", "cache_clear")
# Calls that give the contents of their argument back, whole.
_WHOLE = ("list", "tuple", "set", "frozenset", "dict", "sorted", "str")


class Unusable(Exception):
    """The tests cannot be run as they stand; the text says why."""


def parse(source: str, name: str = "<tests>") -> Any:
    """The syntax tree of tests; SyntaxError or ValueError for what is no Python."""
    return compile(source, name, "exec", 0x400)


def walk(node: Any) -> Iterator[Any]:
    """The node and everything below it."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        for field in node._fields:
            value = getattr(node, field, None)
            if isinstance(value, list):
                waiting += [item for item in value if isinstance(item, _ast.AST)]
            elif isinstance(value, _ast.AST):
                waiting.append(value)


def root(node: Any) -> str:
    """The name that an expression such as ``a.b[0](1).c`` begins with; empty for others."""
    while not isinstance(node, _ast.Name):
        if isinstance(node, _ast.Attribute | _ast.Subscript):
            node = node.value
        elif isinstance(node, _ast.Call):
            node = node.func
        else:
            return ""
    return str(node.id)


def terminal(node: Any) -> str:
    """The last name of ``f`` or ``module.f``."""
    if isinstance(node, _ast.Attribute):
        return str(node.attr)
    return str(node.id) if isinstance(node, _ast.Name) else ""


def bound_names(tree: Any) -> set[str]:
    """Every name that the tests give a value themselves, in whatever scope."""
    found: set[str] = set()
    for node in walk(tree):
        if isinstance(node, _ast.Name) and not isinstance(node.ctx, _ast.Load):
            found.add(node.id)
        elif isinstance(node, _ast.FunctionDef | _ast.AsyncFunctionDef | _ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, _ast.arg):
            found.add(node.arg)
        elif isinstance(node, _ast.alias):
            found.add(node.asname or node.name.partition(".")[0])
        else:
            found |= {n for n in (getattr(node, f, None) for f in ("name", "rest")) if n}
    return found


def classes(trees: list[Any]) -> frozenset[str]:
    """Names that the tests use as classes: in isinstance, as a base, for an attribute."""
    found: set[str] = set()
    aliases: dict[str, str] = {}
    for node in (node for tree in trees for node in walk(tree)):
        if isinstance(node, _ast.Call) and terminal(node.func) in _CLASS_TESTS:
            found |= {terminal(part) for given in node.args[1:2] for part in _parts(given)}
        elif isinstance(node, _ast.ClassDef):
            found |= {terminal(base) for base in node.bases}
        elif isinstance(node, _ast.Attribute) and not _is_of_functions(node.attr):
            found.add(terminal(node.value))
        elif isinstance(node, _ast.Compare):
            found |= _compared_types(node)
        elif isinstance(node, _ast.alias) and node.asname:
            aliases[node.asname] = node.name
    return frozenset(aliases.get(name, name) for name in found if name)


def _is_of_functions(name: str) -> bool:
    return name.startswith("__") or name in _OF_FUNCTIONS


def _parts(node: Any) -> list[Any]:
    return list(node.elts) if isinstance(node, _ast.Tuple) else [node]


def _compared_types(node: Any) -> set[str]:
    """``type(x) is Name``."""
    sides = [node.left, *node.comparators]
    of_type = any(isinstance(s, _ast.Call) and terminal(s.func) == "type" for s in sides)
    return {terminal(side) for side in sides} - {""} if of_type else set()


def loads(trees: list[Any], name: str) -> bool:
    """Whether the tests use a name anywhere."""
    nodes = (node for tree in trees for node in walk(tree))
    return any(isinstance(node, _ast.Name) and node.id == name for node in nodes)


def imports_everything(tree: Any, modules: list[str] | None = None) -> bool:
    """Whether there is a ``from … import *``, of one of these modules if any are given."""
    return any(
        isinstance(node, _ast.ImportFrom)
        and node.names[0].name == "*"
        and (modules is None or node.module in modules)
        for node in walk(tree)
    )


class Names:
    """The names of tests that neither they nor the set-up define."""

    def __init__(self, trees: list[Any], known: set[str], entry: str) -> None:
        self.entry = entry
        self.trees = trees
        self.tested = {entry} | _check_parameters(trees) if entry else set()
        self.missing = self._missing(known)
        self.called = {
            root(node.func) for node in self._nodes() if isinstance(node, _ast.Call)
        } & self.missing
        self.standard = self._standard()
        self.missing -= self.standard
        self.called -= self.standard

    def _nodes(self) -> Iterator[Any]:
        for tree in self.trees:
            yield from walk(tree)

    def _missing(self, known: set[str]) -> set[str]:
        found: set[str] = set()
        for tree in self.trees:
            loaded = {n.id for n in walk(tree) if isinstance(n, _ast.Name)}
            found |= loaded - bound_names(tree)
        found = {name for name in found if not hasattr(builtins, name) and name[:2] != "__"}
        return found - known

    def _standard(self) -> set[str]:
        """Missing names that the standard library gives: modules, and the common ones."""
        bases = {n.value.id for n in self._nodes()
                 if isinstance(n, _ast.Attribute) and isinstance(n.value, _ast.Name)}  # fmt: skip
        direct = {n.func.id for n in self._nodes()
                  if isinstance(n, _ast.Call) and isinstance(n.func, _ast.Name)}  # fmt: skip
        found = {name for name in bases - direct if name in sys.stdlib_module_names}
        found |= set(COMMON)
        found = (found & self.missing) - {self.entry}
        return found if self.entry or found != self.missing else found - set(COMMON)

    def judges(self) -> set[str]:
        """Names that may not come from the candidate though nothing else defines them.

        Those that are given what a tested call returned, or what it should return: a helper that
        judges, or a variable outside the arguments of a tested call.
        """
        if self.entry:
            tested = _tainted(self.trees, self.tested)
            found = {outer for outer, inner in self._nested(tested) if outer not in self.tested}
        else:
            tested = _tainted(self.trees, self.called)
            found = {outer for outer, inner in self._nested(tested) if _judges(outer, inner)}
        return found | self._loose(found)

    def _nested(self, tested: dict[str, str]) -> Iterator[tuple[str, str]]:
        """(called name, the tested name whose result is in its arguments)."""
        for node in self._nodes():
            if not isinstance(node, _ast.Call) or root(node.func) not in self.called:
                continue
            outer = root(node.func)
            for given in [*node.args, *(k.value for k in node.keywords)]:
                for name in _results(given, tested):
                    if name != outer:
                        yield outer, name

    def _loose(self, judges: set[str]) -> set[str]:
        """Variables of the candidate that stand where an expected value stands."""
        if not self.called and not self.entry:
            return set()
        allowed: set[int] = set()
        roots = (self.called | self.tested) - judges
        for node in self._nodes():
            if isinstance(node, _ast.Call) and root(node.func) in roots:
                inside = [*node.args, *(k.value for k in node.keywords), node.func]
                allowed |= {id(below) for given in inside for below in walk(given)}
            elif isinstance(node, _ast.Call) and terminal(node.func) in (*_CLASS_TESTS, *_RAISES):
                allowed |= {id(b) for given in node.args for b in walk(given)}
            elif isinstance(node, _ast.ExceptHandler) and node.type is not None:
                allowed |= {id(below) for below in walk(node.type)}
            elif isinstance(node, _ast.ClassDef):
                allowed |= {id(below) for base in node.bases for below in walk(base)}
        return {
            node.id
            for node in self._nodes()
            if isinstance(node, _ast.Name) and node.id in self.missing - self.tested
            and node.id not in self.called and id(node) not in allowed
        }  # fmt: skip


def _judges(outer: str, inner: str) -> bool:
    """Without a declared entry point: ``near(f(2), 17)`` judges, ``length([Pair(1, 2)])`` does not.

    Only how the tests spell the inner name tells these two apart: a class makes an argument.
    """
    return not inner[:1].isupper() or outer[:1].isupper()


def _check_parameters(trees: list[Any]) -> set[str]:
    """The first parameter of ``check``, which the entry point is given as."""
    found = set()
    for node in (node for tree in trees for node in walk(tree)):
        if isinstance(node, _ast.FunctionDef) and node.name == "check" and node.args.args:
            found.add(str(node.args.args[0].arg))
    return found


def _results(node: Any, tested: dict[str, str]) -> set[str]:
    """Tested names whose result is part of an expression: called there, or held by a variable."""
    found = set()
    for below in walk(node):
        if isinstance(below, _ast.Call) and tested.get(root(below.func)):
            found.add(tested[root(below.func)])
        elif isinstance(below, _ast.Name) and tested.get(below.id, below.id) != below.id:
            found.add(tested[below.id])
    return found


def _tainted(trees: list[Any], roots: set[str]) -> dict[str, str]:
    """Name -> the tested name that its value comes from; the tested names are their own."""
    found = {name: name for name in roots}
    for _ in range(3):  # through as many variables
        for node in (node for tree in trees for node in walk(tree)):
            targets, value = _binding(node)
            names = _results(value, found) if value is not None else set()
            for target in targets:
                for below in walk(target):
                    if names and isinstance(below, _ast.Name) and below.id not in found:
                        found[below.id] = min(names)
    return found


def _binding(node: Any) -> tuple[list[Any], Any]:
    """What a node gives a value to, and the value."""
    if isinstance(node, _ast.Assign):
        return node.targets, node.value
    if isinstance(node, _ast.AugAssign | _ast.AnnAssign | _ast.NamedExpr):
        return [node.target], node.value
    if isinstance(node, _ast.For | _ast.comprehension):
        return [node.target], node.iter
    if isinstance(node, _ast.withitem) and node.optional_vars is not None:
        return [node.optional_vars], node.context_expr
    return [], None


def tested_roots(tree: Any, entry: str, asked: set[str]) -> set[str]:
    """Names whose calls run the candidate: the entry point, ``check``'s parameter, missing ones."""
    return ({entry} - {""}) | asked | (_check_parameters([tree]) if entry else set())


def imported_names(tree: Any, modules: list[str]) -> set[str]:
    """Names that a pytest file imports from the solution, and the solution's own."""
    found: set[str] = set()
    for node in walk(tree):
        if isinstance(node, _ast.ImportFrom) and node.module in modules:
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, _ast.Import):
            found |= {a.asname or a.name for a in node.names if a.name in modules}
    return found


def functions(tree: Any) -> Iterator[Any]:
    """Every function of the tests, methods included."""
    for node in walk(tree):
        if isinstance(node, _ast.FunctionDef | _ast.AsyncFunctionDef):
            yield node


def fixtures_of(tree: Any) -> set[str]:
    """Names of functions with a decorator ``fixture``, whose values tests get as parameters."""
    return {
        str(node.name)
        for node in functions(tree)
        for mark in node.decorator_list
        if terminal(mark.func if isinstance(mark, _ast.Call) else mark) == "fixture"
    }


def changes_arguments(tree: Any, roots: set[str]) -> bool:
    """Whether a test is about an argument that a tested call changes in place.

    It is if it drops what a tested call returns, or compares the argument itself with something
    that the call did not give. Otherwise arguments stay as they were: in ``f(a) == sorted(a)`` the
    candidate would decide both sides.
    """
    tested = _tainted([tree], roots)
    arguments = _argument_names(tree, tested)
    if not arguments:
        return False
    return _drops_result(tree, tested) or any(
        _compares_argument(sides, arguments, tested) for sides in _comparisons(tree)
    )


def _argument_names(tree: Any, tested: dict[str, str]) -> set[str]:
    found = set()
    for node in walk(tree):
        if isinstance(node, _ast.Call) and root(node.func) in tested:
            given = [*node.args, *(k.value for k in node.keywords)]
            found |= {
                root(part.value if isinstance(part, _ast.Starred) else part) for part in given
            }
    return found - {""}


def _drops_result(tree: Any, tested: dict[str, str]) -> bool:
    expecting = {
        id(below)
        for node in walk(tree)
        if isinstance(node, _ast.With)
        and any(
            isinstance(i.context_expr, _ast.Call) and terminal(i.context_expr.func) in _RAISES
            for i in node.items
        )
        for below in walk(node)
    }
    return any(
        isinstance(node, _ast.Expr)
        and isinstance(node.value, _ast.Call)
        and root(node.value.func) in tested
        and any(root(given) for given in node.value.args)
        and id(node) not in expecting
        for node in walk(tree)
    )


def _comparisons(tree: Any) -> Iterator[list[Any]]:
    for node in walk(tree):
        if isinstance(node, _ast.Compare):
            yield [node.left, *node.comparators]
        elif isinstance(node, _ast.Call) and terminal(node.func).startswith("assert"):
            yield list(node.args[:2])


def _compares_argument(sides: list[Any], arguments: set[str], tested: dict[str, str]) -> bool:
    for number, side in enumerate(sides):
        others = [other for n, other in enumerate(sides) if n != number]
        used = {b.id for other in others for b in walk(other) if isinstance(b, _ast.Name)}
        if others and _whole_name(side) in arguments and not used & (arguments | set(tested)):
            return True
    return False


def _whole_name(node: Any) -> str:
    """The variable whose whole contents, or a slice of them, an expression gives."""
    while True:
        if isinstance(node, _ast.Name):
            return str(node.id)
        if isinstance(node, _ast.Subscript) and isinstance(node.slice, _ast.Slice):
            node = node.value
        elif isinstance(node, _ast.Call) and terminal(node.func) in _WHOLE and node.args:
            node = node.args[0]
        else:
            return ""
