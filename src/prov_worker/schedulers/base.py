"""The shape of a scheduler.

Every worker imports all schedulers for their variables, and most need nothing else of them: what asks their programs
stands in :mod:`prov_worker.schedulers.answers`, and is imported when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from prov_worker.finding import Finding
    from prov_worker.model import TaskRecord
    from prov_worker.schedulers.answers import JobWord

#: Says in a task's failure what the end of its job has to do with it; the second argument is whether the agent saw
#: the worker die, so that the record's end is the moment of its death. Never raises.
Explain = Callable[["TaskRecord", bool], None]
#: The options concerned, the one to change first; what is wrong with them, and the remedy.
Contradiction = tuple[tuple[str, ...], str]


class JobRequest(Protocol):
    """The job that an endpoint would submit."""

    @property
    def values(self) -> Mapping[str, Any]:
        """Return the options of its site, complete."""
        ...

    @property
    def script(self) -> str:
        """Return the text of the batch script."""
        ...


class Scheduler:
    """One batch scheduler. A subclass sets the attributes, and overrides the methods that apply to it.

    Attributes:
        name: under which it is registered, such as ``slurm``.
        title: its name for people.
        job_id: the environment variable that holds a job's id, and is set in jobs alone.
        variables: the environment variables to record. Never all that it sets: some may be secrets.
        secrets: the environment variables that nobody but the job may hold.
        facts: what a probe tells of a job: key to environment variable.
        node_variables: the environment variables that :meth:`nodes` reads.
        commands: the programs that Parsl's provider calls.
        providers: Parsl's providers that submit to it.
        launchers: Parsl's launchers that come with it, and the program that each runs.
        question: a command that asks the server something harmless.
        setuid_clients: whether its commands need the rights of another user, by the setuid bit of a helper.
        login_environment: whether a job starts in a login shell, with nothing of the environment that it was submitted
            in.
    """

    name: str
    title: str
    job_id: str
    variables: tuple[str, ...]
    secrets: tuple[str, ...] = ()
    facts: Mapping[str, str]
    node_variables: tuple[str, ...] = ()
    commands: tuple[str, ...]
    providers: tuple[str, ...]
    launchers: Mapping[str, str]
    question: tuple[str, ...] = ()
    setuid_clients: bool = False
    login_environment: bool = False

    def nodes(self, environ: Mapping[str, str]) -> tuple[list[str], str | None]:
        """Return the names of a job's nodes, each once, in order; and why there are none, else None."""
        return [], f"{self.title} does not tell"

    def node_index(self, environ: Mapping[str, str], nodes: Sequence[str], host: str) -> int | None:
        """Return the position of a host among the nodes of its job, from 0; None if unknown.

        Args:
            environ: the job's variables on that host.
            nodes: as of :meth:`nodes`.
            host: its name, with or without a domain.
        """
        value = environ.get(self.facts.get("node_index", ""), "")
        return int(value) if value.isdecimal() else None

    def explainer(self, environ: Mapping[str, str]) -> Explain:
        """Return what an agent calls for each failed task of a job; it may keep what it learned.

        Args:
            environ: how the scheduler's programs are found, and how they find their configuration.
        """
        return lambda record, death_seen: None

    def look(self, job: str) -> JobWord | None:
        """Ask the scheduler about a job that waits, or has ended; None if it says nothing. Takes seconds at most.

        Args:
            job: its id, as Parsl's provider has it.
        """
        return None

    def contradictions(self, options: Mapping[str, Any]) -> Iterator[Contradiction]:
        """Yield what is wrong with options of a site that are right one by one.

        Args:
            options: all options with their values.
        """
        yield from ()

    def gpus_per_node(self, options: Mapping[str, Any]) -> tuple[str, int] | None:
        """Return the option that asks for GPUs, and for how many on each node; None if none does."""
        count = options.get("gpus_per_node")
        return None if count is None else ("gpus_per_node", int(count))

    def preflight(self, job: JobRequest) -> Iterator[Finding]:
        """Ask the scheduler, without a job, whether it would take this one."""
        yield from ()
