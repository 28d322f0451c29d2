"""Layers: a package imports only packages in lower layers, and what runs in a worker only the standard library."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.commands import run_python

SOURCE = Path(__file__).parents[2] / "src"
PACKAGE = SOURCE / "prov_worker"

LAYERS = {
    "accelerators": -4,
    "accelerator_variables": -5,
    "arrivals": -3,
    "code_form": -3,
    "counters": -4,
    "errors": -3,
    "finding": -3,
    "interpreter": -3,
    "mountinfo": -3,
    "open_flags": -3,
    "printable": -3,
    "processes": -4,
    "programs": -3,
    "registry": -3,
    "setting_values": -3,
    "training": -4,
    "variables": -3,
    "containers": -2,
    "capture_settings": -2,
    "attempt": -4,
    "model": -3,
    "telemetry_settings": -1,
    "schedulers": -2,  # settings name their variables
    "worker_settings": -1,
    "settings": 0,
    "redact": 0,
    "files": 0,
    "humanize": 0,
    "moments": 0,
    "interruptions": 0,
    "locks": -2,
    "sandbox": 0,
    "stream_url": -2,
    "yamlfile": 0,
    "prometheus": 0,
    "spool": 1,
    "crate": 1,
    "probes": 1,
    "agent": 2,
    "recorder": 2,
    "live": 3,
    "run": 3,
    "stream": 3,
    "capture": 4,
    "globus": 4,
    "flow": 5,
    "sites": 5,
    "rerun": 5,
    "demo": 5,
    "localservice": 6,
    "fleet": 6,
    "trigger": 6,
    "jobs": 6,  # runs the engine of a site
    "diagnose": 6,
    "cli": 7,
    "testing": 7,  # nothing imports it
    "__main__": 8,
}
STANDARD_LIBRARY_ONLY = {
    "accelerator_variables",
    "accelerators",
    "arrivals",
    "capture_settings",
    "code_form",
    "containers",
    "counters",
    "errors",
    "files",
    "finding",
    "humanize",
    "moments",
    "attempt",
    "model",
    "mountinfo",
    "interruptions",
    "locks",
    "open_flags",
    "printable",
    "processes",
    "programs",
    "recorder",
    "redact",
    "registry",
    "sandbox",
    "schedulers",
    "setting_values",
    "settings",
    "spool",
    "stream_url",
    "telemetry_settings",
    "training",
    "variables",
    "worker_settings",
}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def package_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute name of everything that a module imports, at its head and inside its functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            assert node.module is not None
            if node.module == "prov_worker":
                for alias in node.names:
                    yield node.lineno, f"prov_worker.{alias.name}"
            else:
                yield node.lineno, node.module


@pytest.mark.parametrize(("folder", "limit"), [("run", 10), ("cli", 16)])
def test_folders_with_many_subjects_have_few_entries(folder: str, limit: int) -> None:
    """What is added goes into the folder of its subject."""
    entries = [path for path in (PACKAGE / folder).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    assert len(entries) <= limit, sorted(path.name for path in entries)


def test_every_package_has_a_layer() -> None:
    assert {package_of(path) for path in MODULES} <= set(LAYERS)


def test_the_table_of_packages_has_each_of_them_in_its_layer() -> None:
    text = (SOURCE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| (.*?) \|", text, re.MULTILINE)
    layers = {name: int(layer) for layer, names in rows for name in re.findall(r"`(\w+)(?:/|\.py)`", names)}
    # The lowest layer of the table is several: what needs nothing, and what needs that.
    assert layers == {name: max(layer, 0) for name, layer in LAYERS.items() if name != "__main__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_package_imports_only_lower_layers(path: Path) -> None:
    package = package_of(path)
    wrong = []
    for line, name in imports(path):
        parts = name.split(".")
        if parts[0] != "prov_worker" or len(parts) < 2 or parts[1] in (package, "__version__"):
            continue
        if LAYERS[parts[1]] >= LAYERS[package]:
            wrong.append(
                f"{path}:{line}: {package} (layer {LAYERS[package]}) imports {name} (layer {LAYERS[parts[1]]})"
            )
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if package_of(path) in STANDARD_LIBRARY_ONLY],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_what_runs_in_a_worker_imports_the_standard_library_alone(path: Path) -> None:
    wrong = [
        f"{path}:{line}: {name}"
        for line, name in imports(path)
        if name.split(".")[0] not in sys.stdlib_module_names and name.split(".")[0] != "prov_worker"
    ]
    assert not wrong, "\n".join(wrong)


def test_only_globus_touches_globus_compute() -> None:
    upstream = ("globus_compute_endpoint", "globus_compute_common", "globus_compute_sdk", "parsl")
    # The local service is a counterpart of the web service and speaks its messages; diagnosing is a client's work.
    allowed = {"globus", "localservice"}
    wrong = [
        f"{path}:{line}: {name}"
        for path in MODULES
        if package_of(path) not in allowed
        for line, name in imports(path)
        if name.split(".")[0] in upstream
    ]
    assert not wrong, "\n".join(wrong)


def test_the_recorder_loads_nothing_heavy() -> None:
    """In a bare interpreter without any installed package, as a site's environment may be."""
    code = (
        f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n"
        "before = set(sys.modules)\n"
        "import prov_worker.recorder.recorder\n"
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    )
    done = run_python("-I", "-S", "-c", code, check=True)
    loaded = set(done.stdout.split())
    assert loaded - set(sys.stdlib_module_names) == {"prov_worker"}
    heavy = {"asyncio", "http", "ssl", "email", "xml", "sqlite3", "multiprocessing", "unittest", "tkinter", "pdb"}
    assert not loaded & heavy
