"""The normal form of a syntax tree: what has the same meaning has the same form, and nothing else has."""

from __future__ import annotations

import ast
import json
import textwrap
from typing import Any

import pytest

from prov_worker.agent.syntax_form import syntax_form


def form(text: str) -> Any:
    return syntax_form(ast.parse(textwrap.dedent(text)))


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("x = 1  # why\n\n\ny = (2)", "x=1\ny=2"),
        ("x = u'a'", 'x = "a"'),
        ("x = 'a' 'b'", "x = 'ab'"),
        ("x = 0x10", "x = 16"),
        ("x = f'a' f'b{y}'", "x = f'ab{y}'"),
        ("x = f'{y}' ''", "x = f'{y}'"),
        ('def f():\n    """Say.\n\n    More.\n    """', 'def f():\n        """Say.\n\n        More.\n        """'),
    ],
)
def test_what_means_the_same_has_the_same_form(text: str, other: str) -> None:
    assert form(text) == form(other)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("x = 1", "x = True"),
        ("x = 1", "x = 1.0"),
        ("x = 0.0", "x = -0.0"),
        ("x = b'a'", "x = 'a'"),
        ("x = ''", "x = f''"),
        ("x = None", "x = ..."),
        ("x = f'{y}'", "x = f'{y!r}'"),
        ("x = f'{y}'", "x = f'{y:>3}'"),
        ("return_ = None", "return_ = ()"),
        ("def f(): return", "def f(): return None"),
        ("def f(a, *, b): pass", "def f(a, b): pass"),
        ("def f(): pass", "async def f(): pass"),
        ("def f():\n    'a'", "def f():\n    'b'"),
        ("class A: 'a'", "class A: b'a'"),
        ("x = [1, 2]", "x = [2, 1]"),
    ],
)
def test_what_means_something_else_has_another_form(text: str, other: str) -> None:
    assert form(text) != form(other)


def test_a_form_is_plain_data_also_of_numbers_that_have_no_decimal_text() -> None:
    # More digits than Python turns into decimal text (sys.get_int_max_str_digits).
    tree = form(f"x = 0x{'f' * 20_000}\ny = 2j\nz = {{}}\nw = {{**z}}")
    assert json.loads(json.dumps(tree)) == tree


def test_the_text_of_a_docstring_is_that_which_help_shows() -> None:
    function = form('def f():\n    """Say.\n\n    More.\n      Deep.\n    """\n    return 1')[1][1][0]
    body = dict(function[1:])["body"]
    assert body[0] == ["docstring", "Say.\n\nMore.\n  Deep."]
    assert body[1][0] == "Return"
