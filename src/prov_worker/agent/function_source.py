"""Find the source of a function, prove that it is what ran, and identify the function by its syntax tree.

Source is believed only if it compiles to the very code that the worker ran: same instructions, constants, names and
nested code, by :func:`prov_worker.code_form.code_form`. A file of that name may be here and be another file, or have
been edited since. Of text that was sent alone and ran as it is, no further proof is needed.
"""

from __future__ import annotations

import ast
import io
import json
import os
import textwrap
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

from prov_worker import code_form
from prov_worker.agent.memo import Memo
from prov_worker.agent.syntax_form import syntax_form
from prov_worker.files import read_regular
from prov_worker.model import Function
from prov_worker.redact import redact

_MAX_FILE = 4 << 20
_MAX_SOURCES = 1000
#: Strategies of Globus Compute whose text is compiled as it is, and nothing else is tried.
_TEXT_ALONE = frozenset(("st", "sd", "03", "04"))
_SEND = "AllCodeStrategies of globus_compute_sdk.serialize sends the source"
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True, slots=True)
class Source:
    """What is known of a function's source.

    Attributes:
        text: redacted; None if no source is proved.
        absent: why there is none.
        sha256: of the syntax tree and what the function is bound to; None if it cannot be had.
    """

    text: str | None = None
    absent: str | None = None
    sha256: str | None = None


class Sources:
    """Sources of functions, each looked for once for as long as its file stays as it is."""

    def __init__(self) -> None:
        self._sources: dict[tuple[str, tuple[int, ...] | None], Source] = {}
        self._texts: Memo[str] = Memo()

    def identify(self, function: Function, line: dict[str, Any]) -> None:
        """Add the source of a function, if it is proved, and the hash of its syntax tree.

        Args:
            function: of a task's record; changed.
            line: its line in the journal.
        """
        text = self._texts.get(line)
        if text is None:
            text = json.dumps({k: v for k, v in line.items() if k not in ("t", "k", "doc")})
            self._texts.keep(text, line)
        key = text, _state(line.get("file"))
        source = self._sources.get(key)
        if source is None:
            if len(self._sources) >= _MAX_SOURCES:
                self._sources.clear()
            source = self._sources[key] = source_of(line)
        function.source, function.source_absent = source.text, source.absent
        if source.sha256 is not None:
            function.sha256, function.sha256_of = source.sha256, "syntax tree"


def _state(file: Any) -> tuple[int, ...] | None:
    """Return what changes if a file is written again."""
    try:
        status = os.stat(file)
    except (OSError, TypeError, ValueError):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def source_of(line: dict[str, Any]) -> Source:
    """Return the source of a function.

    Args:
        line: a journal's ``function`` line, as :func:`prov_worker.recorder.functions.function_fields` makes it.
    """
    form, python, sent = line.get("form"), line.get("python"), line.get("sent") or []
    if not form:
        return Source(absent=f"it is a {line.get('kind', 'callable')}, which has no source in Python")
    comparable = python == code_form.python_version()
    redacted = bool(line.get("redacted"))
    if len(sent) == 1 and line.get("file") == "<string>" and (redacted or not comparable):
        # compiled from the text that was sent: from this one, if nothing else could be or if it defines the function
        node = _named(sent[0], str(line.get("name")))
        if line.get("strategy") in _TEXT_ALONE or node is not None:
            return Source(redact(sent[0]), sha256=None if redacted else _version(node, line))
    if not comparable:
        return Source(absent=f"it ran on {python}, and this node's agent on {code_form.python_version()}: not compared")
    for text in sent:
        proved = _prove(textwrap.dedent(text), line, None)
        if proved is not None:
            return proved
    source = _in_file(line)
    if source.absent and sent:
        reason = "secrets were removed from it" if redacted else "it compiles to something else"
        return Source(absent=f"the text that was sent is not proved to be what ran: {reason}")
    return source


