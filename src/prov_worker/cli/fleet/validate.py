"""``prov-worker fleet validate``: what the daemon would say of each configuration."""

from __future__ import annotations

from dataclasses import asdict

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.fleet import common


@examples("prov-worker fleet validate --file fleet.yaml")
@click.command("validate")
@common.names_argument
@common.file_option
@common.json_option
def command(names: tuple[str, ...], file: str | None, as_json: bool) -> int:
    """Render and load the configuration of each endpoint, or of NAME..., by Globus Compute's own code.

    Nothing is written or started. Exit code 1 if the daemon would refuse one, or its credentials cannot be used.
    """
    from prov_worker.fleet.validate import validate

    fleet = common.read(file)
    specs = fleet.chosen(names)
    with terminal.progress("validating", len(specs)) as advance:
        verdicts = validate(specs, credentials=fleet.credentials, advance=advance)
    if as_json:
        terminal.print_json([asdict(verdict) for verdict in verdicts])
    else:
        rows = ([endpoint.name, endpoint.site, endpoint.problem or "good"] for endpoint in verdicts)
        terminal.table(("endpoint", "site", "configuration"), rows, frame=False)
    return 1 if any(verdict.problem for verdict in verdicts) else 0
