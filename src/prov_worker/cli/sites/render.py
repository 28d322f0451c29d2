"""``prov-worker sites render``."""

from __future__ import annotations

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.sites import common


@examples("prov-worker sites render polaris --set account=PROJECT --script")
@click.command("render")
@common.site_argument
@common.set_option
@common.file_option
@click.option("--script", is_flag=True, help="The batch script that would be submitted, instead.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(site: str, assignments: tuple[str, ...], file: str | None, script: bool, as_json: bool) -> int:
    """Print what the daemon would load for SITE, by Globus Compute's own code.

    With --script: what Parsl's provider would submit. LOGIN_NODE, RUN_DIR and TIME stand for what is known then.
    """
    from prov_worker.globus import template
    from prov_worker.sites.install import template_of

    definition, values, _ = common.read_options(site, assignments, file)
    text = template.render(template_of(definition, values), definition.schema(values))
    # Nothing that the daemon would refuse is printed.
    submitted, batch = template.batch_script(text, "RUN_DIR")
    if as_json:
        terminal.print_json({"site": site, "options": values, "config": text, "submit": submitted, "script": batch})
    elif script:
        click.echo((f"# {submitted}\n" if submitted else "") + batch, nl=False)
    else:
        click.echo(text)
    common.print_notes(definition, values)
    return 0
