"""The wheel, installed on systems that this machine is not: another Python, no rights, a read-only root, no network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from prov_worker.crate.check import check_crate, validate_profiles
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import find_crates
from prov_worker.crate.validator.client import find_validator

if TYPE_CHECKING:
    from conftest import Machine  # of this folder

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
#: What a cautious site grants: a user without rights, nothing to write but two small file systems in memory.
HARDENED: dict[str, Any] = {
    "user": "10001:10001",
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "tmpfs": {"/tmp": "size=64m,mode=1777", "/home/prov": "size=256m,uid=10001,gid=10001,mode=700"},
    "env": {"HOME": "/home/prov"},
    "pids_limit": 512,
}
#: The first is that of a login node of tests/rollout/test_site.py too.
SYSTEMS = [
    pytest.param("debian:trixie-slim", "3.13", {}, "/root", id="trixie", marks=pytest.mark.long),
    pytest.param("debian:bookworm-slim", "3.11", HARDENED, "/home/prov", id="bookworm-hardened"),
]


@pytest.mark.parametrize("base, python, options, home", SYSTEMS)
def test_the_demo_leaves_sound_crates(
    base: str,
    python: str,
    options: dict[str, Any],
    home: str,
    image: Callable[[str, str], str],
    machine: Callable[..., Machine],
    tmp_path: Path,
) -> None:
    here = machine(image(base, "installed"), network_mode="none", **options)
    assert here.run("python -V").out.startswith(f"Python {python}.")
    if options:
        assert here.run("touch /opt/x").code != 0
        assert "CapEff:\t0000000000000000" in here.run("cat /proc/self/status").out
    done = here.run("cd && prov-worker demo --quick --json --crates crates")
    assert done.code == 0, done.err
    rows = json.loads(done.out)
    there = here.run("cd && prov-worker check --no-validator crates")
    assert (there.code, there.err) == (0, ""), there.out

    here.fetch(f"{home}/crates", tmp_path / "crates")
    crates = {crate.task_id: crate for crate in map(StepCrate.open, find_crates(tmp_path / "crates"))}
    assert set(crates) == {row["task_id"] for row in rows}
    for row in rows:
        crate = crates[row["task_id"]]
        assert crate.status == ("failed" if row["meant_to_fail"] else "completed")
        assert (crate.error is not None) == row["meant_to_fail"]
        assert check_crate(crate.path) == []
        versions = json.dumps(list(crate.entities.values()))
        assert f'"{python}.' in versions
    if find_validator() is not None:
        verdicts = validate_profiles(sorted(crate.path for crate in crates.values()), "recommended")
        assert not any(verdicts.values())
    # Nothing of the run stays: once the interchange is gone the workers end, and once they are gone the agent does.
    gone = here.run("until ! ls -l /proc/[0-9]*/exe 2>/dev/null | grep -q python; do sleep 0.2; done", timeout_s=180)
    assert gone.code == 0, here.run("cat /proc/[0-9]*/cmdline | tr '\\0' ' '").out


def test_an_environment_without_venv_is_told_the_remedy(
    image: Callable[[str, str], str], machine: Callable[..., Machine]
) -> None:
    here = machine(image("debian:bookworm-slim", "bare"), network_mode="none")
    for name in ("scripts/make-venv.sh", "Makefile", "pyproject.toml"):
        here.run(f"mkdir -p /src/{Path(name).parent}")
        here.put(ROOT / name, f"/src/{Path(name).parent}")
    done = here.run("cd /src && make demo")
    assert done.code == 2
    assert "apt-get install python3-venv" in done.err
    assert "Traceback" not in done.err


def test_an_engine_is_set_up_from_nothing(machine: Callable[..., Machine]) -> None:
    """On a bare Debian, with empty package lists, and once more after its daemon was killed."""
    from docker.types import Mount

    # A volume: the engine's own file system cannot lie on that of a container.
    volume = Mount("/var/lib/docker", None, type="volume")
    here = machine("debian:bookworm-slim", privileged=True, mounts=[volume])
    here.put(ROOT / "scripts" / "setup-docker.sh", "/usr/local/bin")
    before = here.run("rm -rf /var/lib/apt/lists/*; find /etc/apt -type f | sort | xargs sha256sum").out
    done = here.run("setup-docker.sh")
    assert done.code == 0, done.err
    assert here.run("docker info --format '{{.ServerVersion}}'").out.strip()
    assert here.run("docker compose version && docker buildx version").code == 0
    assert here.run("setup-docker.sh").err == ""
    assert here.run("find /etc/apt -type f | sort | xargs sha256sum").out == before
    # As after a crash: the daemon is gone, and its number belongs to another process.
    assert here.run("kill -9 $(cat /var/run/docker.pid); sleep 1; echo 1 > /var/run/docker.pid").code == 0
    again = here.run("setup-docker.sh")
    assert again.code == 0, again.err
    assert "starting dockerd" in again.err
