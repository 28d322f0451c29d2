"""The fleet file: which endpoints there are, on which host, and how they are watched."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from prov_worker import yamlfile
from prov_worker.errors import InputError
from prov_worker.sites import options as site_options
from prov_worker.sites.catalog import Site
from prov_worker.sites.catalog import site as known_site
from prov_worker.sites.install import default_user_dir

#: Names the fleet file where no option does.
VARIABLE = "PROV_FLEET"
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"
_HOST = {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9.-]*$"}
_PATH = {"type": "string", "minLength": 1}
#: JSON schema (draft 2020-12) of a fleet file.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["endpoints"],
    "properties": {
        "host": _HOST,
        "user_dir": _PATH,
        "credentials": _PATH,
        "watch": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "interval": {"type": "number", "minimum": 0.1, "maximum": 3600},
                "backoff": {
                    "type": "array",
                    "minItems": 2,
                    "maxItems": 2,
                    "items": {"type": "number", "minimum": 0.1, "maximum": 86400},
                },
                "cap": {"type": "integer", "minimum": 1, "maximum": 1000},
                "window": {"type": "number", "minimum": 1, "maximum": 604800},
                "metrics": _PATH,
            },
        },
        "endpoints": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "site"],
                "properties": {
                    "name": {"type": "string", "pattern": _NAME},
                    "site": {"type": "string"},
                    "host": _HOST,
                    "options": {"type": "object"},
                },
            },
        },
    },
}


@dataclass(frozen=True, slots=True)
class Watch:
    """How the fleet is watched.

    Attributes:
        interval_s: between looks.
        backoff_s: shortest and longest wait before another restart of an endpoint that does not stay up.
        cap: most restarts of an endpoint within ``window_s``.
        window_s: see ``cap``.
        metrics: directory of node_exporter's textfile collector.
    """

    interval_s: float = 30.0
    backoff_s: tuple[float, float] = (10.0, 600.0)
    cap: int = 5
    window_s: float = 3600.0
    metrics: Path | None = None


@dataclass(frozen=True)
class EndpointSpec:
    """One endpoint of the file.

    Attributes:
        name: of its directory and its daemon.
        site: its site.
        host: that it belongs to; None where the file names none.
        values: all options, complete.
        user_dir: Globus Compute's directory.
        file: the fleet file, without links.
    """

    name: str
    site: Site
    host: str | None
    values: Mapping[str, Any]
    user_dir: Path
    file: Path

    @property
    def directory(self) -> Path:
        """Of the endpoint."""
        return self.user_dir / self.name


@dataclass(frozen=True)
class Fleet:
    """A fleet file that was read.

    Attributes:
        path: absolute, of the file, as it was named.
        file: without links: what tells one fleet from another.
        endpoints: in the file's order.
        user_dir: Globus Compute's directory, of all of them.
        watch: how they are watched.
        credentials: file with the client's id and secret; None takes the environment alone.
    """

    path: Path
    file: Path
    endpoints: tuple[EndpointSpec, ...]
    user_dir: Path
    watch: Watch = field(default_factory=Watch)
    credentials: Path | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of all endpoints."""
        return tuple(one.name for one in self.endpoints)

    def chosen(self, names: Sequence[str] = ()) -> tuple[EndpointSpec, ...]:
        """Endpoints of these names, in the file's order; all of them without any.

        Raises:
            InputError: a name that the file does not have.
        """
        for name in names:
            if name not in self.names:
                raise InputError(f"{self.path}: endpoints: none is called {name}; there are {', '.join(self.names)}")
        return tuple(one for one in self.endpoints if not names or one.name in names)


def default_path() -> Path:
    """``PROV_FLEET``, else ``$XDG_CONFIG_HOME/prov-worker/fleet.yaml``."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    config = os.environ.get("XDG_CONFIG_HOME")
    # The specification wants a relative path there to be passed over.
    home = Path(config) if config and os.path.isabs(config) else Path.home() / ".config"
    return home / "prov-worker" / "fleet.yaml"


def read(path: Path | None = None) -> Fleet:
    """Read a fleet file and check all of it, options of sites too.

    Args:
        path: None takes :func:`default_path`.

    Raises:
        InputError: names the file, the key, and what is expected.
    """
    path = (path or default_path()).expanduser().absolute()
    try:
        found = yamlfile.parse(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; it names the endpoints of a fleet (see docs/fleet.md)") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    _check(path, found)
    file = real(path)
    user_dir = (_path(found.get("user_dir"), file) or default_user_dir()).absolute()
    endpoints: list[EndpointSpec] = []
    for number, one in enumerate(found["endpoints"]):
        where = f"{path}: endpoints[{number}]"
        name = one["name"]
        if name in {other.name for other in endpoints}:
            raise InputError(f"{where}.name: {name} is there twice")
        try:
            site = known_site(one["site"])
        except InputError as error:
            raise InputError(f"{where}.site: {error}") from None
        given = one.get("options") or {}
        options = f"{where}.options"
        site_options.check(site, given, options)
        values = site_options.complete(site, given, options)
        endpoints.append(EndpointSpec(name, site, one.get("host", found.get("host")), values, user_dir, file))
    credentials = _path(found.get("credentials"), file)
    return Fleet(path, file, tuple(endpoints), user_dir, _watch(path, file, found), credentials)


def real(path: Path) -> Path:
    """A path without links: a fleet file is the same one by whatever link it is named."""
    return Path(os.path.realpath(path))


def _check(path: Path, found: Any) -> None:
    from jsonschema import Draft202012Validator

    if not isinstance(found, dict):
        raise InputError(f"{path}: expected a mapping with endpoints")
    errors = sorted(Draft202012Validator(SCHEMA).iter_errors(found), key=lambda error: [str(p) for p in error.path])
    for error in errors:
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.path).lstrip(".")
        if error.validator == "additionalProperties":
            known = error.schema["properties"]
            wrong = sorted((str(one) for one in error.instance if one not in known), key=str)[0]
            whole = f"{key}.{wrong}" if key else wrong
            raise InputError(f"{path}: {whole}: no such key; known are {', '.join(known)}")
        if error.validator == "required":
            missing = next(one for one in error.schema["required"] if one not in error.instance)
            raise InputError(f"{path}: {f'{key}.{missing}' if key else missing}: must be set")
        raise InputError(f"{path}: {key}: {error.message}")


def _watch(path: Path, file: Path, found: Mapping[str, Any]) -> Watch:
    given = found.get("watch", {})
    default = Watch()
    shortest, longest = given.get("backoff", default.backoff_s)
    if shortest > longest:
        raise InputError(f"{path}: watch.backoff: expected [shortest, longest], got [{shortest}, {longest}]")
    return Watch(
        interval_s=given.get("interval", default.interval_s),
        backoff_s=(shortest, longest),
        cap=given.get("cap", default.cap),
        window_s=given.get("window", default.window_s),
        metrics=_path(given.get("metrics"), file),
    )


def _path(text: str | None, file: Path) -> Path | None:
    """A path of the file: ``~`` and variables are known, and relative ones start beside the file."""
    return None if text is None else file.parent / Path(os.path.expandvars(text)).expanduser()


def is_here(host: str) -> bool:
    """Whether a host name is this host's: the same, or the first part of the same."""
    mine = socket.gethostname()
    if "." in host and "." in mine:
        return host.lower() == mine.lower()
    return host.split(".", 1)[0].lower() == mine.split(".", 1)[0].lower()
