"""The server, its scheduler and the nodes, in one process: answers commands, starts and ends jobs.

Usage: ``python -m standin.server DIRECTORY``, which has ``config.json`` and gets ``socket``.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .answers import as_json, as_lines, table
from .array import Array, Subjob
from .config import Config
from .job import REQUEUED, Job
from .request import RefusedError, request, stand_in

SOCKET, CONFIG = "socket", "config.json"
_ID = re.compile(r"\d+(\[\d*\])?(\.\S+)?")


class Server:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config = Config.read(directory / CONFIG)
        self.jobs: dict[str, Job] = {}
        self.down: set[str] = set()
        self.next = self.config.first
        for name in ("mom_priv/jobs", "spool", "aux", "tmp"):
            (directory / name).mkdir(parents=True, exist_ok=True)

    # -- commands ------------------------------------------------------------------------------------------------

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """``stdout``, ``stderr`` and ``code`` of a command."""
        try:
            out, error, code = self.commands[message["command"]](message)
        except RefusedError as refused:
            out, error, code = "", f"{refused.told}\n", refused.code
        return {"stdout": out, "stderr": error, "code": code}

    @property
    def commands(self) -> dict[str, Callable[[dict[str, Any]], tuple[str, str, int]]]:
        return {"qsub": self.qsub, "qstat": self.qstat, "qdel": self.qdel, "lose": self.lose}

    def lose(self, message: dict[str, Any]) -> tuple[str, str, int]:
        """No command of PBS: nodes go down, with all that runs there."""
        self.down.update(message["words"])
        for job in self.jobs.values():
            if self.down.intersection(host for host, _ in job.nodes):
                job.lose()
        return "", "", 0

    def qsub(self, message: dict[str, Any]) -> tuple[str, str, int]:
        if os.getuid() == 0 and not self.config.acl_roots:
            raise RefusedError("qsub: Bad UID for job execution", 175)
        wanted = request(self.config, message["words"], message["script"])
        kind, name = (Array, f"{self.next}[]") if "J" in wanted.options else (Job, str(self.next))
        job = kind(f"{name}.{self.config.server}", self.config, self.directory, wanted, message["script"], message)
        self.next += 1
        self.jobs[job.id] = job
        if isinstance(job, Array):
            self.jobs |= {subjob.id: subjob for subjob in job}
        return f"{job.id}\n", "", 0

    def qstat(self, message: dict[str, Any]) -> tuple[str, str, int]:
        history, full, form, operands = _qstat_words(message["words"])
        jobs: list[Job] = []
        errors: list[str] = []
        code = 0
        if not operands:
            jobs = [job for job in self.jobs.values() if not isinstance(job, Subjob) and (history or job.state != "F")]
        for word in operands:
            if not _ID.fullmatch(word):
                raise RefusedError(f"qstat: Unknown queue destination {word}", 170)
            job = self._job(word)
            name = word if job is None else job.id
            if history and not self.config.history:
                errors.append(f"qstat: PBS is not configured to maintain job history {name}")
            elif job is None:
                errors.append(f"qstat: Unknown Job Id {self._full(word)}")
                code = 153
            elif job.state == "F" and not history:
                errors.append(f"qstat: {name} Job has finished, use -x or -H to obtain historical job information")
                code = 35
            else:
                jobs.append(job)
        if form == "json":
            out = as_json(self.config.server, jobs)
        elif full:
            out = "".join(as_lines(job) for job in jobs)
        else:
            out = table(jobs)
        return out, "".join(f"{line}\n" for line in errors), code

    def qdel(self, message: dict[str, Any]) -> tuple[str, str, int]:
        errors, code = [], 0
        for word in message["words"]:
            if not _ID.fullmatch(word):
                raise RefusedError(f"qdel: illegally formed job identifier: {word}", 1)
            job = self._job(word)
            if job is None:
                errors.append(f"qdel: Unknown Job Id {self._full(word)}")
                code = 153
            elif job.state == "F":
                errors.append(f"qdel: Job has finished {job.id}")
                code = 35
            elif job.lost is not None:
                # As users report it; the code is the error's number, 15070, as those of the others are.
                errors.append(f"qdel: Server could not connect to MOM {job.id}")
                code = 222
            else:
                job.delete()
        if code == 153 and len(errors) == len(message["words"]):
            del errors[1:]  # of ids that are all unknown, the first alone is named
        return "", "".join(f"{line}\n" for line in errors), code

    def _full(self, word: str) -> str:
        return word if "." in word else f"{word}.{self.config.server}"

    def _job(self, word: str) -> Job | None:
        return self.jobs.get(self._full(word))

    # -- scheduler -----------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Look at every job once."""
        for job in list(self.jobs.values()):
            job.tick()
        if not self.config.history:
            self.jobs = {name: job for name, job in self.jobs.items() if job.state != "F"}
        for job in self.jobs.values():
            if job.state == "Q" and not isinstance(job, Array):
                self._place(job)

    def _place(self, job: Job) -> None:
        """Start a job where there is space for it; what can never run stays queued and says so."""
        total = {name: dict(has) for name, has in self.config.nodes.items()}
        free = {name: dict(has) for name, has in self.config.nodes.items() if name not in self.down}
        for other in self.jobs.values():
            if other.state in "RE":
                for host, needs in other.nodes:
                    for key, value in needs.items():
                        if key in free.get(host, ()):
                            free[host][key] -= int(value)
        scatter = "scatter" in job.asked.resources.get("place", "")
        placed = _fit(job, free, scatter)
        if placed is not None:
            running = [host for other in self.jobs.values() if other.state in "RE" for host, _ in other.nodes]
            slots = [
                running.count(host) + [name for name, _ in placed[:number]].count(host)
                for number, (host, _) in enumerate(placed)
            ]
            job.start(placed, slots)
            return
        if job.exit_status == REQUEUED:
            return  # its comment stays
        key, needed, most = _short(job, total)
        if most is None and scatter:
            job.comment = "Not Running: Not enough free nodes available"
        elif most is None:
            job.comment = f"Not Running: Insufficient amount of resource: {key}"
        else:
            job.comment = f"Can Never Run: Insufficient amount of resource: {key} (R: {needed} A: {most} T: {most})"

    # -- loop ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until SIGTERM, or the end of who started it; running jobs are killed with it."""
        starter = os.getppid()
        stop, wake = socket.socketpair()
        signal.signal(signal.SIGTERM, lambda *_: stop.send(b"."))
        with socket.socket(socket.AF_UNIX) as listening, selectors.DefaultSelector() as ready:
            os.chdir(self.directory)  # paths of sockets are short
            listening.bind(f"{SOCKET}.new")
            listening.listen(64)
            os.replace(f"{SOCKET}.new", SOCKET)
            ready.register(listening, selectors.EVENT_READ)
            ready.register(wake, selectors.EVENT_READ)
            while True:
                awake = ready.select(0.05)
                if os.getppid() != starter or any(key.fileobj is wake for key, _ in awake):
                    for job in self.jobs.values():
                        job.kill()
                    Path(SOCKET).unlink()
                    return
                if awake:
                    with listening.accept()[0] as peer, peer.makefile("rwb") as stream:
                        stream.write(json.dumps(self.answer(json.loads(stream.readline()))).encode() + b"\n")
                self.tick()


