"""``prov-worker service identity``."""

from __future__ import annotations

from pathlib import Path

import click

from prov_worker.cli.common.examples import examples
from prov_worker.cli.service import common


@examples("prov-worker service identity --identities identities.json --name 'A. Person'")
@click.command("identity")
@common.option("--identities", metavar="FILE", required=True, help="JSON list that it is added to; made if missing.")
@click.option("--name", default="local client", show_default=True, help="Who it is for, on the status page.")
def command(identities: str, name: str) -> int:
    """Add a new identity to a file for `service run --identities`, and print its client id.

    Its secret, of 256 bits, is in the file alone; `prov-worker service env --identity CLIENT_ID` prints both.
    """
    try:
        from prov_worker.localservice.identities import add
    except ImportError as error:  # pragma: no cover - only without the extra
        raise common.without_extra(error) from error
    click.echo(add(Path(identities).absolute(), name).client_id)
    return 0
