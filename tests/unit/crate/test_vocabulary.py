"""Names of crates and of what is in them: made, read back, and written nowhere else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from prov_worker.crate import vocabulary as v

PACKAGE = Path(v.__file__).parents[1]
TASK = "7a171870-b038-4174-84e1-29cdcc42f72c"
#: Names that stand in the vocabulary alone. Sentences for people, documentation and ``RUN.crate`` may have them.
NAMES = re.compile(
    r"ro-crate-metadata|(?<![A-Z])\.crate(?![\w.])|\.attempt-|\.tmp-second|links\.jsonl|manifest-sha256|seal\.txt"
    r"|traceback\.txt|error\.txt|function/source|(cpu|resource)_usage\.json|data/hardware|^steps/|/steps/"
)


@pytest.mark.parametrize(
    ("key", "task", "attempt"),
    [
        (TASK, TASK, None),
        (f"{TASK}.attempt-1", TASK, 1),
        (f"{TASK}.attempt-12.3", TASK, 12),
        ("a.attempt-x", "a.attempt-x", None),
        (".attempt-1", ".attempt-1", None),
    ],
)
def test_a_key_is_split(key: str, task: str, attempt: int | None) -> None:
    assert v.split_key(key) == (task, attempt)


@pytest.mark.parametrize("number", [1, 2, 31])
def test_the_key_of_an_attempt_is_read_back(number: int) -> None:
    key = v.attempt_key(TASK, 7, number)
    assert v.split_key(key) == (TASK, 7)
    assert v.key_of(v.crate_name(key)) == v.key_of(v.crate_name(key) + v.ZIP_SUFFIX) == key


def test_keys_of_attempts_differ() -> None:
    assert (v.attempt_key("t", 1), v.attempt_key("t", 1, 2)) == ("t.attempt-1", "t.attempt-1.2")
    assert v.step_id("t") == "steps/t.crate/"


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of what code says: without docstrings, and without sentences."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            if " " not in node.value:
                yield node.lineno, node.value
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant):
            yield node.lineno, f"{node.right.value}/"  # a path made by /


def test_names_stand_in_the_vocabulary_alone() -> None:
    wrong = [
        f"{path}:{line}: {text!r}"
        for path in sorted(PACKAGE.rglob("*.py"))
        # what diagnose sends to workers has the standard library alone
        if path != Path(v.__file__) and path.parent != PACKAGE / "diagnose" / "remote"
        for line, text in strings(path)
        if NAMES.search(text)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_search_sees_names(tmp_path: Path) -> None:
    code = tmp_path / "code.py"
    code.write_text(
        '"""x.crate"""\na = p / "steps"\nb = f"{t}.crate"\nc = "logs/traceback.txt"\nd = "a x.crate here"\n'
    )
    assert sorted(line for line, text in strings(code) if NAMES.search(text)) == [2, 3, 4]
