"""``prov-worker jobs submit``: one call."""

from __future__ import annotations

import re

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.jobs import common
from prov_worker.errors import InputError

_NAMED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


@examples(
    "prov-worker jobs submit fit.py:fit --arg 3 --arg tolerance=0.01 --endpoint 4b116d3c-1703-4f8f-9f6f-39921e5864df",
)
@click.command("submit")
@click.argument("place", metavar="FILE:FUNCTION")
@click.option(
    "-a", "--arg", "arguments", multiple=True, metavar="[NAME=]VALUE", help="An argument; VALUE as JSON or text."
)
@click.option("--name", metavar="TEXT", help="Name of the job.  [default: the function's]")
@click.option("--no-wait", is_flag=True, help="End when the job is with the web service; `result` gets its value.")
@common.submission_options
def command(
    place: str,
    arguments: tuple[str, ...],
    name: str | None,
    no_wait: bool,
    submission: common.Submission,
    as_json: bool,
) -> int:
    """Have FUNCTION of the Python file FILE called at an endpoint, and print its value.

    Interrupted by Ctrl-C, the job goes on at the endpoint. Exit code 1 if it has no value.
    """
    if no_wait and submission.site is not None:
        raise InputError("--no-wait: not with --site: the job would end with this program")
    function = common.function_of(place)
    named = [text for text in arguments if _NAMED.match(text)]
    positional = [common.value(text) for text in arguments if not _NAMED.match(text)]
    kwargs = common.values(named, "--arg")
    with submission.opened() as session:
        submitter = session.options(name=name, ranks=submission.ranks, nodes=submission.nodes)
        job = submitter.submit(function, *positional, **kwargs)
        if no_wait:
            session.wait_until(lambda: job.ended or job.task_id is not None, None, f"job {job.id}")
            session.close(wait=False)
            if as_json:
                terminal.print_json(job.to_json())
            else:
                click.echo(f"job {job.id} is task {job.task_id}" if job.task_id else f"job {job.id}: {job.error}")
            return 0 if job.task_id else 1
        common.finish(session, [job], job.name)
        return common.report([job], as_json=as_json)
