"""``prov-worker fleet unit``."""

from __future__ import annotations

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.fleet import common

_UNIT = """\
[Unit]
Description=Globus Compute endpoints of {file}
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={program} -m prov_worker fleet watch --stop-endpoints --file {file}
Restart=always
RestartSec=5
# The endpoints outlive a watch that fails; the one that follows finds them.
KillMode=process
TimeoutStopSec=90
{options}

[Install]
WantedBy=default.target
"""


@examples("prov-worker fleet unit > ~/.config/systemd/user/prov-worker-fleet.service")
@click.command("unit")
@common.file_option
@click.option("--options", "options_only", is_flag=True, help="The lines that confine it, alone.")
@click.option("--ulimit", is_flag=True, help="Commands of a shell that do the same, for cron and scrontab.")
@common.json_option
def command(file: str | None, options_only: bool, ulimit: bool, as_json: bool) -> int:
    """Print a unit of the user's systemd that runs the watch.

    It forbids what no endpoint of the file needs: nothing if workers run on this host, as tasks would be confined too;
    no new privileges unless PBS or containers need them; memory and processes of endpoints whose workers are jobs.
    """
    import sys

    from prov_worker.sites import confinement

    fleet = common.read(file)
    confined = confinement.of_all((endpoint.site, endpoint.values) for endpoint in fleet.endpoints)
    lines = "\n".join(f"{key}={value}" for key, value in confined.items())
    if as_json:
        terminal.print_json({"options": confined, "ulimit": confinement.shell_limits(confined)})
    elif ulimit:
        click.echo(confinement.shell_limits(confined))
    elif options_only:
        click.echo(lines)
    else:
        quoted = _word(str(fleet.path))
        click.echo(_UNIT.format(file=quoted, program=_word(sys.executable), options=lines), nl=False)
    return 0


def _word(text: str) -> str:
    """Return one word of a unit (systemd.syntax(7), "Quoting"; specifiers begin with %, variables with $)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if set(escaped) & set(" \t\"'\\;") else escaped
