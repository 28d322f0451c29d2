"""``prov-worker unpack``: crates of packs into directories."""

from __future__ import annotations

from pathlib import Path

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples


@examples("prov-worker unpack --keep -o crates 2026-05-01-node01-0a1b2c3d4e5f-1.crates.zip")
@click.command("unpack")
@click.argument("packs", nargs=-1, type=terminal.PATH, required=True, metavar="PACK...")
@click.option("-o", "--output", type=terminal.PATH, metavar="DIR", help="Write the crates there; implies --keep.")
@click.option("--keep", is_flag=True, help="Leave the packs.  [default: removed once all their crates are directories]")
@click.option("--json", "as_json", is_flag=True, help="The outcome as JSON.")
def command(packs: tuple[str, ...], output: str | None, keep: bool, as_json: bool) -> int:
    """Make directories of the crates in each PACK, or in all packs of a directory.

    Interrupted and run again, it goes on; no crate is lost. Exit code 1 if a crate cannot be unpacked: its pack stays.
    """
    from prov_worker.cli.crates.conversions import report
    from prov_worker.crate.packs.conversion import unpack

    paths = [Path(pack) for pack in packs]
    with terminal.counted("unpacking") as show:
        result = unpack(paths, Path(output) if output else None, keep=keep or output is not None, progress=show)
    return report(result, "unpacked", as_json=as_json)
