"""What a daemon was started with, and what has changed since."""

from __future__ import annotations

import os
import sys
import venv
from pathlib import Path

import pytest

from prov_worker.fleet import fleetfile, launch
from prov_worker.fleet.fleetfile import Fleet
from prov_worker.fleet.launch import Launch


def test_each_change_is_named(fleet: Fleet, endpoint: Path) -> None:
    (endpoint / "config.yaml").write_text("a\n")
    credentials = fleet.file.parent / "credentials"
    fleet.file.write_text(fleet.file.read_text() + "credentials: credentials\n")
    spec = fleetfile.read().endpoints[0]
    credentials.write_text("GLOBUS_COMPUTE_CLIENT_ID=a\n")
    before = Launch.now(spec)
    assert before.changes(Launch.now(spec)) == []
    (endpoint / "config.yaml").unlink()
    assert before.changes(Launch.now(spec)) == ["configuration"]
    (endpoint / "config.yaml").write_text("")
    assert before.changes(Launch.now(spec)) == ["configuration"]
    credentials.write_text("GLOBUS_COMPUTE_CLIENT_ID=b\n")
    assert before.changes(Launch.now(spec)) == ["configuration", "credentials"]
    assert Launch().changes(Launch.now(spec)) == ["unknown"]
    assert "GLOBUS" not in repr(before)


def test_the_environment_of_a_link_is_what_it_leads_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("1", "2"):
        venv.create(tmp_path / version, with_pip=False)
    link = tmp_path / "current"
    link.symlink_to("1")
    monkeypatch.setattr(sys, "prefix", str(link))
    before = launch.software()
    assert before.endswith(f" in {os.path.realpath(tmp_path / '1')}")
    link.unlink()
    link.symlink_to("2")
    assert launch.environment() == os.path.realpath(tmp_path / "2")
    assert launch.software() != before
