"""``prov-worker run verify``: what changed in a run crate since it was sealed."""

from __future__ import annotations

from pathlib import Path

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.humanize import plural


@examples("prov-worker run verify RUN.crate --allowed-signers signers")
@click.command("verify")
@click.argument("run", type=terminal.PATH, metavar="RUN")
@click.option(
    "--allowed-signers",
    type=terminal.PATH,
    metavar="FILE",
    help="Require a signature by one of these signers (ssh-keygen allowed-signers file).",
)
@click.option(
    "--crates",
    type=terminal.PATH,
    multiple=True,
    metavar="DIR",
    help="Where better records may have come since; the default is the directory that RUN is in.",
)
@click.option("--json", "as_json", is_flag=True, help="Findings, as JSON.")
def command(run: str, allowed_signers: str | None, crates: tuple[str, ...], as_json: bool) -> int:
    """Compare every file of RUN (a directory or a zip) with its seal, and check the signature.

    Exit code 1 if anything was changed, added or removed. A step that says that a task was lost, and whose crate was
    replaced since by one that has its end, is named: the run stays what was sealed.
    """
    from prov_worker.run.assembly.better_records import better_records
    from prov_worker.run.assembly.verify import verify

    with terminal.progress("verifying", None) as advance:
        verdict = verify(Path(run), Path(allowed_signers) if allowed_signers else None, advance)
    better = better_records(Path(run), [Path(directory) for directory in crates] or [Path(run).absolute().parent])
    if as_json:
        changes = [{"kind": change.kind, "path": change.path, "message": change.message} for change in verdict.changes]
        data = {"run": run, "files": verdict.files, "signer": verdict.signer, "trusted": verdict.trusted}
        records = [{"step": record.step, "crate": str(record.crate)} for record in better]
        terminal.print_json({**data, "changes": changes, "better_records": records})
    else:
        for change in verdict.changes:
            click.echo(terminal.line(f"{change.kind}: {change.path}: {change.message}"))
        for record in better:
            click.echo(terminal.line(f"better record: {record.step}: {record.crate} has the end of its task"))
        state = plural(len(verdict.changes), "difference") if verdict.changes else "as sealed"
        click.echo(f"{run}: {plural(verdict.files, 'file')} of steps and run compared, {state}")
        if verdict.signer is not None:
            trust = "an allowed signer" if verdict.trusted else "not compared with allowed signers"
            click.echo(terminal.line(f"signed by {verdict.signer} ({trust})"))
    return 1 if verdict.changes else 0
