"""Docstrings name the fields that are there: ``Attributes:`` against the class, ``Args:`` is ruff's to check."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "prov_worker"
#: ``name:``, or ``first, second:``, at the start of an entry; a later ``; other: …`` on its line names another field.
ENTRY = re.compile(r"^ {8}(\w+(?:, \w+)*): ", re.MULTILINE)


def described(docstring: str) -> list[str]:
    """Return the fields that a docstring describes; its indentation is that of the source."""
    _, section_title, rest = docstring.partition("Attributes:\n")
    if not section_title:
        return []
    section = re.split(r"^ {4}\w+:\n", rest, maxsplit=1, flags=re.MULTILINE)[0]
    return [name for names in ENTRY.findall(section) for name in names.split(", ")]


def fields(node: ast.ClassDef) -> set[str]:
    """Return whatever a class has by a name: annotations, assignments, slots, methods, and ``self.name = …``."""
    names = set()
    for child in ast.walk(node):
        if isinstance(child, ast.AnnAssign | ast.Assign):
            targets = [child.target] if isinstance(child, ast.AnnAssign) else child.targets
            for target in targets:
                for part in target.elts if isinstance(target, ast.Tuple) else [target]:
                    if isinstance(part, ast.Name):
                        names.add(part.id)
                    elif isinstance(part, ast.Attribute):
                        names.add(part.attr)
        elif isinstance(child, ast.FunctionDef):
            names.add(child.name)
    return names


def classes() -> Iterator[tuple[str, ast.ClassDef, set[str]]]:
    """Yield each class with what it and its bases of the package have."""
    by_name: dict[str, ast.ClassDef] = {}
    places = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                by_name[node.name] = node
                places.append((f"{path.relative_to(PACKAGE)}:{node.lineno}", node))
    for place, node in places:
        names = fields(node)
        for base in node.bases:
            name = base.id if isinstance(base, ast.Name) else None
            if name in by_name:
                names |= fields(by_name[name])
        yield place, node, names


@pytest.mark.parametrize("place, node, names", [pytest.param(*case, id=case[0]) for case in classes()])
def test_attributes_exist(place: str, node: ast.ClassDef, names: set[str]) -> None:
    docstring = ast.get_docstring(node, clean=False) or ""
    missing = [name for name in described(docstring) if name not in names]
    assert not missing, f"{place}: {node.name} has no {', '.join(missing)}"


SOURCE = '''
class Fact:
    """One.

    Attributes:
        here: a.
        gone, away: b.
    """

    here: int
'''


def test_a_missing_field_is_seen() -> None:
    (node,) = ast.parse(SOURCE).body
    assert isinstance(node, ast.ClassDef)
    assert described(ast.get_docstring(node, clean=False) or "") == ["here", "gone", "away"]
    assert fields(node) == {"here"}
