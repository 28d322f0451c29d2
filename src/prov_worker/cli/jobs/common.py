"""What the verbs of ``prov-worker jobs`` share: the store, the endpoint, functions of files, tables of jobs."""

from __future__ import annotations

import functools
import json
import logging
import os
import runpy
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click import shell_completion

from prov_worker.cli.common import terminal
from prov_worker.cli.sites.common import SiteName
from prov_worker.errors import InputError, ProvWorkerError

if TYPE_CHECKING:
    from rich.text import Text

    from prov_worker.jobs import Job, Jobs, Ledger

_ENDPOINT = "GLOBUS_COMPUTE_ENDPOINT_ID"


class JobNumber(click.ParamType):
    """A job's number, which the shell completes from the store."""

    name = "job"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is not the number of a job", param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[shell_completion.CompletionItem]:
        """Return numbers that begin so; none if the store cannot be read: a shell shows no errors here."""
        from prov_worker.jobs import Ledger

        try:
            ledger = Ledger.read(ctx.params.get("store") or "jobs.jsonl")
        except ProvWorkerError:
            return []
        return [
            shell_completion.CompletionItem(str(job.id), help=f"{job.name} {job.state}")
            for job in ledger.jobs.values()
            if str(job.id).startswith(incomplete)
        ]


store_argument = click.argument("store", type=terminal.PATH, metavar="STORE", is_eager=True)
numbers_argument = click.argument("numbers", nargs=-1, type=JobNumber(), metavar="[JOB]...")
json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")
crates_option = click.option("--crates", type=terminal.PATH, metavar="DIR", help="Where the endpoint's crates appear.")
store_option = click.option(
    "--store", type=terminal.PATH, default="jobs.jsonl", show_default=True, metavar="FILE", help="The store."
)
endpoint_option = click.option(
    "-e", "--endpoint", envvar=_ENDPOINT, metavar="UUID", help=f"The endpoint.  [default: {_ENDPOINT}, the store's]"
)
site_option = click.option(
    "--site",
    type=SiteName(),
    metavar="NAME",
    help="In place of an endpoint: an engine in this program, with that site's template.",
)
config_option = click.option(
    "--config", "pairs", multiple=True, metavar="KEY=VALUE", help="An option of the endpoint's template; VALUE as JSON."
)
retries_option = click.option(
    "--retries", type=click.IntRange(0), default=0, show_default=True, help="Send a job again so often."
)
retry_on_option = click.option(
    "--retry-on",
    multiple=True,
    type=click.Choice(["lost", "timed_out", "failed"]),
    help="After which ends; may be repeated.  [default: lost, timed_out]",
)
placement_options = (
    click.option("--ranks", type=click.IntRange(1), metavar="N", help="MPI ranks of a job, for an MPI engine."),
    click.option("--nodes", type=click.IntRange(1), metavar="N", help="Nodes of a job; ranks are shared out evenly."),
)


engine_options = (
    click.option(
        "--time-limit", type=float, metavar="SECONDS", help="End a job's worker then; for prov-worker's engines alone."
    ),
    click.option("--run", metavar="NAME", help="The run that the jobs are a part of; for prov-worker's engines alone."),
    click.option(
        "--once", is_flag=True, help="Begin no task again that is delivered again; for prov-worker's engines alone."
    ),
)


@dataclass(frozen=True, slots=True)
class Submission:
    """The options of commands that submit."""

    endpoint: str | None
    site: str | None
    store: str
    pairs: tuple[str, ...]
    retries: int
    retry_on: tuple[str, ...]
    ranks: int | None
    nodes: int | None
    time_limit: float | None
    run: str | None
    once: bool

    def opened(self) -> Jobs:
        """Open the store, or make it, if all options are allowed."""
        from prov_worker.jobs.submitter import Submitter

        Submitter(None, ranks=self.ranks, nodes=self.nodes)  # type: ignore[arg-type] # refuses before anything is made
        options: dict[str, Any] = {name: getattr(self, name) for name in ("retries", "time_limit", "run", "once")}
        if self.retry_on:
            options["retry_on"] = self.retry_on
        if self.site is not None:
            named = click.get_current_context().get_parameter_source("endpoint")
            if named is click.core.ParameterSource.COMMANDLINE:
                raise InputError("--site, --endpoint: give one of them")
            return opened(self.store, None, self.pairs, site=self.site, **options)
        return opened(self.store, self.endpoint, self.pairs, **options)


