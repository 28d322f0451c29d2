"""What the verbs share: consoles, progress, numbers as people read them, and crates named on the command line."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from prov_worker.errors import InputError
from prov_worker.printable import line as line  # the verbs take both from here
from prov_worker.printable import plain as plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from prov_worker.finding import Finding

#: A path in a command: nothing is asked of it here, but shells complete it.
PATH = click.Path(readable=False)
#: Columns of a table that nobody looks at in a terminal: wide enough for whole ids and paths.
_PLAIN_WIDTH = 160


class Advance(Protocol):
    """Tells a progress bar that more is done."""

    def __call__(self, steps: int = 1, total: int | None = None, label: str | None = None) -> None:
        """Add ``steps`` to what is done; ``total`` replaces what there is to do, ``label`` the text beside the bar."""


def console(*, stderr: bool = False) -> Console:
    """Return a console; colours and cursor movement only on a terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    # Data are shown as they are: a console would make a picture of ``host:fire:9``, and a colour of ``[red]``.
    width = None if stream.isatty() else _PLAIN_WIDTH
    return Console(stderr=stderr, highlight=False, emoji=False, markup=False, width=width)


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    right: Collection[str] = (),
    wrap: Collection[str] | None = None,
    spare: Sequence[str] = (),
    title: str = "",
    frame: bool = True,
) -> None:
    """Print rows as a table.

    Args:
        heads: of the columns.
        rows: cells, one per column; text is shown as by :func:`plain`, what is :func:`styled` as it is.
        right: heads of columns that stand to the right, such as numbers.
        wrap: heads of columns that take several lines if the terminal is narrow; the others are cut. None: all wrap.
        spare: heads of columns that are left out on a terminal that is too narrow, these first.
        title: above the table.
        frame: lines around the cells.
    """
    from rich.box import HEAVY_HEAD
    from rich.table import Table

    page = console()
    rows = list(rows)
    left_out = _left_out(heads, rows, spare, wrap, page.width) if spare else set()

    columns = Table(
        title=plain(title) or None,
        title_justify="left",
        box=HEAVY_HEAD if frame else None,
        pad_edge=frame,
        header_style="bold",
    )
    for head in heads:
        if head in left_out:
            continue
        wraps = wrap is None or head in wrap
        columns.add_column(
            plain(head),
            justify="right" if head in right else "left",
            no_wrap=not wraps,
            overflow="fold" if wraps else "ellipsis",
        )
    for row in rows:
        kept = (cell for head, cell in zip(heads, row, strict=True) if head not in left_out)
        columns.add_row(*(plain(cell) if isinstance(cell, str) else cell for cell in kept))
    page.print(columns)


#: What a column that takes several lines needs at least, and what is between two columns.
_WRAPPED_WIDTH, _BETWEEN = 12, 3


def _left_out(
    heads: Sequence[str],
    rows: Sequence[Sequence[str | Text]],
    spare: Sequence[str],
    wrap: Collection[str] | None,
    width: int,
) -> set[str]:
    """Return the heads of columns without which the others fit into a width."""
    from rich.cells import cell_len

    widths = {}
    for at, head in enumerate(heads):
        longest = max([cell_len(head), *(cell_len(str(row[at])) for row in rows)])
        widths[head] = min(longest, _WRAPPED_WIDTH) if wrap is None or head in wrap else longest
    left_out: set[str] = set()
    for head in spare:
        if sum(widths[kept] + _BETWEEN for kept in heads if kept not in left_out) + 1 <= width:
            break
        left_out.add(head)
    return left_out


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Advance]:
    """Show a progress bar on stderr; nothing at all if stderr is not a terminal."""
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
        task = bar.add_task(label, total=total)

        def advance(steps: int = 1, total: int | None = None, label: str | None = None) -> None:
            bar.update(task, advance=steps, total=total, description=label)

        yield advance


