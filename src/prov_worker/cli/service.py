"""``prov-worker service``: the local Globus Compute web service."""

from __future__ import annotations

import http.client
import json
import logging
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from prov_worker.errors import InputError

if TYPE_CHECKING:
    from prov_worker.localservice.config import Config

_MIB = 1024 * 1024
_F = TypeVar("_F", bound=Callable[..., Any])


@click.group("service")
def command() -> None:
    """Run the local Globus Compute web service, and point stock software at it.

    Endpoints and scripts need no account and no internet: the service answers in place of the hosted one. Every option
    can be given as a variable too: PROV_SERVICE_PORT for --port, and so on.
    """


def _option(*names: str, **settings: Any) -> Callable[[_F], _F]:
    variable = "PROV_SERVICE_" + names[-1].lstrip("-").replace("-", "_").upper()
    return click.option(*names, envvar=variable, show_default=settings.pop("show_default", True), **settings)


_WHERE = (
    _option("--host", default="127.0.0.1", help="Address to listen on; other than loopback, others can reach it."),
    _option("--port", type=click.IntRange(1, 65535), default=5000, help="Stock software looks at 5000 alone."),
    _option(
        "--db", metavar="FILE", help="The durable state.  [default: ~/.local/state/prov-worker/service/service.sqlite]"
    ),
    _option(
        "--identities", metavar="FILE", help="JSON list of client_id, client_secret, name.  [default: one is made]"
    ),
)


def _where(function: _F) -> _F:
    for option in reversed(_WHERE):
        function = option(function)
    return function


def _config(host: str, port: int, db: str | None, identities: str | None, **others: Any) -> Config:
    try:
        from prov_worker.localservice.config import Config, state_home
    except ImportError as error:  # pragma: no cover - only without the extra
        raise _without_extra(error) from error
    return Config(
        host=host,
        port=port,
        database=Path(db).absolute() if db else state_home() / "service.sqlite",
        identities=Path(identities).absolute() if identities else None,
        **others,
    )


def _without_extra(error: ImportError) -> InputError:
    return InputError(f"the service needs more ({error}); install it with: pip install 'prov-worker[service]'")


@command.command("run")
@_where
@_option("--amqp-url", default="amqp://guest:guest@127.0.0.1:5672/%2F", show_default=False, help="The broker.")
@_option(
    "--amqp-advertise",
    metavar="URL|service",
    help="The broker as endpoints and scripts reach it; 'service': through this service's port.  [default: --amqp-url]",
)
@_option(
    "--amqp-management",
    metavar="URL|none",
    help="The broker's management API, by which each identity gets an account of its own there; 'none': all use that "
    "of --amqp-url.  [default: port 15672 of the broker, where there is more than one identity]",
)
@_option("--retain-hours", type=float, default=24.0, help="How long finished tasks are kept.")
@_option("--max-body-mib", type=click.IntRange(1, 1024), default=32, help="Largest request.")
@_option("--max-tasks", type=click.IntRange(1, 1_000_000), default=20_000, help="Most tasks of one submission.")
@_option("--max-result-mib", type=click.IntRange(1, 1024), default=16, help="A larger result fails its task.")
@_option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info")
def run(
    amqp_url: str,
    amqp_advertise: str | None,
    amqp_management: str | None,
    retain_hours: float,
    max_body_mib: int,
    max_tasks: int,
    max_result_mib: int,
    log_level: str,
    **where: Any,
) -> int:
    """Serve until SIGTERM; the broker may come and go meanwhile."""
    config = _config(
        **where,
        amqp_url=amqp_url,
        amqp_advertise=amqp_advertise or None,
        amqp_management=amqp_management or None,
        retain_s=retain_hours * 3600,
        body_limit_bytes=max_body_mib * _MIB,
        task_limit=max_tasks,
        result_limit_bytes=max_result_mib * _MIB,
    )
    try:
        from prov_worker.localservice.server import run as serve
    except ImportError as error:
        raise _without_extra(error) from error
    logging.basicConfig(
        level=log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # Pika tells every step of a connection, with its parameters; the service says what matters of it.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    serve(config, dict(os.environ))
    return 0


@command.command("env")
@_where
@click.option("--identity", metavar="CLIENT_ID", help="Which one, where there are several.  [default: the first]")
@click.option(
    "--published",
    type=click.IntRange(1, 65535),
    envvar="PROV_SERVICE_PUBLISHED",
    help="Port at which clients reach a service in a container.  [default: --port]",
)
def env(identity: str | None, published: int | None, **where: Any) -> int:
    """Print one line of exports for stock scripts and daemons: eval "$(prov-worker service env)"."""
    from prov_worker.localservice import identities as module

    config = _config(**where)
    port = published or config.port
    if port != 5000:
        raise InputError(
            f"port {port}: stock software looks for a local service on port 5000 alone, no export leads it elsewhere; "
            "run the service there, or scripts in the network of its container (docs/local-endpoint.md)"
        )
    found = module.load(config.identities, config.identities_default, dict(os.environ), make=False)
    chosen = next(iter(found)) if identity is None else found.get(identity)
    if chosen is None:
        raise InputError(f"--identity {identity}: no such identity")
    variables = {
        "GLOBUS_SDK_ENVIRONMENT": "local",
        "GLOBUS_SDK_SERVICE_URL_AUTH": config.url,
        "GLOBUS_COMPUTE_CLIENT_ID": chosen.client_id,
        "GLOBUS_COMPUTE_CLIENT_SECRET": chosen.client_secret,
    }
    click.echo("export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items()))
    return 0


@command.command("status")
@_where
@click.option("--json", "as_json", is_flag=True, help="What the service says, as JSON.")
def status(as_json: bool, **where: Any) -> int:
    """Ask a running service how it is; exit code 1 where it does not answer, or lacks its broker."""
    config = _config(**where)
    content: dict[str, Any]
    host = "127.0.0.1" if config.host in ("0.0.0.0", "::") else config.host  # noqa: S104
    connection = http.client.HTTPConnection(host, config.port, timeout=5)
    try:
        connection.request("GET", "/health")
        content = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        content = {"status": "unreachable", "reason": str(error)}
    finally:
        connection.close()
    if as_json:
        click.echo(json.dumps({"url": config.url, **content}))
    else:
        facts = ", ".join(f"{key}: {value}" for key, value in content.items())
        click.echo(f"{config.url} {facts}")
    return 0 if content.get("status") == "ok" else 1
