"""``prov-worker show``: one crate on one page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.crate import vocabulary as v
from prov_worker.errors import InputError, blaming
from prov_worker.humanize import clipped, duration, quantity, size, sparkline
from prov_worker.printable import line
from prov_worker.redact import MARK

if TYPE_CHECKING:
    from rich.console import Console

    from prov_worker.crate.reader import StepCrate
    from prov_worker.crate.sources import Source
    from prov_worker.crate.summary import RunStep
    from prov_worker.model import Column, Series, TaskSeries

_TRACEBACK_LINES = 30
_TRACEBACK_BYTES = 1 << 16
#: Columns of the names on the left, and those that a terminal needs for names and values side by side.
_LABEL = 40
_SIDE_BY_SIDE = 72
#: What another line of the page says already.
_SAID = ("wall", "rss-min", "rss-max", "rss-mean", "cpu-sampled-s")


@examples("prov-worker show crates/0882", "prov-worker show --json 0882 --dir crates")
@click.command("show")
@click.argument("crate", type=terminal.PATH)
@click.option(
    "--dir",
    "directory",
    type=terminal.PATH,
    envvar="PROV_WORKER_CRATE_DIR",
    default=".",
    show_default="the current directory",
    show_envvar=True,
    help="Where the crate of a task id is looked for.",
)
@click.option("--json", "as_json", is_flag=True, help="The same, as JSON.")
def command(crate: str, directory: str, as_json: bool) -> int:
    """Show CRATE on one page: what ran, where, what it used, what failed.

    CRATE is a directory, a zip file of one crate, one of many in a zip file: many.zip!NAME, or the beginning of a task
    id: 8ad801b2, or DIR/8ad801b2. Of several attempts at a task, the latest is shown.
    """
    from prov_worker.crate.sources import read_end
    from prov_worker.crate.summary_reader import open_step

    step, opened = open_step(crate_named(crate, directory), strict=False)
    if as_json:
        with blaming(crate):
            data = _data(step, opened)
        terminal.print_json(data)
        return 0
    # Everything is read before anything is printed: a damaged file is an error, not half a page.
    log, whole = b"", True
    if any(file.relative == v.TRACEBACK_FILE for file in opened.files):
        log, whole = read_end(opened.source, v.TRACEBACK_FILE, _TRACEBACK_BYTES)
    lines = log.decode(errors="replace").rstrip().splitlines()
    more = not whole or len(lines) > _TRACEBACK_LINES
    page = _Page(opened, opened.series(), opened.hardware(), terminal.console())
    with blaming(crate):
        page.print(lines[-_TRACEBACK_LINES:], more=more)
    return 0


def crate_named(crate: str, directory: str) -> Source:
    """Return the crate that a person names: a path, or the beginning of a task id."""
    from prov_worker.crate.sources import candidates, in_zip, is_run, is_there, source_of
    from prov_worker.crate.sources.ids import source_by_id

    path = Path(crate)
    if path.is_dir() and (is_run(path) or not (path / v.METADATA_FILE).exists()):
        inside = next(candidates(path), None)
        if inside is not None:
            raise InputError(f"{crate}: a directory of crates; name one, such as {inside}")
    if not is_there(path) and in_zip(path) is None and not path.is_symlink() and "!" not in crate:
        where = path.parent if "/" in crate else Path(directory)
        if where.is_dir():
            return source_by_id(where, path.name)
    return source_of(path)


def _data(step: RunStep, crate: StepCrate) -> dict[str, Any]:
    return {
        "crate": step.crate,
        "task_id": step.task_id,
        "attempt": step.attempt,
        "function": step.function,
        "host": step.host,
        "endpoint_id": step.endpoint_id,
        "start": None if crate.start is None else crate.start.isoformat(),
        "end": crate.end.isoformat(),
        **step.figures(),
        "samples_expected": step.samples_expected,
        "error": step.error,
        "arguments": list(_described(crate, "object")),
        "results": list(_described(crate, "result")),
        "annotations": step.annotations,
        "notes": step.notes,
        "environment": list(_described(crate, "environment")),
        "usage": {name: {"value": value, "unit": unit} for name, (value, unit) in crate.usage.items()},
        "files": [file.id for file in crate.files],
    }


def _described(crate: StepCrate, role: str) -> Iterator[dict[str, Any]]:
    """Yield name, value and description of what an action refers to in one role."""
    from prov_worker.crate.graph import types_of

    references = crate.action.get(role) or []
    for reference in references if isinstance(references, list) else [references]:
        entity = crate.entities.get(reference.get("@id", ""), {}) if isinstance(reference, dict) else {}
        name = entity.get("name") or entity.get("@id")
        if name:
            shown: dict[str, Any] = {
                key: entity[key] for key in ("value", "description", "contentSize") if key in entity
            }
            if reference["@id"].startswith(("#input-file-", "#output-file-")) and "additionalType" not in entity:
                shown["path"] = entity.get("value")
            if role in ("object", "result") and not crate.value_recorded(entity):
                shown["recorded"] = False
            yield {"id": reference["@id"], "name": name, "types": types_of(entity), **shown}


class _Page:
    """The page of one crate, printed from top to bottom."""

    def __init__(self, crate: StepCrate, series: TaskSeries, hardware: dict[str, Any], console: Console) -> None:
        self._crate = crate
        self._series = series
        self._node = hardware
        self._console = console
        self._label = _LABEL if console.width >= _SIDE_BY_SIDE else 0
        self._width = max(10, min(80, console.width - (_LABEL + 30 if self._label else 4)))

    def print(self, traceback: list[str], *, more: bool) -> None:
        crate = self._crate
        colour = "green" if crate.status == "completed" else "red"
        self._line((crate.function_name, "bold"), "  ", (crate.status, colour))
        doc = self._description_of_function()
        if doc:
            self._line((doc, "dim"))
        self._section("What ran")
        self._fact("task", f"{crate.task_id}, attempt {crate.attempt}")
        self._fact("from", f"{_moment(crate.start)}  to  {_moment(crate.end)}")
        self._fact("wall time", None if crate.wall_time_s is None else duration(crate.wall_time_s))
        for key in ("#command", "#command-exit-status"):
            fact = crate.entities.get(key, {})
            self._fact("command" if key == "#command" else "exit status", fact.get("value"))
        self._list("argument", "object")
        self._list("result", "result")
        for key, noted in crate.annotations.items():
            self._fact(f"annotation {key}", noted)
        self._section("Where")
        self._fact("host", crate.host)
        self._fact("endpoint", crate.endpoint_id)
        self._list("", "environment")
        self._hardware()
        self._section("How hard")
        for key, (value, unit) in crate.usage.items():
            if key not in _SAID and (value or key == "cpu"):
                self._fact(crate.entities[f"#usage-{key}"].get("name", key), quantity(value, unit))
        self._samples()
        self._failure(traceback, more)
        self._notes()
        self._section("Files")
        for file in crate.files:
            self._line(f"  {terminal.plain(file.id):<{self._label}} ", (file.name, "dim"))

    def _line(self, *parts: str | tuple[str, str]) -> None:
        self._console.print(terminal.styled(*parts), soft_wrap=True)

    def _section(self, title: str) -> None:
        self._line("\n", (title, "bold"))

    def _fact(self, name: str, value: object) -> None:
        if value is not None and value != "":
            self._line(
                "  ", (f"{terminal.plain(name):<{self._label}}", "dim"), f"{' ' if self._label else ': '}{value}"
            )

    def _list(self, prefix: str, role: str) -> None:
        for entity in _described(self._crate, role):
            if entity["id"] == "#worker-host" or "File" in entity["types"]:
                continue  # shown above, and listed below
            if "path" in entity:
                count = str(entity.get("contentSize"))
                bytes_there = f" ({size(int(count))})" if count.isdecimal() else ""
                self._fact("file used" if role == "object" else "file generated", f"{entity['path']}{bytes_there}")
                continue
            name = f"{prefix} {entity['name']}".strip()
            self._fact(name, self._valued(entity) if prefix else entity.get("value", ""))

    def _valued(self, entity: dict[str, Any]) -> object:
        """Return the value of an argument or a result, cut to the width; its type and size if it was not kept."""
        value, kind = entity.get("value", ""), entity.get("description", "")
        if not entity.get("recorded", True):
            return kind or value
        if value == MARK:
            return f"redacted; {kind}" if kind else "redacted"
        return clipped(line(value), max(20, self._console.width - (_LABEL + 3 if self._label else 4)))

    def _description_of_function(self) -> str | None:
        text = self._crate.function_doc
        return text.splitlines()[0] if text else None

    def _hardware(self) -> None:
        probes = self._node.get("probes", {})
        cpu, memory, gpu = ((probes.get(name) or {}).get("data") or {} for name in ("cpu", "memory", "gpu"))
        if cpu:
            self._fact("CPU", f"{cpu.get('model')}, {cpu.get('logical')} logical")
        if isinstance(memory.get("total_bytes"), (int, float)):
            self._fact("memory", size(memory["total_bytes"]))
        devices = gpu.get("devices")
        for device in devices if isinstance(devices, list) else ():
            if isinstance(device, dict):
                self._fact(f"GPU {device.get('index')}", device.get("model"))

    def _samples(self) -> None:
        shown = False
        for base, series in self._series.all():
            for name, column in series.columns.items():
                extremes = column.extremes()
                if (
                    extremes is None
                    or extremes == (0, 0)
                    or column.subject.startswith("cpu:")
                    or (base == "node" and name != "cpu_percent")
                ):
                    continue
                if not shown:
                    self._line()
                    shown = True
                self._curve(base, name, series, column, extremes)
        if shown:
            task = self._series.task
            if task is not None:
                expected = "" if task.expected is None else f" of {task.expected} expected"
                self._fact("samples", f"{task.taken or len(task)}{expected}, one each {task.interval_s:g} s")

    def _curve(self, base: str, name: str, series: Series, column: Column, extremes: tuple[float, float]) -> None:
        values = column.high if column.high is not None else column.mean
        bottom, top = extremes
        if bottom == top:  # a flat line says no more than its value
            name = f"{base} {name}" if column.subject == base else f"{column.subject} {name}"
            self._fact(name, quantity(top, column.unit))
            return
        bars = sparkline(values, self._width, top=top)
        label = f"{base} {name}" if column.subject == base else f"{column.subject} {name}"
        gap = " " if self._label else "\n  "
        self._line(
            "  ",
            (f"{terminal.plain(label):<{self._label}}", "dim"),
            gap,
            (bars, "cyan"),
            (f" {quantity(bottom, column.unit)} to {quantity(top, column.unit)}", "dim"),
        )

    def _notes(self) -> None:
        if self._crate.notes:
            self._section("Notes")
        for note in self._crate.notes:
            self._line(f"  {note}")

    def _failure(self, traceback: list[str], more: bool) -> None:
        crate = self._crate
        if not crate.error:
            return
        self._section("What failed")
        self._line((f"  {crate.error.strip()}", "red"))
        if more:
            self._line((f"  … more in {crate.source.where}/{v.TRACEBACK_FILE}", "dim"))
        for text in traceback:
            self._line((f"  {text}", "dim"))


def _moment(moment: Any) -> str:
    return "–" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC"
