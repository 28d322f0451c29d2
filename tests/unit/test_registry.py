"""Registries: what a module registers, in which order, and what is imported when."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

import prov_worker
from prov_worker.registry import Registry
from support.commands import run_python


@pytest.fixture
def things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package ``prov_worker.things_of_a_test`` with two modules that register themselves, and one that does not."""
    package = tmp_path / "things_of_a_test"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from prov_worker.registry import Registry\n"
        "LOADED = []\n"
        "THINGS = Registry('prov_worker.things_of_a_test')\n"
        "NAMED = Registry('prov_worker.things_of_a_test', named=True)\n"
    )
    for name, rank in (("late", 2), ("soon", 1)):
        (package / f"{name}.py").write_text(
            "from prov_worker.things_of_a_test import LOADED, NAMED, THINGS\n"
            f"LOADED.append('{name}')\n"
            f"THINGS.add('{name}', '{name.upper()}', rank={rank})\n"
            f"NAMED.add('{name}', '{name.upper()}', default={name == 'soon'})\n"
        )
    (package / "helper.py").write_text("")
    (package / "notes.txt").write_text("no module\n")
    monkeypatch.setattr(prov_worker, "__path__", [*prov_worker.__path__, str(tmp_path)])
    yield package
    for name in [name for name in sys.modules if name.startswith("prov_worker.things_of_a_test")]:
        del sys.modules[name]
    del prov_worker.things_of_a_test


def test_modules_register_themselves_in_the_order_of_their_ranks(things: Path) -> None:
    from prov_worker import things_of_a_test

    registry: Registry[str] = things_of_a_test.THINGS
    assert things_of_a_test.LOADED == []
    assert registry.items() == [("soon", "SOON"), ("late", "LATE")]
    assert list(registry) == ["SOON", "LATE"]
    assert (len(registry), registry.names(), registry["late"]) == (2, ("soon", "late"), "LATE")
    assert "helper" not in registry
    assert things_of_a_test.LOADED == ["late", "soon"]


def test_names_of_a_named_registry_are_its_modules(things: Path) -> None:
    from prov_worker import things_of_a_test

    (things / "helper.py").unlink()
    registry: Registry[str] = things_of_a_test.NAMED
    assert registry.names() == ("late", "soon")
    assert "late" in registry
    assert "never" not in registry
    assert things_of_a_test.LOADED == []
    assert registry["soon"] == "SOON"
    assert things_of_a_test.LOADED == ["soon"]
    assert registry.default_names() == ("soon",)
    with pytest.raises(KeyError):
        registry["never"]


def test_a_temporary_thing_stands_in_for_another(things: Path) -> None:
    from prov_worker import things_of_a_test

    registry: Registry[str] = things_of_a_test.THINGS
    with registry.temporary("late", "OTHER", rank=0), registry.temporary("new", "NEW", rank=3):
        assert registry.items() == [("late", "OTHER"), ("soon", "SOON"), ("new", "NEW")]
    assert registry.items() == [("soon", "SOON"), ("late", "LATE")]


def test_a_package_in_a_zip_file_has_its_modules(tmp_path: Path) -> None:
    source = Path(prov_worker.__file__).parent
    archive = tmp_path / "prov_worker.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in source.rglob("*.py"):
            zipped.write(path, f"prov_worker/{path.relative_to(source)}")
    code = (
        f"import sys; sys.path.insert(0, {str(archive)!r})\n"
        "from prov_worker import schedulers, settings\n"
        "print(schedulers.__file__, schedulers.SCHEDULERS.names(), settings.PROBES.names())"
    )
    done = run_python("-I", "-S", "-c", code, check=True)
    assert done.stdout.startswith(str(archive))
    assert "('pbs', 'slurm') ('cpu', 'energy', 'environment', 'gpu', 'memory', 'scheduler', 'storage')" in done.stdout
