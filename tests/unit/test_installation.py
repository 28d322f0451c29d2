"""What an installation, from a wheel or editable, puts beside the package."""

from __future__ import annotations

import os
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest

import prov_worker
from support.commands import run_python

ROOT = Path(__file__).parents[2]
PURELIB = Path(sysconfig.get_paths()["purelib"])


@pytest.fixture
def distribution() -> metadata.Distribution:
    try:
        return metadata.distribution("prov-worker")
    except metadata.PackageNotFoundError:
        pytest.skip("the package is not installed in this environment, only on the path")


def test_version_is_that_of_the_package(distribution: metadata.Distribution) -> None:
    assert distribution.version == prov_worker.__version__


def test_the_base_needs_nothing(distribution: metadata.Distribution) -> None:
    assert [need for need in distribution.requires or [] if "extra ==" not in need] == []


def test_the_hook_is_at_the_root_of_site_packages(distribution: metadata.Distribution) -> None:
    hook = PURELIB / "prov_worker_hook.pth"
    assert hook.read_text() == (ROOT / "src" / "prov_worker_hook.pth").read_text()
    assert "prov_worker_hook.pth" in [str(path) for path in distribution.files or ()]


@pytest.mark.parametrize("switch, expected", [("", "False"), ("1", "True")])
def test_an_interpreter_reads_the_hook(distribution: metadata.Distribution, switch: str, expected: str) -> None:
    code = "import sys; print('prov_worker.globus.hook' in sys.modules)"
    done = run_python("-c", code, env={**os.environ, "PROV_WORKER": switch}, check=True)
    assert (done.stdout.strip(), done.stderr) == (expected, "")


def test_the_endpoints_program_knows_the_engine_without_any_variable(
    distribution: metadata.Distribution, tmp_path: Path
) -> None:
    """An interpreter whose program is called globus-compute-endpoint, as the endpoint's own script is."""
    script = tmp_path / "globus-compute-endpoint"
    script.write_text("import globus_compute_endpoint.engines as e\nprint(e.ProvenanceEngine.__module__)\n")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PROV_WORKER")}
    done = run_python(str(script), env=environ, check=True)
    assert done.stdout.strip() == "prov_worker.globus.engine"
