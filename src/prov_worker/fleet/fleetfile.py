"""The fleet file: which endpoints there are, on which host, and how they are watched.

The models are the only description of its keys: the table in ``docs/fleet.md`` repeats them, which a test compares.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    Strict,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails

from prov_worker import yamlfile
from prov_worker.errors import InputError
from prov_worker.humanize import nearest
from prov_worker.sites import options as site_options
from prov_worker.sites.catalog import Site
from prov_worker.sites.catalog import site as site_of_name
from prov_worker.sites.install import default_user_dir
from prov_worker.variables import read_renamed

#: Names the fleet file if no option does.
VARIABLE = "PROV_WORKER_FLEET"
_OLD_VARIABLE = "PROV_FLEET"


def _place(text: Any, info: ValidationInfo) -> Any:
    """Return a path of the file: ``~`` and variables are expanded, and relative ones start beside the file."""
    if not (isinstance(text, str) and text):
        return text
    return _context(info)["file"].parent / Path(os.path.expandvars(text)).expanduser()


def _context(info: ValidationInfo) -> dict[str, Path]:
    """Return the fleet file: ``path``, as it was named, and ``file``, without links."""
    context: dict[str, Path] = info.context or {}
    return context


def _site(name: Any) -> Site:
    try:
        return site_of_name(name)
    except InputError as error:
        raise ValueError(str(error)) from None


Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]*$")]
Place = Annotated[Path, BeforeValidator(_place)]
Seconds = Annotated[float, Field(ge=0.1, le=86400)]


class Part(BaseModel):
    """Part of a fleet file.

    A check of several keys raises ValueError with a message that begins with the key.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )

    @classmethod
    def keys(cls) -> list[str]:
        """Return the keys that this part may have."""
        return [field.alias or name for name, field in cls.model_fields.items()]


class Watch(Part):
    """How the fleet is watched."""

    interval_s: float = Field(30.0, alias="interval", ge=0.1, le=3600, description="seconds between looks")
    backoff_s: Annotated[tuple[Seconds, Seconds], Strict(False)] = Field(
        (10.0, 600.0),
        alias="backoff",
        description="shortest and longest wait, in seconds, of an endpoint that does not stay up; it doubles each time",
    )
    cap: int = Field(5, ge=1, le=1000, description="most restarts of an endpoint within `window`")
    window_s: float = Field(
        3600.0, alias="window", ge=1, le=604800, description="seconds in which `cap` restarts are the most"
    )
    metrics: Place | None = Field(None, description="directory of node_exporter's textfile collector")

    @model_validator(mode="after")
    def _together(self) -> Watch:
        shortest, longest = self.backoff_s
        if shortest > longest:
            raise ValueError(f"backoff: expected [shortest, longest], got [{shortest:g}, {longest:g}]")
        if self.metrics is not None and find_spec("prometheus_client") is None:
            raise ValueError("metrics: need prometheus_client; install it with: pip install 'prov-worker[fleet]'")
        return self


class EndpointSpec(Part):
    """One endpoint of the file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$", description="name of the endpoint")
    site: Annotated[Site, BeforeValidator(_site)] = Field(
        description="site, as in `prov-worker sites list`; see [sites.md](sites.md)"
    )
    host: Host | None = Field(None, description="host that the endpoint belongs to; that of the file if left out")
    options: dict[str, Any] = Field({}, description="options of the site, as in `prov-worker sites show SITE`")
    _values: Mapping[str, Any] = PrivateAttr()
    _user_dir: Path = PrivateAttr()
    _file: Path = PrivateAttr()
    _credentials: Path | None = PrivateAttr(None)
    _unbound_host: bool = PrivateAttr(False)

    @model_validator(mode="after")
    def _complete(self) -> EndpointSpec:
        try:
            site_options.check(self.site, self.options, "options")
            self._values = site_options.complete(self.site, self.options, "options")
        except InputError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def values(self) -> Mapping[str, Any]:
        """All options of the site, complete."""
        return self._values

    @property
    def user_dir(self) -> Path:
        """Globus Compute's directory."""
        return self._user_dir

    @property
    def file(self) -> Path:
        """The fleet file, without links."""
        return self._file

    @property
    def credentials(self) -> Path | None:
        """File with the client's id and secret; None takes the environment alone."""
        return self._credentials

    @property
    def unbound_host(self) -> bool:
        """Whether a batch system chooses the daemon's host."""
        return self._unbound_host

    @property
    def directory(self) -> Path:
        """Of the endpoint."""
        return self.user_dir / self.name