def _in_file(line: dict[str, Any]) -> Source:
    file, first = line.get("file"), line.get("line")
    if not isinstance(file, str) or not isinstance(first, int) or not file.startswith("/"):
        return Source(absent=f"it was not sent, and stands in no file ({redact(str(file))}); {_SEND}")
    try:
        text = _decoded(read_regular(file, _MAX_FILE))
    except (OSError, SyntaxError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        return Source(absent=f"it was not sent, and {file} cannot be read on this node ({reason}); {_SEND}")
    proved = _prove(text, line, first)
    if proved is not None:
        return proved
    return Source(
        absent=f"it was not sent, and {file} on this node is not what ran: changed since, or another; {_SEND}"
    )


def _decoded(data: bytes) -> str:
    """Return text of a Python file, in the encoding that it declares (PEP 263), with the line ends that Python sees."""
    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    return io.TextIOWrapper(io.BytesIO(data), encoding).read()


def _prove(text: str, line: dict[str, Any], first: int | None) -> Source | None:
    """Return the source in a text that compiles to what ran; at a line, if one is given."""
    flags, optimize = line.get("compiled") or (0, 0)
    try:
        tree = ast.parse(text)
        module = compile(text, "<source>", "exec", flags=flags, dont_inherit=True, optimize=optimize)
        node = _node(tree, module, line["form"], first)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # not Python of this version
    if node is None:
        return None
    return Source(redact(_text_of(text, node)), sha256=_version(node, line))


def _node(tree: ast.Module, module: CodeType, form: str, first: int | None) -> _Function | None:
    """Return the function of a tree whose code has a form; None too if several stand on one line and differ."""
    codes: dict[int, list[CodeType]] = {}
    for code in _codes(module):
        codes.setdefault(code.co_firstlineno, []).append(code)
    nodes: dict[int, list[_Function]] = {}
    for node in _functions(tree):
        nodes.setdefault(first_line(node), []).append(node)
    for number in [first] if first is not None else sorted(nodes):
        same = [code_form.digest(code_form.code_form(code)) == form for code in codes.get(number, ())]
        functions = nodes.get(number, [])
        if len(functions) == 1 and any(same):
            return functions[0]
        if len(functions) == len(same) and sum(same) == 1:  # both in the order of the text
            return functions[same.index(True)]
    return None


def _codes(module: CodeType) -> Iterator[CodeType]:
    """Yield code of functions, outer before inner: not of comprehensions and classes, which are part of them."""
    for constant in module.co_consts:
        if isinstance(constant, CodeType):
            named = constant.co_name == "<lambda>" or not constant.co_name.startswith("<")
            if named and constant.co_flags & 1:  # CO_OPTIMIZED: the body of a class is not
                yield constant
            yield from _codes(constant)


def _functions(tree: ast.AST) -> Iterator[_Function]:
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, _Function):
            yield child
        yield from _functions(child)


def first_line(node: _Function) -> int:
    """Return the line that Python says a function begins at: that of its first decorator."""
    decorators = getattr(node, "decorator_list", [])
    first: int = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    return first


def _text_of(text: str, node: _Function) -> str:
    """Return whole lines of a definition, comments too; of a lambda itself alone."""
    if isinstance(node, ast.Lambda):
        return (ast.get_source_segment(text, node) or "") + "\n"
    lines = text.split("\n")[first_line(node) - 1 : node.end_lineno]
    return textwrap.dedent("\n".join(lines)) + "\n"


def _named(text: str, name: str) -> _Function | None:
    """Return the function of a name that a text defines at its top; the last one, as running it leaves it."""
    try:
        body = ast.parse(textwrap.dedent(text)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    nodes = [node for node in body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name]
    return nodes[-1] if nodes else None


def _version(node: _Function | None, line: dict[str, Any]) -> str | None:
    """Return the sha256 of a function's tree and of what it is bound to; None if code is among that."""
    if node is None or line.get("minor"):
        return None
    return code_form.digest(["syntax tree", syntax_form(node), line.get("bound")])
