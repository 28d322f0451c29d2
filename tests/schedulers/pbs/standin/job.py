"""One job: its states, its processes, and how it ends."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .config import Config
from .request import Request, clock

#: Why a job is being ended.
QDEL, WALLTIME = "qdel", "walltime"
#: Exit status of a job whose node was given up.
REQUEUED = -20
#: How often the server tries to run a job before it holds it.
TRIES = 21
#: Between two looks at what a job uses; the real one's are longer.
COUNT_S = 0.5
_FINISHED = {"finished": 92, "failed": 93, QDEL: 91, WALLTIME: 93}


def stamp(moment: float) -> str:
    return time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(moment)).replace("  ", " ")


@dataclass(slots=True)
class Job:
    """A job from ``qsub`` to its end.

    Attributes:
        id: ``SEQ.SERVER``.
        asked: what it needs.
        script: its text, as it was at submission.
        submitted: where from: ``cwd``, ``PATH``, ``HOME`` of the submitter, and the words of the command.
        state: Q, H, R, E or F; ``substate`` as the real one numbers them.
        nodes: the hosts of its chunks, with what each chunk needs, once it runs.
        ending: QDEL or WALLTIME once it is being ended.
        terminated: SIGTERM was sent at this time; ``killed``: SIGKILL was.
        deleted: by qdel, while it was being ended for another reason.
        lost: its node went down at this time, and nothing more is heard of it.
        run_count: how often the server has tried to run it.
        slots: of each chunk, how many were on its node before it.
        cput_s, memory_kb: CPU time of the processes of its session and of children that they waited for, and the most
            that those had in memory, as of the last looks; what has left the session is not in it.
    """

    id: str
    config: Config
    directory: Path
    asked: Request
    script: str
    submitted: dict[str, Any]
    state: str = "Q"
    substate: int = 10
    comment: str | None = None
    created: float = field(default_factory=time.time)
    changed: float = 0.0
    started: float | None = None
    finished: float | None = None
    nodes: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None
    exit_status: int | None = None
    ending: str | None = None
    terminated: float | None = None
    killed: bool = False
    deleted: bool = False
    lost: float | None = None
    run_count: int = 0
    slots: list[int] = field(default_factory=list)
    cput_s: float = 0.0
    memory_kb: int = 0
    _ended: float | None = None
    _seen: float = 0.0
    _counted: float = 0.0

    def __post_init__(self) -> None:
        self.changed = self.created
        if self.asked.held:
            self.state, self.substate = "H", 20

    # -- words ---------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self.asked.options.get("N") or Path(self.asked.operands[0]).name

    @property
    def user(self) -> str:
        return pwd.getpwuid(os.getuid()).pw_name

    @property
    def cpus(self) -> int:
        return sum(count * int(needs["ncpus"]) for count, needs in self.asked.chunks)

    @property
    def select(self) -> str:
        return "+".join(
            f"{count}:" + ":".join(f"{key}={value}" for key, value in needs.items())
            for count, needs in self.asked.chunks
        )

    @property
    def vnodes(self) -> str:
        return "+".join(
            # Only what the scheduler's own `resources:` line names.
            f"({host}:" + ":".join(f"{key}={needs[key]}" for key in ("ncpus", "mem") if key in needs) + ")"
            for host, needs in self.nodes
        )

    @property
    def walltime_used(self) -> str:
        return clock((self.finished or time.time()) - self.started) if self.started else "00:00:00"

    def output(self, letter: str) -> Path:
        """Final path of stdout (``o``) or stderr (``e``)."""
        given = self.asked.options.get(letter, "").rpartition(":")[2]
        return Path(self.submitted["cwd"]) / (given or f"{self.name}.{letter}{self._suffix()}")

    def _suffix(self) -> str:
        return self.id.partition(".")[0]

    def _of_array(self) -> dict[str, str]:
        return {}

    def extra(self) -> dict[str, Any]:
        """Attributes that other jobs do not have."""
        return {}

    def _spool(self, letter: str) -> Path:
        """Where stdout or stderr goes while the job runs: to its place with ``-k doe``, else aside."""
        keep = self.asked.options.get("k", "n")
        if "d" in keep and letter in keep:
            return self.output(letter)
        return self.directory / "spool" / f"{self.id}.{'OU' if letter == 'o' else 'ER'}"

    # -- life ----------------------------------------------------------------------------------------------------

    def start(self, nodes: list[tuple[str, dict[str, str]]], slots: list[int]) -> None:
        """Run the script on its nodes; a job whose outputs cannot be opened is tried again, and held in the end."""
        self.run_count += 1
        try:
            for letter in "oe":
                self._open(letter).close()
        except OSError:
            if self.run_count >= TRIES:
                self.comment, self.exit_status = "job held, too many failed attempts to run", -3
                self._to("H", 20)
            return
        self.nodes, self.slots, self.started = nodes, slots, time.time()
        copy = self.directory / "mom_priv" / "jobs" / f"{self.id}.SC"
        copy.write_text(self.script)
        environment = self._environment()
        Path(environment["TMPDIR"]).mkdir(mode=0o700, parents=True)
        shell = self.asked.options.get("S") or "/bin/bash"
        with self._open("o") as out, self._open("e") as error:
            # A login shell, which reads /etc/profile and ~/.bash_profile, and whose child runs the script.
            self.process = subprocess.Popen(
                ["/bin/bash", "--login", "-c", '"$0" "$1"; exit $?', shell, str(copy)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=error,
                cwd=self.config.home, env=environment, start_new_session=True, umask=0o077,
            )  # fmt: skip
        self.comment = time.strftime("Job run at %a %b %d at %H:%M on ", time.localtime(self.started)) + self.vnodes
        self._to("R", 41)

    def _open(self, letter: str) -> Any:
        return os.fdopen(os.open(self._spool(letter), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")

    def _environment(self) -> dict[str, str]:
        """A job's own: nothing of the submitter's but what is named ``PBS_O_``."""
        aux = self.directory / "aux" / self.id
        lines = [host for host, needs in self.nodes for _ in range(int(needs.get("mpiprocs", 1)))]
        aux.write_text("".join(f"{host}\n" for host in lines))
        path = "/usr/local/bin:/usr/bin:/bin"
        return {
            **self.variables(),
            "PBS_ENVIRONMENT": "PBS_BATCH",
            "PBS_JOBID": self.id,
            **self._of_array(),
            "PBS_JOBNAME": self.name,
            "PBS_QUEUE": self.asked.options["q"],
            "PBS_NODEFILE": str(aux),
            "PBS_NODENUM": "0",
            "PBS_TASKNUM": "1",
            "PBS_JOBDIR": self.config.home,
            "PBS_JOBCOOKIE": secrets.token_hex(16).upper(),
            "PBS_MOMPORT": "15003",
            "ENVIRONMENT": "BATCH",
            "NCPUS": self.nodes[0][1]["ncpus"],
            "OMP_NUM_THREADS": self.nodes[0][1]["ncpus"],
            # The real one's is /var/tmp/pbs.ID, where servers of other tests would meet.
            "TMPDIR": str(self.directory / "tmp" / f"pbs.{self.id}"),
            "HOME": self.config.home,
            "LOGNAME": self.user,
            "USER": self.user,
            "SHELL": "/bin/bash",
            "PATH": f"{self.config.mpi}:{path}" if self.config.mpi else path,
        }

    def variables(self) -> dict[str, str]:
        """``Variable_List``."""
        return {
            "PBS_O_HOME": self.submitted["HOME"],
            "PBS_O_PATH": self.submitted["PATH"],
            "PBS_O_INTERACTIVE_AUTH_METHOD": "resvport",
            "PBS_O_INTERACTIVE_ENCRYPT_METHOD": "",
            "PBS_O_WORKDIR": self.submitted["cwd"],
            "PBS_O_SYSTEM": "Linux",
            "PBS_O_QUEUE": self.asked.options["q"],
            "PBS_O_HOST": self.config.server,
            **{f"PBS_O_{name}": value for name, value in self.submitted["given"].items()},
        }

    def delete(self) -> None:
        """``qdel``: at once where it waits, by signals where it runs."""
        if self.process is None:
            self.ending = QDEL
            self.comment = f"{self.comment or 'Not Running'} and terminated"
            self._finish()
        elif self.ending is None:
            self._terminate(QDEL)
            self.comment = f"{self.comment} and terminated by {self.user}@{self.config.server}"
        elif self.ending == WALLTIME and not self.deleted:
            self.deleted = True
            self.comment = f"{self.comment} and terminated by {self.user}@{self.config.server}"

    def _terminate(self, why: str) -> None:
        self.ending, self.terminated = why, time.monotonic()
        self._signal(signal.SIGTERM)

    def tick(self) -> None:
        """Look at the processes and at the clock."""
        if self.process is None or self.state == "F":
            return
        now = time.monotonic()
        if self.lost is not None:
            if now - self.lost > self.config.node_fail_requeue_s:
                self._requeue()
            return
        if self._ended is not None:
            # E is seen for a moment.
            if now - self._ended > 0.3:
                self._finish()
            return
        if self.substate == 41:
            self._to("R", 42)
        if now - self._counted >= COUNT_S:
            self._counted = now
            self._count()
        if self.process.poll() is not None:
            if not self.ending:
                # What the shell has left behind in its session goes with it: PBS's source is remembered, not recorded.
                self._signal(signal.SIGKILL)
            if not self.ending or not self._session():
                self._end()
                return
        limit = self.asked.walltime_s
        if limit is not None and self.ending is None and now - self._seen >= self.config.mom_poll_s:
            self._seen = now
            used = time.time() - (self.started or 0.0)
            if used > limit:
                self._tell(f"=>> PBS: job killed: walltime {int(used)} exceeded limit {limit}\n")
                self._terminate(WALLTIME)
        grace = self.config.walltime_kill_s if self.ending == WALLTIME else self.config.qdel_kill_s
        if self.terminated is not None and not self.killed and now - self.terminated > grace:
            self.killed = True
            self._signal(signal.SIGKILL)

    def lose(self) -> None:
        """Go down with the node: all processes are gone, and the server does not hear of it."""
        if self.process is not None and self.state in "RE":
            self.kill()
            self.lost = time.monotonic()

    def _requeue(self) -> None:
        """Give the node up: the job waits again."""
        self.comment = f"Job requeued, execution node {self.nodes[0][0]} down"
        shutil.rmtree(self.directory / "tmp" / f"pbs.{self.id}", ignore_errors=True)
        self.process, self.lost, self.started, self.exit_status = None, None, None, REQUEUED
        self._to("Q", 10)

    def _tell(self, line: str) -> None:
        with self._open("e") as file:
            file.write(line.encode())

    def _end(self) -> None:
        assert self.process is not None
        code = self.process.returncode
        if self.ending == WALLTIME:
            self.exit_status = -29
        elif code >= 0:
            self.exit_status = code
        else:
            # By a signal of the node's 256 and the signal; by one of its own 128 and it, as shells count.
            self.exit_status = (256 if self.ending else 128) - code
        self._ended = time.monotonic()
        self._to("E", 51 if self.ending == QDEL else 53)

    def _finish(self) -> None:
        self.finished = time.time()
        how = self.ending or ("finished" if self.exit_status == 0 else "failed")
        if how in ("finished", "failed"):
            self.comment = f"{self.comment} and {how}"
        elif how == WALLTIME and not self.deleted:
            self.comment = f"{self.comment} and exceeded resource walltime"
        for letter in "oe":
            spooled, final = self._spool(letter), self.output(letter)
            if self.process is not None and spooled != final:
                with contextlib.suppress(OSError):  # what cannot be delivered stays with the node
                    shutil.move(spooled, final)
        for left in (self.directory / "mom_priv" / "jobs" / f"{self.id}.SC", self.directory / "aux" / self.id):
            left.unlink(missing_ok=True)
        shutil.rmtree(self.directory / "tmp" / f"pbs.{self.id}", ignore_errors=True)
        self._to("F", _FINISHED[QDEL if self.deleted else how])

    def kill(self) -> None:
        """End it without ceremony, with the server."""
        if self.process is not None and self.state != "F":
            self._signal(signal.SIGKILL)
            self.process.wait(10)

    def _to(self, state: str, substate: int) -> None:
        self.state, self.substate, self.changed = state, substate, time.time()

    def _session(self) -> list[int]:
        """Processes of the job's session; one that called setsid is none of them."""
        return [pid for pid, _ in self._members()]

    def _members(self) -> Iterator[tuple[int, list[str]]]:
        """Each process of the session, with the fields of its ``/proc/PID/stat`` from the state on."""
        assert self.process is not None
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == self.process.pid and fields[0] != "Z":
                yield int(path.parent.name), fields

    def _count(self) -> None:
        """As MoM does without a hook for control groups: by polls of the session's processes."""
        members = [fields for _, fields in self._members()]
        ticks = sum(int(value) for fields in members for value in fields[11:15])
        self.cput_s = max(self.cput_s, ticks / os.sysconf("SC_CLK_TCK"))
        pages = sum(int(fields[21]) for fields in members)
        self.memory_kb = max(self.memory_kb, pages * os.sysconf("SC_PAGE_SIZE") // 1024)

    def _signal(self, number: int) -> None:
        for pid in self._session():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
