"""A normal form of Python's syntax trees that is equal on all versions of Python that can parse them.

It has the kinds of nodes and the fields that carry meaning (``Parser/Python.asdl``); not positions, comments, the
context of names, type comments, and the ``u`` before a string. Fields that are empty are left out, because later
versions add some.
"""

from __future__ import annotations

import ast
import inspect
from typing import Any

_LEFT_OUT = frozenset(("ctx", "kind", "type_comment", "type_ignores"))
_WITH_DOCSTRING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)


def syntax_form(node: ast.AST) -> list[Any]:
    """Return the form of a tree as plain JSON data: the kind of the node, then pairs of field and form.

    Docstrings are in it without their indentation, as :func:`inspect.cleandoc` gives them; parts of f-strings as Python
    3.12 splits them, without empty ones.
    """
    docstring = _docstring(node)
    form: list[Any] = [type(node).__name__]
    for name, value in ast.iter_fields(node):
        if (
            name in _LEFT_OUT
            or (value is None and not isinstance(node, ast.Constant))
            or (value == [] and name != "values")
        ):
            continue
        if isinstance(node, ast.Constant) and name == "value":
            form.append([name, _constant(value)])
        elif name == "body" and docstring is not None:
            form.append([name, [["docstring", docstring], *(_form(part) for part in value[1:])]])
        elif isinstance(node, ast.JoinedStr):
            form.append([name, _joined(value)])
        else:
            form.append([name, _form(value)])
    return form


def _docstring(node: ast.AST) -> str | None:
    if not isinstance(node, _WITH_DOCSTRING):
        return None
    text = ast.get_docstring(node, clean=False)
    return None if text is None else inspect.cleandoc(text)


def _form(value: Any) -> Any:
    if isinstance(value, ast.AST):
        return syntax_form(value)
    if isinstance(value, list):
        return [_form(part) for part in value]
    return value


def _constant(value: object) -> list[str]:
    if isinstance(value, int) and not isinstance(value, bool):
        return ["int", hex(value)]  # decimal text is limited in length
    if isinstance(value, (float, complex)):
        return [type(value).__name__, repr(value)]
    if isinstance(value, bytes):
        return ["bytes", value.hex()]
    if isinstance(value, str):
        return ["str", value]
    return [repr(value)]


def _joined(values: list[ast.expr]) -> list[Any]:
    """Return parts of an f-string; text that stands side by side is one part."""
    forms: list[Any] = []
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            if not value.value:
                continue
            if forms and forms[-1][0] == "text":
                forms[-1][1] += value.value
            else:
                forms.append(["text", value.value])
        else:
            forms.append(syntax_form(value))
    return forms
