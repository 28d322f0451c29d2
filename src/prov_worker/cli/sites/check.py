"""``prov-worker sites check``."""

from __future__ import annotations

from pathlib import Path

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.sites import common
from prov_worker.humanize import plural


@examples("prov-worker sites check polaris --set account=PROJECT")
@click.command("check")
@common.site_argument
@common.set_option
@common.file_option
@click.option(
    "--name",
    type=common.EndpointName(),
    metavar="NAME",
    help="An endpoint: its own options, and whether it runs elsewhere.",
)
@common.user_dir_option
@click.option("--offline", is_flag=True, help="Leave the network alone.")
@click.option("--json", "as_json", is_flag=True, help="Findings, as JSON.")
def command(
    site: str,
    assignments: tuple[str, ...],
    file: str | None,
    name: str | None,
    user_dir: str | None,
    offline: bool,
    as_json: bool,
) -> int:
    """Check whether this host has what an endpoint on SITE needs, before the first start.

    Runs worker_init in a shell of its own, and writes nothing but short trial files. Exit code 1 if something
    failed. Run it on the endpoint's host, as the endpoint's user.
    """
    from prov_worker.sites.check import CHECKS, preflight
    from prov_worker.sites.install import default_user_dir, options_of

    directory = Path(user_dir).expanduser() if user_dir else default_user_dir()
    installed = options_of(directory / name, site) if name else {}
    if name and not installed:
        click.echo(f"{name}: is not installed here yet; options are defaults and those of this command", err=True)
    definition, values, _ = common.read_options(site, assignments, file, installed)
    subject = preflight.subject_of(definition, values, user_dir=directory, name=name, offline=offline)
    with terminal.progress("checking", len(CHECKS)) as advance:
        findings = preflight.preflight(subject, advance)
    counts = {status: sum(finding.status == status for finding in findings) for status in ("pass", "warn", "fail")}
    if as_json:
        lines = [
            {"subject": finding.subject, "status": finding.status, "found": finding.found, "remedy": finding.remedy}
            for finding in findings
        ]
        terminal.print_json({"site": site, "options": values, **counts, "findings": lines})
    else:
        terminal.print_findings(findings)
        click.echo(f"{site}: {counts['pass']} passed, {plural(counts['warn'], 'warning')}, {counts['fail']} failed")
    return 1 if counts["fail"] else 0
