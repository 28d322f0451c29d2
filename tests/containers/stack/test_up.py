"""scripts/stack-up.sh and scripts/stack-down.sh: what they refuse before anything is touched, and what they repair."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.commands import run_program

if TYPE_CHECKING:
    from conftest import Stack  # of this folder

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("stack")]

ROOT = Path(__file__).resolve().parents[3]
RUNNING = ("broker", "net", "service", "endpoint")


def run(
    stack: Stack, script: str = "scripts/stack-up.sh", *arguments: str, folder: Path = ROOT, **values: str
) -> subprocess.CompletedProcess[str]:
    """Run one of the two on the test's stack, or on another one that ``values`` name."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PROV_", "COMPOSE_"))}
    return run_program(folder / script, *arguments, env={**kept, **stack.values, "SETUP_DOCKER": "0", **values})


def containers(stack: Stack) -> list[str]:
    """What must be the same afterwards: each running container, and since when it runs."""
    return [f"{(details := stack.inspect(part))['Id']} {details['State']['StartedAt']}" for part in RUNNING]


def left_of(stack: Stack, project: str) -> str:
    """Containers, volumes and networks of a project."""
    label = ("--filter", f"label=com.docker.compose.project={project}")
    kinds = (("ps", "--all"), ("volume", "ls"), ("network", "ls"))
    return "".join(stack.docker(*kind, "--quiet", *label) for kind in kinds)


