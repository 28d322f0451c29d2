"""Writes one step crate: files in a hidden directory, metadata last, then one rename.

JSON is written by hand: 0.3 ms per crate; the rocrate library takes 6. Nothing is synced to the disk: a crate
that a power failure takes can be written again from the journal.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.entities import Document
from prov_worker.crate.error_line import error_of
from prov_worker.crate.json_text import one_line, path_id, safe_name
from prov_worker.crate.metadata import CrateContent, StepWriter
from prov_worker.crate.node_entities import Node
from prov_worker.crate.packs.deflater import Deflater
from prov_worker.crate.packs.format import Packed
from prov_worker.crate.packs.packs import Packs
from prov_worker.crate.people import account_name, people
from prov_worker.crate.publish import Attempt, attempt_of, place, published
from prov_worker.crate.series_json import CPU_COLUMN, cpu_samples, cpu_usage, resource_usage
from prov_worker.crate.shared_files import SharedFiles
from prov_worker.crate.staging import staging_name
from prov_worker.crate.training import training_file
from prov_worker.errors import InputError
from prov_worker.model import COMPLETED, Function, HardwareSnapshot, TaskRecord, TaskSeries
from prov_worker.settings import Settings

#: Files of functions that are kept for further crates.
_MOST = 64
_IMAGE_TYPES = {".png": "image/png", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot of the CPU use.

    Attributes:
        name: file name, ``cpu_usage.png`` or ``cpu_usage.svg``.
        data: content.
    """

    name: str
    data: bytes


class CrateWriter:
    """Writes the crates of the tasks of one node. May be used by several threads.

    Args:
        snapshot: hardware of the node.
        settings: ``license``, ``author``, ``publisher``, ``poll_interval``, ``telemetry`` and ``preview`` are used.
        account: name of the account that runs the tasks; None asks the system.
        share: files that are the same in many crates are names of one inode.
    """

    def __init__(
        self, snapshot: HardwareSnapshot, settings: Settings, account: str | None = None, *, share: bool = False
    ) -> None:
        account = account or account_name()
        self._node = Node(snapshot)
        self._step = StepWriter(self._node, people(settings, account), account, settings)
        self._hardware = CrateContent(
            v.HARDWARE_FILE,
            v.HARDWARE_FILE,
            self._node.report,
            self._node.report_sha256,
            "Hardware report",
            "What the hardware probes found on the node",
            "application/json",
        )
        self._preview = settings.preview
        #: By digest, and by name and text: what further crates have too.
        self._packed_files: dict[str, Packed] = {}
        self._sources: dict[tuple[str, str], CrateContent] = {}
        self._deflater = Deflater()
        self._shared = SharedFiles() if share else None

    def publish(self, record: TaskRecord, series: TaskSeries | None, plot: Plot | None, crate_dir: Path) -> Path:
        """Write the crate of one attempt; a second time for the same attempt changes nothing.

        But a crate that was a verdict, made without the end of the task, is replaced by one that has it.

        Args:
            record: what is known of the attempt.
            series: what was sampled while it ran.
            plot: plot of the CPU use; left out if there is no CPU sample that it could show.
            crate_dir: where ``<task_id>.crate`` appears; made if it is missing.

        Returns:
            Path of the crate.

        Raises:
            InputError: the plot's name is not a file name of an image.
            OSError: the file system refused; nothing is left behind.
        """
        me = attempt_of(record)
        existing = published(crate_dir, me)
        if existing is not None:
            path, earlier = existing
            if not earlier.gives_way_to(me):
                return path
            record = _noted(record, earlier)
        files, metadata = self._content(record, series, plot)
        staged = f"{crate_dir}/{staging_name(safe_name(me.id.task_id))}"
        try:
            try:
                os.mkdir(staged)
            except FileNotFoundError:
                os.makedirs(crate_dir, exist_ok=True)
                os.mkdir(staged)
            made = {""}
            for file in files:
                directory = file.path.rpartition("/")[0]
                if directory not in made:
                    os.mkdir(f"{staged}/{directory}")
                    made.add(directory)
                if self._shared is None or not self._shared.link(file, f"{staged}/{file.path}"):
                    _write(f"{staged}/{file.path}", file.data)
            _write(f"{staged}/{v.METADATA_FILE}", metadata.encode())
            final = place(Path(staged), crate_dir, me)
            if self._shared is not None:
                self._shared.note(final, files)
            return final
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise

    def append(self, record: TaskRecord, series: TaskSeries | None, plot: Plot | None, packs: Packs) -> Path:
        """Publish as :meth:`publish` does, into a pack.

        Returns:
            The directory of the packs; if the crate of this very attempt is in one already, nothing is appended.

        Raises:
            InputError: the plot's name is not a file name of an image.
            OSError: the file system refused; nothing was appended.
        """
        me = attempt_of(record)
        earlier = packs.published(me, record.worker.host)
        if earlier is not None:
            if not earlier.gives_way_to(me):
                return packs.directory
            record = _noted(record, earlier)
        files, metadata = self._content(record, series, plot)
        members = [(file.path, self._packed(file)) for file in files]
        packed = self._deflater.packed(metadata.shared, metadata.own)
        return packs.add(me, [*members, (v.METADATA_FILE, packed)])

    def _packed(self, file: CrateContent) -> Packed:
        """Return a file as it stands in a pack; what is the same in many crates is deflated once."""
        if file.path not in v.SHARED_FILES:
            return Packed.of(file.data)
        packed = self._packed_files.get(file.sha256)
        if packed is None:
            if len(self._packed_files) >= _MOST:
                self._packed_files.clear()
            packed = self._packed_files[file.sha256] = Packed.of(file.data, level=9)
        return packed

    def _source(self, function: Function, name: str) -> CrateContent:
        """Return the file with the source of a function, which has one."""
        key = name, function.source or ""
        file = self._sources.get(key)
        if file is None:
            if len(self._sources) >= _MOST:
                self._sources.clear()
            file = _file(v.SOURCE_FILE, key[1], f"Source of {name}", "Function source", "text/x-python")
            self._sources[key] = file
        return file

    def _content(
        self, record: TaskRecord, series: TaskSeries | None, plot: Plot | None
    ) -> tuple[list[CrateContent], Document]:
        """Return files of the crate, and its metadata."""
        files, cpu_sampled = self._files(record, series, plot)
        metadata = self._step.render(record, series, files, cpu_sampled=cpu_sampled)
        if self._preview:
            from prov_worker.crate.preview import step_page

            data = step_page(metadata.encode().decode())
            files.append(_file(v.PREVIEW_FILE, data, "Preview", "A page about this crate", "text/html"))
        return files, metadata

    def _files(
        self, record: TaskRecord, series: TaskSeries | None, plot: Plot | None
    ) -> tuple[list[CrateContent], bool]:
        """Return files of the crate but the metadata, and whether the CPU samples are among them."""
        files = []
        name = one_line(record.function.name, 200) or "unnamed function"
        if record.function.source:
            files.append(self._source(record.function, name))
        if record.call:
            description = "Function and arguments as they were sent, serialised: not redacted, and unpacking runs code"
            files.append(_file(v.CALL_FILE, record.call, f"Serialised call of {name}", description, "text/plain"))
        files.append(self._hardware)
        samples = cpu_samples(series, record.start_ns) if series is not None else []
        if series is not None and samples and series.task is not None:
            interval = f"{series.task.columns[CPU_COLUMN].interval_s or series.task.interval_s:g} s"
            description = f"CPU use of the task's process tree (100 is one logical CPU), one sample each {interval}"
            files.append(_file(v.CPU_FILE, cpu_usage(samples), "CPU usage", description, "application/json"))
        if series is not None and any(True for _ in series.all()):
            description = "All series of the task, its node and its GPUs, columnar, with units"
            files.append(
                _file(
                    v.SERIES_FILE,
                    resource_usage(series, record.start_ns),
                    "Resource usage",
                    description,
                    "application/json",
                )
            )
        if record.training:
            description = (
                "Runs with parameters and all values of their metrics, models, seeds: as libraries report them"
            )
            files.append(
                _file(v.TRAINING_FILE, training_file(record.training), "Training", description, "application/json")
            )
        if plot is not None and samples:
            files.append(plot_file(plot))
        if record.status != COMPLETED:
            files.append(_log(record))
        for path, text, name in zip(
            (v.STDOUT_FILE, v.STDERR_FILE),
            record.output or ("", ""),
            ("Standard output", "Standard error"),
            strict=True,
        ):
            if text:
                description = f"The end of the task's {name.lower()}, secrets removed"
                files.append(_file(path, text, name, description, "text/plain"))
        return files, bool(samples)


