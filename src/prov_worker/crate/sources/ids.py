"""Crates by the ids of their tasks, whole or the beginning of one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.packs.format import is_pack
from prov_worker.crate.sources.base import Source
from prov_worker.crate.sources.lookup import candidates, sources_at
from prov_worker.errors import CrateError, InputError
from prov_worker.humanize import nearest


def source_by_id(directory: Path, text: str) -> Source:
    """Return the crate of a task, of its latest attempt if several are there.

    Args:
        directory: where to look, as :func:`prov_worker.crate.sources.candidates` does.
        text: beginning of the task id, or of a crate's name.

    Raises:
        InputError: no task has an id that begins so, or several have.
        CrateError: the directory cannot be listed, or what has the crate cannot be read.
    """
    by_task: dict[str, dict[str, Source]] = {}
    problems: list[CrateError] = []
    for candidate in candidates(directory):
        try:
            for source in _sources(candidate, text):
                by_task.setdefault(v.split_key(source.key)[0], {}).setdefault(source.key, source)
        except CrateError as error:
            problems.append(error)
    exact = v.split_key(v.key_of(text))[0]
    if exact in by_task:
        by_task = {exact: by_task[exact]}
    if len(by_task) > 1:
        first, second, *_ = sorted(by_task)
        raise InputError(f"{text}: fits {len(by_task)} tasks in {directory}, such as {first} and {second}")
    for task, crates in by_task.items():
        return crates.get(v.key_of(text)) or crates.get(task) or crates[max(crates)]
    if problems:
        raise problems[0]
    hint = _nearest(directory, v.key_of(text))
    raise InputError(f"{directory / text}: no such crate, and no task there has an id that begins so{hint}")


def _nearest(directory: Path, text: str) -> str:
    """Return a hint at the crate whose name begins most like a text; those in zips and packs are not opened for it."""
    names = {v.key_of(path.name)[: len(text)]: v.key_of(path.name) for path in candidates(directory)}
    hint = nearest(text, names, shown=names)
    return f"; {hint}" if hint else ""


def _sources(candidate: Path, text: str) -> Iterator[Source]:
    """Yield the crates at a candidate whose key begins so; directories are not opened for that."""
    if candidate.is_dir() and not is_pack(candidate.name) and not v.key_of(candidate.name).startswith(v.key_of(text)):
        return
    for source in sources_at(candidate, lenient=True):
        if source.key.startswith(v.key_of(text)):
            yield source
