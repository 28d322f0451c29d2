"""The full screen as lines of text: what is chosen, sorted and filtered, and what each key does. Draws on nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prov_worker.humanize import duration, plural
from prov_worker.live.model import LIVE, Task, View
from prov_worker.live.table import (
    ENDED,
    NODES,
    ORDERS,
    TASKS,
    Column,
    details,
    matching,
    ordered,
    rows,
    summary,
    with_values,
)
from prov_worker.printable import line

#: Styles of lines.
PLAIN, TITLE, HEAD, CHOSEN, BAD, FAINT = "plain", "title", "head", "chosen", "bad", "faint"
_GAP = 2
_NARROW = 10
_STALE_S = 5.0
_MOST_ENDED = 5
_KEYS = "q quit  ↑↓ choose  enter details  / filter  r reverse  sort: "


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the screen."""

    text: str
    style: str = PLAIN


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Return a text of so many cells of a terminal, cut or filled; a wide character takes two."""
    from rich.cells import cell_len, set_cell_size

    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width > 1 else set_cell_size(text, width)
    return " " * (width - length) + text if right else text + " " * (width - length)


def lay_out(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return the heading and the rows of a table, of at most ``width`` cells.

    Columns without a value in any row are left out, and so are the last ones if there is no space.
    """
    from rich.cells import cell_len

    shown = with_values(cells)
    texts = [[columns[place].head for place in shown], *([row[place] for place in shown] for row in cells)]
    widths = [max(map(cell_len, column)) for column in zip(*texts, strict=True)]
    widths = [min(size, columns[place].width or max(_NARROW, width)) for size, place in zip(widths, shown, strict=True)]
    least = [size if columns[place].width else min(size, _NARROW) for size, place in zip(widths, shown, strict=True)]
    while len(least) > 2 and sum(least) + _GAP * (len(least) - 1) > width:
        for row in (shown, widths, least):
            del row[-1]
    spare = max(0, width - sum(least) - _GAP * (len(least) - 1))
    sizes = [min(size, low + spare) for size, low in zip(widths, least, strict=True)]
    rights = [columns[place].right for place in shown]
    return [
        (" " * _GAP).join(fit(text, size, right=right) for text, size, right in zip(row, sizes, rights, strict=False))
        for row in texts
    ]


