"""What the verbs share: consoles, progress, numbers as people read them, and crates named on the command line."""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from prov_worker.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

#: A path in a command: nothing is asked of it here, but shells complete it.
PATH = click.Path(readable=False)
_BARS = "▁▂▃▄▅▆▇█"
#: Columns of a table that nobody looks at in a terminal: wide enough for whole ids and paths.
_PLAIN_WIDTH = 160


class Advance(Protocol):
    """Tells a progress bar that more is done."""

    def __call__(self, steps: int = 1, total: int | None = None, what: str | None = None) -> None:
        """Add ``steps`` to what is done; ``total`` replaces what there is to do, ``what`` the text beside the bar."""


def console(*, stderr: bool = False) -> Console:
    """A console; colours and cursor movement only where a terminal is."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    # Data are shown as they are: a console would make a picture of ``host:fire:9``, and a colour of ``[red]``.
    width = None if stream.isatty() else _PLAIN_WIDTH
    return Console(stderr=stderr, highlight=False, emoji=False, markup=False, width=width)


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Advance]:
    """A progress bar on stderr; nothing at all where stderr is no terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    target = console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=target, transient=True, disable=not target.is_terminal) as bar:
        task = bar.add_task(what, total=total)

        def advance(steps: int = 1, total: int | None = None, what: str | None = None) -> None:
            bar.update(task, advance=steps, total=total, description=what)

        yield advance


def print_json(data: Any) -> None:
    """Write data as JSON for another program."""
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False, default=str)
    try:
        text.encode()
    except UnicodeEncodeError:  # names of files are bytes, and not always UTF-8: JSON can escape what they hold
        text = json.dumps(data, indent=2, allow_nan=False, default=str)
    sys.stdout.write(text + "\n")


def duration(seconds: float | None) -> str:
    """A span of time as people read it; a dash for None.

    ``200 µs``, ``12.3 ms``, ``4.83 s``, ``5 min 3 s``, ``3 h 12 min``.
    """
    if seconds is None:
        return "–"
    for limit, factor, unit in ((0.9995e-3, 1e6, "µs"), (0.9995, 1e3, "ms"), (59.95, 1.0, "s")):
        if abs(seconds) < limit:
            value = seconds * factor
            digits = 0 if abs(value) >= 99.95 or unit == "µs" else 1 if abs(value) >= 9.995 else 2
            return f"{value:.{digits}f} {unit}" if value else "0 s"
    minutes, rest = divmod(round(seconds), 60)
    if abs(seconds) < 3600:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def plain(text: object) -> str:
    """Text as it may go to a terminal: what would steer it, such as an escape sequence, is shown and not sent."""
    return "".join(
        one.encode("unicode_escape").decode()
        if unicodedata.category(one) in ("Cc", "Cf") and one not in "\n\t"
        else one
        for one in str(text)
    )


def line(text: object) -> str:
    """As :func:`plain`, and on one line whatever the names in it hold: nothing in them passes for a line of ours."""
    return plain(text).replace("\n", "\\n").replace("\t", "\\t")


def styled(*parts: str | tuple[str, str]) -> Text:
    """Text of parts, each of which may have a style: ``styled(("failed", "red"), ": why")``. All are :func:`plain`."""
    from rich.text import Text

    return Text.assemble(*(plain(one) if isinstance(one, str) else (plain(one[0]), one[1]) for one in parts))


def program() -> str:
    """How to call this program again from here: its name where that is enough, else its path."""
    called = sys.argv[0]
    if os.path.basename(called) != "prov-worker" or shutil.which("prov-worker") == os.path.abspath(called):
        return "prov-worker"
    return near(called)


def near(path: str | Path) -> str:
    """A path as a person here would write it: relative where that is shorter."""
    text = os.fspath(path)
    relative = os.path.relpath(text)
    return relative if len(relative) < len(text) else text


def size(count: float | None) -> str:
    """Bytes as people read them: ``1.5 MiB``; a dash for None."""
    if count is None:
        return "–"
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def sparkline(values: Sequence[float | None], width: int = 60, top: float | None = None) -> str:
    """Values as one line of bars, from 0 to ``top`` (default: the largest); a space where nothing was read."""
    if not values:
        return ""
    width = min(width, len(values))
    columns: list[float | None] = []
    for column in range(width):
        part = [v for v in values[column * len(values) // width : (column + 1) * len(values) // width] if v is not None]
        columns.append(max(part) if part else None)
    scale = top if top else max((v for v in columns if v is not None), default=0.0)
    if not scale:
        return "".join(" " if v is None else _BARS[0] for v in columns)
    steps = len(_BARS) - 1
    return "".join(" " if v is None else _BARS[max(0, min(steps, round(v / scale * steps)))] for v in columns)


def need_rights(directory: Path, *, write: bool) -> None:
    """Refuse a directory that this user may not list, or not change.

    Raises:
        InputError: names the directory and the right.
    """
    if not os.access(directory, os.R_OK | os.X_OK):
        raise InputError(f"{directory}: no right to read this directory")
    if write and not os.access(directory, os.W_OK):
        raise InputError(f"{directory}: no right to write into this directory")


def crates_at(paths: Iterable[str]) -> list[Path]:
    """Step crates at paths, each of which is one or a directory of them; in the order given, none twice.

    Raises:
        InputError: a path does not exist, or holds no crate.
    """
    from prov_worker.crate.reader import find_crates

    found: dict[Path, None] = {}
    for text in paths:
        path = Path(text)
        if not path.is_dir():
            what = "a file; a crate is a directory" if path.exists() else "no such crate or directory"
            raise InputError(f"{path}: {what}")
        if (path / "ro-crate-metadata.json").is_file() and not (path / "steps").is_dir():
            found[path] = None
            continue
        inside = [*find_crates(path), *(find_crates(path / "steps") if (path / "steps").is_dir() else ())]
        if not inside:
            raise InputError(f"{path}: no step crate, and no directory with step crates")
        found.update(dict.fromkeys(inside))
    return list(found)
