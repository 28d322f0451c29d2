"""A crate, or a run of them, as W3C PROV: PROV-JSON, PROV-N, Turtle, and a picture.

What becomes of which entity is in :mod:`prov_worker.run.export.prov_mapping`. Needs the ``prov`` library (extra
``prov``); pictures need graphviz' ``dot`` besides.
"""

from __future__ import annotations

import hashlib
import io
import uuid
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from prov_worker.crate import vocabulary as v
from prov_worker.crate.bounds import MAX_RUN_BYTES
from prov_worker.crate.graph import graph_of, load_graph
from prov_worker.crate.sources import DirectorySource, read
from prov_worker.errors import ODD, CrateError, InputError, blaming
from prov_worker.files import atomic_write
from prov_worker.run.api import RunRecord
from prov_worker.run.export import Advance, exporter
from prov_worker.run.export.prov_mapping import Mapping, encoded, missing_library
from prov_worker.run.model import Problem

if TYPE_CHECKING:
    from prov.model import ProvDocument

#: Format of a command line, and name and options of the ``prov`` library's serialiser for it.
FORMATS: dict[str, tuple[str, dict[str, str]]] = {
    "prov-json": ("json", {}),
    "prov-n": ("provn", {}),
    "turtle": ("rdf", {"rdf_format": "turtle"}),
}
#: More records than this are no picture that anybody can read, and graphviz takes minutes for them.
PICTURE_LIMIT = 1500


def run_document(
    run: RunRecord,
    tasks: set[str] | None = None,
    *,
    facts: bool = True,
    advance: Advance | None = None,
    trial: Callable[[ProvDocument], object] | None = None,
) -> ProvDocument:
    """Return the provenance of a run crate, a step crate, or a directory of step crates.

    Args:
        run: the run. Of a run crate the steps are read too, and their entities are those of the run. Crates that
            cannot be read are in ``run.problems``.
        tasks: ids of tasks; others are left out. None takes all.
        facts: false leaves out environment, totals and what lies in a Dataset without being used or made: what a
            picture has no space for.
        advance: called for steps that have been read.
        trial: called with a document of each step alone; one of which it, or the mapping, makes nothing is left out,
            and is in ``run.problems``.

    Raises:
        CrateError: the metadata of the run crate cannot be read.
        InputError: the ``prov`` library is missing, or there is no crate.
    """
    mapping = Mapping(facts)
    base = None
    if run.is_run_crate:
        metadata = read(DirectorySource(run.path), v.METADATA_FILE, MAX_RUN_BYTES)
        base = _base(metadata)
        if tasks is None and run.selection is None:
            mapping.add(load_graph(DirectorySource(run.path), run=True), base)
    for source in run.sources():
        if tasks is not None and v.split_key(source.key)[0] not in tasks:
            continue
        try:
            metadata = read(source, v.METADATA_FILE)
            graph = graph_of(source, metadata)
            name = encoded(v.step_id(source.key)).rstrip("/")
            start = _base(metadata) if base is None else f"{base}{name}/"
            if trial is not None:
                with blaming(source.where):
                    alone = Mapping(facts)
                    alone.add(graph, start)
                    trial(alone.document)
        except CrateError as error:
            run.problems.append(Problem.of(source.where, error))
            continue
        mapping.add(graph, start)
        if advance is not None:
            advance(1)
    if not mapping.filled:
        raise run.nothing(chosen=tasks is not None)
    return mapping.document


def _write(
    to: str, run: RunRecord, target: Path, *, tasks: set[str] | None = None, advance: Advance | None = None
) -> int:
    facts = to != "prov-svg"
    try:
        document = run_document(run, tasks, facts=facts, advance=advance)
        content = _content(to, document)
    except ODD:
        # One step is to blame: with each tried alone first, it is named, and the others are written.
        document = run_document(run, tasks, facts=facts, trial=partial(_content, to))
        content = _content(to, document)
    with atomic_write(target) as path:
        path.write_bytes(content)
    return len(list(document.get_records()))


def _content(to: str, document: ProvDocument) -> bytes:
    if to == "prov-svg":
        return picture(document)
    name, options = FORMATS[to]
    stream = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # rdflib's, about itself
        document.serialize(stream, format=name, **options)
    return stream.getvalue().encode()


for _name, _suffix, _summary in (
    ("prov-json", "prov.json", "W3C PROV as PROV-JSON"),
    ("prov-n", "provn", "W3C PROV as PROV-N"),
    ("turtle", "ttl", "W3C PROV as RDF, in Turtle"),
    ("prov-svg", "prov.svg", "a drawing of the W3C PROV graph, by graphviz"),
):
    exporter(_name, suffix=_suffix, counts="records", summary=_summary)(partial(_write, _name))


def picture(document: ProvDocument) -> bytes:
    """Return the graph as SVG, drawn by graphviz.

    Raises:
        InputError: graphviz is missing, or there are more than :data:`PICTURE_LIMIT` records.
    """
    try:
        from prov.dot import prov_to_dot
    except ImportError as error:
        raise missing_library(error) from None
    count = len(list(document.get_records()))
    if count > PICTURE_LIMIT:
        raise InputError(
            f"prov-svg: {count} records are too many for a picture (limit {PICTURE_LIMIT}); name tasks with --task"
        )
    # From left to right: a task has many inputs and outputs, and a page can be scrolled down.
    dot = prov_to_dot(
        document, direction="RL", use_labels=True, show_element_attributes=False, show_relation_attributes=False
    )
    try:
        svg = dot.create_svg()
    except FileNotFoundError:
        raise InputError("prov-svg: needs graphviz: the program dot is not here (apt-get install graphviz)") from None
    assert isinstance(svg, bytes)
    return svg


def _base(metadata: bytes) -> str:
    """Return where a crate's relative ids start, after ``arcp://uuid,``: a UUID that is the crate's own, and a slash.

    It comes of the metadata's content, so that it is the same wherever the crate lies, and that two attempts at a task
    differ.
    """
    return f"{uuid.uuid5(uuid.NAMESPACE_URL, v.NAMESPACE + hashlib.sha256(metadata).hexdigest())}/"
