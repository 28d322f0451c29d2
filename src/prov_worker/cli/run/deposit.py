"""``prov-worker run deposit``: a run crate into a repository."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.humanize import plural, size
from prov_worker.run.export.deposit.repository import REPOSITORIES, Destination

if TYPE_CHECKING:
    from prov_worker.run.export.deposit.submission import Submission


@examples(
    "prov-worker run deposit RUN.crate --to invenio --dry-run",
    "prov-worker run deposit RUN.crate --to workflowhub --project 1234",
)
@click.command("deposit")
@click.argument("run", type=terminal.PATH, metavar="RUN")
@click.option("--to", "name", required=True, type=click.Choice(REPOSITORIES.names()), help="Kind of repository.")
@click.option("--url", metavar="URL", help="Its address.  [default: https://zenodo.org, https://workflowhub.eu]")
@click.option("--creator", "creators", multiple=True, metavar="NAME", help="Who made it: 'Family, Given (ORCID)'.")
@click.option("--project", metavar="ID", help="Team of WorkflowHub.")
@click.option("--collection", metavar="ALIAS", help="Collection of Dataverse.")
@click.option("--contact", metavar="EMAIL", help="For those who ask, in Dataverse.")
@click.option("--token-file", type=terminal.PATH, metavar="FILE", help="Private file with the token.")
@click.option("--publish", is_flag=True, help="Make it public; without it, it stays a draft.")
@click.option("--dry-run", "-n", is_flag=True, help="Show what would be sent, and send nothing.")
@click.option("--json", "as_json", is_flag=True, help="The same, as JSON.")
def command(
    run: str,
    name: str,
    url: str | None,
    creators: tuple[str, ...],
    project: str | None,
    collection: str | None,
    contact: str | None,
    token_file: str | None,
    publish: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Deposit the run crate RUN: its metadata, and all of it as one zip.

    The token is in INVENIORDM_API_KEY, WORKFLOWHUB_TOKEN or DATAVERSE_API_TOKEN, or in a private file. Without
    --creator the crate has to state an author.
    """
    from prov_worker.run.export.deposit.deposit import check_destination, deposit, token_of
    from prov_worker.run.export.deposit.submission import Creator, submission_of
    from prov_worker.run.export.deposit.web import Session

    repository = REPOSITORIES[name]
    destination = Destination(project, collection, contact, publish)
    address = check_destination(name, repository, url, destination)
    submission = submission_of(Path(run), [Creator.parse(text) for text in creators])
    if dry_run:
        _show(submission, address, repository.document(submission, destination), as_json)
        return 0
    session = Session(
        address, repository.header, token_of(repository, None if token_file is None else Path(token_file))
    )
    with terminal.progress(f"{submission.archive} to {address}", None):
        receipt = deposit(repository, session, submission, destination)
    if as_json:
        terminal.print_json({"id": receipt.identifier, "page": receipt.page, "published": receipt.published})
    else:
        state = "public" if receipt.published else "a draft" if repository.can_publish else "there"
        click.echo(f"{terminal.line(receipt.page)}: {terminal.line(receipt.identifier)}, {state}")
    return 0


def _show(submission: Submission, address: str, document: dict[str, Any], as_json: bool) -> None:
    """Show what would be sent."""
    if as_json:
        files = [{"path": path, "bytes": count} for path, count in submission.files]
        terminal.print_json(
            {
                "url": address,
                "metadata": document,
                "archive": submission.archive,
                "files": files,
                "bytes": submission.size_bytes,
            }
        )
        return
    click.echo(f"to {terminal.line(address)}, as {terminal.line(submission.archive)}:")
    terminal.print_json(document)
    for path, count in submission.files[:20]:
        click.echo(f"  {terminal.line(path)}  {size(count)}")
    if len(submission.files) > 20:
        click.echo(f"  and {plural(len(submission.files) - 20, 'more file')}")
    click.echo(f"{plural(len(submission.files), 'file')}, {size(submission.size_bytes)}; nothing was sent")
    if submission.license is None:
        click.echo("no licence is stated; set `license` in the endpoint's settings before the next run")
