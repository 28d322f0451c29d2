"""What ``qsub`` is asked for: options, directives and resources, and what the server refuses of them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

from .config import Config

#: Options of qsub with a value, by letter; those without are ``h`` alone.
WITH_VALUE = "qANloekSmMrp"
_CHUNK = ("ncpus", "mem", "mpiprocs", "ompthreads", "host", "vnode", "arch")
_JOB_WIDE = ("walltime", "select", "place", "mem", "ncpus", "cput")
_NUMBERS = ("ncpus", "mpiprocs", "ompthreads", "ngpus")


class RefusedError(Exception):
    """What the real command would say on stderr, and its exit code."""

    def __init__(self, told: str, code: int) -> None:
        super().__init__(told)
        self.told, self.code = told, code


def stand_in(what: str) -> RefusedError:
    """Something that was never seen of the real one."""
    return RefusedError(f"stand-in for PBS: {what}", 64)


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

    def take(self, words: list[str]) -> None:
        """Read words as qsub's; what was taken before goes first."""
        words = list(words)
        while words:
            word = words.pop(0)
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
                    if not words:
                        raise stand_in(f"qsub {word} without a value")
                    value = words.pop(0)
                self._option(letter, value)

    def _option(self, letter: str, value: str) -> None:
        if letter != "l":
            self.options.setdefault(letter, value)
            return
        for pair in value.split(","):
            name, _, what = pair.partition("=")
            self.resources.setdefault(name, what)


def directives(script: str) -> list[str]:
    """Words of the ``#PBS`` lines above the script's first command."""
    words: list[str] = []
    for line in script.splitlines():
        if line.startswith("#PBS"):
            words += shlex.split(line[4:])
        elif line.strip() and not line.lstrip().startswith("#"):
            break
    return words


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


def request(config: Config, words: list[str], script: str) -> Request:
    """What is asked for, with the command line over the script's directives.

    Raises:
        RefusedError: as the real server, or ALCF's hooks, refuse it.
    """
    found = Request()
    found.take(words)
    operands = list(found.operands)
    found.take(directives(script))
    found.operands = operands
    queue = found.options.get("q", next(iter(config.queues)))
    if queue not in config.queues:
        raise RefusedError("qsub: Unknown queue", 170)
    found.options["q"] = queue
    for name in found.resources:
        if name not in _JOB_WIDE and name not in config.resources:
            raise RefusedError(f"qsub: Unknown resource Resource_List.{name}", 187)
    found.chunks = _chunks(config, found.resources.setdefault("select", "1:ncpus=1"))
    if "walltime" in found.resources:
        limit, asked = config.queues[queue], seconds(found.resources["walltime"])
        found.resources["walltime"] = clock(asked)
        if limit is not None and asked > limit:
            raise RefusedError("qsub: Job violates queue and/or server resource limits", 188)
    _facility(config, found)
    return found


def _chunks(config: Config, select: str) -> list[tuple[int, dict[str, str]]]:
    chunks = []
    for text in select.split("+"):
        parts = text.split(":")
        count = int(parts.pop(0)) if parts[0].isdigit() else 1
        needs = {}
        for part in parts:
            name, _, value = part.partition("=")
            if name in _JOB_WIDE and name not in _CHUNK:
                raise RefusedError(f"qsub: Resource invalid in 'select' specification: {name}", 1)
            if name not in _CHUNK and name not in config.chunk_resources:
                raise RefusedError(f"qsub: Unknown resource: {name}", 187)
            if name in _NUMBERS and not value.isdigit():
                raise RefusedError(f"qsub: Illegal attribute or resource value Resource_List.{name}", 166)
            needs[name] = value
        needs.setdefault("ncpus", "1")
        chunks.append((count, needs))
    return chunks


def _facility(config: Config, found: Request) -> None:
    """What ALCF adds, in the words of its user guides."""
    if config.projects is not None:
        account = found.options.get("A")
        if account is None:
            raise RefusedError("qsub: Account_Name is required to be set.", 1)
        if account not in config.projects:
            raise RefusedError(
                f"qsub: Request rejected.  Reason: No active allocation found for project {account} "
                f"and resource {config.server}.",
                1,
            )
    if config.file_systems is not None:
        if "filesystems" not in found.resources:
            raise RefusedError("qsub: Resource: filesystems is required to be set.", 1)
        unknown = [one for one in found.resources["filesystems"].split(":") if one not in config.file_systems]
        if unknown:
            raise RefusedError(f"qsub: Invalid filesystem identifiers {' '.join(unknown)}", 1)
