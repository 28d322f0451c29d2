"""A run as one zip with a page about it (``ro-crate-preview.html``), written by ro-crate-py: ready to be deposited.

The run crate is rewritten by the library, so its seal does not cover the result and is left out; the sealed crate
stays the evidence. Step crates that were not assembled yet are assembled first.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.community import open_crate
from prov_worker.files import atomic_write
from prov_worker.run.api import RunRecord
from prov_worker.run.assembly.assemble import assemble
from prov_worker.run.assembly.model import Options
from prov_worker.run.export import Advance, exporter

_SEALS = (v.MANIFEST_FILE, v.SEAL_FILE, v.SIGNATURE_FILE)


@exporter("ro-crate", suffix="ro-crate.zip", counts="entities", summary="one zip with a page about it, by ro-crate-py")
def write_ro_crate(
    run: RunRecord, target: Path, *, tasks: set[str] | None = None, advance: Advance | None = None
) -> int:
    """Write the run as a zip with a preview. Needs the ``crate`` extra."""
    from rocrate.model.preview import Preview

    with _run_crate(run, target, tasks, advance) as path:
        crate = open_crate(path)
        for name in _SEALS:
            entity = crate.dereference(name)
            if entity is not None:
                crate.delete(entity)
        # The library copies files that no entity describes too.
        crate.exclude = list(_SEALS)
        # The page of the run crate holds metadata that are no more.
        if crate.preview is not None:
            crate.delete(crate.preview)
        crate.add(Preview(crate))
        with (
            atomic_write(target) as part,
            tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as place,
        ):
            # Up to 0.13 the library writes NAME.zip, whatever it is asked for.
            archive = Path(place) / "run.zip"
            crate.write_zip(archive)
            with archive.open("rb") as source, part.open("wb") as sink:
                shutil.copyfileobj(source, sink)
        return len(list(crate.get_entities()))


@contextmanager
def _run_crate(run: RunRecord, target: Path, tasks: set[str] | None, advance: Advance | None) -> Iterator[Path]:
    """Give the run crate itself, or one that is assembled of the chosen steps next to the target."""
    if run.is_run_crate and tasks is None and run.selection is None:
        yield run.path
        return
    chosen = list(dict.fromkeys(Path(step.crate) for step in run.steps() if tasks is None or step.task_id in tasks))
    if not chosen:
        raise run.nothing(chosen=tasks is not None)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as directory:
        path = Path(directory) / v.crate_name(run.name)
        result = assemble(chosen, path, Options(name=run.name))
        run.problems += result.problems
        if advance is not None:
            advance(result.steps)
        yield path
