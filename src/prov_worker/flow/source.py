"""Files of a flow – definition, input schema, input –, with the line of each value.

JSON (RFC 8259) or YAML, by the name of the file. What is not JSON's, such as a date or a key that is a number, is
refused: the service takes JSON alone.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prov_worker import files, yamlfile
from prov_worker.errors import InputError

#: Keys and indices that lead to a value in a document.
Steps = tuple[str | int, ...]
_MAX_BYTES = 8 << 20
#: Values that a document may have once its aliases are written out.
_MAX_VALUES = 500_000
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+|\n')
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def json_path(steps: Steps) -> str:
    """Return steps as JSONPath (RFC 9535): ``$.States.Fit.Choices[0].Next``, ``$['a b']``."""
    text = "$"
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _NAME.match(step):
            text += f".{step}"
        else:
            text += "['" + step.replace("\\", "\\\\").replace("'", "\\'") + "']"
    return text


@dataclass(frozen=True, slots=True)
class Document:
    """A file that was read.

    Attributes:
        name: of the file, as the user wrote it.
        value: its content: what JSON has.
        lines: first line of values, from 1, by the steps to them; empty if the value did not come from a file.
        base: steps to the part that is meant, such as ``("definition",)`` in what ``globus flows show`` gives.
    """

    name: str
    value: Any
    lines: Mapping[Steps, int] = field(default_factory=dict)
    base: Steps = ()

    def line(self, steps: Steps) -> int | None:
        """Return the line of a value, or of the nearest one around it; None if no line is known."""
        steps = self.base + steps
        for length in range(len(steps), -1, -1):
            if steps[:length] in self.lines:
                return self.lines[steps[:length]]
        return None

    def part(self, key: str) -> Document:
        """Return the value of a key of the top as a document of the same file."""
        return Document(self.name, self.value[key], self.lines, (*self.base, key))


def read(path: Path) -> Document:
    """Read a file.

    Raises:
        InputError: it cannot be read, or is not JSON or YAML; names the file, and line and column if they are known.
    """
    try:
        data = files.read_regular(path, _MAX_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    return parse(data, str(path))


def parse(data: bytes, name: str) -> Document:
    """Parse the content of a file, as :func:`read` does; a name that ends with ``.yaml`` or ``.yml`` is YAML."""
    if name.lower().endswith((".yaml", ".yml")):
        return _parse_yaml(data, name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: byte {error.start}: no UTF-8") from None
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        _writable(value)
    except json.JSONDecodeError as error:
        raise InputError(f"{name}:{error.lineno}:{error.colno}: invalid JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: invalid JSON: {error}") from None
    return Document(name, value, _json_lines(text, name))


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not a JSON number")


def _writable(value: Any) -> None:
    """Refuse text with a lone half of a surrogate pair, which JSON can spell and UTF-8 cannot."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("a text with half of a surrogate pair") from None


def _json_lines(text: str, name: str) -> dict[Steps, int]:
    """Find the line of each value of a text that is known to be JSON, and refuse a key that is there twice."""
    lines: dict[Steps, int] = {}
    line = 1
    # Of each open object or list: the steps to it, the next index of a list (None for an object), and its keys.
    around: list[tuple[Steps, int | None, dict[str, int]]] = []
    key: str | None = None
    for match in _TOKEN.finditer(text):
        mark = match[0]
        if mark == "\n":
            line += 1
        elif mark in "}]":
            around.pop()
        elif mark not in ",:":
            steps: Steps = ()
            if around:
                outer, index, keys = around[-1]
                if index is None and key is None:
                    key = json.loads(mark)
                    if key in keys:
                        raise InputError(f"{name}:{line}: {key!r} is there twice, in lines {keys[key]} and {line}")
                    keys[key] = line
                    continue
                if index is None:
                    steps, key = (*outer, key or ""), None
                    line_of_value = keys[str(steps[-1])]
                else:
                    steps, line_of_value = (*outer, index), line
                    around[-1] = (outer, index + 1, keys)
            else:
                line_of_value = line
            lines[steps] = line_of_value
            if mark in "{[":
                around.append((steps, None if mark == "{" else 0, {}))
    return lines


def _parse_yaml(data: bytes, name: str) -> Document:
    try:
        value = yamlfile.parse(data, name)
    except ImportError as error:
        raise InputError(f"{name}: YAML needs PyYAML, which is not here ({error}); write it as .json") from error
    try:
        if _count(value, "", {}, name) > _MAX_VALUES:
            raise InputError(f"{name}: more than {_MAX_VALUES:,} values, once its aliases are written out")
        _writable(value)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: invalid JSON: {error}") from None
    import yaml

    lines: dict[Steps, int] = {}
    lines.update(_yaml_lines(yaml.compose(data, Loader=yaml.SafeLoader), (), set()))
    return Document(name, value, lines)


def _yaml_lines(node: Any, steps: Steps, seen: set[int]) -> Iterator[tuple[Steps, int]]:
    import yaml

    if node is None:
        return
    yield steps, node.start_mark.line + 1
    if id(node) in seen:  # an alias: what is in it has the lines of its first place
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield from _yaml_lines(child, (*steps, index), seen)
    elif isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            yield from _yaml_lines(child, (*steps, key.value), seen)
            yield (*steps, key.value), key.start_mark.line + 1


def _count(value: Any, path: str, counts: dict[int, int], name: str) -> int:
    """Count values, aliases written out, and refuse what JSON does not have."""
    if id(value) in counts:
        return counts[id(value)]
    count = 1
    if isinstance(value, dict):
        for key, child in value.items():
            if not isinstance(key, str):
                raise InputError(f"{name}: {path or 'the top'}: the key {key!r} is not a string; quote it")
            count += _count(child, f"{path}.{key}" if path else key, counts, name)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            count += _count(child, f"{path}[{index}]", counts, name)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{name}: {path}: {value} is not a JSON number")
    elif value is not None and not isinstance(value, (str, int, float, bool)):
        raise InputError(f"{name}: {path}: {type(value).__name__} {value} is nothing that JSON has; quote it")
    if isinstance(value, (dict, list)):
        counts[id(value)] = count
    return count