def _qstat_words(arguments: list[str]) -> tuple[bool, bool, str, list[str]]:
    history, full, form, operands = False, False, "text", []
    arguments = list(arguments)
    while arguments:
        word = arguments.pop(0)
        if word in ("-F", "-Fjson"):
            form = arguments.pop(0) if word == "-F" and arguments else "json"
            if form != "json":
                raise stand_in(f"qstat -F {form} is not in it")
        elif word.startswith("-"):
            if set(word[1:]) - set("xf"):
                raise stand_in(f"qstat {word} is not in it")
            history, full = history or "x" in word, full or "f" in word
        else:
            operands.append(word)
    return history, full, form, operands


def _fit(job: Job, free: dict[str, dict[str, int]], scatter: bool) -> list[tuple[str, dict[str, str]]] | None:
    placed: list[tuple[str, dict[str, str]]] = []
    for count, needs in job.asked.chunks:
        for _ in range(count):
            used = {name for name, _ in placed} if scatter else set()
            for name, has in free.items():
                if name not in used and all(int(value) <= has[key] for key, value in needs.items() if key in has):
                    break
            else:
                return None
            for key, value in needs.items():
                if key in has:
                    has[key] -= int(value)
            placed.append((name, needs))
    return placed


def _short(job: Job, total: dict[str, dict[str, int]]) -> tuple[str, int, int | None]:
    """The resource that is missing, how much of it is asked for, and what there is where that is never enough."""
    for _, needs in job.asked.chunks:
        for key, value in needs.items():
            most = max((has[key] for has in total.values() if key in has), default=None)
            if most is not None and int(value) > most:
                return key, int(value), most
    return "ncpus", job.cpus, None


if __name__ == "__main__":
    Server(Path(sys.argv[1])).run()
