"""What the verbs share: consoles, progress, numbers as people read them, and crates named on the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from prov_worker.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

_BARS = "▁▂▃▄▅▆▇█"
#: Columns of a table that nobody looks at in a terminal: wide enough for whole ids and paths.
_PLAIN_WIDTH = 160


class Advance(Protocol):
    """Tells a progress bar that more is done."""

    def __call__(self, steps: int = 1, total: int | None = None) -> None:
        """Add ``steps`` to what is done; ``total`` replaces what there is to do."""


def console(*, stderr: bool = False) -> Console:
    """A console; colours and cursor movement only where a terminal is."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else _PLAIN_WIDTH)


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Advance]:
    """A progress bar on stderr; nothing at all where stderr is no terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    target = console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=target, transient=True, disable=not target.is_terminal) as bar:
        task = bar.add_task(what, total=total)

        def advance(steps: int = 1, total: int | None = None) -> None:
            bar.update(task, advance=steps, total=total)

        yield advance


def print_json(data: Any) -> None:
    """Write data as JSON for another program."""
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n")


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
            raise InputError(f"{path}: no such crate or directory")
        if (path / "ro-crate-metadata.json").is_file() and not (path / "steps").is_dir():
            found[path] = None
            continue
        inside = [*find_crates(path), *(find_crates(path / "steps") if (path / "steps").is_dir() else ())]
        if not inside:
            raise InputError(f"{path}: no step crate, and no directory with step crates")
        found.update(dict.fromkeys(inside))
    return list(found)
