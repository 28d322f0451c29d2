"""``prov-worker fleet logs``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.fleet import common
from prov_worker.errors import InputError


@examples("prov-worker fleet logs polaris-debug --follow")
@click.command("logs")
@click.argument("name", type=common.EndpointName(), metavar="NAME")
@common.file_option
@click.option("-n", "--lines", type=click.IntRange(min=0), default=100, show_default=True, help="The last so many.")
@click.option("--follow", is_flag=True, help="Go on with what comes new; also after a restart.")
@click.option("--user-endpoint", is_flag=True, help="Of the latest user endpoint: engine, blocks and tasks.")
@click.option("--console", is_flag=True, help="What the daemon printed: why it did not start.")
def command(name: str, file: str | None, lines: int, follow: bool, user_endpoint: bool, console: bool) -> int:
    """Show the log of the daemon of endpoint NAME."""
    from prov_worker.fleet import logs
    from prov_worker.fleet.endpoint import ManagedEndpoint

    if user_endpoint and console:
        raise click.UsageError("--console: there is one of the daemon alone, not of a user endpoint")
    (spec,) = common.read(file).chosen([name])
    folder = ManagedEndpoint(spec)
    if not folder.directory.exists() and (host := folder.other_host()) is not None:
        raise InputError(f"{name}: belongs to {host}, and {folder.directory} is not here")
    path: Path = folder.console if console else folder.log
    if user_endpoint:
        users = folder.user_endpoints()
        if not users:
            raise InputError(f"{name}: has had no user endpoint yet; the first task starts one")
        path = users[0].directory / "endpoint.log"
    if not path.exists():
        raise InputError(f"{path}: there is no log yet")
    size = path.stat().st_size
    for line in logs.last_lines(path, lines):
        sys.stdout.write(f"{terminal.plain(line)}\n")
    sys.stdout.flush()
    if not size and not follow:
        more = "" if console or user_endpoint else "; --console shows what the daemon printed"
        click.echo(f"{path}: nothing in it yet{more}", err=True)
    if follow:
        for text in logs.follow(path, size):
            sys.stdout.write(terminal.plain(text))
            sys.stdout.flush()
    return 0
