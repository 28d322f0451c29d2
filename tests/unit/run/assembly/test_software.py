"""Bills of materials go into a run crate with the steps that name them."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.cli.main import run as cli
from prov_worker.crate.packs.conversion import pack
from prov_worker.crate.vocabulary import bill_name
from prov_worker.run.assembly.assemble import assemble
from prov_worker.run.assembly.model import Options
from prov_worker.run.assembly.verify import verify
from prov_worker.run.collect.rsync import collect
from prov_worker.testing import CrateFactory


@pytest.fixture
def crates(billed: Callable[..., CrateFactory], tmp_path: Path) -> Path:
    """Two steps of one environment, one of another."""
    for name, bill, tasks in (("a", b'{"a":1}', (1, 2)), ("b", b'{"b":1}', (3,))):
        factory = billed(tmp_path / "crates" / name, bill)
        for task in tasks:
            factory.add(task)
    return tmp_path / "crates"


def bills(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run / "software").iterdir()}


def test_each_bill_is_there_once_and_sealed(crates: Path, tmp_path: Path) -> None:
    run = tmp_path / "RUN.crate"
    result = assemble([crates / "a", crates / "b"], run)
    assert (result.steps, result.software, result.without_software) == (3, 2, 0)
    assert result.files == sum(1 for path in run.rglob("*") if path.is_file())
    beside = {path.name: path.read_bytes() for path in crates.glob("*/.software/*")}
    assert bills(run) == beside
    entities = {entity["@id"]: entity for entity in json.loads((run / "ro-crate-metadata.json").read_text())["@graph"]}
    for name in beside:
        file = entities[f"software/{name}"]
        assert (file["sha256"], file["encodingFormat"]) == (name[:64], "application/vnd.cyclonedx+json")
        assert {"@id": f"software/{name}"} in entities["./"]["hasPart"]
    assert verify(run).changes == []
    (run / "software" / name).write_bytes(b"{}")
    assert [change.path for change in verify(run).changes] == [f"software/{name}"]


@pytest.mark.parametrize("place", [".software", ".software-1000"])
@pytest.mark.parametrize("form", ["run", "zip of a run", "packs", "zip of a directory", "collected"])
def test_bills_are_found_wherever_the_crates_are(crates: Path, tmp_path: Path, form: str, place: str) -> None:
    source = crates / "a"
    (source / ".software").rename(source / place)
    if form in ("run", "zip of a run"):
        source = tmp_path / ("first.zip" if form == "zip of a run" else "first.crate")
        assemble([crates / "a"], source, Options(zip=form == "zip of a run"))
    elif form == "packs":
        pack(crates / "a", tmp_path / "packed", keep=True, progress=lambda done, total: None)
        source = tmp_path / "packed"
    elif form == "collected":
        source = tmp_path / "home"
        assert collect([str(crates)], source).problems == []
        source /= "a"
    else:
        source = tmp_path / "many.zip"
        shutil.make_archive(str(tmp_path / "many"), "zip", crates / "a")
        with zipfile.ZipFile(source) as archive:
            assert any(name.startswith(f"{place}/") for name in archive.namelist())
    result = assemble([source], tmp_path / "RUN.crate")
    assert (result.steps, result.software, result.without_software) == (2, 1, 0)
    assert list(bills(tmp_path / "RUN.crate").values()) == [b'{"a":1}']


def test_bills_come_out_of_packs_with_their_crates(crates: Path, tmp_path: Path) -> None:
    packed, out = tmp_path / "packed", tmp_path / "out"
    pack(crates / "a", packed, keep=True, progress=lambda done, total: None)
    (packed / ".software" / bill_name("0" * 64)).write_bytes(b"another one by its content")
    assert cli(["unpack", str(packed), "-o", str(out)]) == 0
    kept = {path.name: path.read_bytes() for path in (crates / "a/.software").iterdir()}
    assert {path.name: path.read_bytes() for path in (out / ".software").iterdir()} == kept
    result = assemble([out], tmp_path / "RUN.crate")
    assert (result.steps, result.software, result.without_software) == (2, 1, 0)


def test_a_bill_that_is_missing_or_another_is_named(
    crates: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bill,) = (crates / "a/.software").iterdir()
    bill.write_bytes(b'{"a":2}')
    assert cli(["run", "assemble", str(crates / "a"), "-o", str(tmp_path / "RUN.crate")]) == 0
    assert "software: 2 steps name a bill of materials that is not beside the crates" in capsys.readouterr().out
    assert not (tmp_path / "RUN.crate/software").exists()
