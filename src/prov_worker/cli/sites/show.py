"""``prov-worker sites show``."""

from __future__ import annotations

import json

import click

from prov_worker.cli.common.examples import examples
from prov_worker.cli.sites import common


@examples("prov-worker sites show aurora")
@click.command("show")
@common.site_argument
def command(site: str) -> int:
    """Show the options of SITE, their defaults, and where these come from."""
    from prov_worker.sites import catalog

    definition = catalog.site(site)
    click.echo(definition.title)
    for name, option in definition.options.items():
        default = json.dumps(option["default"]) if "default" in option else "must be set"
        click.echo(f"\n{name}: {default}\n    {option['description']}")
        if "$comment" in option:
            click.echo(f"    source: {option['$comment']}")
    if definition.cores:
        click.echo(f"\na node: {definition.node}\n    source: {definition.cores_source}")
    for setting in definition.fixed:
        click.echo(f"\n{setting['what']} (not an option): {setting['value']}\n    source: {setting['source']}")
    return 0
