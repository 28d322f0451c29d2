from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.probes import ProbeContext
from prov_worker.probes.node.environment import EnvironmentProbe


def test_polaris(node: Callable[..., ProbeContext]) -> None:
    environ = {"LOADEDMODULES": "craype-x86-milan:PrgEnv-nvhpc/8.3.3::apptainer/1.4.1", "PASSWORD": "hunter2"}
    data = EnvironmentProbe().take(node("polaris", environ=environ))
    assert data["loaded_modules"] == ["craype-x86-milan", "PrgEnv-nvhpc/8.3.3", "apptainer/1.4.1"]
    assert data["kernel"] == "5.14.21-150400.24.81_12.0.87-cray_shasta_c"
    assert data["os"] == "SUSE Linux Enterprise Server 15 SP4"
    assert data["container"] is None
    assert data["python"]["executable"] == sys.executable
    assert "hunter2" not in repr(data)


def test_container(copied_node: Callable[..., ProbeContext]) -> None:
    context = copied_node("polaris", environ={"APPTAINER_CONTAINER": "/a/b.sif"})
    assert EnvironmentProbe().take(context)["container"] is None, "an inherited variable is no container"
    (context.etc.parent / ".singularity.d").mkdir()
    assert EnvironmentProbe().take(context)["container"] == {"kind": "apptainer", "image": "/a/b.sif"}


def test_broken_distributions_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: Callable[..., ProbeContext]
) -> None:
    for name, text in {
        "good-1.0": "Metadata-Version: 2.1\nName: good-for-test\nVersion: 1.0\n",
        "nameless-1.0": "Metadata-Version: 2.1\nVersion: 1.0\n",
        "empty-1.0": "",
        "bare-1.0": None,
        "versionless-1.0": "Metadata-Version: 2.1\nName: versionless\n",
    }.items():
        (tmp_path / f"{name}.dist-info").mkdir()
        if text is not None:
            (tmp_path / f"{name}.dist-info/METADATA").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    distributions = EnvironmentProbe().take(node("polaris"))["distributions"]
    assert distributions["good-for-test"] == "1.0"
    assert "versionless" not in distributions
    assert all(name and version for name, version in distributions.items())


def test_system_without_a_release_file(tmp_path: Path, node: Callable[..., ProbeContext]) -> None:
    data = EnvironmentProbe().take(node("none", tmp_path))
    assert data["os"] is None
    assert data["kernel"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('PRETTY_NAME="Site \\"Blue\\" Linux 9"\n', 'Site "Blue" Linux 9'),
        ("PRETTY_NAME='Site 9 (it'\\''s ours)'\n", "Site 9 (it's ours)"),
        ('PRETTY_NAME="Cost \\$5 \\`x\\` \\\\ \\n Linux"\n', "Cost $5 `x` \\ \\n Linux"),
        ("# PRETTY_NAME=no\nPRETTY_NAME=Plain\\ Linux # comment\nVERSION=1\n", "Plain Linux"),
        ("PRETTY_NAME=First\nPRETTY_NAME=Last\n", "Last"),
        ('PRETTY_NAME="open\n', None),
        ('PRETTY_NAME=""\n', None),
        ("NAME=x\n", None),
    ],
)
def test_name_of_the_operating_system(
    text: str, name: str | None, tmp_path: Path, node: Callable[..., ProbeContext]
) -> None:
    """os-release(5): values are quoted as a shell quotes."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text(text)
    assert EnvironmentProbe().take(node("none", tmp_path))["os"] == name
