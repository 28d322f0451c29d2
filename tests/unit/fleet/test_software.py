"""A process that stays notices an upgrade."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from prov_worker.fleet import launch, software
from prov_worker.fleet.software import Software


def test_it_notices_that_its_environment_was_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
    link = tmp_path / "current"
    link.symlink_to("1")
    monkeypatch.setattr(sys, "prefix", str(link))
    present = Software()
    assert not present.is_replaced()
    link.unlink()
    link.symlink_to("2")
    assert present.is_replaced()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone" / "python"))
    assert not present.is_replaced(), "there is nothing to begin again from"


def test_packages_that_are_replaced_are_at_rest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "_CHECK_S", -1.0)
    present = Software()
    monkeypatch.setattr(launch, "software", lambda: "a newer one")
    assert not present.is_replaced()
    monkeypatch.setattr(software, "_AT_REST_S", 0.0)
    assert present.is_replaced()
