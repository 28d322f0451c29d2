"""``prov-worker diagnose``: ask an endpoint what is wrong with it."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.jobs import common
from prov_worker.cli.sites.common import SiteName
from prov_worker.errors import InputError
from prov_worker.files import need_new

if TYPE_CHECKING:
    from prov_worker.diagnose import Report


class CheckName(click.ParamType):
    """The endpoint, or a name of a check, which the shell completes."""

    name = "check"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return names of checks that begin so."""
        from prov_worker.diagnose import CHECKS

        return [CompletionItem(name) for name in CHECKS.names() if name.startswith(incomplete)]


@examples(
    "prov-worker diagnose 4b116d3c-1703-4f8f-9f6f-39921e5864df",
    "prov-worker diagnose 4b116d3c-1703-4f8f-9f6f-39921e5864df affinity gpu --site polaris -o report.zip",
)
@click.command("diagnose")
@click.argument("arguments", nargs=-1, type=CheckName(), metavar="ENDPOINT [CHECK]...")
@click.option(
    "-n", "--tasks", type=click.IntRange(1), metavar="N", help="Tasks at once.  [default: the workers of a pool]"
)
@click.option("--site", type=SiteName(), metavar="SITE", help="Compare with what this site's template promises.")
@common.config_option
@common.placement_options[0]
@common.placement_options[1]
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), default=300.0, show_default=True, metavar="SECONDS",
    help="The longest that all of it takes.",
)  # fmt: skip
@click.option("--here", is_flag=True, help="Diagnose an endpoint that is started on this machine for it.")
@common.json_option
@click.option(
    "-o", "--output", type=terminal.PATH, metavar="CRATE", help="Also write the report as an RO-Crate, or a .zip."
)
def command(
    arguments: tuple[str, ...],
    tasks: int | None,
    site: str | None,
    pairs: tuple[str, ...],
    ranks: int | None,
    nodes: int | None,
    timeout: float,
    here: bool,
    as_json: bool,
    output: str | None,
) -> int:
    """Send ENDPOINT a few tasks, and say what is wrong with it and what to do.

    CHECKs are connectivity, environment, parallel, affinity, gpu, mpi and crates; all, unless some are named. Exit
    code 1 if something was found. Without ENDPOINT, that of GLOBUS_COMPUTE_ENDPOINT_ID.
    """
    from prov_worker import diagnose

    options = common.values(pairs, "--config")
    if output is not None:
        need_new(Path(output))
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # a broker that is away is a finding
    checks = list(arguments)
    endpoint = None if here else _endpoint(checks)
    settings: dict[str, Any] = {"tasks": tasks, "site": site, "options": options, "timeout": timeout}
    with terminal.progress("diagnosing", None) as advance:
        settings["say"] = lambda text: advance(0, label=text)
        if endpoint is None:
            report = _here(diagnose.embedded, checks, settings)
        else:
            report = diagnose.endpoint(endpoint, checks, ranks=ranks, nodes=nodes, **settings)
    if output is not None:
        report.write(Path(output))
    if as_json:
        terminal.print_json(report.to_json())
    else:
        terminal.print_findings([finding for _, finding in report.findings])
        click.echo(report.summary())
    return 0 if report.ok else 1


def _endpoint(checks: list[str]) -> str:
    """Take the endpoint from the front of the arguments, or from the environment."""
    from prov_worker.diagnose import CHECKS

    if checks and checks[0] not in CHECKS.names():
        return checks.pop(0)
    endpoint = os.environ.get("GLOBUS_COMPUTE_ENDPOINT_ID")
    if not endpoint:
        raise InputError("name an endpoint, or set GLOBUS_COMPUTE_ENDPOINT_ID; --here needs none")
    return endpoint


def _here(embedded: Callable[..., Report], checks: list[str], settings: dict[str, Any]) -> Report:
    with tempfile.TemporaryDirectory(prefix="prov-worker-diagnose-", ignore_cleanup_errors=True) as directory:
        return embedded(checks, crate_dir=Path(directory), **settings)
