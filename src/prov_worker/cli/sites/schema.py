"""``prov-worker sites schema``."""

from __future__ import annotations

import json

import click

from prov_worker.cli.common.examples import examples
from prov_worker.cli.sites import common


@examples("prov-worker sites schema perlmutter-gpu")
@click.command("schema")
@common.site_argument
def command(site: str) -> int:
    """Print the JSON schema of the options of SITE."""
    from prov_worker.sites import catalog

    click.echo(json.dumps(catalog.site(site).schema(), indent=2))
    return 0
