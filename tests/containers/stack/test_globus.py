"""The profile ``globus``: credentials of a user's own, from a file or a variable, and what is said of bad ones.

The real service is not asked: without a way to the internet the endpoint says so, and with the same wiring it works at
the local one.
"""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Stack  # of this folder

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("stack")]

ROOT = Path(__file__).resolve().parents[3]
WRITABLE = [f"--tmpfs={path}:mode=1777" for path in ("/tmp", "/run/prov", "/var/lib/prov", "/crates")]
SECRET = "the secret of a test"


def rendered(**variables: str) -> dict[str, Any]:
    """The service ``endpoint-globus`` as compose understands it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PROV_", "GLOBUS_"))}
    done = subprocess.run(
        ["docker", "compose", "--profile", "globus", "config", "--format", "json"],
        cwd=ROOT, env={**environment, **variables}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    service: dict[str, Any] = json.loads(done.stdout)["services"]["endpoint-globus"]
    return service


def test_compose_hands_on_the_id_and_the_file(tmp_path: Path) -> None:
    client, file = str(uuid.uuid4()), tmp_path / "secret"
    service = rendered(GLOBUS_COMPUTE_CLIENT_ID=client, GLOBUS_COMPUTE_CLIENT_SECRET_FILE=str(file))
    assert service["environment"]["GLOBUS_COMPUTE_CLIENT_ID"] == client
    assert service["environment"]["GLOBUS_COMPUTE_CLIENT_SECRET"] == ""
    target = service["environment"]["GLOBUS_COMPUTE_CLIENT_SECRET_FILE"]
    (mount,) = [each for each in service["volumes"] if each["target"] == target]
    assert (mount["source"], mount["read_only"]) == (str(file), True)
    # It is as hardened as the local one, and knows nothing of the local service.
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert "GLOBUS_SDK_ENVIRONMENT" not in service["environment"]
    assert "/run/identity" not in {each["target"] for each in service["volumes"]}


def start(stack: Stack, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the endpoint as the profile does, in a network of the test's choice, until it ends."""
    line = [
        *("docker", "run", "--rm", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *WRITABLE,
        *(word for name, value in variables.items() for word in ("--env", f"{name}={value}")),
        *options,
        stack.image,
        "endpoint",
    ]
    return subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=450, check=False)


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    path.chmod(0o644)
    return path


def test_without_a_way_to_the_internet_it_says_so(stack: Stack, secret_file: Path) -> None:
    done = start(
        stack,
        *("--network", "none", "--volume", f"{secret_file}:/run/secrets/client-secret:ro"),
        GLOBUS_COMPUTE_CLIENT_ID=str(uuid.uuid4()),
        GLOBUS_COMPUTE_CLIENT_SECRET_FILE="/run/secrets/client-secret",
    )
    assert done.returncode == 2, done.stderr
    assert "auth.globus.org cannot be reached" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr + done.stdout
    assert SECRET not in done.stderr + done.stdout


def test_credentials_that_are_refused_are_named(stack: Stack, secret_file: Path) -> None:
    identity = json.loads(stack.shell("endpoint", "cat /run/identity/identities.json"))[0]
    done = start(
        stack,
        *("--network", f"container:{stack.container('net')}"),
        *("--volume", f"{secret_file}:/run/secrets/client-secret:ro"),
        GLOBUS_COMPUTE_CLIENT_ID=identity["client_id"],
        GLOBUS_COMPUTE_CLIENT_SECRET_FILE="/run/secrets/client-secret",
        GLOBUS_SDK_ENVIRONMENT="local",
        GLOBUS_SDK_SERVICE_URL_AUTH="http://127.0.0.1:5000/",
    )
    assert done.returncode == 2, done.stderr
    assert "GLOBUS_COMPUTE_CLIENT_ID, GLOBUS_COMPUTE_CLIENT_SECRET: refused" in done.stderr.splitlines()[-1]
    assert SECRET not in done.stderr + done.stdout


@pytest.mark.parametrize("how", ["file", "variable"])
def test_credentials_of_ones_own_start_an_endpoint_that_works(stack: Stack, how: str, tmp_path: Path) -> None:
    identity = json.loads(stack.shell("endpoint", "cat /run/identity/identities.json"))[0]
    path = tmp_path / "secret"
    path.write_text(identity["client_secret"])
    path.chmod(0o644)
    given = {
        "file": {"GLOBUS_COMPUTE_CLIENT_SECRET": "", "GLOBUS_COMPUTE_CLIENT_SECRET_FILE": "/run/secrets/client-secret"},
        "variable": {"GLOBUS_COMPUTE_CLIENT_SECRET": identity["client_secret"]},
    }[how]
    variables = {
        **given,
        "GLOBUS_COMPUTE_CLIENT_ID": identity["client_id"],
        "GLOBUS_SDK_ENVIRONMENT": "local",
        "GLOBUS_SDK_SERVICE_URL_AUTH": "http://127.0.0.1:5000/",
        "PROV_STACK_ENDPOINT_NAME": "globus",
    }
    name = f"{stack.project}-globus-{how}"
    stack.docker(
        *("run", "--detach", "--name", name, "--read-only", "--cap-drop", "ALL", "--label", f"prov-worker.test={ROOT}"),
        *WRITABLE,
        *("--network", f"container:{stack.container('net')}", "--volume", f"{path}:/run/secrets/client-secret:ro"),
        *(word for key, value in variables.items() for word in ("--env", f"{key}={value}")),
        *(stack.image, "endpoint"),
    )  # fmt: skip
    try:
        where = "/var/lib/prov/globus_compute/globus/endpoint.json"
        text = stack.until(lambda: stack.docker("exec", name, "cat", where, check=False))
        work = stack.submit("look", count=1, seconds=0.1, endpoint_id=json.loads(text)["endpoint_id"])
        ((ending, seen),) = work.endings().values()
        assert ending == "success", seen
        assert not [line for line in seen if identity["client_secret"] in line]
        listed = stack.until(lambda: f"{work.tasks[0]}.crate" in stack.docker("exec", name, "ls", "/crates").split())
        assert listed
        assert identity["client_secret"] not in stack.docker("logs", name)
    finally:
        stack.docker("rm", "--force", "--volumes", name, check=False)
        # The stack is shared: scripts that look for the one endpoint find one again.
        forget = (
            "from globus_compute_sdk import Client\n"
            "client = Client()\n"
            "[client.delete_endpoint(one['uuid']) for one in client.get_endpoints() if one['name'] == 'globus']\n"
        )
        subprocess.run(stack.in_client("python", "-c", forget), check=True, capture_output=True)
