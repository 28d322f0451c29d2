"""``prov-worker sites worker-init``."""

from __future__ import annotations

import click

from prov_worker.cli.common.examples import examples
from prov_worker.cli.sites import common


@examples("prov-worker sites worker-init aurora --crate-dir /flare/PROJECT/crates")
@click.command("worker-init")
@common.site_argument
@click.option("--environment", metavar="DIR", help="Virtual environment with prov-worker, on a shared file system.")
@click.option("--crate-dir", metavar="DIR", help="Where crates appear, on a shared file system.")
def command(site: str, environment: str | None, crate_dir: str | None) -> int:
    """Print a `worker_init` that switches recording on if the endpoint belongs to the facility.

    Such an endpoint takes no engine of yours, and its worker_init alone is your own.
    """
    from prov_worker.sites.worker_init import snippet

    click.echo(snippet(site, environment, crate_dir), nl=False)
    return 0
