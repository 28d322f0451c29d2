"""``prov-worker sites install``."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from prov_worker.cli.common import renamed, terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.sites import common


@examples("prov-worker sites install polaris my-endpoint --set account=PROJECT --dry-run")
@click.command(
    "install", cls=renamed.RenamedOptions, renamed={"--force": "--overwrite", "--any-host": "--unbound-host"}
)
@common.site_argument
@click.argument("name", type=common.EndpointName(), metavar="NAME")
@common.set_option
@common.file_option
@common.user_dir_option
@click.option(
    "--overwrite",
    is_flag=True,
    help="Also over changed files, which are kept, an endpoint of another host or site, and without the interface.",
)
@click.option(
    "--unbound-host",
    is_flag=True,
    help="A batch system chooses the daemon's host, as scrontab does: the endpoint belongs to no host.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Show what would change; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Summary, as JSON.")
def command(
    site: str,
    name: str,
    assignments: tuple[str, ...],
    file: str | None,
    user_dir: str | None,
    overwrite: bool,
    unbound_host: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Write the directory of an endpoint NAME on SITE, for `globus-compute-endpoint start NAME`.

    What the options give is loaded by Globus Compute's own code first. Run again, it changes what differs; files that
    were changed by hand are refused.
    """
    from prov_worker.globus import template
    from prov_worker.globus.daemons import wants_email
    from prov_worker.sites.install import MARKER, template_of
    from prov_worker.sites.install import install as write

    definition, values, sources = common.read_options(site, assignments, file)
    template.batch_script(template.render(template_of(definition, values), definition.schema(values)), "RUN_DIR")
    directory = Path(user_dir).expanduser() if user_dir else None
    done = write(
        definition,
        name,
        values,
        user_dir=directory,
        overwrite=overwrite,
        unbound_host=unbound_host,
        dry_run=dry_run,
        sources=sources,
    )
    common.print_notes(definition, values)
    written = [*done.written, *([MARKER] if done.noted else [])]
    if as_json:
        data = {"written": written, "unchanged": done.unchanged, "backups": done.backups, "diff": done.diff}
        terminal.print_json({"directory": str(done.directory), "dry_run": dry_run, **data})
        return 0
    if dry_run:
        click.echo(done.diff, nl=False)
    verb = "would be written" if dry_run else "written"
    click.echo(f"{done.directory}: {', '.join(written) or 'nothing'} {verb}")
    for backup in done.backups:
        click.echo(f"kept as it was: {done.directory / backup}")
    if not values["email"] and wants_email():
        click.echo("email: Globus Compute starts no endpoint of root without it: --set email=ADDRESS", err=True)
    if not dry_run:
        click.echo(f"start it with: {_elsewhere(directory)}globus-compute-endpoint start {name}")
    return 0


def _elsewhere(directory: Path | None) -> str:
    """What tells a command of Globus Compute's that its directory is not the one that it would take."""
    from prov_worker.sites.install import default_user_dir

    if directory is None or directory.absolute() == default_user_dir().absolute():
        return ""
    return f"GLOBUS_COMPUTE_USER_DIR={shlex.quote(str(directory.absolute()))} "
