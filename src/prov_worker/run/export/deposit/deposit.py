"""Sends a run crate to a repository."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from prov_worker.errors import InputError
from prov_worker.files import read_private
from prov_worker.run.export.deposit.repository import Destination, Receipt, Repository
from prov_worker.run.export.deposit.submission import Submission, write_archive
from prov_worker.run.export.deposit.web import Session


def check_destination(name: str, repository: Repository, url: str | None, destination: Destination) -> str:
    """Return the address of a repository, once all is named that it needs.

    Raises:
        InputError: something is missing, or this repository knows nothing of it.
    """
    for field in repository.needs:
        if getattr(destination, field) is None:
            raise InputError(f"--{field}: {name} needs it")
    if destination.publish and not repository.can_publish:
        raise InputError(f"--publish: {name} makes nothing public by its API")
    address = url or repository.url
    if address is None:
        raise InputError(f"--url: name the address of the {name}")
    return address


def token_of(repository: Repository, file: Path | None) -> str:
    """Return the token for a repository.

    Args:
        repository: which names the variable.
        file: a private file with the token; None takes the variable.

    Raises:
        InputError: there is none, or others may read the file.
    """
    text = read_private(file, "tokens") if file is not None else os.environ.get(repository.variable, "")
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable():
        where = str(file) if file is not None else repository.variable
        raise InputError(f"{where}: no token; put it there, or name a private file: --token-file FILE")
    return token


def deposit(repository: Repository, session: Session, submission: Submission, destination: Destination) -> Receipt:
    """Send a run crate, as one zip.

    Raises:
        ProvWorkerError: the repository cannot be reached, or refuses; what it has by then stays there as a draft.
        OSError: the zip cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="prov-worker-deposit-") as folder:
        archive = Path(folder, "crate.zip")
        write_archive(submission, archive)
        return repository.send(session, submission, destination, archive)
