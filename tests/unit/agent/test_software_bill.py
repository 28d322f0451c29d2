"""Bills of materials: valid, the same for the same environment, and another one for another."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prov_worker.agent.hardware import Hardware
from prov_worker.agent.software_bill import bill_of_materials, keep_bill, package_url
from prov_worker.crate.sources.bills import bill_beside
from prov_worker.model import host_name
from prov_worker.settings import Settings
from support.commands import run_program

ROOT = Path(__file__).parents[3]
RECORD = """\
../../../bin/tool,sha256=8Vr,210
some_tool/__init__.py,sha256=KDp,6
some_tool/__pycache__/__init__.cpython-311.pyc,,
some_tool-1.0+local.dist-info/INSTALLER,sha256=zuu,4
some_tool-1.0+local.dist-info/RECORD,,
"""
DIGEST = "ab" * 32
ENVIRONMENT: dict[str, Any] = {
    "python": {"version": "3.11.7", "implementation": "CPython", "executable": "/usr/bin/python3"},
    "distributions": {"Some.Tool": "1.0+local", "gone": "2"},
    "loaded_modules": ["PrgEnv-gnu/8.5.0", "cray/mpich/8.1", "plain"],
    "container": {"kind": "docker", "image": f"ghcr.io/lab/image@sha256:{DIGEST}"},
    "os": "Debian GNU/Linux 12",
}


def installed(place: Path, record: str = RECORD) -> list[str]:
    """An environment with one distribution, by its import path."""
    about = place / "lib" / "some_tool-1.0+local.dist-info"
    about.mkdir(parents=True)
    (about / "RECORD").write_text(record)
    url = {"url": "https://example.org/tool.whl", "archive_info": {"hashes": {"sha256": DIGEST}}}
    (about / "direct_url.json").write_text(json.dumps(url))
    return [str(place / "missing"), str(place / "lib")]


def components(data: bytes) -> dict[str, dict[str, Any]]:
    return {component["bom-ref"]: component for component in json.loads(data)["components"]}


def test_it_has_what_the_environment_is_made_of(tmp_path: Path) -> None:
    parts = components(bill_of_materials(ENVIRONMENT, installed(tmp_path)))
    tool = parts["pypi:Some.Tool"]
    assert (tool["version"], tool["purl"]) == ("1.0+local", "pkg:pypi/some-tool@1.0%2Blocal")
    assert tool["hashes"] == [{"alg": "SHA-256", "content": DIGEST}]
    expected = hashlib.sha256(b"some_tool/__init__.py,sha256=KDp,6").hexdigest()
    assert tool["properties"] == [{"name": "prov-worker:record-sha256", "value": expected}]
    assert "properties" not in parts["pypi:gone"]
    assert (parts["module:cray/mpich/8.1"]["name"], parts["module:cray/mpich/8.1"]["version"]) == ("cray/mpich", "8.1")
    assert "version" not in parts["module:plain"]
    assert parts["container"]["hashes"] == [{"alg": "SHA-256", "content": DIGEST}]
    assert parts["container"]["name"] == "ghcr.io/lab/image"
    assert parts["operating-system"]["name"] == "Debian GNU/Linux 12"


def test_the_same_environment_elsewhere_has_the_same_bill(tmp_path: Path) -> None:
    first = bill_of_materials(ENVIRONMENT, installed(tmp_path / "a"))
    moved = RECORD.replace("sha256=8Vr", "sha256=9Ws").replace("sha256=zuu", "sha256=5hh")
    assert bill_of_materials(ENVIRONMENT, installed(tmp_path / "b", moved)) == first
    changed = RECORD.replace("sha256=KDp", "sha256=XXp")
    assert bill_of_materials(ENVIRONMENT, installed(tmp_path / "c", changed)) != first


@pytest.mark.parametrize("text", ["{", "[]", '{"archive_info": []}', '{"archive_info": {"hash": "sha256=short"}}'])
def test_what_cannot_be_read_is_left_out(tmp_path: Path, text: str) -> None:
    path = installed(tmp_path, "")
    (tmp_path / "lib/some_tool-1.0+local.dist-info/direct_url.json").write_text(text)
    tool = components(bill_of_materials(ENVIRONMENT, path))["pypi:Some.Tool"]
    assert "hashes" not in tool
    assert "properties" not in tool


def test_a_package_url_is_spelt_in_one_way() -> None:
    assert package_url("Foo__bar.Baz", "1!2.0") == "pkg:pypi/foo-bar-baz@1%212.0"


def test_it_is_kept_once(tmp_path: Path) -> None:
    data = bill_of_materials(ENVIRONMENT, [])
    digest = keep_bill(str(tmp_path), data)
    path = tmp_path / ".software" / f"{digest}.cdx.json"
    before = path.stat().st_ino
    assert keep_bill(str(tmp_path), data) == digest
    assert path.stat().st_ino == before
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that all users of this machine reach, which pytest's are not."""
    path = Path(tempfile.mkdtemp(prefix="prov-bills-"))
    path.chmod(0o1777)
    yield path
    shutil.rmtree(path)


@pytest.mark.root
def test_a_user_who_may_not_write_to_the_bills_of_another_has_a_directory_for_them(shared: Path) -> None:
    (shared / ".software").mkdir(mode=0o700)
    script = """
import os, sys
from prov_worker.agent.software_bill import keep_bill
from prov_worker.crate.sources.bills import bill_beside
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(keep_bill(sys.argv[1], b"{}"), keep_bill(sys.argv[1], b"{}"))
"""
    done = run_program(sys.executable, "-c", script, shared)
    assert done.returncode == 0, done.stderr
    digest = hashlib.sha256(b"{}").hexdigest()
    assert done.stdout.split() == [digest, digest]
    assert os.listdir(shared / ".software-65534") == [f"{digest}.cdx.json"]
    assert os.listdir(shared / ".software") == []
    assert bill_beside(shared / "step.crate", digest) == b"{}"


def test_reports_of_workers_name_the_bill_of_their_environment(tmp_path: Path) -> None:
    hardware, settings = Hardware(str(tmp_path)), Settings(probes=("cpu", "environment"))
    digests = []
    for process in ({"path": sys.path, "job": {}}, {"path": [], "job": {}}):
        snapshot = hardware.snapshot(host_name(), {**process, "python": {"version": "3.11"}}, settings)
        digests.append(snapshot.data("environment").get("software_bill"))
    own, empty = digests
    assert empty is None  # nothing is installed there
    names = os.listdir(tmp_path / ".software")
    assert names == [f"{own}.cdx.json"]
    assert "pypi:pytest" in components((tmp_path / ".software" / names[0]).read_bytes())


_VALIDATE = """\
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

print(JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read()))
"""


def test_the_schema_holds(tmp_path: Path) -> None:
    python = Path(os.environ.get("PROV_TEST_CYCLONEDX") or ROOT / ".venv-sbom/bin/python")
    if not python.exists():
        pytest.skip("no interpreter with cyclonedx-python-lib (make cyclonedx)")
    made_up = bill_of_materials(ENVIRONMENT, installed(tmp_path))
    bare = bill_of_materials({}, [])
    for number, data in enumerate((made_up, bare)):
        path = tmp_path / f"{number}.json"
        path.write_bytes(data)
        done = run_program(python, "-c", _VALIDATE, path)
        assert (done.stdout, done.returncode) == ("None\n", 0), done.stdout + done.stderr
