"""The shell in which a batch job starts the workers, as far as it can be had on this host."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from prov_worker import programs
from prov_worker.sites.check.context import Subject

#: Modules and environments on a shared file system take their time.
LIMIT_S = 90.0
_MARK = "prov-worker-tmpdir:"
_FAILED = "prov-worker-init-failed:"
#: Tells of commands of worker_init that fail, but not of those inside of what it sources or calls: that knows why.
_TRAP = (
    "trap '_prov_status=$?; (( ${#BASH_SOURCE[@]} )) || "
    f'echo "{_FAILED}$_prov_status:${{BASH_COMMAND//[[:cntrl:]]/ }}" >&2\' ERR'
)


@dataclass(frozen=True, slots=True)
class Started:
    """A command that was run as the workers are started.

    Attributes:
        answer: what it said.
        failures: commands of ``worker_init`` that failed, with their exit status; a batch job would go on after each.
    """

    answer: programs.Result
    failures: tuple[tuple[str, int], ...]


def in_worker_shell(subject: Subject, command: list[str], *, limit_s: float = LIMIT_S) -> Started:
    """Run a command as the workers are started: after ``worker_init``, in an environment like that of a batch job.

    Some schedulers give a job a login shell and nothing of the environment that it was submitted in; others, and a
    local provider, pass on that of the user endpoint, whose PATH begins with this environment's programs.
    """
    environment = {name: os.environ[name] for name in ("HOME", "USER", "LOGNAME", "LANG") if name in os.environ}
    environment |= {"SHELL": "/bin/bash", "PATH": "/usr/local/bin:/usr/bin:/bin"}
    shell = ["bash", "-l"]
    if subject.scheduler is None or not subject.scheduler.login_environment:
        shell = ["bash"]
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        if "TMPDIR" in os.environ:
            environment["TMPDIR"] = os.environ["TMPDIR"]
    script = f'{_TRAP}\n{subject.provider.get("worker_init") or ""}\ntrap - ERR\nexec "$@"\n'
    arguments = [*shell, "-c", script, "worker_init", *command]
    result = programs.run(arguments, limit_s=limit_s, environment=environment, directory=Path.home())
    failures: list[tuple[str, int]] = []
    others: list[str] = []
    for line in result.errors.splitlines():
        status, _, named = line.removeprefix(_FAILED).partition(":")
        if line.startswith(_FAILED) and status.isdigit():
            failures.append((named.strip(), int(status)))
        else:
            others.append(line)
    return Started(result._replace(errors="\n".join(others)), tuple(failures))


def temporary_directory(subject: Subject) -> str | None:
    """Return where the workers put their sockets, if that can be known from here."""
    result = in_worker_shell(subject, ["sh", "-c", f'echo "{_MARK}${{TMPDIR:-/tmp}}"'])
    for line in result.answer.output.splitlines():
        if line.startswith(_MARK):
            return line.removeprefix(_MARK)
    return None
