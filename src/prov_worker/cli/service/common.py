"""What the commands of ``prov-worker service`` share: options, and the service's configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import click

from prov_worker.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from prov_worker.localservice.config import Config

_F = TypeVar("_F", bound=Callable[..., Any])


def option(*names: str, **settings: Any) -> Callable[[_F], _F]:
    """Return an option that a variable ``PROV_SERVICE_…`` sets too."""
    variable = "PROV_SERVICE_" + names[-1].partition("/")[0].lstrip("-").replace("-", "_").upper()
    return click.option(*names, envvar=variable, show_default=settings.pop("show_default", True), **settings)


_WHERE = (
    option("--host", default="127.0.0.1", help="Address beside loopback to listen on; others can reach it there."),
    option("--port", type=click.IntRange(1, 65535), default=5000, help="Stock software looks at 5000 alone."),
    option(
        "--db", metavar="FILE", help="The durable state.  [default: ~/.local/state/prov-worker/service/service.sqlite]"
    ),
    option("--identities", metavar="FILE", help="JSON list of client_id, client_secret, name.  [default: one is made]"),
)


def refuse_passwords(*names: str) -> None:
    """Refuse URLs with a password among this command's arguments, which every user of the machine can see.

    Raises:
        InputError: there is one; names its variable, and never the password.
    """
    context = click.get_current_context()
    for name in names:
        source = context.get_parameter_source(name)
        url = context.params.get(name)
        if source is click.core.ParameterSource.COMMANDLINE and url and "@" in urlsplit(url).netloc:
            flag = name.replace("_", "-")
            raise InputError(
                f"--{flag}: every user of this machine can see a password on a command line; "
                f"put the URL into the variable PROV_SERVICE_{name.upper()}"
            )


def where_options(function: _F) -> _F:
    """Add the options that say where the service and its state are."""
    for decorate in reversed(_WHERE):
        function = decorate(function)
    return function


def read_config(host: str, port: int, db: str | None, identities: str | None, **others: Any) -> Config:
    """Return the service's configuration.

    Raises:
        InputError: the extra ``service`` is not installed.
    """
    try:
        from prov_worker.localservice.config import Config, state_home
    except ImportError as error:  # pragma: no cover - only without the extra
        raise without_extra(error) from error
    return Config(
        host=host,
        port=port,
        database=Path(db).absolute() if db else state_home() / "service.sqlite",
        identities=Path(identities).absolute() if identities else None,
        **others,
    )


def without_extra(error: ImportError) -> InputError:
    """Return the error that says how to install what the service needs."""
    return MissingExtraError("the service needs more", "service", error)
