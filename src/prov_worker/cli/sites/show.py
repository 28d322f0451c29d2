"""``prov-worker sites show``."""

from __future__ import annotations

import json

import click

from prov_worker.cli.sites import common


@click.command("show")
@common.site_argument
def command(site: str) -> int:
    """Show the options of SITE, their defaults, and where these come from."""
    from prov_worker.sites.catalog import site as known

    found = known(site)
    click.echo(found.title)
    for name, option in found.options.items():
        default = json.dumps(option["default"]) if "default" in option else "must be set"
        click.echo(f"\n{name}: {default}\n    {option['description']}")
        if "$comment" in option:
            click.echo(f"    source: {option['$comment']}")
    if found.cores:
        click.echo(f"\na node: {found.node}\n    source: {found.cores_source}")
    for one in found.fixed:
        click.echo(f"\n{one['what']} (not an option): {one['value']}\n    source: {one['source']}")
    return 0
