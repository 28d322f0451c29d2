"""A directory of step crates on this machine or on another one, by ssh(1) and rsync(1)."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.errors import InputError, ProvWorkerError

#: ``host:path``, and no local path with a colon: those are written with a slash in front of it.
_REMOTE = re.compile(r"^(?P<host>[^/:\s]+|[^/:\s]*@?\[[0-9A-Fa-f:.%]+\]):(?P<path>.*)$")
_LINE = re.compile(r"^(?P<sha>[0-9a-f]{64}) [ *]\./(?P<path>.+)$")
#: Crates directly in the directory, and those in directories of it, one for each endpoint. Hidden directories hold
#: crates in the making and the recorder's own files.
#: First all directories named as crates: one that is published meanwhile is then not taken for one without metadata.
_LIST = (
    "cd -- {path} && find . -maxdepth 2 -name '.?*' -prune -o -type d -name '*{suffix}' -print "
    "&& find . -maxdepth 3 -name '.?*' -prune -o -type f -name {metadata} -print0 | xargs -0 -r sha256sum --"
)


class CollectError(ProvWorkerError):
    """A source did not give its crates: no connection, no such directory, no rsync.

    Args:
        where: the source, as the user named it.
        problem: what is wrong, without the source.
    """

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.problem = problem


@dataclass(slots=True)
class Place:
    """Where crates come from.

    Attributes:
        text: as it was given.
        host: None for a directory of this machine.
        path: of the directory; on another machine, relative to the user's home where it is not absolute.
        ssh: command that reaches the host, without it.
    """

    text: str
    host: str | None
    path: str
    ssh: list[str] = field(default_factory=lambda: ["ssh"])

    @classmethod
    def parse(cls, text: str, ssh: str = "ssh") -> Place:
        """Read ``DIR`` or ``[USER@]HOST:DIR``.

        Raises:
            InputError: neither, or an ssh command that is none.
        """
        try:
            command = shlex.split(ssh)
        except ValueError as error:
            raise InputError(f"--ssh: {ssh!r}: {error}") from None
        if not command:
            raise InputError("--ssh: expected a command, such as 'ssh -p 2222'")
        match = _REMOTE.match(text)
        if match is None:
            if not Path(text).is_dir():
                raise InputError(f"{text}: no such directory")
            return cls(text, None, str(Path(text).absolute()), command)
        if match["host"].startswith("-"):
            raise InputError(f"{text}: no host name begins with a dash")
        return cls(text, match["host"], match["path"].removeprefix("~/") or ".", command)

    def share_connection(self, directory: Path) -> None:
        """Log in once for all that follows, unless the user's own ssh configuration does so already."""
        if self.host is None or Path(self.ssh[0]).name != "ssh":
            return
        config = subprocess.run([*self.ssh, "-G", self.host], capture_output=True, text=True, check=False).stdout
        if re.search(r"^controlpath (?!none$)", config, re.MULTILINE):
            return
        options = ("ControlMaster=auto", f"ControlPath={directory}/%C", "ControlPersist=60")
        self.ssh += [word for option in options for word in ("-o", option)]

    def close(self) -> None:
        """End a shared connection that was opened here; the user's own stays."""
        if self.host is not None and "ControlPersist=60" in self.ssh:
            subprocess.run([*self.ssh, "-O", "exit", self.host], capture_output=True, check=False)

    def crates(self) -> tuple[dict[str, str], list[str]]:
        """All published crates: path below the directory, and the sha256 of its metadata.

        Returns:
            The crates, and the paths of directories that are named as crates and hold no metadata.

        Raises:
            CollectError: the source does not answer, or cannot be read.
        """
        script = _LIST.format(path=shlex.quote(self.path), metadata=v.METADATA_FILE, suffix=v.CRATE_SUFFIX)
        digests, named = {}, set()
        for line in self._run(script).splitlines():
            if line.startswith("./") and _is_crate(line[2:]):
                named.add(line[2:])
            elif (match := _LINE.match(line)) is not None and _is_crate(path := match["path"].rpartition("/")[0]):
                digests[path] = match["sha"]
        return dict(sorted(digests.items())), sorted(named.difference(digests))

    def remove(self, crates: dict[str, str]) -> None:
        """Remove crates whose metadata still has this sha256; others stay.

        Raises:
            CollectError: the source does not answer.
        """
        script = (
            f"cd -- {shlex.quote(self.path)} && while read -r sha name; do "
            f'[ "$(sha256sum <"$name/{v.METADATA_FILE}")" = "$sha  -" ] && rm -rf -- "./$name"; done; true'
        )
        self._run(script, "".join(f"{sha} {name}\n" for name, sha in crates.items()))

    def fetch(self, names: Sequence[str], staging: Path, temporary: Path, bandwidth: str | None, remote: str) -> None:
        """Copy crates into a directory. Interrupted and called again, it goes on where it was.

        Args:
            names: as :meth:`crates` gives them.
            staging: where they go, on this machine.
            temporary: for files in the making, on the same file system.
            bandwidth: limit as rsync's ``--bwlimit`` takes it.
            remote: path of rsync on the other machine.

        Raises:
            CollectError: rsync is missing, or failed.
        """
        if shutil.which("rsync") is None:
            raise CollectError(
                self.text, "rsync is not installed on this machine (on Debian and Ubuntu: apt-get install rsync)"
            )
        # Modes are this machine's affair: crates may come from a directory that only their owner can read.
        options = ["--recursive", "--times", "--files-from=-", "--from0", f"--temp-dir={temporary}", "-s"]
        if bandwidth is not None:
            options.append(f"--bwlimit={bandwidth}")
        source = self.path.rstrip("/") + "/"
        if self.host is not None:
            options += [f"--rsh={shlex.join(self.ssh)}", f"--rsync-path={remote}"]
            source = f"{self.host}:{source}"
        given = b"".join(os.fsencode(name) + b"\0" for name in names)
        done = subprocess.run(["rsync", *options, source, f"{staging}/"], input=given, capture_output=True, check=False)
        # 23, 24: some files were not there any more, which the look at what came will tell
        if done.returncode not in (0, 23, 24):
            raise CollectError(self.text, f"rsync ended with status {done.returncode}: {_cause(done.stderr)}")

    def _run(self, script: str, given: str = "") -> str:
        command = ["sh", "-c", script] if self.host is None else [*self.ssh, self.host, script]
        try:
            done = subprocess.run(command, input=os.fsencode(given), capture_output=True, check=False)
        except OSError as error:
            raise CollectError(self.text, f"{command[0]} cannot be run: {error.strerror}") from None
        if done.returncode:
            raise CollectError(self.text, _last_line(done.stderr) or f"status {done.returncode}")
        return done.stdout.decode(errors="surrogateescape")


def private_directory() -> tempfile.TemporaryDirectory[str]:
    """For the socket of a shared connection, whose path must be short."""
    return tempfile.TemporaryDirectory(prefix="pw-", dir="/tmp")


def _is_crate(path: str) -> bool:
    *above, name = path.split("/")
    # what is below a crate, or leads elsewhere, is none: the other machine need not be an honest one
    plain = not any(part.startswith(".") or part.endswith(v.CRATE_SUFFIX) for part in above)
    return plain and name.endswith(v.CRATE_SUFFIX) and not name.startswith(".")


def _cause(text: bytes) -> str:
    """The first line of rsync's own or of ssh's: what follows it, such as a broken pipe, is its consequence."""
    lines = [line.strip() for line in text.decode(errors="replace").splitlines()]
    return next((line for line in lines if line.startswith(("rsync: ", "ssh: "))), None) or _last_line(text)


def _last_line(text: bytes) -> str:
    lines = [line.strip() for line in text.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""
