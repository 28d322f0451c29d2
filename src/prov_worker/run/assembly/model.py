"""How a run crate is made, and what was made."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from prov_worker.crate.bounds import MAX_FILE_BYTES
from prov_worker.run.model import Problem
from prov_worker.run.selection import Selection


@dataclass(frozen=True, slots=True)
class Options:
    """How a run crate is made.

    Attributes:
        name: of the run; None takes that of the target.
        workflow: file with a workflow definition.
        triggers: crates of the triggers that began the run.
        license, author, publisher: as in the settings of recording: identifiers, or plain text.
        copy: copy bytes even if they could be shared with the source.
        overwrite: replace a target that exists.
        zip: make a zip file.
        preview: write ``ro-crate-preview.html``, a page about the run.
        sign: ssh key that signs the seal.
        selection: which attempts are taken; None takes all.
        max_file_bytes: a step crate with a larger file is refused; 0 for no limit.
    """

    name: str | None = None
    workflow: Path | None = None
    triggers: tuple[Path, ...] = ()
    license: str | None = None
    author: str | None = None
    publisher: str | None = None
    copy: bool = False
    overwrite: bool = False
    zip: bool = False
    preview: bool = True
    sign: Path | None = None
    selection: Selection | None = None
    max_file_bytes: int = MAX_FILE_BYTES


@dataclass(slots=True)
class Assembled:
    """What was assembled.

    Attributes:
        path: of the run crate; None if there was nothing to assemble.
        steps: number of attempts in it. tasks: number of tasks. failed: tasks whose latest attempt failed.
        duplicates: crates that were there twice, byte for byte.
        software: number of bills of materials in it. without_software: steps that name one which is not there.
        links: number of links by kind, such as ``{"declared": 3, "value": 12}``.
        files: number of files in the crate. size_bytes: their size.
        problems: crates that were left out, or named for another reason.
        signed: whether the seal is signed.
        defined: number of steps in the workflow definition; None without one.
        idle: names of those to which no task belongs.
    """

    path: Path | None = None
    steps: int = 0
    tasks: int = 0
    failed: int = 0
    duplicates: int = 0
    software: int = 0
    without_software: int = 0
    links: dict[str, int] = field(default_factory=dict)
    files: int = 0
    size_bytes: int = 0
    problems: list[Problem] = field(default_factory=list)
    signed: bool = False
    defined: int | None = None
    idle: list[str] = field(default_factory=list)
