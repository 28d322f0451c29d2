"""Crates are brought back by Globus Transfer: one task of the service, which goes on whatever becomes of this process.

The service compares checksums before and after it copies, so a second task sends what is missing alone. Names that
begin with a dot stay where they are: the spool, and crates in the making; but for the bills of materials.
"""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prov_worker.crate import vocabulary as v
from prov_worker.crate.bill_places import bill_directories
from prov_worker.crate.bounds import MAX_BILL_BYTES
from prov_worker.crate.check import check_files
from prov_worker.crate.packs.format import OFFSETS, PART, SUFFIX
from prov_worker.crate.sources import DirectorySource, find_crates
from prov_worker.crate.sources.bills import is_bill
from prov_worker.crate.sources.packs import pack_sources
from prov_worker.errors import CrateError, InputError, ProvWorkerError
from prov_worker.files import read_regular, stays_in
from prov_worker.run.model import Problem

if TYPE_CHECKING:
    from globus_sdk import TransferClient, TransferData

#: Seconds between two questions for a task: the first, and the most.
_FIRST_POLL, _LAST_POLL = 0.25, 10.0
_RUNNING = ("ACTIVE", "INACTIVE")
_LABEL_LENGTH = 128


class TransferError(ProvWorkerError):
    """Globus Transfer refused something, or a task of it failed."""


@dataclass(frozen=True, slots=True)
class Side:
    """A directory of a collection; its path ends with a slash."""

    collection: str
    path: str

    @classmethod
    def parse(cls, text: str) -> Side:
        """Read ``COLLECTION:PATH``.

        Raises:
            InputError: the collection is not a UUID, or the path is neither absolute nor below ``~``.
        """
        collection, _, path = text.partition(":")
        try:
            collection = str(uuid.UUID(collection))
        except ValueError:
            raise InputError(f"{text}: expected COLLECTION:PATH, with the UUID of a collection") from None
        if not path.startswith(("/", "~/")):
            raise InputError(f"{text}: the path must begin with / or ~/")
        return cls(collection, path.rstrip("/") + "/")

    def __str__(self) -> str:
        return f"{self.collection}:{self.path}"


@dataclass(frozen=True, slots=True)
class State:
    """What the service says of a task; counts are of files, but for ``sent_bytes``.

    Attributes:
        task: its id.
        status: ``ACTIVE``, ``INACTIVE``, ``SUCCEEDED`` or ``FAILED``.
        details: what is wrong, if the service says so; else empty. A task under way may overcome it.
        files: found so far.
        sent: copied, and compared afterwards.
        skipped: were there already, with the same checksum.
        sent_bytes: copied.
    """

    task: str
    status: str
    details: str
    files: int
    sent: int
    skipped: int
    sent_bytes: int


@dataclass(slots=True)
class Preview:
    """What a transfer would bring, by name: what lies directly in the two directories."""

    new: list[str] = field(default_factory=list)
    known: int = 0


def full_label(source: Side, target: Side, label: str | None) -> str:
    """Return a label that says which two directories a task is for: the service tells of a task without its paths.

    Raises:
        InputError: the label would be longer than the service takes, which is 128 characters.
    """
    key = hashlib.sha256(f"{source} {target}".encode()).hexdigest()[:12]
    text = f"{label or 'prov-worker crates'} {key}"
    if len(text) > _LABEL_LENGTH:
        raise InputError(f"--label: longer than {_LABEL_LENGTH - len(key) - 1} characters")
    return text


def document(source: Side, target: Side, label: str) -> TransferData:
    """Return what is asked of the service."""
    from globus_sdk import TransferData

    data = TransferData(
        source_endpoint=source.collection,
        destination_endpoint=target.collection,
        label=label,
        sync_level="checksum",
        verify_checksum=True,
        preserve_timestamp=True,
        notify_on_succeeded=False,
        notify_on_failed=False,
        notify_on_inactive=False,
    )
    data.add_item(source.path, target.path, recursive=True)
    # Of the rules, the first that a name matches is applied.
    for name in (v.SOFTWARE_DIR, f"{v.SOFTWARE_DIR}-*"):
        data.add_filter_rule(name, method="include", type="dir")
    data.add_filter_rule(".*", method="exclude")
    # A pack that grows is another one when its copy is compared: it comes when it is closed.
    for growing in (f"*{SUFFIX}{PART}", f"*{SUFFIX}{OFFSETS}"):
        data.add_filter_rule(growing, method="exclude")
    return data


def preview(client: TransferClient, source: Side, target: Side) -> Preview:
    """Look into both directories, and change nothing.

    Raises:
        TransferError: one of them cannot be listed; a destination that does not exist yet is empty instead.
    """
    there = _names(client, source)
    try:
        here = _names(client, target)
    except _NotFoundError:
        here = set()
    return Preview(sorted(there - here), len(there & here))


def running(client: TransferClient, source: Side, target: Side, label: str) -> str | None:
    """Return the id of a task for these directories that is under way, as one whose client was killed is.

    Raises:
        TransferError: the service does not say.
    """
    with _told(str(source)):
        for task in client.paginated.task_list(filter="status:ACTIVE,INACTIVE/type:TRANSFER").items():
            ends = (task["source_endpoint_id"], task["destination_endpoint_id"])
            if task["label"] == label and ends == (source.collection, target.collection):
                return str(task["task_id"])
    return None


