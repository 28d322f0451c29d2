"""``prov-worker sites list``."""

from __future__ import annotations

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples


@examples("prov-worker sites list")
@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(as_json: bool) -> int:
    """List the sites that there are templates for."""
    from prov_worker.sites.catalog import names, site

    titles = {name: site(name).title for name in names()}
    if as_json:
        terminal.print_json([{"name": name, "title": title} for name, title in titles.items()])
    else:
        for name, title in titles.items():
            click.echo(f"{name:<16}{title}")
    return 0