def _noted(record: TaskRecord, earlier: Attempt) -> TaskRecord:
    """Return a record with a note on the verdict that was published before its end was known."""
    reason = f": {earlier.error}" if earlier.error else ""
    note = f"Before its end was known, this attempt was published as failed ({earlier.verdict}){reason}"
    return dataclasses.replace(record, notes=[*record.notes, note])


def plot_file(plot: Plot) -> CrateContent:
    """Return the file of a plot.

    Raises:
        InputError: its name is not a file name of an image.
    """
    media_type = _IMAGE_TYPES.get(os.path.splitext(plot.name)[1])
    if media_type is None or "/" in plot.name:
        raise InputError(f"{plot.name}: a plot is a file that ends in .png or .svg")
    path = f"{v.IMAGE_DIR}/{plot.name}"
    return _file(path, plot.data, "CPU usage plot", "Plot of CPU and memory use over the task", media_type)


def _log(record: TaskRecord) -> CrateContent:
    """Return what a failed task leaves: its traceback, or the little that is known."""
    failure = record.failure
    if failure is not None and failure.traceback:
        return _file(
            v.TRACEBACK_FILE,
            failure.traceback,
            "Traceback",
            "Traceback of the exception that ended the task",
            "text/plain",
        )
    lines = [failure.message if failure is not None and failure.message else error_of(record)]
    if failure is not None:
        lines.append(f"kind: {failure.kind}")
        lines += [
            f"{key}: {value}"
            for key, value in (
                ("type", failure.type),
                ("signal", failure.signal),
                ("exit status", failure.exit_status),
            )
            if value is not None
        ]
    return _file(v.ERROR_FILE, "\n".join(lines) + "\n", "Error", "Why the task failed", "text/plain")


def _file(path: str, content: str | bytes, name: str, description: str, media_type: str) -> CrateContent:
    # Lone surrogates have no UTF-8 form; their escaped form keeps them readable.
    data = content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")
    return CrateContent(path, path_id(path), data, hashlib.sha256(data).hexdigest(), name, description, media_type)


def _write(path: str, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        written = os.write(descriptor, data)
        while written < len(data):
            written += os.write(descriptor, data[written:])
    finally:
        os.close(descriptor)
