"""Options that people give for a site: read, checked against its schema, and against each other."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prov_worker import yamlfile
from prov_worker.errors import InputError
from prov_worker.sites.catalog import Site


def read(site: Site, assignments: Sequence[str] = (), file: Path | None = None) -> dict[str, Any]:
    """Options of a file, and over them ``key=value`` pairs.

    Args:
        site: whose options they are.
        assignments: values in YAML; text need not be quoted.
        file: a YAML mapping.

    Raises:
        InputError: names the file or ``--set``, the key, and what is expected.
    """
    import yaml

    values: dict[str, Any] = {}
    if file is not None:
        try:
            found = yamlfile.parse(file.read_bytes(), str(file))
        except OSError as error:
            raise InputError(f"{file}: cannot be read: {error.strerror or error}") from None
        if not isinstance(found, Mapping):
            raise InputError(f"{file}: expected a mapping of options")
        values = {str(key): value for key, value in found.items()}
        check(site, values, str(file))
    given: dict[str, Any] = {}
    for one in assignments:
        key, equals, text = one.partition("=")
        if not equals:
            raise InputError(f"--set {one}: expected KEY=VALUE")
        option = site.options.get(key, {})
        if option.get("type") == "string" or "enum" in option:
            given[key] = text
            continue
        try:
            given[key] = yaml.safe_load(text)
        except yaml.YAMLError:
            given[key] = text
        if option.get("type") == "array" and not isinstance(given[key], list):
            given[key] = [part for part in text.split(",") if part]
    check(site, given, "--set")
    return {**values, **given}


def check(site: Site, values: Mapping[str, Any], where: str) -> None:
    """Check single values.

    Raises:
        InputError: the first that is wrong.
    """
    from jsonschema import Draft202012Validator

    for key, value in values.items():
        option = site.options.get(key)
        if option is None:
            raise InputError(f"{where}: {key}: {site.name} has no such option; known are {', '.join(site.options)}")
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{where}: {key}: {value} is not allowed; expected: {_wanted(option)}")
        for error in Draft202012Validator(option).iter_errors(value):
            wanted = _wanted(option)
            if option.get("type") == "string" and not isinstance(value, str):
                wanted += ". Put it in quotes"
            at = "".join(f"[{part}]" for part in error.path)
            raise InputError(
                f"{where}: {key}{at}: {json.dumps(error.instance, default=str)} is not allowed; expected: {wanted}"
            )


def _wanted(option: Mapping[str, Any]) -> str:
    """What an option takes, in words."""
    if "enum" in option:
        return f"one of {', '.join(option['enum'])}"
    kind = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "array": "a list"}
    parts = [option["description"].rstrip(".")]
    if option.get("type") in kind:
        parts.append(kind[option["type"]])
    bounds = {
        "minimum": "at least",
        "exclusiveMinimum": "more than",
        "maximum": "at most",
        "maxLength": "characters at most:",
    }
    parts += [f"{words} {option[name]}" for name, words in bounds.items() if name in option]
    return ", ".join(parts)


def complete(site: Site, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """All options with their values, checked against each other.

    Raises:
        InputError: one that must be said is missing, or two contradict each other.
    """
    missing = [name for name, option in site.options.items() if "default" not in option and name not in values]
    if missing:
        option = site.options[missing[0]]
        raise InputError(f"{where}: {missing[0]}: must be set; {option['description'].rstrip('.')}")
    full = {name: values.get(name, option.get("default")) for name, option in site.options.items()}
    workers = full["workers"]
    affinity = full["affinity"]
    if affinity.startswith("list:"):
        ranks = affinity.split(":")[1:]
        if len(ranks) != workers:
            raise InputError(
                f"{where}: affinity: {len(ranks)} lists for {workers} workers; Parsl wants one for each worker"
            )
    if full["accelerators"] and len(full["accelerators"]) != workers:
        raise InputError(
            f"{where}: accelerators: {len(full['accelerators'])} for {workers} workers; name one for each, or none"
        )
    if full["runtime"] == "container" and not full["image"]:
        raise InputError(f"{where}: image: must be set where runtime is container")
    if full["heartbeat_threshold"] < full["heartbeat_period"]:
        raise InputError(f"{where}: heartbeat_threshold: must not be below heartbeat_period")
    if not full["min_blocks"] <= full["init_blocks"] <= full["max_blocks"]:
        raise InputError(
            f"{where}: init_blocks: {full['init_blocks']} must lie between min_blocks ({full['min_blocks']}) and "
            f"max_blocks ({full['max_blocks']})"
        )
    return full


def defaults(site: Site, values: Mapping[str, Any]) -> str:
    """Lines of Jinja that give a template the options that a client leaves out.

    Text stands there as the daemon renders that of clients: as JSON, which is text in quotes for YAML too.
    """

    def literal(value: Any) -> str:
        if isinstance(value, str):
            return repr(json.dumps(value))
        if isinstance(value, list):
            return "[" + ", ".join(literal(one) for one in value) + "]"
        return repr(value)

    return "".join(
        f"{{%- set {key} = {key} | default({literal(value)}) %}}\n"
        for key, value in values.items()
        if not site.options[key].get("daemon")
    )
