"""Each role by itself: molecule's scenarios, one after the other on one login node."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from login_nodes import BIN, LABEL, ROOT, Site

from prov_worker.testing import CrateFactory
from support.containers import docker

pytestmark = [
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("rollout-roles"),
    # tests/rollout/test_site.py runs all of them in playbooks.
    pytest.mark.long,
]

#: In this order what one needs of the others is there already.
ROLES = ("prov_worker", "endpoint", "preflight", "service", "collect")


@pytest.fixture(scope="module")
def environment(site: Site, wheelhouse: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What the scenarios are told; their node goes with the last of them."""
    name = f"{site.name}-molecule"
    directory = tmp_path_factory.mktemp("molecule")
    yield os.environ | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(directory),
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
        "MOLECULE_GLOB": "molecule/*/molecule.yml",
        "PROV_TEST_ROLLOUT_NAME": name,
        "PROV_TEST_ROLLOUT_LABEL": LABEL,
        "PROV_TEST_ROLLOUT_NETWORK": site.name,
        "PROV_TEST_ROLLOUT_WHEELHOUSE": str(wheelhouse),
        "PROV_TEST_ROLLOUT_CLIENT_ID": site.client_id,
        "PROV_TEST_ROLLOUT_CLIENT_SECRET": site.client_secret,
        "PROV_TEST_ROLLOUT_CRATES": str(crates(directory / "crates")),
        "PROV_TEST_ROLLOUT_COMMAND": str(Path(sys.executable).parent / "prov-worker"),
    }
    docker("rm", "--force", "--volumes", name, check=False)


def crates(directory: Path) -> Path:
    """Two crates."""
    factory = CrateFactory(directory)
    for number in range(2):
        factory.add(number)
    return directory


@pytest.mark.parametrize("role", ROLES)
def test_a_role_does_what_it_says_and_nothing_twice(role: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [BIN / "molecule", "test", "--destroy", "never"],
        cwd=ROOT / "ansible" / "roles" / role,
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    assert environment["PROV_TEST_ROLLOUT_CLIENT_SECRET"] not in done.stdout