@contextmanager
def counted(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar as :func:`progress` does, for those who say how many are done, and of how many."""
    with progress(label, None) as advance:
        done = 0

        def show(number: int, total: int) -> None:
            nonlocal done
            advance(number - done, total=total)
            done = number

        yield show


def print_json(data: Any) -> None:
    """Write data as JSON for another program."""
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False, default=str)
    try:
        text.encode()
    except UnicodeEncodeError:  # names of files are bytes, and not always UTF-8: JSON can escape what they hold
        text = json.dumps(data, indent=2, allow_nan=False, default=str)
    sys.stdout.write(text + "\n")


def styled(*parts: str | tuple[str, str]) -> Text:
    """Return text of parts, each with or without a style: ``styled(("failed", "red"), ": why")``, all :func:`plain`."""
    from rich.text import Text

    return Text.assemble(*(plain(part) if isinstance(part, str) else (plain(part[0]), part[1]) for part in parts))


def one_line(text: str) -> Text:
    """Return text that stays on one line of its cell: what has no space there is one ``…``."""
    from rich.text import Text

    return Text(line(text), no_wrap=True, overflow="ellipsis")


def status(word: str) -> Text:
    """Return the status of a task in its colour."""
    return styled((word, {"completed": "green", "failed": "red"}.get(word, "yellow")))


def print_findings(findings: Sequence[Finding]) -> None:
    """Print what checks found, each with what to do about it."""
    out = console()
    width = max((len(finding.subject) for finding in findings), default=0)
    colours = {"pass": "green", "warn": "yellow", "fail": "red"}
    widest = max((len(finding.status) for finding in findings), default=0)
    for finding in findings:
        word = (f"{finding.status:<{widest}}", colours.get(finding.status, "dim"))
        out.print(styled(word, f"  {finding.subject:<{width}}  {finding.found}"), soft_wrap=True)
        if finding.remedy:
            out.print(styled(f"{'':<{widest}}  {'':<{width}}  -> {finding.remedy}"), soft_wrap=True)


def program() -> str:
    """Return how to call this program again from here: its name if that is enough, else its path."""
    called = sys.argv[0]
    if os.path.basename(called) != "prov-worker" or shutil.which("prov-worker") == os.path.abspath(called):
        return "prov-worker"
    return near(called)


def near(path: str | Path) -> str:
    """Return a path as a person here would write it: relative if that is shorter."""
    text = os.fspath(path)
    relative = os.path.relpath(text)
    return relative if len(relative) < len(text) else text


def need_rights(directory: Path, *, write: bool) -> None:
    """Refuse a directory that this user may not list, or not change.

    Raises:
        InputError: names the directory and the right.
    """
    if not os.access(directory, os.R_OK | os.X_OK):
        raise InputError(f"{directory}: no right to read this directory")
    if write and not os.access(directory, os.W_OK):
        raise InputError(f"{directory}: the directory is not writable")


def candidates_at(paths: Iterable[str]) -> list[Path]:
    """Return what may be step crates at paths: directories and zip files, in the order given, none twice.

    Args:
        paths: step crates, zip files, crates in them (``many.zip!task.crate``), run crates, directories of any of them.

    Raises:
        InputError: a path does not exist, or holds no crate.
        CrateError: a path is a file that is not a zip, or a directory that cannot be listed.
    """
    from prov_worker.crate.sources import candidates, in_zip, is_there, need_zip

    paths_found: dict[Path, None] = {}
    for text in paths:
        path = Path(text)
        if not is_there(path) and in_zip(path) is None:
            raise InputError(f"{path}: no such crate or directory")
        if path.is_file():
            need_zip(path)
        inside = list(candidates(path))
        if not inside:
            raise InputError(f"{path}: not a step crate, nor a directory with step crates")
        paths_found.update(dict.fromkeys(inside))
    return list(paths_found)


def complain(error: object) -> None:
    """Write one line on stderr about something that is left out, while the rest goes on."""
    click.echo(f"prov-worker: {line(error)}", err=True)