def submission_options(function: Callable[..., int]) -> Callable[..., Any]:
    """Add the options of commands that submit; the function gets them as ``submission``."""

    @functools.wraps(function)
    def command(**options: Any) -> int:
        names = [field.name for field in fields(Submission)]
        return function(submission=Submission(**{name: options.pop(name) for name in names}), **options)

    decorated: Callable[..., Any] = command
    for option in reversed(
        (
            endpoint_option,
            site_option,
            store_option,
            config_option,
            retries_option,
            retry_on_option,
            *placement_options,
            *engine_options,
            json_option,
        )
    ):
        decorated = option(decorated)
    return decorated


def opened(store: str, endpoint: str | None = None, pairs: Iterable[str] = (), **options: Any) -> Jobs:
    """Open a store to change it; more options are those of :func:`prov_worker.jobs.open`."""
    from prov_worker import jobs

    # What a broker that is away makes pika say, again and again, is said once by us.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    there = Path(store).exists()
    named = endpoint
    if there and os.environ.get(_ENDPOINT) == endpoint:
        named = None  # the variable is for new stores
    settings = values(pairs, "--config")
    return jobs.open(named, store=store, options=settings or None, **options)


def read(store: str, crates: str | None = None) -> Ledger:
    """Read a store; a program may have it open."""
    from prov_worker.jobs import Ledger

    return Ledger.read(store, None if crates is None else Path(crates))


def values(pairs: Iterable[str], option: str) -> dict[str, Any]:
    """Return KEY=VALUE pairs; a VALUE that is not JSON is text."""
    settings = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not key or not equals:
            raise InputError(f"{option}: {pair!r}: is not KEY=VALUE")
        settings[key] = value(text)
    return settings


def value(text: str) -> Any:
    """Return a value as JSON; what is not JSON is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def function_of(place: str) -> Callable[..., Any]:
    """Return a function by FILE:FUNCTION; the file is run, as a script is.

    Raises:
        InputError: names what is missing.
    """
    file, colon, name = place.rpartition(":")
    if not colon or not file or not name:
        raise InputError(f"{place!r}: is not FILE:FUNCTION")
    if not Path(file).is_file():
        raise InputError(f"{file}: no such file")
    sys.path.insert(0, str(Path(file).parent.resolve()))
    try:
        namespace = runpy.run_path(file, run_name="prov_worker_jobs_file")
    except Exception as error:
        raise InputError(f"{file}: cannot be run: {type(error).__name__}: {error}") from error
    finally:
        del sys.path[0]
    function = namespace.get(name)
    if not callable(function):
        raise InputError(f"{file}: {name}: there is no such function")
    return function  # type: ignore[no-any-return]


def print_jobs(jobs: Iterable[Job]) -> None:
    """Print jobs as a table."""
    rows: list[list[str | Text]] = [
        [
            str(job.id),
            job.name,
            job.key or "",
            terminal.status(str(job.state)),
            str(len(job.attempts)),
            job.task_id or "",
            (job.error or "").strip().splitlines()[-1] if job.error else "",
        ]
        for job in jobs
    ]
    heads = ("job", "name", "item", "state", "attempts", "task", "reason")
    terminal.table(heads, rows, right=("job", "attempts"), wrap=("reason",), frame=False)


def finish(session: Jobs, jobs: Iterable[Job], label: str) -> list[Job]:
    """Wait for jobs behind a progress bar; return them."""
    chosen = list(jobs)
    with terminal.progress(label, len(chosen)) as advance:
        for _ in session.as_completed(chosen):
            advance()
    return chosen


def report(jobs: Iterable[Job], *, as_json: bool, keys: bool = False) -> int:
    """Print values, each on a line, behind the keys of their items if that is asked for, and errors on stderr.

    Returns the exit code: 1 if a job has no value.
    """
    from prov_worker.jobs import State

    rows = []
    code = 0
    for job in jobs:
        row = job.to_json()
        if job.state is State.COMPLETED:
            row["value"] = job.result()
            if not as_json:
                click.echo(terminal.plain(f"{job.key}: " if keys else "") + terminal.plain(_text(row["value"])))
        else:
            code = 1
            if not as_json:
                terminal.complain(f"job {job.id} ({job.name}): {job.state}{_reason(job)}")
        rows.append(row)
    if as_json:
        terminal.print_json(rows)
    return code


def _reason(job: Job) -> str:
    return f": {job.error.strip().splitlines()[-1]}" if job.error else ""


def _text(value: Any) -> str:
    """Return a value for a terminal: text as it is, else as JSON, else as Python shows it."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return repr(value)
