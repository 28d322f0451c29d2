"""``prov-worker pack``: directories of crates into packs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.common.selection import selects

if TYPE_CHECKING:
    from prov_worker.run.selection import Selection


@examples("prov-worker pack crates")
@click.command("pack")
@click.argument("directory", type=terminal.PATH)
@click.option("-o", "--output", type=terminal.PATH, metavar="DIR", help="Write the packs there; implies --keep.")
@click.option("--keep", is_flag=True, help="Leave the directories.  [default: removed once their pack is closed]")
@selects()
@click.option("--json", "as_json", is_flag=True, help="The outcome as JSON.")
def command(directory: str, output: str | None, keep: bool, as_json: bool, selection: Selection) -> int:
    """Put the crates in DIRECTORY into packs: ordinary zip files of many crates, which all commands read.

    Interrupted and run again, it goes on; no crate is lost. Exit code 1 if a crate cannot be packed: it stays.
    """
    from prov_worker.cli.crates.conversions import report
    from prov_worker.crate.packs.conversion import pack

    with terminal.counted("packing") as show:
        target = None if output is None else Path(output)
        accepts = None if selection.is_all else selection.takes
        result = pack(Path(directory), target, keep=keep or output is not None, progress=show, accepts=accepts)
    return report(result, "packed", as_json=as_json)
