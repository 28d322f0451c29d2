"""YAML that a person wrote.

PyYAML takes the last of two equal keys, without a word, although YAML 1.2 (section 3.2.1.1) wants them to be unique: of
two settings one would be lost.
"""

from __future__ import annotations

from typing import Any

from prov_worker.errors import InputError


def parse(text: str | bytes, where: str) -> Any:
    """Parse YAML.

    Args:
        text: the whole document.
        where: its file, for errors.

    Raises:
        InputError: it is not YAML, a key is there twice, or something holds an alias of itself.
        ImportError: PyYAML is not here.
    """
    import yaml

    try:
        _refuse_twins(yaml.compose(text, Loader=yaml.SafeLoader), "", where, set(), frozenset())
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{where}: invalid YAML: {' '.join(str(error).split())}") from None


def _refuse_twins(node: Any, path: str, where: str, seen: set[int], above: frozenset[int]) -> None:
    """Look through a node and what is below it; aliases may lead to one again."""
    import yaml

    if id(node) in above:
        raise InputError(f"{where}: {path}: an alias of what holds it, which has no end")
    if id(node) in seen:
        return
    seen.add(id(node))
    above |= {id(node)}
    if isinstance(node, yaml.SequenceNode):
        for number, child in enumerate(node.value):
            _refuse_twins(child, f"{path}[{number}]", where, seen, above)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            name = f"{path}.{key.value}" if path else str(key.value)
            if isinstance(key, yaml.ScalarNode):
                line, same = key.start_mark.line + 1, (key.tag, key.value)
                if same in lines:
                    raise InputError(f"{where}: {name}: is there twice, in lines {lines[same]} and {line}")
                lines[same] = line
            _refuse_twins(value, name, where, seen, above)
