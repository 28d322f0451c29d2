"""``prov-worker sites schema``."""

from __future__ import annotations

import json

import click

from prov_worker.cli.sites import common


@click.command("schema")
@common.site_argument
def command(site: str) -> int:
    """Print the JSON schema of the options of SITE."""
    from prov_worker.sites.catalog import site as known

    click.echo(json.dumps(known(site).schema(), indent=2))
    return 0
