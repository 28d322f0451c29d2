"""``prov-worker flow make``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.errors import InputError


@examples("prov-worker flow make flow.yaml -o made")
@click.command("make")
@click.argument("spec", type=terminal.PATH, metavar="SPEC")
@click.option(
    "-o", "--output", type=terminal.PATH, metavar="DIR", help="Directory of the files.  [default: that of SPEC]"
)
@click.option("--overwrite", is_flag=True, help="Replace files that differ; else input.json.j2 is kept.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be written; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Definition, schema and template, as JSON; write nothing.")
def command(spec: str, output: str | None, overwrite: bool, dry_run: bool, as_json: bool) -> int:
    """Make definition.json, schema.json and input.json.j2 of a SPEC (flow.yaml), and check them.

    Crates are brought back for every compute step, whatever its outcome. Nothing is written unless all of it is right.
    """
    from prov_worker import files
    from prov_worker.flow import make

    made = make(spec)
    if as_json:
        terminal.print_json({"definition": made.definition, "schema": made.schema, "template": made.template})
        return 0
    directory = Path(output) if output else Path(spec).parent
    contents, outcomes = {}, {}
    for name, text in made.files().items():
        path = directory / name
        before = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
        if before == text:
            outcomes[name] = "unchanged"
        elif before is None or overwrite:
            contents[os.fspath(path)] = text
            outcomes[name] = "made" if before is None else "replaced"
        elif name == "input.json.j2":  # a person has filled it in
            outcomes[name] = "kept"
        else:
            raise InputError(f"{path}: is there already and differs; name another directory, or --overwrite")
    if not dry_run:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            files.write_files(contents)
        except OSError as error:
            raise InputError(f"{directory}: cannot be written: {error.strerror or error}") from error
    for name, outcome in outcomes.items():
        click.echo(f"{directory / name}: {'would be ' if dry_run and outcome in ('made', 'replaced') else ''}{outcome}")
    return 0
