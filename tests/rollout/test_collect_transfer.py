"""The role ``collect`` by Globus Transfer: the real role and command on this machine, a stand-in of the service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from login_nodes import BIN, ROOT

from prov_worker.crate.sources import find_crates
from prov_worker.testing import CrateFactory
from support.transfer_service import CLIENT, SECRET, TransferService

pytestmark = [
    pytest.mark.skipif(not (BIN / "ansible-playbook").exists(), reason="no Ansible (make ansible)"),
    pytest.mark.timeout(600),
]

PLAY = [{"name": "Collect", "hosts": "all", "gather_facts": False, "roles": [{"role": "collect"}]}]


@pytest.fixture
def service() -> Iterator[TransferService]:
    service = TransferService()
    yield service
    service.close()


def play(service: TransferService, directory: Path, *options: str, **values: str) -> tuple[int, str]:
    """Exit code and output of a play on this machine."""
    (directory / "play.yml").write_text(json.dumps(PLAY))
    environment = os.environ | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(directory),
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
        "ANSIBLE_ROLES_PATH": str(ROOT / "ansible" / "roles"),
        "GLOBUS_SDK_SERVICE_URL_AUTH": service.url,
        "GLOBUS_SDK_SERVICE_URL_TRANSFER": service.url,
        "GLOBUS_COMPUTE_CLIENT_ID": CLIENT,
        "GLOBUS_COMPUTE_CLIENT_SECRET": SECRET,
    }
    given = values | {
        "collect_method": "transfer",
        "collect_command": str(Path(sys.executable).parent / "prov-worker"),
        "ansible_python_interpreter": sys.executable,
    }
    done = subprocess.run(
        [BIN / "ansible-playbook", "-i", "node,", "-c", "local", "-e", json.dumps(given), *options, "play.yml"],
        cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=240, check=False,
    )  # fmt: skip
    assert SECRET not in done.stdout
    return done.returncode, done.stdout


def test_crates_come_home_and_a_second_time_nothing_does(service: TransferService, tmp_path: Path) -> None:
    there, home = CrateFactory(tmp_path / "node" / "provenance" / "prov"), tmp_path / "home"
    for number in range(2):
        there.add(number)
    home.mkdir()
    values = {
        "collect_source_collection": service.collection(tmp_path / "node"),
        "collect_source": "/provenance/prov",
        "collect_dest_collection": service.collection(home),
        "collect_dest_path": "/crates",
        "collect_dest": str(home / "crates"),
    }
    code, output = play(service, tmp_path, "--check", **values)
    assert (code, service.tasks) == (0, {}), output
    code, output = play(service, tmp_path, **values)
    assert code == 0, output
    assert "changed=1" in output
    assert len(list(find_crates(home / "crates" / "prov"))) == 2
    code, output = play(service, tmp_path, **values)
    assert code == 0, output
    assert "changed=0" in output


def test_a_missing_collection_is_named(service: TransferService, tmp_path: Path) -> None:
    code, output = play(service, tmp_path, collect_dest_path="/crates")
    assert code != 0
    assert "collect_source_collection: is needed with collect_method=transfer" in output
    assert service.tasks == {}
