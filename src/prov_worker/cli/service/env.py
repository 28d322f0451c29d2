"""``prov-worker service env``."""

from __future__ import annotations

import os
import shlex
from typing import Any

import click

from prov_worker.cli.common.examples import examples
from prov_worker.cli.service import common
from prov_worker.errors import InputError


@examples('eval "$(prov-worker service env)"')
@click.command("env")
@common.where_options
@click.option("--identity", metavar="CLIENT_ID", help="Which one, if there are several.  [default: the first]")
@click.option(
    "--published",
    type=click.IntRange(1, 65535),
    envvar="PROV_SERVICE_PUBLISHED",
    help="Port at which clients reach a service in a container.  [default: --port]",
)
def command(identity: str | None, published: int | None, **where: Any) -> int:
    """Print one line of exports for stock scripts and daemons: eval "$(prov-worker service env)"."""
    from prov_worker.localservice import identities as module

    config = common.read_config(**where)
    port = published or config.port
    if port != 5000:
        raise InputError(
            f"port {port}: stock software looks for a local service on port 5000 alone, no export leads it elsewhere; "
            "run the service there, or scripts in the network of its container (docs/local-endpoint.md)"
        )
    identities = module.load(config.identities, config.identities_default, dict(os.environ), make=False)
    chosen = next(iter(identities)) if identity is None else identities.get(identity)
    if chosen is None:
        raise InputError(f"--identity {identity}: no such identity")
    variables = {
        "GLOBUS_SDK_ENVIRONMENT": "local",
        **{f"GLOBUS_SDK_SERVICE_URL_{name}": config.url for name in ("AUTH", "FLOWS", "TRANSFER", "TIMER")},
        "GLOBUS_COMPUTE_CLIENT_ID": chosen.client_id,
        "GLOBUS_COMPUTE_CLIENT_SECRET": chosen.client_secret,
    }
    click.echo("export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items()))
    return 0
