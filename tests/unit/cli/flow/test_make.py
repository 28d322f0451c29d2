"""``prov-worker flow make``: files that are written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prov_worker.cli.main import run

SPEC = "inputs: {a: collection, b: collection}\nsteps:\n  - name: move\n    transfer: {from: a, to: b}\n"


def test_three_files_are_made_and_a_second_run_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "flow.yaml"
    spec.write_text(SPEC)
    assert run(["flow", "make", str(spec), "--dry-run"]) == 0
    assert "definition.json: would be made" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["flow.yaml"]
    assert run(["flow", "make", str(spec)]) == 0
    assert run(["flow", "check", str(tmp_path / "definition.json"), str(tmp_path / "schema.json"), "--strict"]) == 0
    capsys.readouterr()
    assert run(["flow", "make", str(spec)]) == 0
    assert capsys.readouterr().out.count("unchanged") == 3


def test_what_a_person_has_filled_in_is_kept_and_what_differs_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, template = tmp_path / "flow.yaml", tmp_path / "input.json.j2"
    spec.write_text(SPEC)
    template.write_text("mine")
    assert run(["flow", "make", str(spec)]) == 0
    assert f"{template}: kept" in capsys.readouterr().out
    assert template.read_text() == "mine"
    spec.write_text(SPEC.replace("name: move", "name: copy"))
    before = (tmp_path / "definition.json").read_text()
    assert run(["flow", "make", str(spec)]) == 2
    assert "definition.json: is there already and differs" in capsys.readouterr().err
    assert (tmp_path / "definition.json").read_text() == before
    assert run(["flow", "make", str(spec), "--overwrite"]) == 0
    assert json.loads((tmp_path / "definition.json").read_text())["StartAt"] == "copy"


def test_nothing_is_written_if_the_spec_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "flow.yaml"
    spec.write_text(SPEC.replace("to: b", "to: c"))
    assert run(["flow", "make", str(spec), "-o", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith(f"prov-worker: {spec}:4: steps[0].transfer.to: there is no input 'c'")
    assert not (tmp_path / "out").exists()


def test_the_flow_is_json_for_another_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "flow.yaml"
    spec.write_text(SPEC)
    assert run(["flow", "make", str(spec), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"definition", "schema", "template"}
