"""The images on their own: what is in them, and how their entry point speaks where something is missing."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.commands import run_program

if TYPE_CHECKING:
    from conftest import Stack  # of this folder

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("stack")]

ROOT = Path(__file__).resolve().parents[3]
HARDENED = (
    *("--rm", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none"),
    *("--tmpfs", "/tmp:mode=1777", "--tmpfs", "/run/prov:mode=1777", "--tmpfs", "/var/lib/prov:mode=1777"),
    *("--tmpfs", "/crates:mode=1777"),
)


@pytest.fixture(scope="module")
def worker(stack: Stack) -> Iterator[str]:
    """The image for compute nodes."""
    tag = f"prov-worker:test-{uuid.uuid4().hex[:8]}"
    stack.docker("build", "--quiet", "--target", "worker", "--tag", tag, str(ROOT))
    yield tag
    stack.docker("image", "rm", "--force", tag)


def run(image: str, *command: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run a container without any rights."""
    line = ["docker", "run", *HARDENED, *options, image, *command]
    return run_program(*line)


def test_the_worker_image_runs_workers_and_nothing_more(worker: str) -> None:
    script = "command -v globus-compute-endpoint process_worker_pool.py interchange.py && prov-worker --version"
    assert run(worker, "sh", "-c", script).returncode == 0
    for absent in ("matplotlib", "numpy", "fastapi", "rocrate", "pip"):
        assert run(worker, "python", "-c", f"import {absent}").returncode == 1, absent
    # Compiled, all of it: on a read-only root Python could not keep what it compiles at a start.
    loose = """
import pathlib, sys
for path in pathlib.Path("/opt/prov").glob("lib/*/site-packages/globus_compute*/**/*.py"):
    if not (path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc").exists():
        print(path)
"""
    assert run(worker, "python", "-c", loose).stdout == ""


def test_the_worker_image_runs_the_demo(worker: str) -> None:
    done = run(worker, "prov-worker", "demo", "--quick", "--workers", "2", "--json", "--crates", "/crates")
    assert done.returncode == 0, done.stderr
    assert all(row["crate"] for row in json.loads(done.stdout))


def test_labels_name_the_versions(stack: Stack) -> None:
    labels = json.loads(stack.docker("image", "inspect", stack.image))[0]["Config"]["Labels"]
    ask = (
        "import globus_compute_endpoint, parsl, prov_worker as p; print(p.__version__, {}.__version__, {}.__version__)"
    )
    ask = ask.format("globus_compute_endpoint", "parsl")
    versions = run(stack.image, "python", "-c", ask).stdout.split()
    names = ("org.opencontainers.image.version", "prov-worker.globus-compute", "prov-worker.parsl")
    assert [labels[name] for name in names] == versions
    tag = run_program(ROOT / "scripts" / "image-tag.sh", check=True).stdout.strip()
    assert tag == "{}-gce{}-parsl{}".format(*versions)


def test_what_is_missing_is_said_in_a_line_each(stack: Stack) -> None:
    done = run(stack.image, "endpoint")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert "GLOBUS_COMPUTE_CLIENT_ID: not set" in lines[0]
    assert "GLOBUS_COMPUTE_CLIENT_SECRET: not set" in lines[1]


WRONG = [
    ({"PROV_WORKER_POLL_INTERVAL": "often"}, "PROV_WORKER_POLL_INTERVAL"),
    (
        {"PROV_WORKER_CRATE_DIR": "/opt/prov"},
        "PROV_WORKER_CRATE_DIR (PROV_STACK_CRATES of docker-compose.yml): /opt/prov",
    ),
    ({"PROV_STACK_WORKERS": "0"}, "PROV_STACK_WORKERS: expected a whole number"),
    ({"PROV_STACK_ENDPOINT_NAME": "../x"}, "PROV_STACK_ENDPOINT_NAME"),
    ({"GLOBUS_COMPUTE_CLIENT_ID": "me"}, "GLOBUS_COMPUTE_CLIENT_ID: expected a UUID"),
    ({"GLOBUS_COMPUTE_CLIENT_SECRET": "", "GLOBUS_COMPUTE_CLIENT_SECRET_FILE": "/nowhere"}, "/nowhere: cannot be read"),
    ({"PROV_STACK_IDENTITIES": "/etc/hostname"}, "PROV_STACK_IDENTITIES: /etc/hostname: not a JSON list"),
    ({"PROV_STACK_ENDPOINT_CONFIG": "/etc"}, "PROV_STACK_ENDPOINT_CONFIG: /etc/user_config_template.yaml.j2"),
    ({"PROV_STACK_ENDPOINT_OPTIONS": "/nowhere"}, "/nowhere: cannot be read"),
    ({"PROV_STACK_ENDPOINT_OPTIONS": "/etc/hostname"}, "/etc/hostname: expected a mapping of options"),
    ({"PROV_WORKER_MOUNT_POINTS": '/a"b'}, 'of docker-compose.yml): mount_points[0]: "/a\\"b" is not allowed'),
]


@pytest.mark.parametrize("values, line", WRONG, ids=[line.split(":")[0] for _, line in WRONG])
def test_what_is_wrong_is_named(stack: Stack, values: dict[str, str], line: str) -> None:
    given = {
        "GLOBUS_COMPUTE_CLIENT_ID": str(uuid.uuid4()),
        "GLOBUS_COMPUTE_CLIENT_SECRET": "a secret of a test",
    } | values
    options = [word for name, value in given.items() for word in ("--env", f"{name}={value}")]
    done = run(stack.image, "endpoint", options=tuple(options))
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert line in done.stderr
    assert "a secret of a test" not in done.stderr


def test_any_user_id_has_a_name(stack: Stack) -> None:
    ask = "import pwd, os; print(pwd.getpwuid(os.getuid()).pw_name)"
    done = run(stack.image, "client", "python", "-c", ask, options=("--user", "4242:4242"))
    assert done.returncode == 2
    assert "not set" in done.stderr
    done = run(stack.image, "python", "-c", ask, options=("--user", "4242:4242"))
    assert done.stdout == "prov\n", done.stderr


def test_a_command_that_is_not_there_is_one_line(stack: Stack) -> None:
    done = run(stack.image, "no-such-command")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


@pytest.mark.parametrize(
    "options, line",
    [
        (("--env", "PROV_STACK_UID=me"), "PROV_STACK_UID: expected a whole number, 0 to 4294967294, got 'me'"),
        (
            ("--tmpfs", "/crates:ro,mode=0755"),
            "cannot be made writable for group 1000: Read-only file system",
        ),
        (
            ("--tmpfs", "/crates:ro,mode=1777", "--env", "PROV_STACK_UID=0"),
            "the folder of crates is on a read-only",
        ),
    ],
)
def test_setup_says_what_is_wrong_in_one_line(stack: Stack, options: tuple[str, ...], line: str) -> None:
    setup = ("--user", "0:1000", "--tmpfs", "/run/broker:mode=0755", "--tmpfs", "/run/identity:mode=0755")
    done = run(stack.image, "setup", options=(*setup, *options))
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert line in done.stderr