class Fleet(Part):
    """A fleet file that was read."""

    host: Host | None = Field(
        None,
        description="host that the endpoints belong to, this one if left out; an endpoint may name its own. "
        "On homes that login nodes share, name it",
    )
    unbound_host: bool = Field(
        False,
        description="whether a batch system chooses the host, one at a time, as scrontab does: hosts with this home "
        "share the state, and the watch alone starts endpoints",
    )
    user_dir: Place = Field(
        default_factory=default_user_dir,
        description="directory of the endpoints; Globus Compute's own if left out",
    )
    credentials: Place | None = Field(
        None,
        description="file of mode 0600 with `GLOBUS_COMPUTE_CLIENT_ID=…` and `GLOBUS_COMPUTE_CLIENT_SECRET=…`, and "
        "other variables of daemons; the environment alone if left out",
    )
    watch: Watch = Field(default_factory=lambda: Watch.model_validate({}), description="how they are watched")
    endpoints: Annotated[tuple[EndpointSpec, ...], Strict(False)] = Field(min_length=1)
    _path: Path = PrivateAttr()
    _file: Path = PrivateAttr()

    @model_validator(mode="before")
    @classmethod
    def _hand_down(cls, content: Any) -> Any:
        """Refuse another host: endpoints that name no host are of the file's."""
        if not (isinstance(content, dict) and "host" in content and isinstance(content.get("endpoints"), list)):
            return content
        host = {"host": content["host"]}
        endpoints = [host | each if isinstance(each, dict) else each for each in content["endpoints"]]
        return content | {"endpoints": endpoints}

    @model_validator(mode="after")
    def _place_endpoints(self, info: ValidationInfo) -> Fleet:
        context = _context(info)
        self._path, self._file = context["path"], context["file"]
        for number, name in enumerate(self.names):
            if name in self.names[:number]:
                raise ValueError(f"endpoints[{number}].name: {name} is there twice")
        for number, endpoint in enumerate(self.endpoints):
            if self.unbound_host and endpoint.host is not None:
                key = "host" if self.host is not None else f"endpoints[{number}].host"
                raise ValueError(f"{key}: contradicts unbound_host, by which endpoints belong to no host")
            endpoint._user_dir, endpoint._file = self.user_dir.absolute(), self.file
            endpoint._credentials, endpoint._unbound_host = self.credentials, self.unbound_host
        return self

    @property
    def path(self) -> Path:
        """Absolute, of the file, as it was named."""
        return self._path

    @property
    def file(self) -> Path:
        """Of the file, without links: what tells one fleet from another."""
        return self._file

    @property
    def names(self) -> tuple[str, ...]:
        """Of all endpoints, in the file's order."""
        return tuple(endpoint.name for endpoint in self.endpoints)

    def chosen(self, names: Sequence[str] = ()) -> tuple[EndpointSpec, ...]:
        """Return endpoints of these names, in the file's order; all of them without any.

        Raises:
            InputError: a name that the file does not have.
        """
        for name in names:
            if name not in self.names:
                raise InputError(f"{self.path}: endpoints: none is called {name}; there are {', '.join(self.names)}")
        return tuple(endpoint for endpoint in self.endpoints if not names or endpoint.name in names)


#: The parts of a file by the keys that lead to them.
PARTS: dict[tuple[str, ...], type[Part]] = {(): Fleet, ("watch",): Watch, ("endpoints",): EndpointSpec}


def default_path() -> Path:
    """Return ``PROV_WORKER_FLEET``, else ``$XDG_CONFIG_HOME/prov-worker/fleet.yaml``."""
    named = read_renamed(VARIABLE, _OLD_VARIABLE)
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
        content = yamlfile.parse(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; it names the endpoints of a fleet (see docs/fleet.md)") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    try:
        return Fleet.model_validate(content, context={"path": path, "file": real(path)})
    except ValidationError as error:
        # A key that is misspelt also misses under its right name: it is reported first.
        problems = sorted(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")
        raise InputError(f"{path}: {_problem(problems[0])}") from None


def _problem(error: ErrorDetails) -> str:
    """Return the key and what is wrong with it."""
    place = error["loc"]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    names = tuple(part for part in place if isinstance(part, str))
    context = error.get("ctx", {})
    if error["type"] == "value_error":
        return f"{key}{'.' if key and names in PARTS else ': ' if key else ''}{context['error']}"
    if error["type"] == "extra_forbidden":
        keys = PARTS[names[:-1]].keys()
        hint = nearest(names[-1], keys)
        return f"{key}: no such key; {f'{hint} Keys' if hint else 'keys'} are {', '.join(keys)}"
    if error["type"] == "model_type" and not key:
        return "expected a mapping with endpoints"
    problems = {
        "missing": "must be set",
        "model_type": "expected a mapping",
        "tuple_type": "expected a list",
        "too_short": f"expected a list of at least {context.get('min_length')}",
        "too_long": f"expected a list of at most {context.get('max_length')}",
    }
    if error["type"] in problems:
        return f"{key}: {problems[error['type']]}"
    return f"{key}: {error['msg'][:1].lower()}{error['msg'][1:]}, got {error['input']!r}"


def real(path: Path) -> Path:
    """Return a path without links: a fleet file is the same one by whatever link it is named."""
    return Path(os.path.realpath(path))


def is_here(host: str) -> bool:
    """Return whether a host name is this host's: the same, or the first part of the same."""
    mine = socket.gethostname()
    if "." in host and "." in mine:
        return host.lower() == mine.lower()
    return host.split(".", 1)[0].lower() == mine.split(".", 1)[0].lower()
