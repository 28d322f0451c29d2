"""Names: a local name says what it holds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIRECTORIES = ("src", "tests", "benchmarks", "examples", "docker", "scripts")
#: Recorded by earlier versions: what they wrote is not changed.
DATA = ROOT / "tests" / "data"
#: They tell how a value was come by, or that there is one, but not what it is.
EMPTY = frozenset({"one", "found", "known", "what", "words", "said", "told", "asked"})


def bindings(tree: ast.AST, *, attributes: bool = False) -> Iterator[tuple[int, str]]:
    """Yield line and name of each local, parameter and import that has an empty name; attributes are left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and not attributes:
            bound: str | None = node.id
        elif isinstance(node, ast.arg):
            bound = node.arg
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
            bound = node.name
        elif isinstance(node, ast.MatchMapping):
            bound = node.rest
        elif isinstance(node, ast.alias):
            bound = node.asname
        else:
            bound = None
        if bound in EMPTY:
            yield getattr(node, "lineno", 0), bound
        yield from bindings(node, attributes=_binds_attributes(node, attributes))


def _binds_attributes(node: ast.AST, above: bool) -> bool:
    """Whether names that are assigned to below a node are attributes: in a class, but not in its functions."""
    scopes = (
        ast.FunctionDef,
        ast.AsyncFunctionDef,
        ast.Lambda,
        ast.ListComp,
        ast.SetComp,
        ast.DictComp,
        ast.GeneratorExp,
    )
    return isinstance(node, ast.ClassDef) or (above and not isinstance(node, scopes))


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("found = read()", "found"),
        ("def show(what): ...", "what"),
        ("def show(*, told=None, **asked): ...", "told"),
        ("rows.sort(key=lambda one: one.name)", "one"),
        ("names = [one.name for one in crates]", "one"),
        ("for number, one in enumerate(crates): ...", "one"),
        ("if (known := read()) is None: ...", "known"),
        ("with open(path) as said: ...", "said"),
        ("try: ...\nexcept OSError as said: ...", "said"),
        ("from sites import site as known", "known"),
        ("first, *words = line.split()", "words"),
        ("match step:\n    case [found]: ...", "found"),
        ("match step:\n    case {'a': 1, **found}: ...", "found"),
        ("class Site:\n    def look(self):\n        found = 1", "found"),
        ("class Site:\n    names = [one for one in SITES]", "one"),
    ],
)
def test_an_empty_name_is_seen(code: str, name: str) -> None:
    assert name in [bound for _, bound in bindings(ast.parse(code))]


@pytest.mark.parametrize(
    "code", ["class Finding:\n    found: str\n    known = 0", "self.asked = finding.found", "f(what=1)"]
)
def test_an_attribute_and_a_keyword_of_a_call_are_no_local(code: str) -> None:
    assert list(bindings(ast.parse(code))) == []


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_locals_are_named_after_what_they_hold(directory: str) -> None:
    places = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in sorted((ROOT / directory).rglob("*.py"))
        if not path.is_relative_to(DATA)
        for line, name in bindings(ast.parse(path.read_bytes()))
    ]
    assert not places, "rename each to the noun of what it holds (step, path, match, crates, reply):\n" + "\n".join(
        places
    )