def submit(client: TransferClient, source: Side, target: Side, label: str) -> str:
    """Hand the task to the service.

    Returns:
        The task's id.

    Raises:
        TransferError: it was refused.
    """
    data = document(source, target, label)
    with _told(f"{source} to {target}"):
        return str(client.submit_transfer(data)["task_id"])


def state(client: TransferClient, task: str) -> State:
    """Return what the service says of a task now.

    Raises:
        TransferError: there is no such task, or the service does not answer.
    """
    with _told(f"task {task}"):
        document = client.get_task(task)
    fatal = document.get("fatal_error") or {}
    details = document.get("nice_status_details") or fatal.get("description") or document.get("nice_status") or ""
    return State(
        task,
        str(document["status"]),
        "" if document.get("is_ok") or details == "OK" else str(details),
        *(
            int(document.get(name) or 0)
            for name in ("files", "files_transferred", "files_skipped", "bytes_transferred")
        ),
    )


def wait(
    client: TransferClient, task: str, timeout: float | None = None, tell: Callable[[State], None] | None = None
) -> State:
    """Wait until a task is done.

    Args:
        client: of the service.
        task: its id.
        timeout: seconds; None for as long as it takes.
        tell: is called with each state on the way.

    Raises:
        TransferError: it failed, waits for a person, or takes longer. It goes on without this process.
    """
    end = None if timeout is None else time.monotonic() + timeout
    pause = _FIRST_POLL
    while True:
        now = state(client, task)
        if tell is not None:
            tell(now)
        if now.status == "SUCCEEDED":
            return now
        reason = f": {now.details}" if now.details else ""
        if now.status == "INACTIVE":
            raise TransferError(
                f"task {task} is INACTIVE{reason}; see to it at Globus, then wait on with --task {task}"
            )
        if now.status not in _RUNNING:
            raise TransferError(f"task {task} {now.status}{reason}")
        left = pause if end is None else end - time.monotonic()
        if left <= 0:
            raise TransferError(f"task {task} is not done after {timeout:g} s{reason}; wait on with --task {task}")
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LAST_POLL)


def damaged(directory: Path) -> tuple[int, list[Problem]]:
    """Compare the crates of a directory, and of the directories in it, with the hashes in their metadata.

    Returns:
        How many crates there are, and those that are not whole.

    Raises:
        CrateError: the directory cannot be listed.
    """
    crates = list(find_crates(directory))
    below = [path for path in sorted(directory.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    below = [path for path in below if path not in crates]
    crates += [crate for path in below for crate in find_crates(path)]
    problems: list[Problem] = []
    packed = 0
    for path in (directory, *below):
        for pack in sorted(path.glob(f"*{SUFFIX}")):
            packed += _damaged_in(pack, problems)
        for bills in bill_directories(path):
            problems += _other_bills(Path(bills))
    for crate in crates:
        if not stays_in(directory, os.path.relpath(crate, directory)):
            problems.append(Problem(str(crate), "leads elsewhere by a link, and is not compared"))
        elif wrong := check_files(DirectorySource(crate)):
            problems.append(Problem(str(crate), f"{wrong[0].where}: {wrong[0].message}"))
    return len(crates) + packed, problems


def _other_bills(directory: Path) -> Iterator[Problem]:
    """Yield the bills of materials whose content is not what their names say."""
    for path in sorted(directory.iterdir()) if directory.is_dir() and not directory.is_symlink() else ():
        try:
            same = not path.is_symlink() and is_bill(path.name, read_regular(path, MAX_BILL_BYTES))
        except OSError:
            same = False
        if not same:
            yield Problem(str(path), "is not the bill of materials that its name says")


def _damaged_in(pack: Path, problems: list[Problem]) -> int:
    """Compare the crates of a pack; return how many there are."""
    count = 0
    try:
        for source in pack_sources(pack):
            count += 1
            if wrong := check_files(source):
                problems.append(Problem(source.where, f"{wrong[0].where}: {wrong[0].message}"))
    except CrateError as error:
        problems.append(Problem.of(str(pack), error))
    return count


class _NotFoundError(TransferError):
    """The directory does not exist; the collection does."""


def _names(client: TransferClient, side: Side) -> set[str]:
    with _told(str(side)):
        listing = client.operation_ls(side.collection, path=side.path)
    return {entry["name"] for entry in listing["DATA"] if not entry["name"].startswith(".")}


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Raise errors of the SDK as one line; credentials are in none of them."""
    from globus_sdk import AuthAPIError, GlobusAPIError, GlobusError, NetworkError

    try:
        yield
    except AuthAPIError as error:
        raise TransferError(f"Globus Auth refused the credentials: {_said(error)}") from None
    except GlobusAPIError as error:
        if error.info.consent_required:
            scopes = ", ".join(error.info.consent_required.required_scopes or [])
            raise TransferError(f"{where}: a consent is missing ({_said(error)}): {scopes}") from None
        kind = _NotFoundError if error.http_status == 404 and error.code == "ClientError.NotFound" else TransferError
        raise kind(f"{where}: Globus Transfer: {_said(error)}") from None
    except NetworkError as error:
        raise TransferError(f"{where}: Globus cannot be reached: {error}") from None
    except GlobusError as error:
        raise TransferError(f"{where}: {error}") from None


def _said(error: Any) -> str:
    code = f" {error.code}" if error.code else ""
    return f"{error.message or error.text or 'no message'} ({error.http_status}{code})"
