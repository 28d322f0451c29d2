"""Crates of triggers that lie among step crates are passed over by all that read steps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from prov_worker.cli.main import run as cli
from prov_worker.crate.sources import find_sources
from prov_worker.testing import CrateFactory
from prov_worker.trigger.record import write_crate
from prov_worker.trigger.watcher import Settled

_NS = 1_790_000_000_000_000_000


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A directory with one step crate, and two of triggers: one with its own name, one with a name of a crate."""
    factory = CrateFactory(tmp_path / "crates")
    factory.add(1, "read")
    (tmp_path / "run1").mkdir()
    folder = Settled(tmp_path / "run1", 2, 30, _NS, _NS + 60, "content")
    trigger = write_crate(factory.directory, folder, "key-1", {"command": "true", "exit": 0})
    shutil.copytree(trigger, factory.directory / "renamed.crate")
    return factory.directory


def trigger_in(directory: Path) -> Path:
    return next(directory.glob("*.trigger.crate"))


def test_what_reads_step_crates_passes_them_over(mixed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["list", str(mixed), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1
    assert cli(["check", str(mixed), "--no-validator"]) == 0
    assert "1 crate checked" in capsys.readouterr().out
    assert cli(["run", "assemble", str(mixed), "-o", str(mixed.parent / "run.crate"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["attempts"] == 1
    assert cli(["run", "index", str(mixed), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["total"] == 1
    assert capsys.readouterr().err == ""


def test_a_zip_of_them_all_gives_its_steps(mixed: Path, tmp_path: Path) -> None:
    path = shutil.make_archive(str(tmp_path / "all"), "zip", mixed)
    sources = list(find_sources(Path(path), lambda where, error: pytest.fail(f"{where}: {error}")))
    assert [source.key for source in sources] == [source.key for source in find_sources(mixed, lambda *_: None)]
    assert len(sources) == 1


def test_one_that_is_named_is_told_apart(mixed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trigger = trigger_in(mixed)
    assert cli(["list", str(trigger)]) == 2
    assert capsys.readouterr().err == f"prov-worker: {trigger}: not a step crate, nor a directory with step crates\n"
    assert cli(["show", str(trigger)]) != 0
    assert capsys.readouterr().err == f"prov-worker: {trigger}: the crate of a trigger, not a step crate\n"


def test_a_step_that_mentions_a_trigger_is_a_step(mixed: Path) -> None:
    (step,) = find_sources(mixed, lambda *_: None)
    path = step.path / "ro-crate-metadata.json"
    document = json.loads(path.read_text())
    document["@graph"].append({"@id": "#trigger", "@type": "ActivateAction", "name": "another's"})
    path.write_text(json.dumps(document))
    step.path.rename(mixed / "by-another-name.crate")
    assert [source.key for source in find_sources(mixed, lambda *_: None)] == ["by-another-name"]
