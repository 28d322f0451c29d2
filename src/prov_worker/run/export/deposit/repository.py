"""What a repository is to a deposit. One registers itself in its own file, in ``repositories``.

Tokens come from a variable or a private file, go to the address that was named and nowhere else, and are in no message.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prov_worker.registry import Registry
from prov_worker.run.export.deposit.submission import Submission
from prov_worker.run.export.deposit.web import Session


@dataclass(frozen=True, slots=True)
class Destination:
    """Where in a repository a deposit goes; what a repository does not know of is None.

    Attributes:
        project: id of a team (WorkflowHub).
        collection: alias of a Dataverse collection.
        contact: e-mail address for those who ask (Dataverse).
        publish: make it public, and do not leave it as a draft.
    """

    project: str | None = None
    collection: str | None = None
    contact: str | None = None
    publish: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a repository answered: its id for the deposit, its page, and whether that is public."""

    identifier: str
    page: str
    published: bool


@dataclass(frozen=True, slots=True)
class Repository:
    """A kind of repository.

    Attributes:
        summary: one line.
        variable: environment variable with the token.
        header: name of the header with the token, and the text before it.
        url: address, unless another one is named; None if there is no usual one.
        needs: fields of :class:`Destination` that have to be given.
        can_publish: whether it makes deposits public on request.
        document: metadata as they are sent.
        send: sends metadata and file.
    """

    summary: str
    variable: str
    header: tuple[str, str]
    url: str | None
    needs: tuple[str, ...]
    can_publish: bool
    document: Callable[[Submission, Destination], dict[str, Any]]
    send: Callable[[Session, Submission, Destination, Path], Receipt]


#: Kinds of repositories by name.
REPOSITORIES: Registry[Repository] = Registry("prov_worker.run.export.deposit.repositories", named=True)
