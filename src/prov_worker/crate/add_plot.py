"""Plots of one task: its CPU use, beside that of its node and what it was allowed, and its resident memory.

Two ways to the same picture: PNG by matplotlib (:func:`render_png`), and SVG written by hand (:func:`render_svg`).
Rendering happens outside the task's path, never in a worker. :func:`add_plot` adds one to a published crate,
:func:`draw` gives it alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prov_worker.crate import vocabulary as v
from prov_worker.crate.entities import document_of
from prov_worker.crate.entities import file as file_entity
from prov_worker.crate.graph import load_graph, reference_ids
from prov_worker.crate.identifiers import local_path
from prov_worker.crate.plot_caption import Caption, details, ending, title
from prov_worker.crate.plot_data import curve
from prov_worker.crate.plot_png import render_png
from prov_worker.crate.plot_svg import render_svg
from prov_worker.crate.preview import write_metadata
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.series_json import CPU_COLUMN
from prov_worker.crate.sources import DirectorySource, Source, source_of
from prov_worker.crate.summary import number
from prov_worker.crate.summary_reader import step_of
from prov_worker.crate.writer import Plot, plot_file
from prov_worker.errors import CrateError, InputError
from prov_worker.files import write_file
from prov_worker.model import COMPLETED

__all__ = ["KINDS", "add_plot", "draw", "render_png", "render_svg", "sealing_run"]

_EXIT_STATUS, _TIME_LIMIT = "#failure-exit-status", "#function-time-limit"
KINDS = {"png": "cpu_usage.png", "svg": "cpu_usage.svg"}


def draw(step: StepCrate, kind: str = "png") -> bytes:
    """Draw the CPU use of a crate's task.

    Args:
        step: the crate.
        kind: ``png`` or ``svg``.

    Returns:
        The image.

    Raises:
        CrateError: there are no samples, or they cannot be read.
        InputError: unknown kind.
    """
    _check(kind)
    series = step.series()
    if v.CPU_OBSERVATION not in step.entities or curve(series.task, CPU_COLUMN) is None:
        raise CrateError(step.source.where, "no CPU sample was taken while the task ran, so there is nothing to draw")
    caption = _caption(step)
    return render_png(series, caption) if kind == "png" else render_svg(series, caption)


def _caption(crate: StepCrate) -> Caption:
    """Return the caption of a crate's plot: that of the record which the crate was made of."""
    step = step_of(crate, b"")
    values = {name: crate.entities.get(name, {}).get("value") for name in (_EXIT_STATUS, _TIME_LIMIT)}
    reason = ending(step.failure_kind, step.failure_type, step.failure_signal, values[_EXIT_STATUS])
    return Caption(
        title(step.function, step.task_id, step.attempt, step.status),
        details(step.start_ns, step.wall_s, step.host),
        end_s=step.wall_s,
        ending=reason if step.status != COMPLETED else "",
        limit_s=number(values[_TIME_LIMIT]),
        cpus_allowed=step.cpus_allowed,
    )


def add_plot(crate: Path | str | Source, kind: str = "png") -> Path:
    """Draw the CPU use of a crate's task into the crate.

    The image is written first; then one replacement of the metadata brings the File, its place in ``hasPart`` and the
    ``image`` of the observation, and takes away the note that there is none. A crate that has its plot already is left
    as it is.

    Args:
        crate: as :meth:`prov_worker.crate.reader.StepCrate.open` takes it.
        kind: ``png`` or ``svg``.

    Returns:
        Path of the plot.

    Raises:
        CrateError: no step crate, no samples, or nothing can be added: it is in a zip file, or a run crate has sealed
            it.
        InputError: unknown kind.
        OSError: the file system refused.
    """
    _check(kind)
    source = source_of(crate) if isinstance(crate, (Path, str)) else crate
    if not isinstance(source, DirectorySource):
        raise CrateError(source.where, "is in a zip file, so nothing can be added")
    graph = load_graph(source)
    step = StepCrate(source, graph)
    observation = step.entities.get(v.CPU_OBSERVATION)
    present = reference_ids(observation.get("image")) if observation is not None else []
    crate = source.path
    if present:
        return crate / (local_path(present[0]) or present[0])
    sealed_by = sealing_run(crate)
    if sealed_by is not None:
        raise CrateError(crate, f"sealed by the run crate {sealed_by}, so nothing can be added")
    if graph != load_graph(source, as_written=True):
        raise CrateError(crate, "its ids are not as prov-worker writes them, so nothing can be added")
    data = draw(step, kind)
    image = plot_file(Plot(KINDS[kind], data))
    observation = step.entities[v.CPU_OBSERVATION]

    (crate / v.IMAGE_DIR).mkdir(exist_ok=True)
    write_file(crate / image.path, image.data)
    observation["image"] = {"@id": image.identifier}
    root = step.entities["./"]
    root["hasPart"] = [{"@id": name} for name in [*reference_ids(root.get("hasPart")), image.identifier]]
    entity: dict[str, Any] = json.loads(
        file_entity(
            image.identifier,
            image.name,
            image.description,
            image.media_type,
            len(image.data),
            image.sha256,
            v.CPU_OBSERVATION,
        )
    )
    _forget_absence(step)
    kept = [each for each in graph if each["@id"] != v.PLOT_ABSENT]
    write_metadata(crate, document_of([*kept, entity]))
    return crate / image.path


def _forget_absence(step: StepCrate) -> None:
    """Take the reference to the note that there is no plot out of the action."""
    properties = step.action.get("additionalProperty")
    if isinstance(properties, list):
        step.action["additionalProperty"] = [each for each in properties if each != {"@id": v.PLOT_ABSENT}]


def _check(kind: str) -> None:
    if kind not in KINDS:
        raise InputError(f"kind: expected one of {', '.join(KINDS)}; got {kind!r}")


def sealing_run(crate: Path) -> Path | None:
    """Return the run crate around a step crate that holds the hash of its metadata; None if there is none."""
    metadata = crate.absolute() / v.METADATA_FILE
    for parent in crate.absolute().parents[:3]:
        if not (parent / v.METADATA_FILE).is_file():
            continue
        inside = metadata.relative_to(parent).as_posix()
        for entity in load_graph(DirectorySource(parent), run=True):
            if local_path(entity["@id"]) == inside and entity.get("sha256"):
                return parent
    return None
