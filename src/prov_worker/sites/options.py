"""Options that people give for a site: read, checked against its schema, and against each other."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prov_worker import yamlfile
from prov_worker.errors import InputError
from prov_worker.humanize import nearest
from prov_worker.settings import Settings
from prov_worker.sites import combinations
from prov_worker.sites.catalog import Site

#: Characters that no text of a configuration or a script has, but for tabs and the ends of lines.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_CONTROL_OR_END = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_OF_LINES = {"worker_init", "scheduler_options"}


def read(
    site: Site, assignments: Sequence[str] = (), file: Path | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return options of a file, and over them ``key=value`` pairs; and where each was given, for errors.

    Args:
        site: whose options they are.
        assignments: values in YAML; text need not be quoted.
        file: a YAML mapping.

    Raises:
        InputError: names the file or ``--set``, the key, and what is expected.
    """
    values: dict[str, Any] = {}
    if file is not None:
        try:
            document = yamlfile.parse(file.read_bytes(), str(file))
        except OSError as error:
            raise InputError(f"{file}: cannot be read: {error.strerror or error}") from None
        if not isinstance(document, Mapping):
            raise InputError(f"{file}: expected a mapping of options")
        values = {str(key): value for key, value in document.items()}
        check(site, values, str(file))
    given: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not (key and equals):
            raise InputError(f"--set {assignment}: expected KEY=VALUE")
        option = site.options.get(key, {})
        if option.get("type") == "string" or "enum" in option:
            given[key] = text
            continue
        try:
            given[key] = yamlfile.parse(text, "--set")
        except InputError:
            given[key] = text
        if option.get("type") == "array" and not isinstance(given[key], list):
            given[key] = [part for part in text.split(",") if part]
    check(site, given, "--set")
    sources = {**dict.fromkeys(values, str(file)), **dict.fromkeys(given, "--set")}
    return {**values, **given}, sources


def check(site: Site, values: Mapping[str, Any], where: str) -> None:
    """Check single values.

    Raises:
        InputError: the first that is wrong.
    """
    from jsonschema import Draft202012Validator

    for key, value in values.items():
        option = site.options.get(key)
        if option is None:
            hint = nearest(str(key), site.options)
            problem = f"{site.name} has no such option" + (f"; {hint}" if hint else ".")
            raise InputError(f"{where}: {key}: {problem} All are in `prov-worker sites show {site.name}`")
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{where}: {key}: {value} is not allowed; expected: {_wanted(option)}")
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and (_CONTROL if key in _OF_LINES else _CONTROL_OR_END).search(text):
                raise InputError(f"{where}: {key}: {json.dumps(text)} has a control character; write it without")
        for error in Draft202012Validator(option).iter_errors(value):
            wanted = _wanted(option)
            if option.get("type") == "string" and not isinstance(value, str):
                wanted += ". Put it in quotes"
            at = "".join(f"[{part}]" for part in error.path)
            raise InputError(
                f"{where}: {key}{at}: {json.dumps(error.instance, default=str)} is not allowed; expected: {wanted}"
            )


def _wanted(option: Mapping[str, Any]) -> str:
    """Return what an option takes, in words."""
    if "enum" in option:
        return f"one of {', '.join(option['enum'])}"
    kind = {
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "array": "a list",
        "object": "a mapping",
    }
    parts = [option["description"].rstrip(".")]
    if option.get("type") in kind:
        parts.append(kind[option["type"]])
    bounds = {
        "minimum": "at least",
        "exclusiveMinimum": "more than",
        "maximum": "at most",
        "maxLength": "characters at most:",
    }
    parts += [f"{phrase} {option[name]}" for name, phrase in bounds.items() if name in option]
    return ", ".join(parts)


def _whole(option: Mapping[str, Any], value: Any) -> Any:
    """Return whether a number is whole: JSON schema takes 4.0 for one, and Globus Compute does not."""
    return int(value) if option.get("type") == "integer" and isinstance(value, float) else value


def _origin(keys: Sequence[str], where: str, sources: Mapping[str, str] | None) -> str:
    """Return where the first of these options was given."""
    return next((sources[key] for key in keys if key in sources), where) if sources else where


def complete(
    site: Site, values: Mapping[str, Any], where: str, sources: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return all options with their values, checked against each other.

    Args:
        site: whose options they are.
        values: those that were given.
        where: they come from, for errors.
        sources: the same by option, if it is known.

    Raises:
        InputError: one that must be said is missing, or two contradict each other.
    """
    missing = [name for name, option in site.options.items() if "default" not in option and name not in values]
    if missing:
        remedy = "" if sources is None else f": {' '.join(f'--set {name}=...' for name in missing)}, or in a file"
        meaning = "; ".join(
            f"{f'{name} - ' if len(missing) > 1 else ''}{site.options[name]['description'].rstrip('.')}"
            for name in missing
        )
        raise InputError(f"{where}: {', '.join(missing)}: must be set{remedy}; {meaning}")
    full = {name: _whole(option, values.get(name, option.get("default"))) for name, option in site.options.items()}
    recording = full["provenance"] | {"poll_interval": full["poll_interval"]}
    Settings.from_mapping(recording, f"{_origin(['provenance'], where, sources)}: provenance")
    for keys, problem in combinations.problems(site, full):
        raise InputError(f"{_origin(keys, where, sources)}: {keys[0]}: {problem}")
    return full


def defaults(site: Site, values: Mapping[str, Any]) -> str:
    """Return lines of Jinja that give a template the options that a client leaves out, or cannot ask for.

    Text stands there as the daemon renders that of clients: as JSON, which is text in quotes for YAML too.
    """

    def literal(value: Any) -> str:
        if isinstance(value, str):
            return repr(json.dumps(value))
        if isinstance(value, list):
            return "[" + ", ".join(literal(item) for item in value) + "]"
        if isinstance(value, dict):
            # Never from a client: each value as JSON in one piece, whatever it holds.
            return "{" + ", ".join(f"{key!r}: {json.dumps(inner)!r}" for key, inner in value.items()) + "}"
        return repr(value)

    # A client's 4.0 is a whole number for JSON schema, and none for the daemon.
    whole = {key for key, option in site.options.items() if option.get("type") == "integer"}
    lines = ""
    for key, value in values.items():
        if not site.options[key].get("daemon"):
            lines += f"{{%- set {key} = {key} | default({literal(value)}){' | int' * (key in whole)} %}}\n"
        elif re.search(rf"\b{key}\b", site.template):
            lines += f"{{%- set {key} = {literal(value)} %}}\n"
    return lines