def is_well(stack: Stack) -> bool:
    """Whether the service answers on the host, and the endpoint is heard by it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{stack.port}/health", timeout=60) as answer:
        assert answer.status == 200
    return bool(stack.inspect("endpoint")["State"]["Health"]["Status"] == "healthy")


@pytest.mark.parametrize("script", ["scripts/stack-up.sh", "scripts/stack-down.sh"])
def test_another_checkout_takes_nothing_over(stack: Stack, tmp_path: Path, script: str) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    before = containers(stack)
    done = run(stack, script, folder=tmp_path, PROV_STACK_CRATES="./crates")
    assert done.returncode == 2
    assert f"{stack.project} is the stack of another checkout, {ROOT}," in done.stderr
    assert f"COMPOSE_PROJECT_NAME={stack.project}-2 PROV_STACK_PORT={stack.port + 1} make up" in done.stderr
    assert not (tmp_path / "crates").exists()
    assert containers(stack) == before


def test_another_user_breaks_nothing(stack: Stack) -> None:
    before, (uid, gid) = containers(stack), stack.inspect("net")["Config"]["User"].split(":")
    done = run(stack, PROV_STACK_UID="4242", PROV_STACK_GID="4242")
    assert done.returncode == 2
    assert f"start it with PROV_STACK_UID={uid} PROV_STACK_GID={gid}" in done.stderr
    assert len(done.stderr.splitlines()) == 3
    assert containers(stack) == before


@pytest.mark.parametrize(
    "values, line",
    [
        ({"PROV_STACK_UID": "me"}, "PROV_STACK_UID, PROV_STACK_GID: expected whole numbers, got me and "),
        ({"PROV_STACK_PORT": "me"}, "docker-compose.yml, with your variables: "),
        ({"PROV_STACK_CRATES": 'a"b'}, "PROV_STACK_CRATES: "),
    ],
)
def test_wrong_values_are_one_line(stack: Stack, values: dict[str, str], line: str) -> None:
    done = run(stack, **values)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert done.stderr.startswith(line)


def test_a_port_in_use_leaves_nothing(stack: Stack, tmp_path: Path) -> None:
    project, crates = f"{stack.project}-port", tmp_path / "crates"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(stack, COMPOSE_PROJECT_NAME=project, PROV_STACK_PORT=f"{port}", PROV_STACK_CRATES=f"{crates}")
    assert done.returncode == 1
    assert done.stderr == (
        f"up: port {port} of this machine is in use by something else. Free it, or take another one: "
        f"PROV_STACK_PORT={port + 1} make up\n"
    )
    assert left_of(stack, project) == ""
    assert not crates.exists()


def test_a_folder_that_is_not_the_endpoints_leaves_nothing(stack: Stack, tmp_path: Path) -> None:
    project = f"{stack.project}-folder"
    (tmp_path / "crates").mkdir(mode=0o500)
    if os.getuid() == 0:
        os.chown(tmp_path / "crates", 7, 8)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = run(stack, COMPOSE_PROJECT_NAME=project, PROV_STACK_PORT=f"{port}", PROV_STACK_CRATES=f"{tmp_path}/crates")
    assert done.returncode == 2
    assert "PROV_STACK_CRATES: the folder of crates belongs to user" in done.stderr
    assert left_of(stack, project) == ""


def test_values_that_the_endpoint_would_refuse_leave_nothing(stack: Stack, tmp_path: Path) -> None:
    project, crates = f"{stack.project}-values", tmp_path / "crates"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    places = {"COMPOSE_PROJECT_NAME": project, "PROV_STACK_PORT": f"{port}", "PROV_STACK_CRATES": f"{crates}"}
    done = run(stack, **places, PROV_STACK_WORKERS="x", PROV_STACK_PLOTS="jpg")
    assert done.returncode == 2
    assert "PROV_STACK_WORKERS: expected a whole number" in done.stderr
    assert "PROV_STACK_PLOTS of docker-compose.yml" in done.stderr
    assert left_of(stack, project) == ""
    assert not crates.exists()


@pytest.mark.parametrize("given", ["~/of the user", "mycrates", "a:b", "./$x", "dot env"])
def test_the_folder_of_crates_is_the_one_that_compose_means(tmp_path: Path, given: str) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    values = {"PROV_STACK_CRATES": given}
    if given == "dot env":
        (tmp_path / ".env").write_text(
            "PROV_STACK_CRATES=./of the file\nPROV_STACK_UID=77\nPROV_STACK_GID=78\nPROV_STACK_PORT=5999\n"
        )
        values = {}
    script = 'source scripts/stack-lib.sh; read_config; printf "%s\\n" "$crates" "$user" "$port" "$project"'
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PROV_", "COMPOSE_"))}
    done = run_program(
        "bash", "-euc", script, cwd=tmp_path, env={**kept, "HOME": f"{tmp_path}/home", **values}, check=True
    )
    crates, user, port, project = done.stdout.splitlines()
    expected = {
        "~/of the user": tmp_path / "home" / "of the user",
        "./$x": tmp_path / "$x",
        "dot env": tmp_path / "of the file",
    }
    assert Path(crates) == expected.get(given, tmp_path / given)
    assert project == "prov-worker"
    own = f"{os.getuid() or 1000}:{os.getgid() if os.getuid() else 1000}"
    assert (user, port) == (("77:78", "5999") if given == "dot env" else (own, "5000"))


def test_old_names_of_variables_work_with_a_warning(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    (tmp_path / ".env").write_text("PROV_UID=77\nPROV_GID=78\nPROV_CRATES=./of the file\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PROV_", "COMPOSE_"))}
    script = 'source scripts/stack-lib.sh; read_config; printf "%s\\n" "$crates" "$user" "$port" "$PROV_STACK_PORT"'
    done = run_program(
        "bash",
        "-euc",
        script,
        cwd=tmp_path,
        env={**kept, "PROV_PORT": "5999", "PROV_CRATES": "./mine", "PROV_STACK_CRATES": "./new"},
        check=True,
    )
    assert done.stdout.splitlines() == [f"{tmp_path}/new", "77:78", "5999", "5999"]
    assert done.stderr.splitlines() == [
        f"docker-compose.yml: PROV_{name} is now PROV_STACK_{name}; the old name works in this release only"
        for name in ("PORT", "UID", "GID", "CRATES")
    ]


def test_up_mends_what_is_only_in_part_there(stack: Stack) -> None:
    """Compose calls the endpoint unhealthy at once, as it was while the service was away."""
    stack.compose("kill", "--signal", "SIGKILL", "service")
    assert stack.until(lambda: stack.inspect("endpoint")["State"]["Health"]["Status"] == "unhealthy")
    done = run(stack, "scripts/stack-up.sh", "--no-demo")
    assert done.returncode == 0, done.stderr
    assert "the SDK looks at port 5000 alone" in done.stderr
    assert "service env" not in done.stderr
    assert f"COMPOSE_PROJECT_NAME={stack.project} PROV_STACK_PORT={stack.port} make down" in done.stderr
    assert is_well(stack)


def test_up_mends_parts_that_lost_their_network(stack: Stack) -> None:
    stack.docker("restart", "--time", "1", stack.container("net"))
    done = run(stack, "scripts/stack-up.sh", "--no-demo")
    assert done.returncode == 0, done.stderr
    assert "up: service: restarted, its network was" in done.stderr
    assert is_well(stack)
    # The test's own client shared that network, too.
    stack.docker("restart", "--time", "1", stack.client)
    work = stack.submit(count=2, seconds=0.1)
    assert {how for how, _ in work.endings().values()} == {"success"}
    stack.sound_crates(work.tasks)
