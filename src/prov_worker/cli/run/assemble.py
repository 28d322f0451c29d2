"""``prov-worker run assemble``: one sealed run crate of many step crates."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prov_worker.cli.common import renamed, terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.common.selection import selects
from prov_worker.crate import vocabulary as v
from prov_worker.humanize import plural, size

if TYPE_CHECKING:
    from prov_worker.run.assembly.model import Assembled
    from prov_worker.run.selection import Selection

_MOST_JOBS = 4


@examples(
    "prov-worker run assemble crates -o RUN.crate",
    "prov-worker run assemble --run-name fit-2026 --since 2026-05-01 crates -o RUN.crate",
)
@click.command("assemble", cls=renamed.RenamedOptions, renamed={"--force": "--overwrite"})
@click.argument("directories", nargs=-1, type=terminal.PATH, required=True, metavar="DIR...")
@click.option("-o", "--output", type=terminal.PATH, required=True, metavar="RUN.crate", help="The run crate to make.")
@click.option("--name", help="Name of the run; the default is that of the output.")
@click.option(
    "--workflow",
    type=terminal.PATH,
    metavar="FILE",
    help="Workflow definition: a Globus Flow, or steps and their order (YAML, JSON); or what `flow record` wrote.",
)
@click.option(
    "--trigger",
    "triggers",
    type=terminal.PATH,
    multiple=True,
    metavar="CRATE",
    help="Crate of the trigger that began the run; may be repeated.",
)
@click.option("--license", "license_", metavar="IRI", help="Licence of the run crate.")
@click.option("--author", metavar="IRI", help="Author: an ORCID, or a name.")
@click.option("--publisher", metavar="IRI", help="Publisher: a ROR id, or a name.")
@click.option("--sign", type=terminal.PATH, metavar="KEY", help="Sign the seal with this ssh key (ssh-keygen -Y sign).")
@click.option("--zip", "as_zip", is_flag=True, help="Make a zip file; so does a RUN that ends with .zip.")
@click.option(
    "--copy", is_flag=True, help="Copy the crates even if their bytes could be shared; what others own always is."
)
@click.option("--preview/--no-preview", default=True, show_default=True, help="A page about the run in the run crate.")
@click.option(
    "--max-file-size", type=click.IntRange(min=0), metavar="BYTES", help="Refuse crates with larger files; 0: none."
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes that read packs for a zip; the default is one per CPU, 4 at most.",
)
@click.option("--overwrite", is_flag=True, help="Replace a run crate that is there.")
@selects()
@click.option("--json", "as_json", is_flag=True, help="Summary, as JSON.")
def command(
    directories: tuple[str, ...],
    output: str,
    name: str | None,
    workflow: str | None,
    triggers: tuple[str, ...],
    license_: str | None,
    author: str | None,
    publisher: str | None,
    sign: str | None,
    as_zip: bool,
    copy: bool,
    preview: bool,
    max_file_size: int | None,
    jobs: int | None,
    overwrite: bool,
    as_json: bool,
    selection: Selection,
) -> int:
    """Make one run crate of the step crates in each DIR (directories or zips), byte for byte, and seal it.

    What is damaged is named and left out, and the exit code is 1.
    """
    from prov_worker.crate.bounds import MAX_FILE_BYTES
    from prov_worker.run.assembly.assemble import assemble
    from prov_worker.run.assembly.model import Options
    from prov_worker.run.index.mapping import map_processes, map_serial

    options = Options(
        name=name,
        workflow=Path(workflow) if workflow else None,
        triggers=tuple(map(Path, triggers)),
        license=license_,
        author=author,
        publisher=publisher,
        copy=copy,
        overwrite=overwrite,
        zip=as_zip or output.endswith(".zip"),
        preview=preview,
        sign=Path(sign) if sign else None,
        selection=selection,
        max_file_bytes=MAX_FILE_BYTES if max_file_size is None else max_file_size,
    )
    with terminal.progress("assembling", 0) as advance:
        previous = [0]

        def show(done: int, total: int) -> None:
            advance(done - previous[0], total=total)
            previous[0] = done

        jobs = jobs or min(_MOST_JOBS, len(os.sched_getaffinity(0)))
        mapper = map_serial if jobs == 1 else map_processes(jobs)
        result = assemble([Path(directory) for directory in directories], Path(output), options, show, mapper)
    for problem in result.problems:
        click.echo(f"prov-worker: {terminal.line(problem)}", err=True)
    if as_json:
        terminal.print_json(_plain(result))
    else:
        _print(result)
    return 1 if result.problems or result.path is None else 0


def _plain(result: Assembled) -> dict[str, Any]:
    return {
        "run": None if result.path is None else str(result.path),
        "tasks": result.tasks,
        "attempts": result.steps,
        "failed": result.failed,
        "duplicates": result.duplicates,
        "software": result.software,
        "without_software": result.without_software,
        "links": result.links,
        "files": result.files,
        "size_bytes": result.size_bytes,
        "signed": result.signed,
        "idle_steps": result.idle,
        "problems": [{"where": problem.where, "message": problem.message} for problem in result.problems],
    }


def _print(result: Assembled) -> None:
    if result.path is None:
        click.echo("no step crate could be taken; nothing was written")
        return
    failed = f", {result.failed} failed" if result.failed else ""
    attempts = f" in {plural(result.steps, 'attempt')}" if result.steps != result.tasks else ""
    click.echo(f"{result.path}: {plural(result.tasks, 'task')}{attempts}{failed}; {size(result.size_bytes)}, sealed")
    if result.defined == 0:
        click.echo("workflow: no step in the definition: no state calls Globus Compute")
    elif result.idle:
        click.echo(f"workflow: no task belongs to {', '.join(terminal.plain(name) for name in result.idle)}")
    if result.links:
        inferred = sum(result.links.get(kind, 0) for kind in ("file", "value"))
        click.echo(f"data flow: {plural(sum(result.links.values()) - inferred, 'link')} stated, {inferred} inferred")
    if result.without_software:
        steps = plural(result.without_software, "step names", "steps name")
        click.echo(f"software: {steps} a bill of materials that is not beside the crates ({v.SOFTWARE_DIR}/)")
    if result.duplicates:
        copies = plural(result.duplicates, "crate was", "crates were")
        click.echo(f"{copies} there more than once, byte for byte")
    if result.problems:
        click.echo(f"{plural(len(result.problems), 'problem')}, named above")
