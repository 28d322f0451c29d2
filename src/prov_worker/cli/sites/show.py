"""``prov-worker sites show``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from prov_worker.cli.common.examples import examples
from prov_worker.cli.sites import common

#: Options that an endpoint of one's own is made of, in this order; the others seldom need another value.
_MAIN = (
    "account", "submit_dir", "queue", "qos", "walltime", "worker_init", "crate_dir", "nodes_per_block", "max_blocks",
    "workers", "mpi",
)  # fmt: skip


@examples("prov-worker sites show aurora")
@click.command("show")
@common.site_argument
def command(site: str) -> int:
    """Show the options of SITE, their defaults, and where these come from.

    First those that differ from user to user.
    """
    from prov_worker.sites import catalog

    definition = catalog.site(site)
    click.echo(definition.title)
    main = [name for name in _MAIN if name in definition.options]
    for name in main:
        _print_option(name, definition.options[name])
    click.echo(f"\nOptions that seldom need another value than the default of {site}:")
    for name, option in definition.options.items():
        if name not in main:
            _print_option(name, option)
    if definition.cores:
        click.echo(f"\na node: {definition.node}\n    source: {definition.cores_source}")
    for setting in definition.fixed:
        click.echo(f"\n{setting['what']} (not an option): {setting['value']}\n    source: {setting['source']}")
    return 0


def _print_option(name: str, option: Mapping[str, Any]) -> None:
    default = json.dumps(option["default"]) if "default" in option else "must be set"
    click.echo(f"\n{name}: {default}\n    {option['description']}")
    if "$comment" in option:
        click.echo(f"    source: {option['$comment']}")
