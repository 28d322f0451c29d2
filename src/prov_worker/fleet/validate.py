"""Every endpoint's configuration, rendered and loaded by the daemon's own code; nothing is written or started."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from prov_worker.errors import InputError
from prov_worker.fleet.credentials import refusal
from prov_worker.fleet.endpoint import ManagedEndpoint
from prov_worker.fleet.fleetfile import EndpointSpec
from prov_worker.sites.catalog import TEMPLATE
from prov_worker.sites.install import DamagedError


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the daemon's code says of an endpoint; ``problem`` is None if it takes it."""

    name: str
    site: str
    problem: str | None


def validate(
    specs: Iterable[EndpointSpec],
    *,
    installed: bool = True,
    credentials: Path | None = None,
    advance: Callable[[], None] = lambda: None,
) -> list[Verdict]:
    """Look at endpoints one by one; those of other hosts too.

    Args:
        specs: the endpoints.
        installed: also what lies in their directories, if that differs.
        credentials: file that those of this host would be started with.
        advance: called after each.
    """
    verdicts = []
    refused = refusal(credentials)
    for spec in specs:
        wrong = _problem(spec, installed=installed)
        if wrong is None and refused is not None and ManagedEndpoint(spec).other_host() is None:
            wrong = refused
        verdicts.append(Verdict(spec.name, spec.site.name, wrong))
        advance()
    return verdicts


def _problem(spec: EndpointSpec, *, installed: bool) -> str | None:
    from prov_worker.sites import interface
    from prov_worker.sites.install import files_of

    folder = ManagedEndpoint(spec)
    try:
        try:
            here = folder.other_host() is None
        except DamagedError:
            if installed:
                raise
            here = True  # it will be written again
        if here and (problem := interface.problem(spec.values["interface"])) is not None:
            return f"interface: {problem}"
        texts = files_of(spec.site, spec.name, spec.values, spec.user_dir)
        _load(texts, here=here)
        if installed and here and folder.marker() is not None:
            # What lies there now may have been changed by hand, and is what would be started.
            present = {name: _text(spec.directory / name, text) for name, text in texts.items()}
            if present != texts:
                try:
                    _load(present, here=True)
                except InputError as error:
                    return f"as it lies in {spec.directory}: {error}"
    except InputError as error:
        return str(error)
    return None


def _load(texts: Mapping[str, str], *, here: bool) -> None:
    from prov_worker.globus import template

    template.load_core(texts["config.yaml"], here=here)
    try:
        schema = json.loads(texts["user_config_schema.json"])
    except ValueError as error:
        raise InputError(f"user_config_schema.json: invalid JSON: {error}") from None
    text = template.render(texts[TEMPLATE], schema)
    template.load(text, any_interface=not here).shutdown(block=False)


def _text(path: Path, missing: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return missing
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
