"""From a closed execution to its crate: hardware of the node, source, output files, and one writer per settings."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from prov_worker.agent.energy_share import apportion
from prov_worker.agent.function_source import Sources
from prov_worker.agent.hardware import Hardware, process_key
from prov_worker.agent.memo import Memo
from prov_worker.agent.output_files import MAX_SECONDS, Budget, declared_files
from prov_worker.agent.output_tails import tails
from prov_worker.agent.process_use import TreeUse
from prov_worker.agent.sampling_settings import restrict
from prov_worker.agent.tree_usage import account, close_series
from prov_worker.crate.packs.packs import Packs
from prov_worker.crate.plot_caption import caption_of
from prov_worker.crate.plot_svg import render_svg
from prov_worker.crate.writer import CrateWriter, Plot
from prov_worker.errors import ProvWorkerError
from prov_worker.humanize import clipped, plural
from prov_worker.model import OutputFile, TaskSeries
from prov_worker.settings import Settings
from prov_worker.spool.records import Ended

log = logging.getLogger(__name__)

#: A writer has its node's entities rendered; there is one for each job and environment.
_MAX_WRITERS = 256
#: Files that a note names, and the most characters of each.
_NAMED, _PATH_CHARS = 3, 200


class Publisher:
    """Writes crates into one directory.

    Args:
        crate_dir: the directory.
        take_hardware: whether to probe this node for executions that ran on it; else what the node's agent had saved
            is used.
    """

    def __init__(self, crate_dir: str, take_hardware: bool = True) -> None:
        self.crate_dir = crate_dir
        self._hardware = Hardware(crate_dir, take_hardware)
        self._settings: Memo[Settings] = Memo()
        self._settings_by_text: dict[str, Settings] = {}
        self._writers: Memo[CrateWriter] = Memo()
        self._writers_by_text: dict[tuple[str, str, str], CrateWriter] = {}
        self._sources = Sources()
        self._packs = Packs(Path(crate_dir))

    def settings(self, mapping: dict[str, Any]) -> Settings:
        """Return the settings that an execution was recorded with; defaults if they cannot be read."""
        settings = self._settings.get(mapping)
        if settings is None:
            key = json.dumps(mapping, sort_keys=True)
            settings = self._settings_by_text.get(key)
            if settings is None:
                try:
                    settings = Settings.from_mapping(mapping)
                except ProvWorkerError as error:
                    log.warning("settings of a journal are not understood, defaults are used: %s", error)
                    settings = Settings()
                self._settings_by_text[key] = settings
            self._settings.keep(settings, mapping)
        return settings

    def complete(
        self,
        ended: Ended,
        series: TaskSeries | None,
        tree: TreeUse | None = None,
        outputs: tuple[list[OutputFile], str | None] | None = None,
    ) -> None:
        """Add to a record what the worker left to others: descendants, output files, source, the peak among samples.

        Samples that the settings did not ask for are taken out of the series.

        Args:
            ended: the record.
            series: its samples.
            tree: what was seen of the worker's descendants.
            outputs: files of its sandbox, and a note on them.
        """
        record, settings, budget = ended.record, self.settings(ended.settings), Budget()
        if series is not None:
            restrict(series, settings.telemetry, record.wall_time_s)
            unseen = self._gpus_unseen(ended, settings) if series.gpu else None
            if unseen is not None:
                series.gpu = None
                record.notes.append(f"GPUs were not sampled: {unseen}.")
        if outputs is not None:
            record.outputs, note = outputs
            if note:
                record.notes.append(note)
        self._declared(ended, budget)
        if ended.function and record.function.source is None:
            self._sources.identify(record.function, ended.function)
        if ended.output_files and settings.capture_output != "none":
            record.output = tails(ended.output_files) or record.output
        usage = record.usage
        record.notes += account(usage, ended.descendants, tree, ended.mono_end_ns)
        if series is not None:
            note = close_series(series.task, usage, record.wall_time_s, os.cpu_count() or 1)
            if note:
                record.notes.append(note)
            if series.energy is not None:
                worker = record.worker
                apportion(usage, series.energy, record.wall_time_s, os.cpu_count() or 1, worker.accelerators)
        if not usage.peak_rss_exact:
            sampled = series.task.columns.get("rss_bytes") if series is not None and series.task else None
            extremes = sampled.extremes() if sampled is not None else None
            peaks = [int(value) for value in (extremes and extremes[1], ended.final_rss_bytes) if value]
            if peaks:
                usage.peak_rss_limit_bytes, usage.peak_rss_sampled = usage.peak_rss_bytes, True
                usage.peak_rss_bytes = max(peaks)

    def _gpus_unseen(self, ended: Ended, settings: Settings) -> str | None:
        return self._hardware.gpus_unseen(ended.record.worker.host, ended.process, settings, ended.place)

    @staticmethod
    def _declared(ended: Ended, budget: Budget) -> None:
        """Look at the files that user code named."""
        record = ended.record
        if not record.used and not record.generated:
            return
        named = [file.path for file in (*record.used, *record.generated)]
        record.used, record.generated = (
            declared_files(record.used, budget),
            declared_files(record.generated, budget),
        )
        there = {file.path for file in (*record.used, *record.generated)}
        missing = [path for path in dict.fromkeys(named) if path not in there]
        if missing:
            shown = ", ".join(clipped(path, _PATH_CHARS) for path in missing[:_NAMED])
            more = f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
            files = plural(len(missing), "file")
            record.notes.append(f"{files} that the task named could not be read afterwards: {shown}{more}.")
        if budget.is_over:
            record.notes.append(f"Files that could not be read within {MAX_SECONDS:g} s have no hash.")
        if ended.sandbox is not None:
            # Found in the sandbox as well: what was stated says more.
            stated = {file.path for file in record.generated}
            record.outputs = [
                output for output in record.outputs if os.path.join(ended.sandbox, output.path) not in stated
            ]

    def publish(self, ended: Ended, series: TaskSeries | None, plot: Plot | None) -> Path:
        """Write the crate.

        Raises:
            OSError: it cannot be written now.
            InputError: it cannot be written ever: the record is damaged.
        """
        settings = self.settings(ended.settings)
        if plot is None and settings.plots == "svg" and self.wants_plot(ended, series):
            assert series is not None
            plot = Plot("cpu_usage.svg", render_svg(series, caption_of(ended.record)))
        writer = self._writer(ended, settings)
        if settings.crates == "packs":
            return writer.append(ended.record, series, plot, self._packs)
        return writer.publish(ended.record, series, plot, Path(self.crate_dir))

    def rest(self) -> None:
        """Do what is due now and then: close a pack that has been open for long."""
        self._packs.rest()

    def close(self) -> None:
        """Close the pack that is open."""
        self._packs.close()

    def wants_plot(self, ended: Ended, series: TaskSeries | None) -> bool:
        """Return whether this crate gets a plot: it is asked for, the task was long enough, there are samples."""
        settings = self.settings(ended.settings)
        if settings.plots == "none" or ended.record.wall_time_s < settings.plot_min_duration:
            return False
        return series is not None and series.task is not None and "cpu_percent" in series.task.columns

    def _writer(self, ended: Ended, settings: Settings) -> CrateWriter:
        host = ended.record.worker.host
        writer = self._writers.get(ended.process, ended.settings, ended.place, host)
        if writer is not None:
            return writer
        process = f"{process_key(ended.process)} {ended.process.get('noted_ns')}"
        key = (f"{host}~{ended.place}", process, json.dumps(ended.settings, sort_keys=True))
        writer = self._writers_by_text.get(key)
        if writer is None:
            if len(self._writers_by_text) >= _MAX_WRITERS:
                self._writers_by_text.clear()
                self._writers = Memo()
            snapshot = self._hardware.snapshot(host, ended.process, settings, ended.place)
            writer = self._writers_by_text[key] = CrateWriter(snapshot, settings, share=True)
        return self._writers.keep(writer, ended.process, ended.settings, ended.place, host)
