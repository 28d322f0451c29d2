"""Find the source of a function that was sent as compiled code, where its file happens to be on this node.

The text is believed only when it compiles to the very byte code that the worker ran: a file of that name may be there
and be another file, or another version.
"""

from __future__ import annotations

import ast
import hashlib
import textwrap
from types import CodeType
from typing import Any

from prov_worker.redact import redact

_MAX_FILE = 4 << 20


def recover_source(line: dict[str, Any]) -> str | None:
    """Source text of a function, redacted.

    Args:
        line: a journal's ``function`` line with ``file``, ``line`` (first line, from 1), ``code`` (sha256 of the byte
            code) and ``name``.
    """
    file, first, code = line.get("file"), line.get("line"), line.get("code")
    if not isinstance(file, str) or not isinstance(first, int) or not code or not file.startswith("/"):
        return None
    try:
        with open(file, encoding="utf-8") as opened:
            text = opened.read(_MAX_FILE)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and _first_line(node) == first:
                source = ast.get_source_segment(text, node, padded=True)
                if source and _has_code(compile(text, file, "exec", dont_inherit=True), first, code):
                    return redact(textwrap.dedent(_with_decorators(text, node, source)))
    except (OSError, SyntaxError, ValueError, RecursionError):
        pass  # no such file here, or not Python of this version
    return None


def _first_line(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> int:
    decorators = getattr(node, "decorator_list", [])
    first: int = min([node.lineno, *(d.lineno for d in decorators)])
    return first


def _with_decorators(text: str, node: ast.AST, source: str) -> str:
    decorators = getattr(node, "decorator_list", [])
    if not decorators:
        return source + "\n"
    lines = text.splitlines()
    return "\n".join([*lines[_first_line(node) - 1 : node.lineno - 1], source]) + "\n"  # type: ignore[arg-type,attr-defined]


def _has_code(module: CodeType, first: int, digest: str) -> bool:
    todo = [module]
    while todo:
        code = todo.pop()
        if code.co_firstlineno == first and hashlib.sha256(code.co_code).hexdigest() == digest:
            return True
        todo.extend(constant for constant in code.co_consts if isinstance(constant, CodeType))
    return False
