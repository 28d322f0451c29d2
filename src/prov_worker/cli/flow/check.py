"""``prov-worker flow check``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.humanize import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prov_worker.flow import FlowFinding


class Walltime(click.ParamType):
    """``HH:MM:SS``, ``D-HH:MM:SS`` or seconds."""

    name = "walltime"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        from prov_worker.flow.checks.wait_time import seconds_of

        text = str(value)
        seconds = float(text) if text.isdigit() else seconds_of(text)
        if not seconds:
            self.fail(f"{value!r}: expected HH:MM:SS, D-HH:MM:SS or seconds", param, ctx)
        return seconds


@examples(
    "prov-worker flow check definition.json schema.json --input input.json",
    "prov-worker flow check flow.yaml --walltime 01:00:00 --strict",
)
@click.command("check")
@click.argument("definition", type=terminal.PATH, metavar="DEF")
@click.argument("schema", type=terminal.PATH, required=False, metavar="[SCHEMA]")
@click.option("--input", "input_", type=terminal.PATH, metavar="FILE", help="Input of a run, to check too.")
@click.option("--walltime", type=Walltime(), metavar="TIME", help="Walltime of the batch jobs in which tasks run.")
@click.option("--strict", is_flag=True, help="Warnings count as errors do.")
@click.option("--json", "as_json", is_flag=True, help="Findings, as JSON.")
def command(
    definition: str, schema: str | None, input_: str | None, walltime: float | None, strict: bool, as_json: bool
) -> int:
    """Check a Globus Flow definition, with its input SCHEMA, without the service.

    Files are JSON or YAML. DEF may also be what `globus flows show --format json` gives. Exit code 1 if there is an
    error; notes are not findings.
    """
    from prov_worker.flow import check, load

    flow = load(definition, schema, input_, walltime_s=walltime)
    findings = check(flow)
    counts = {level: sum(finding.level == level for finding in findings) for level in ("error", "warning", "note")}
    if as_json:
        data = {"definition": definition, "schema": schema, "input": input_}
        terminal.print_json({**data, **counts, "findings": [finding.as_json() for finding in findings]})
    else:
        show(findings)
        click.echo(f"{definition}: {plural(counts['error'], 'error')}, {plural(counts['warning'], 'warning')}")
    return 1 if counts["error"] or (strict and counts["warning"]) else 0


def show(findings: Sequence[FlowFinding]) -> None:
    """Print findings, two lines each: place and message."""
    out = terminal.console()
    colours = {"error": "red", "warning": "yellow", "note": "cyan"}
    for finding in findings:
        place = finding.file if finding.line is None else f"{finding.file}:{finding.line}"
        head = terminal.styled((finding.level, colours[finding.level]), f"  {place}  {finding.path}  [{finding.check}]")
        out.print(head, soft_wrap=True)
        out.print(terminal.styled(f"    {finding.message}"), soft_wrap=True)
