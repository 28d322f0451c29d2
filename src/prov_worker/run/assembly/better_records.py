"""Steps of a sealed run of which a better record has come since: a verdict, and the end of that very attempt."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.bounds import MAX_METADATA_BYTES
from prov_worker.crate.publish import Attempt, parse_attempt, published
from prov_worker.files import read_regular


@dataclass(frozen=True, slots=True)
class Better:
    """A better record.

    Attributes:
        step: path of the step crate in the run.
        crate: the crate that has the end of its task.
    """

    step: str
    crate: Path


def better_records(run: Path, directories: Sequence[Path]) -> list[Better]:
    """Find crates that replaced what a run has sealed.

    Args:
        run: a run crate, directory or zip.
        directories: where crates are; what is in directories of these is looked at too.
    """
    places = [place for directory in directories for place in (directory, *_inside(directory)) if place != run]
    better = []
    for step, attempt in _verdicts(run):
        for place in places:
            other = published(place, attempt)
            if other is not None and attempt.gives_way_to(other[1]):
                better.append(Better(step, other[0]))
                break
    return better


def _inside(directory: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return []
    return [
        directory / name
        for name in names
        if not name.startswith(".") and not name.endswith(v.CRATE_SUFFIX) and (directory / name).is_dir()
    ]


def _verdicts(run: Path) -> Iterator[tuple[str, Attempt]]:
    for step, metadata in _zipped(run) if run.is_file() else _listed(run):
        # most steps have no failure: theirs need not be parsed
        attempt = parse_attempt(metadata) if b"#failure-kind" in metadata else None
        if attempt is not None and attempt.verdict:
            yield step, attempt


def _listed(run: Path) -> Iterator[tuple[str, bytes]]:
    for crate in sorted((run / v.STEPS_DIR).glob(f"*{v.CRATE_SUFFIX}")):
        try:
            yield f"{v.STEPS_DIR}/{crate.name}", read_regular(crate / v.METADATA_FILE, MAX_METADATA_BYTES)
        except OSError:
            continue  # the comparison with the seal names it


def _zipped(run: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(run) as archive:
        for info in archive.infolist():
            step, _, name = info.filename.rpartition("/")
            if name != v.METADATA_FILE or not step.startswith(f"{v.STEPS_DIR}/") or info.file_size > MAX_METADATA_BYTES:
                continue
            try:
                yield step, archive.read(info)
            except (OSError, zipfile.BadZipFile, RuntimeError, ValueError, EOFError):
                continue  # as above
