"""``prov-worker sites install``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from prov_worker.cli.common import renamed, terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.sites import common
from prov_worker.finding import FAIL, WARN, Finding


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
    help="Overwrite edited files (keeping backups), endpoints of another host or site, and a missing interface.",
)
@click.option(
    "--unbound-host",
    is_flag=True,
    help="A batch system chooses the daemon's host, as scrontab does: the endpoint belongs to no host.",
)
@click.option("--no-check", is_flag=True, help="Do not look whether this host has what the endpoint needs.")
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
    no_check: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Write the directory of an endpoint NAME on SITE, for `globus-compute-endpoint start NAME`.

    What the options give is loaded by Globus Compute's own code first. Run again, it changes what differs; files that
    were changed by hand are refused. What this host lacks is printed, as `sites check --offline` finds it; files are
    written all the same.
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
    problems = [] if no_check else _problems(definition, name, values, done.directory.parent)
    if as_json:
        data = {"written": written, "unchanged": done.unchanged, "backups": done.backups, "diff": done.diff}
        findings = [finding._asdict() for finding in problems]
        terminal.print_json({"directory": str(done.directory), "dry_run": dry_run, **data, "findings": findings})
        return 0
    if dry_run:
        click.echo(done.diff, nl=False)
    verb = "would be written" if dry_run else "written"
    click.echo(f"{done.directory}: {', '.join(written) or 'nothing'} {verb}")
    for backup in done.backups:
        click.echo(f"kept as it was: {done.directory / backup}")
    for finding in problems:
        remedy = f" -> {finding.remedy}" if finding.remedy else ""
        click.echo(f"{finding.status}: {finding.subject}: {finding.found}{remedy}", err=True)
    if no_check and not values["email"] and wants_email():
        click.echo("email: Globus Compute starts no endpoint of root without it: --set email=ADDRESS", err=True)
    if not dry_run:
        fails = any(finding.status == FAIL for finding in problems)
        verb = "once that is put right, start it with" if fails else "start it with"
        click.echo(f"{verb}: {_elsewhere(directory)}globus-compute-endpoint start {name}")
    return 0


def _problems(site: Any, name: str, values: dict[str, Any], user_dir: Path) -> list[Finding]:
    """Return what the preflight finds on this host without the network, but for what is well."""
    from prov_worker.sites.check import CHECKS, preflight

    subject = preflight.subject_of(site, values, user_dir=user_dir, name=name, offline=True)
    with terminal.progress("looking at this host", len(CHECKS)) as advance:
        findings = preflight.preflight(subject, advance)
    return [finding for finding in findings if finding.status in (WARN, FAIL)]


def _elsewhere(directory: Path | None) -> str:
    """Return what tells a command of Globus Compute's that its directory is not the one that it would take."""
    from prov_worker.sites.install import default_user_dir

    if directory is None or directory.absolute() == default_user_dir().absolute():
        return ""
    return f"GLOBUS_COMPUTE_USER_DIR={shlex.quote(str(directory.absolute()))} "
