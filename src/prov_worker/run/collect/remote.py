"""A directory of step crates on this machine or on another one, by ssh(1) and rsync(1)."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from prov_worker.crate import vocabulary as v
from prov_worker.crate.bill_places import DIRECTORY
from prov_worker.crate.bounds import MAX_BILL_BYTES, MAX_METADATA_BYTES
from prov_worker.crate.packs.format import PART, SUFFIX
from prov_worker.errors import InputError, ProvWorkerError
from prov_worker.run.collect import bounded

#: ``host:path``, and no local path with a colon: those are written with a slash in front of it.
_REMOTE = re.compile(r"^(?P<host>[^/:\s]+|[^/:\s]*@?\[[0-9A-Fa-f:.%]+\]):(?P<path>.*)$")
_LINE = re.compile(r"(?P<sha>[0-9a-f]{64}) [ *]\./(?P<path>.+)")
#: Crates directly in the directory, and those in directories of it, one for each endpoint. Hidden directories hold
#: crates in the making and the recorder's own files.
#: First all directories named as crates: one that is published meanwhile is then not taken for one without metadata.
_LIST = (
    "cd -- {path} && find . -maxdepth 2 -name '.?*' -prune -o -type d -name '*{suffix}' -print "
    "&& find . -maxdepth 3 -name '.?*' -prune -o -type f -name {metadata} -size -{blocks} -print0 "
    "| xargs -0 -r sha256sum --"
)
#: Packs, closed and growing, in the same places.
_LIST_PACKS = (
    "cd -- {path} && find . -maxdepth 2 -name '.?*' -prune -o -type f "
    r"\( -name '*{suffix}' -o -name '*{suffix}{part}' \) -printf '%s %p\n'"
)
_PACK = re.compile(r"(?P<size>\d{1,18}) \./(?P<path>[\w.%~+/-]+)")
#: Bills of materials, beside crates in the same places.
_LIST_BILLS = (
    "cd -- {path} && find . -maxdepth 3 -type d -name '.?*' ! -name {directory} ! -name '{directory}-*' -prune "
    r"-o -type d -name '*{suffix}' -prune -o -type f \( -path '*/{directory}/*' -o -path '*/{directory}-*/*' \) "
    "-size -{blocks} -print"
)
_BILL = re.compile(rf"\./(?P<path>((?P<above>[^/]+)/)?{DIRECTORY}/{v.BILL_NAME})")
#: Of a program's standard error that the user sees, at either end.
_LINES, _LINE_CHARACTERS = 4, 400
#: Of a source's list, which is some 200 bytes per crate.
MAX_LISTING_BYTES = 256 << 20


class CollectError(ProvWorkerError):
    """A source did not give its crates: no connection, no such directory, no rsync.

    Args:
        where: the source, as the user named it.
        problem: what is wrong, without the source.
    """

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.problem = problem


class Listing(NamedTuple):
    """What a source says it has. The other machine need not be an honest one.

    Attributes:
        crates: path below the directory, and the sha256 of its metadata; sorted.
        bare: paths of directories that are named as crates and hold no metadata, or far too much of it; sorted.
        refused: names that were not asked for, because they lead elsewhere.
        unnamed: paths of directories that hold crate metadata and are not named as crates; sorted.
    """

    crates: dict[str, str]
    bare: list[str]
    refused: list[str]
    unnamed: list[str]


@dataclass(slots=True)
class Place:
    """Where crates come from.

    Attributes:
        text: as it was given.
        host: None for a directory of this machine.
        path: of the directory; on another machine, relative to the user's home if it is not absolute.
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

    def crates(self) -> Listing:
        """Return all published crates.

        Raises:
            CollectError: the source does not answer, cannot be read, or its list has no end.
        """
        script = _LIST.format(
            path=shlex.quote(self.path),
            metadata=v.METADATA_FILE,
            suffix=v.CRATE_SUFFIX,
            blocks=MAX_METADATA_BYTES // 512 + 1,
        )
        digests: dict[str, str] = {}
        named: set[str] = set()
        refused: set[str] = set()
        unnamed: set[str] = set()
        for raw in io.BytesIO(self._run(script)):
            line = raw.rstrip(b"\n").decode(errors="surrogateescape")
            match = _LINE.fullmatch(line)
            path = match["path"].rpartition("/")[0] if match is not None else line.removeprefix("./")
            if match is None and not line.startswith("./"):
                continue
            if not _is_plain(path):
                if path:  # metadata of the directory itself are not a crate in it
                    refused.add(path)
            elif not _is_crate(path):
                if match is not None and _is_visible(path):
                    unnamed.add(path)
            elif match is None:
                named.add(path)
            else:
                digests[path] = match["sha"]
        bare = sorted(named.difference(digests))
        return Listing(dict(sorted(digests.items())), bare, sorted(refused), sorted(unnamed))

    def packs(self) -> dict[str, int]:
        """Return all packs: path below the directory, and size in bytes; sorted.

        Raises:
            CollectError: the source does not answer, or cannot be read.
        """
        script = _LIST_PACKS.format(path=shlex.quote(self.path), suffix=SUFFIX, part=PART)
        sizes = {}
        for line in self._run(script).decode(errors="replace").splitlines():
            match = _PACK.fullmatch(line)
            if match is not None and _is_plain(match["path"]) and _is_visible(match["path"]):
                sizes[match["path"]] = int(match["size"])
        return dict(sorted(sizes.items()))

    def bills(self) -> list[str]:
        """Return the paths of all bills of materials below the directory; sorted.

        Raises:
            CollectError: the source does not answer, or cannot be read.
        """
        script = _LIST_BILLS.format(
            path=shlex.quote(self.path),
            directory=v.SOFTWARE_DIR,
            suffix=v.CRATE_SUFFIX,
            blocks=MAX_BILL_BYTES // 512 + 1,
        )
        paths = []
        for line in self._run(script).decode(errors="replace").splitlines():
            match = _BILL.fullmatch(line)
            if match is not None and _is_plain(match["path"]) and _is_visible(match["above"] or "-"):
                paths.append(match["path"])
        return sorted(paths)

    def content(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            CollectError: the source does not answer, or has no such file.
        """
        return self._run(f"cd -- {shlex.quote(self.path)} && cat < {shlex.quote(f'./{name}')}")

    def remove_file(self, name: str, sha256: str) -> bool:
        """Remove a file that still has this sha256; return whether it had.

        Raises:
            CollectError: the source does not answer.
        """
        file = shlex.quote(f"./{name}")
        script = (
            f"cd -- {shlex.quote(self.path)} && "
            f'if [ "$(sha256sum <{file})" = "{sha256}  -" ]; then rm -f -- {file} && echo gone; fi'
        )
        return self._run(script) == b"gone\n"

    def append(self, name: str, target: Path, bandwidth: str | None, remote: str) -> None:
        """Append to a file what it has more at the source; its begin is not looked at.

        Args:
            name: path below the directory, and below the target.
            target: directory on this machine.
            bandwidth: limit as rsync's ``--bwlimit`` takes it.
            remote: path of rsync on the other machine.

        Raises:
            CollectError: rsync is missing, or failed.
        """
        self._rsync([name], target, ["--append"], bandwidth, remote)

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
        # Modes are this machine's affair: crates may come from a directory that only their owner can read.
        options = ["--recursive", "--times", f"--temp-dir={temporary}"]
        self._rsync(names, staging, options, bandwidth, remote)

    def _rsync(
        self, names: Sequence[str], target: Path, options: list[str], bandwidth: str | None, remote: str
    ) -> None:
        if shutil.which("rsync") is None:
            raise CollectError(
                self.text, "rsync is not installed on this machine (on Debian and Ubuntu: apt-get install rsync)"
            )
        options = [*options, "--files-from=-", "--from0", "-s"]
        if bandwidth is not None:
            options.append(f"--bwlimit={bandwidth}")
        source = self.path.rstrip("/") + "/"
        if self.host is not None:
            options += [f"--rsh={shlex.join(self.ssh)}", f"--rsync-path={remote}"]
            source = f"{self.host}:{source}"
        given = b"".join(os.fsencode(name) + b"\0" for name in names)
        done = self._start(["rsync", *options, source, f"{target}/"], given)
        # 23, 24: some files were not there any more, which the look at what came will tell
        if done.status not in (0, 23, 24):
            raise CollectError(self.text, f"rsync ended with status {done.status}: {_all_lines(done.errors)}")

    def _run(self, script: str, given: str = "") -> bytes:
        command = ["sh", "-c", script] if self.host is None else [*self.ssh, self.host, script]
        done = self._start(command, os.fsencode(given))
        if done.status:
            raise CollectError(self.text, _all_lines(done.errors) or f"status {done.status}")
        return done.output

    def _start(self, command: Sequence[str], given: bytes) -> bounded.Output:
        try:
            return bounded.run(command, given, MAX_LISTING_BYTES)
        except OSError as error:
            raise CollectError(self.text, f"{command[0]} cannot be run: {error.strerror}") from None
        except bounded.TooMuchError:
            raise CollectError(self.text, f"its answer is longer than {MAX_LISTING_BYTES:,} bytes") from None


def private_directory() -> tempfile.TemporaryDirectory[str]:
    """Return a directory for the socket of a shared connection, whose path must be short."""
    return tempfile.TemporaryDirectory(prefix="pw-", dir="/tmp")


def _is_plain(path: str) -> bool:
    """Return whether a path stays below the directory it is appended to, and no part of it looks like an option."""
    return all(part not in ("", ".", "..") and not part.startswith("-") for part in path.split("/"))


def _is_crate(path: str) -> bool:
    """Return whether a plain path was asked for: not hidden, not in another crate, at most one directory above."""
    return _is_visible(path) and path.endswith(v.CRATE_SUFFIX)


def _is_visible(path: str) -> bool:
    """Return whether a plain path is not hidden, not in a crate, at most one directory below the one named."""
    *above, name = path.split("/")
    inside = any(part.endswith(v.CRATE_SUFFIX) for part in above)
    return len(above) <= 1 and not inside and not any(part.startswith(".") for part in (*above, name))


def _all_lines(text: bytes) -> str:
    """Return what a program wrote to its standard error, as one line: its first line may be the cause, or a greeting.

    Of many lines, the first and the last few.
    """
    lines = [" ".join(line.split())[:_LINE_CHARACTERS] for line in text.decode(errors="replace").splitlines()]
    lines = [line for line in lines if line]
    if len(lines) > 2 * _LINES:
        lines = [*lines[:_LINES], "…", *lines[-_LINES:]]
    return " | ".join(lines)
