"""A crate as the status page links to it: one page with its facts, and the files in it.

What a crate says is somebody's data: texts are escaped, and files are never run or shown as pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from prov_worker.crate import vocabulary as v
from prov_worker.crate.sources import Source
from prov_worker.crate.sources.ids import source_by_id
from prov_worker.crate.summary_reader import open_step
from prov_worker.errors import CrateError, InputError
from prov_worker.humanize import ABSENT, duration, quantity, size
from prov_worker.localservice.pages import asset, template

#: What a browser shows by itself; all else is text.
_TYPES = {".json": "application/json", ".png": "image/png", ".svg": "image/svg+xml"}
_TEXT = "text/plain; charset=utf-8"
_CHUNK_BYTES = 1 << 18
_PLOTS = (".png", ".svg")


def find(directories: Iterable[Path], task: str) -> Source | None:
    """Return the crate of a task, of its latest attempt if there are several; None if there is none."""
    for directory in directories:
        try:
            source = source_by_id(directory, task)
        except (CrateError, InputError):
            continue
        if v.split_key(source.key)[0] == task:
            return source
    return None


def render(source: Source, task: str, nonce: str) -> str:
    """Return the page of a crate; ``nonce`` admits its own style.

    Raises:
        CrateError: the crate cannot be read.
    """
    step, crate = open_step(source, strict=False)
    sizes = dict(source.files())
    facts = [
        ("task", f"{crate.task_id}, attempt {crate.attempt}"),
        ("from", ABSENT if crate.start is None else f"{crate.start:%Y-%m-%d %H:%M:%S} UTC"),
        ("to", f"{crate.end:%Y-%m-%d %H:%M:%S} UTC"),
        ("wall time", duration(crate.wall_time_s)),
        ("node", crate.host or ABSENT),
        ("endpoint", crate.endpoint_name or crate.endpoint_id or ABSENT),
        *(
            (crate.entities[f"#usage-{key}"].get("name", key), quantity(value, unit))
            for key, (value, unit) in crate.usage.items()
            if key != "wall"
        ),
    ]
    address = f"/crates/{task}"
    return template("cratepage.html.j2").render(
        nonce=nonce,
        style=asset("statuspage.css"),
        function=crate.function_name,
        status=step.status,
        error=step.error,
        facts=facts,
        where=source.where,
        plot=next((f"{address}/{quote(name)}" for name in sizes if name.endswith(_PLOTS)), None),
        files=[(name, f"{address}/{quote(name)}", size(count)) for name, count in sorted(sizes.items())],
    )


def media_type(relative: str) -> str:
    """Return the type that a file is sent as."""
    return _TYPES.get(Path(relative).suffix, _TEXT)


def content(source: Source, relative: str) -> Iterator[bytes]:
    """Return the content of a file of a crate, in pieces; the first is read at once.

    Raises:
        CrateError: it is not one of its files, or cannot be read.
    """
    if relative not in dict(source.files()):
        raise CrateError(source.where, f"has no file {relative!r}")
    file = source.open(relative)
    return _pieces(file)


def _pieces(file: Any) -> Iterator[bytes]:
    with closing(file):
        while piece := file.read(_CHUNK_BYTES):
            yield piece
