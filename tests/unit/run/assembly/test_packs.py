"""Run crates of step crates that lie in packs."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest

from prov_worker.crate import vocabulary as v
from prov_worker.crate.packs.conversion import pack
from prov_worker.crate.packs.offsets import offsets_path
from prov_worker.run.assembly import assemble as module
from prov_worker.run.assembly.assemble import assemble
from prov_worker.run.assembly.model import Options
from prov_worker.run.assembly.verify import verify
from prov_worker.run.index.mapping import map_processes, map_serial
from prov_worker.run.selection import Filters, Selection
from prov_worker.testing import CrateFactory


@pytest.mark.parametrize("growing", [False, True])
def test_a_zip_of_packs_is_that_of_their_directories(
    workflow_crates: CrateFactory, tmp_path: Path, growing: bool
) -> None:
    """Members are copied as they are stored, and the run says the same of them."""
    packs = tmp_path / "packs"
    pack(workflow_crates.directory, packs, keep=True, progress=lambda done, total: None)
    if growing:
        reopen(next(packs.iterdir()))
    options = Options(zip=True, name="run")
    made = assemble([packs], tmp_path / "packed.zip", options)
    plain = assemble([workflow_crates.directory], tmp_path / "plain.zip", options)
    assert made.problems == []
    assert (made.steps, made.files, made.tasks) == (plain.steps, plain.files, plain.tasks)
    assert verify(tmp_path / "packed.zip").changes == []
    contents = []
    for name in ("packed.zip", "plain.zip"):
        with zipfile.ZipFile(tmp_path / name) as archive:
            assert archive.testzip() is None
            contents.append({info.filename: archive.read(info) for info in archive.infolist()})
    steps = [{name: data for name, data in content.items() if name.startswith("steps/")} for content in contents]
    assert steps[0] == steps[1]
    assert contents[0]["manifest-sha256.txt"].count(b"\n") == contents[1]["manifest-sha256.txt"].count(b"\n")


def test_several_processes_read_packs_as_one_does(
    workflow_crates: CrateFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packs = tmp_path / "packs"
    pack(workflow_crates.directory, packs, keep=True, progress=lambda done, total: None)
    monkeypatch.setattr(module, "_FEW_PIECES", 1)
    results = []
    for name, mapper in (("one", map_serial), ("two", map_processes(2))):
        made = assemble([packs], tmp_path / name, Options(zip=True, name="run"), mapper=mapper)
        with zipfile.ZipFile(tmp_path / name) as archive:
            names = archive.namelist()
            graph = json.loads(archive.read(v.METADATA_FILE))["@graph"]
        for entity in graph:
            if entity["@id"] in ("./", v.README_FILE, v.PREVIEW_FILE):
                entity.clear()  # with the moment at which it was assembled
        results.append((made.steps, made.tasks, made.links, made.files, names, graph))
        assert verify(tmp_path / name).changes == []
    assert results[0] == results[1]
    selection = Selection(Filters(status="failed"))
    made = assemble([packs], tmp_path / "f", Options(zip=True, selection=selection), mapper=map_processes(2))
    assert made.steps == made.failed == 2


def test_members_keep_their_compressed_bytes(workflow_crates: CrateFactory, tmp_path: Path) -> None:
    packs = tmp_path / "packs"
    pack(workflow_crates.directory, packs, keep=True, progress=lambda done, total: None)
    assemble([packs], tmp_path / "packed.zip", Options(zip=True))
    with zipfile.ZipFile(next(packs.iterdir())) as before, zipfile.ZipFile(tmp_path / "packed.zip") as after:
        stored = {info.filename: (info.CRC, info.compress_size) for info in after.infolist()}
        for info in before.infolist():
            assert stored[f"steps/{info.filename}"] == (info.CRC, info.compress_size)


def test_attempts_in_packs_get_their_names_in_a_zip(tmp_path: Path) -> None:
    factory = CrateFactory(tmp_path / "crates")
    factory.add(1, error="no", attempt=1)
    factory.add(1, attempt=2, offset_s=9)
    pack(factory.directory, tmp_path / "packs", keep=True, progress=lambda done, total: None)
    made = assemble([tmp_path / "packs"], tmp_path / "RUN.zip", Options(zip=True))
    assert (made.steps, made.tasks, made.failed) == (2, 1, 0)
    assert verify(tmp_path / "RUN.zip").changes == []


def reopen(path: Path) -> None:
    """Make a growing pack of a closed one."""
    with zipfile.ZipFile(path) as archive:
        end = archive.start_dir
    part = path.rename(f"{path}.part")
    os.truncate(part, end)
    offsets_path(part).write_bytes(b"prov_worker pack 1 elsewhere~0~1~1\n%d\n" % end)
