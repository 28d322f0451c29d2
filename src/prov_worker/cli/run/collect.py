"""``prov-worker run collect``: collect crates by rsync over ssh."""

from __future__ import annotations

from pathlib import Path

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.humanize import plural


@examples("prov-worker run collect login.example.org:/scratch/me/crates crates")
@click.command("collect")
@click.argument("sources", nargs=-1, type=terminal.PATH, required=True, metavar="SOURCE...")
@click.argument("target", type=terminal.PATH, metavar="DEST")
@click.option(
    "-e", "--ssh", default="ssh", show_default=True, metavar="COMMAND", help="How to reach hosts, as for rsync -e."
)
@click.option("--remote-rsync", default="rsync", show_default=True, metavar="PATH", help="rsync on the other machine.")
@click.option("--bwlimit", metavar="RATE", help="Limit of bandwidth, as for rsync: 500k, 10m.")
@click.option("--move", is_flag=True, help="Remove crates at the source once they are collected and compared.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be collected; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Summary, as JSON.")
def command(
    sources: tuple[str, ...],
    target: str,
    ssh: str,
    remote_rsync: str,
    bwlimit: str | None,
    move: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Bring the crates of each SOURCE, DIR or [USER@]HOST:DIR, into the directory DEST.

    Each crate is compared with its source and its own hashes before it appears in DEST. Run again, also after an
    interruption, it goes on where it was. What cannot be collected is named, and the exit code is 1.

    If a login takes more than a key, one is enough: connections are shared.
    """
    from prov_worker.run.collect.rsync import Options, collect

    options = Options(ssh, remote_rsync, bwlimit, move, dry_run)
    with terminal.progress("collecting", None) as advance:
        done = collect(sources, Path(target), options, lambda finished, total: advance(finished, total=total))
    for problem in done.problems:
        click.echo(f"prov-worker: {terminal.line(problem)}", err=True)
    if as_json:
        problems = [{"where": problem.where, "message": problem.message} for problem in done.problems]
        counts = {"known": done.known, "moved": done.moved, "software": done.software}
        data = {"new": done.new, **counts, "problems": problems}
        terminal.print_json({"target": target, "dry_run": dry_run, **data})
    else:
        came = "would come" if dry_run else "collected"
        moved = f", {done.moved} removed at the source" if move and not dry_run else ""
        phrase = "1 was" if done.known == 1 else f"{done.known} were"
        click.echo(f"{target}: {plural(len(done.new), 'crate')} {came}, {phrase} there{moved}")
    return 1 if done.problems else 0
