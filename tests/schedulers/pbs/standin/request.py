"""What ``qsub`` is asked for: options, directives and resources, and what the server refuses of them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

from .config import Config

#: Options of qsub with a value, by letter; those without are ``h`` alone.
WITH_VALUE = "qANloekSmMrpJ"
#: Exit code of qsub if a hook refuses the job.
HOOK = 32
_CHUNK = ("ncpus", "mem", "mpiprocs", "ompthreads", "host", "vnode", "arch")
_JOB_WIDE = ("walltime", "select", "place", "mem", "ncpus", "cput")
_NUMBERS = ("ncpus", "mpiprocs", "ompthreads", "ngpus")


class RefusedError(Exception):
    """What the real command would say on stderr, and its exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.told, self.code = message, code


def stand_in(reason: str) -> RefusedError:
    """Something that was never seen of the real one."""
    return RefusedError(f"stand-in for PBS: {reason}", 64)


@dataclass(slots=True)
class Request:
    """Options of one job; ``resources`` are job-wide, ``chunks`` those of ``select`` (count and what each needs)."""

    options: dict[str, str] = field(default_factory=dict)
    held: bool = False
    resources: dict[str, str] = field(default_factory=dict)
    chunks: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    operands: list[str] = field(default_factory=list)

    @property
    def walltime_s(self) -> int | None:
        return seconds(self.resources["walltime"]) if "walltime" in self.resources else None

    def take(self, arguments: list[str], last: str = "") -> None:
        """Read words as qsub's; what was taken before goes first.

        Args:
            arguments: the words.
            last: letters of options of which the last among them holds, and not the first.
        """
        arguments = list(arguments)
        again = [letter for letter in last if letter not in self.options]
        while arguments:
            word = arguments.pop(0)
            if not word.startswith("-") or word == "-":
                self.operands.append(word)
                continue
            letter, value = word[1], word[2:]
            if letter == "h" and not value:
                self.held = True
            elif letter not in WITH_VALUE:
                raise stand_in(f"qsub {word} is not in it")
            else:
                if not value:
                    if not arguments:
                        raise stand_in(f"qsub {word} without a value")
                    value = arguments.pop(0)
                if letter in again:
                    self.options.pop(letter, None)
                self._option(letter, value)

    def _option(self, letter: str, value: str) -> None:
        if letter != "l":
            self.options.setdefault(letter, value)
            return
        for pair in value.split(","):
            name, _, amount = pair.partition("=")
            self.resources.setdefault(name, amount)


def directives(script: str) -> list[str]:
    """Words of the ``#PBS`` lines above the script's first command."""
    options: list[str] = []
    for line in script.splitlines():
        if line.startswith("#PBS"):
            options += shlex.split(line[4:])
        elif line.strip() and not line.lstrip().startswith("#"):
            break
    return options


def seconds(text: str) -> int:
    """Of ``HH:MM:SS``, ``MM:SS`` or a number of seconds."""
    if not re.fullmatch(r"\d+(:\d+){0,2}", text):
        raise RefusedError("qsub: Illegal attribute or resource value Resource_List.walltime", 166)
    total = 0
    for part in text.split(":"):
        total = total * 60 + int(part)
    return total


def clock(total: float) -> str:
    """Seconds as ``HH:MM:SS``."""
    whole = int(total)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


def request(config: Config, arguments: list[str], script: str) -> Request:
    """What is asked for, with the command line over the script's directives.

    Raises:
        RefusedError: as the real server, or ALCF's hooks, refuse it.
    """
    submission = Request()
    submission.take(arguments)
    operands = list(submission.operands)
    submission.take(directives(script), last="oe")
    submission.operands = operands
    name = submission.options.get("N", "")
    if len(name) > 230:
        raise RefusedError("qsub: Job name is too long", 2)
    if re.search(r"\s", name):
        raise RefusedError("qsub: illegal -N value", 2)
    queue = submission.options.get("q", next(iter(config.queues)))
    if queue not in config.queues:
        raise RefusedError("qsub: Unknown queue", 170)
    submission.options["q"] = queue
    for name in submission.resources:
        if name not in _JOB_WIDE and name not in config.resources:
            raise RefusedError(f"qsub: Unknown resource Resource_List.{name}", 187)
    submission.chunks = _chunks(config, submission.resources.setdefault("select", "1:ncpus=1"))
    if "walltime" in submission.resources:
        limit, walltime = config.queues[queue], seconds(submission.resources["walltime"])
        submission.resources["walltime"] = clock(walltime)
        if limit is not None and walltime > limit:
            raise RefusedError("qsub: Job violates queue and/or server resource limits", 188)
    _facility(config, submission)
    return submission


def _chunks(config: Config, select: str) -> list[tuple[int, dict[str, str]]]:
    chunks = []
    for text in select.split("+"):
        parts = text.split(":")
        count = int(parts.pop(0)) if parts[0].isdigit() else 1
        needs = {}
        for part in parts:
            name, _, value = part.partition("=")
            if name in _JOB_WIDE and name not in _CHUNK:
                raise RefusedError(f'qsub: Resource invalid in "select" specification: {name}', 4)
            if name not in _CHUNK and name not in config.chunk_resources:
                raise RefusedError(f"qsub: Unknown resource: {name}", 187)
            if name in _NUMBERS and not value.isdigit():
                which = f" select.{name}" if name in _CHUNK else ""
                raise RefusedError(f"qsub: Illegal attribute or resource value{which}", 166)
            needs[name] = value
        needs.setdefault("ncpus", "1")
        chunks.append((count, needs))
    return chunks


def _facility(config: Config, submission: Request) -> None:
    """What ALCF adds, in the words of its user guides."""
    if config.projects is not None:
        account = submission.options.get("A")
        if account is None:
            raise RefusedError("qsub: Account_Name is required to be set.", HOOK)
        if account not in config.projects:
            raise RefusedError(
                f"qsub: Request rejected.  Reason: No active allocation found for project {account} "
                f"and resource {config.server}.",
                HOOK,
            )
    if config.file_systems is not None:
        if "filesystems" not in submission.resources:
            raise RefusedError("qsub: Resource: filesystems is required to be set.", HOOK)
        unknown = [part for part in submission.resources["filesystems"].split(":") if part not in config.file_systems]
        if unknown:
            raise RefusedError(f"qsub: Invalid filesystem identifiers {' '.join(unknown)}", HOOK)