class Screen:
    """What a person sees of a crate directory, and chooses.

    Args:
        title: above all else.
        nothing: what is said if no agent is there, and nothing else is known of the directory.
        order: what tasks are sorted by at first, a key of :data:`~prov_worker.live.table.ORDERS`.
        wanted: what is searched for at first.
    """

    def __init__(self, title: str, nothing: str, order: str = "e", wanted: str = "") -> None:
        self._title, self._nothing = title, nothing
        self._view: View | None = None
        self._order, self._reverse = order, False
        self._filter, self._editing = wanted, False
        self._chosen: tuple[str, int] | None = None
        self._detailed = False

    def show(self, view: View) -> None:
        """Take what was seen last."""
        self._view = view

    # -- keys --------------------------------------------------------------------------------------------------------

    def press(self, key: str) -> bool:
        """Take a key: a character, or one of ``up down page-up page-down home end enter escape backspace``.

        Returns:
            False if the screen is to be closed.
        """
        if self._editing:
            self._edit(key)
        elif self._detailed:
            if key in ("q", "escape", "enter", "backspace"):
                self._detailed = False
        elif key == "q":
            return False
        elif key == "/":
            self._editing = True
        elif key == "escape":
            self._filter = ""
        elif key == "r":
            self._reverse = not self._reverse
        elif key in ORDERS:
            self._order, self._reverse = key, False
        elif key == "s":
            keys = list(ORDERS)
            self._order, self._reverse = keys[(keys.index(self._order) + 1) % len(keys)], False
        elif key == "enter":
            self._detailed = self._chosen_task() is not None
        else:
            self._move({"up": -1, "down": 1, "page-up": -10, "page-down": 10, "home": -(10**6), "end": 10**6}.get(key))
        return True

    def _edit(self, key: str) -> None:
        if key in ("enter", "escape"):
            self._editing = False
            self._filter = self._filter if key == "enter" else ""
        elif key == "backspace":
            self._filter = self._filter[:-1]
        elif len(key) == 1 and key.isprintable():
            self._filter += key

    def _move(self, steps: int | None) -> None:
        tasks = self._tasks()
        if steps is None or not tasks:
            return
        place = min(max(self._place(tasks) + steps, 0), len(tasks) - 1)
        self._chosen = (tasks[place].task, tasks[place].attempt)

    def _tasks(self) -> list[Task]:
        tasks = [] if self._view is None else self._view.tasks
        return ordered(matching(tasks, self._filter), self._order, reverse=self._reverse)

    def _place(self, tasks: Sequence[Task]) -> int:
        ids = [(task.task, task.attempt) for task in tasks]
        return ids.index(self._chosen) if self._chosen in ids else 0

    def _chosen_task(self) -> Task | None:
        tasks = self._tasks()
        return tasks[self._place(tasks)] if tasks else None

    # -- lines -------------------------------------------------------------------------------------------------------

    def lines(self, width: int, height: int, now: float | None = None) -> list[Line]:
        """Return the lines of a terminal of this size: at most ``height``, each of ``width`` cells.

        Args:
            width: columns.
            height: rows.
            now: s since the epoch; None asks the clock.
        """
        now = time.time() if now is None else now
        clock = time.strftime("%H:%M:%S", time.localtime(now))
        title = fit(self._title, max(0, width - len(clock) - 1)) + f" {clock}"
        top = [Line(fit(title, width), TITLE), *self._state(now)]
        foot = [Line(self._foot(), FAINT)]
        task = self._chosen_task() if self._detailed else None
        space = max(0, height - len(top) - len(foot))
        body = self._details(task) if task is not None else self._tables(width, space)
        return [Line(fit(text.text, width), text.style) for text in (top + body[:space] + foot)[:height]]

    def _state(self, now: float) -> list[Line]:
        view = self._view
        if view is None:
            return [Line("looking …", FAINT)]
        text = summary(view)
        if now - view.time > _STALE_S:
            text += f" · seen {duration(round(now - view.time))} ago: the file system does not answer"
        return [Line(text), *(Line(line(problem), BAD) for problem in view.problems[:2])]

    def _foot(self) -> str:
        if self._editing:
            return f"filter: {line(self._filter)}▏ (enter keeps, esc clears)"
        if self._detailed:
            return "esc back"
        names = " ".join(
            f"[{key} {column.head}]" if key == self._order else f"{key} {column.head}" for key, column in ORDERS.items()
        )
        return (f"filter {line(self._filter)!r} (esc clears)  " if self._filter else "") + _KEYS + names

    def _details(self, task: Task) -> list[Line]:
        view = self._view
        nodes = [] if view is None else view.nodes
        node = next((node for node in nodes if task in node.tasks), None)
        pairs = details(task, node)
        longest = max(len(name) for name, _ in pairs)
        return [Line(""), *(Line(f"  {name:<{longest}}  {value}") for name, value in pairs)]

    def _tables(self, width: int, space: int) -> list[Line]:
        view = self._view
        if view is None:
            return []
        if not view.nodes:
            # with a problem it is not known that nothing runs
            return [] if view.problems else [Line(""), *(Line(text) for text in self._nothing.split("\n"))]
        ended = view.ended[: min(_MOST_ENDED, max(0, space // 4 - 1))]
        tail = self._block(ENDED, ended, width)
        nodes = view.nodes[: max(1, space // 4 - 1)]
        styles = [PLAIN if node.state == LIVE else BAD for node in nodes]
        head = self._block(NODES, nodes, width, styles)
        if len(nodes) < len(view.nodes):
            head.append(Line(f"… and {plural(len(view.nodes) - len(nodes), 'more node')}", FAINT))
        tasks = self._tasks()
        left = max(1, space - len(head) - len(tail) - 1)
        place = self._place(tasks)
        first = max(0, min(place - left // 2, len(tasks) - left))
        window = tasks[first : first + left]
        late = {(task.task, task.attempt) for node in view.nodes if node.state != LIVE for task in node.tasks}
        styles = [FAINT if (task.task, task.attempt) in late else PLAIN for task in window]
        styles[place - first : place - first + 1] = [CHOSEN] * bool(window)
        body = self._block(TASKS, window, width, styles)
        if not window:
            text = "no running task matches the filter" if self._filter else "nothing runs at this moment"
            body = [Line(text, FAINT)]
        body += [Line("")] * (left + 1 - len(body))
        return head + body + tail

    @staticmethod
    def _block(
        columns: Sequence[Column], items: Sequence[Any], width: int, styles: Sequence[str] | None = None
    ) -> list[Line]:
        if not items:
            return []
        head, *texts = lay_out(columns, rows(columns, items), width)
        return [Line(head, HEAD), *(Line(text, styles[n] if styles else PLAIN) for n, text in enumerate(texts))]
