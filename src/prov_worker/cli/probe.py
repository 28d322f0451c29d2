"""``prov-worker probe``: what the hardware probes find here, as a crate would describe this node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.errors import InputError
from prov_worker.humanize import duration, plural, size
from prov_worker.model import ProbeReport
from prov_worker.settings import PROBES

if TYPE_CHECKING:
    from rich.text import Text


@examples("prov-worker probe --json --mount /scratch")
@click.command("probe")
@click.option(
    "--probe", "names", multiple=True, type=click.Choice(PROBES.names()), help="Only this probe; may be repeated."
)
@click.option("--mount", "mounts", multiple=True, metavar="PATH", help="Mount point to describe; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
def command(names: tuple[str, ...], mounts: tuple[str, ...], as_json: bool) -> int:
    """Show what the hardware probes find on this machine."""
    from prov_worker.probes import take_all
    from prov_worker.probes.base import ProbeContext

    for mount in mounts:
        if not mount.startswith("/"):
            raise InputError(f"--mount: expected an absolute path, got {mount!r}")
    snapshot = take_all(names or None, ProbeContext(mount_points=mounts or ("/",)))
    if as_json:
        terminal.print_json(snapshot.to_dict())
    else:
        _print_table(snapshot.host, list(snapshot.probes.values()))
    return 0 if all(report.success for report in snapshot.probes.values()) else 1


def _print_table(host: str, reports: list[ProbeReport]) -> None:
    terminal.table(
        ("probe", "state", "found", "took"), map(_cells, reports), right=("took",), title=f"Hardware of {host}"
    )


def _cells(report: ProbeReport) -> tuple[str | Text, ...]:
    if report.error:
        state, content = terminal.styled(("failed", "red")), report.error
    elif report.absent:
        state, content = terminal.styled(("not here", "yellow")), report.absent
    else:
        state, content = terminal.styled(("found", "green")), _headline(report.name, report.data)
    return report.name, state, content, duration(report.duration_s)


def _headline(name: str, data: dict[str, Any]) -> str:
    """Return one probe's findings in a few lines."""
    if name == "cpu":
        cores = data.get("physical_cores")
        return f"{data.get('model') or 'CPU'}: {data.get('logical')} logical CPUs" + (
            f" on {plural(cores, 'core')}" if cores else ""
        )
    if name == "memory":
        text = f"{size(data.get('total_bytes'))}, {size(data.get('available_bytes'))} available"
        limit = data.get("cgroup_limit_bytes")
        return text + (f", limited to {size(limit)} by cgroup {data.get('cgroup')}" if limit else "")
    if name == "storage":
        return "\n".join(_mount(mount) for mount in data.get("mounts", ())) or "no mount"
    if name == "gpu":
        return "\n".join(
            f"{d.get('index')}: {d.get('model')}, {size(d.get('memory_bytes'))}" for d in data.get("devices", ())
        )
    if name == "environment":
        python = data.get("python") or {}
        return (
            f"{data.get('os')}, kernel {data.get('kernel')}, {python.get('implementation', 'Python')} "
            f"{python.get('version')}, {plural(len(data.get('distributions') or ()), 'distribution')}"
        )
    return ", ".join(f"{key} {value}" for key, value in data.items() if isinstance(value, (str, int)))


def _mount(mount: dict[str, Any]) -> str:
    if not mount.get("present"):
        return f"{mount.get('mount_point')}: absent ({mount.get('reason')})"
    free, total = size(mount.get("free_bytes")), size(mount.get("total_bytes"))
    return f"{mount.get('mount_point')}: {mount.get('type')}, {free} of {total} free"
