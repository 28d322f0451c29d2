"""The stack of docker-compose.yml under a name and port of its own, a client beside it, and what tests ask of both."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from stack_collections import write_collections

from prov_worker.crate.check import check_crate
from prov_worker.crate.reader import StepCrate
from prov_worker.stream.live import LiveDatabase, LiveFilters
from support.containers import docker, until

if TYPE_CHECKING:
    from testcontainers.compose import DockerCompose

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).parent
#: Compose projects of this checkout begin with this: .ci/run takes away what a killed run left.
PROJECT = f"prov-test-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"
IMAGES = ("debian:bookworm-slim", "rabbitmq:4.0-management")


def need(condition: bool, why: str) -> None:
    """Skip where something is missing; fail where containers are demanded."""
    if not condition:
        if os.environ.get("PROV_TEST_REQUIRE_DOCKER", "0") not in ("", "0"):
            pytest.fail(why, pytrace=False)
        pytest.skip(why)


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@dataclass
class Work:
    """Tasks on their way."""

    process: subprocess.Popen[str]
    tasks: list[str]

    def wait_first(self) -> None:
        """Until one of them has ended."""
        assert self._line("first") is not None

    def endings(self) -> dict[str, list[Any]]:
        """How each of them ended."""
        endings: dict[str, list[Any]] = json.loads(self._line("ended"))
        self.process.communicate(timeout=180)
        assert set(endings) == set(self.tasks)
        return endings

    def _line(self, word: str) -> str:
        assert self.process.stdout is not None
        seen = []
        for line in self.process.stdout:
            if line.startswith(word):
                return line.removeprefix(word).strip()
            seen.append(line)
        raise AssertionError(f"no {word!r} from the client:\n{''.join(seen)[-4000:]}")


class Stack:
    """The running stack."""

    def __init__(
        self, compose: DockerCompose, project: str, image: str, port: int, crates: Path, values: dict[str, str]
    ) -> None:
        self._compose = compose
        #: Its variables.
        self.values = values
        self.project = project
        self.image = image
        self.port = port
        self.crates = crates
        #: The folder of collections.
        self.data = Path()
        self.client = ""
        self.endpoint_id = ""

    docker = staticmethod(docker)
    until = staticmethod(until)

    def compose(self, *arguments: str) -> str:
        """Run ``docker compose`` on it; standard output."""
        done = subprocess.run(
            [*self._compose.compose_command_property, *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}:\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
        return done.stdout

    def container(self, service: str) -> str:
        """Id of a service's container."""
        return self.compose("ps", "--all", "--quiet", service).strip()

    def inspect(self, service: str) -> dict[str, Any]:
        """What Docker says of a service's container."""
        details: dict[str, Any] = json.loads(docker("inspect", self.container(service)))[0]
        return details

    def shell(self, service: str, script: str) -> str:
        """Run a shell script in a service's container; standard output."""
        return docker("exec", self.container(service), "sh", "-c", script)

    def in_client(self, *command: str) -> list[str]:
        """A command line that runs a command in the client, as a user's script."""
        return ["docker", "exec", self.client, "/opt/prov/container/entrypoint.py", "client", *command]

    def submit(
        self,
        function: str = "pause",
        *,
        count: int = 32,
        seconds: float = 0.4,
        options: dict[str, Any] | None = None,
        endpoint_id: str | None = None,
    ) -> Work:
        """Have the client submit tasks."""
        order = {
            "function": function,
            "count": count,
            "seconds": seconds,
            "options": options,
            "endpoint": endpoint_id or self.endpoint_id,
        }
        process = subprocess.Popen(
            self.in_client("python", "/work/workload.py", json.dumps(order)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        work = Work(process, [])
        work.tasks = json.loads(work._line("submitted"))
        return work

    def wait_well(self) -> None:
        """Until all parts say that they are well."""
        self.compose("up", "--detach", "--no-recreate", "--wait")

    def live(self, tasks: list[str]) -> dict[tuple[str, int], str]:
        """Status of each attempt of these tasks, by id and number; none before there is a database."""
        path = self.crates / "live.sqlite"
        if not path.exists():
            return {}
        with LiveDatabase(f"sqlite:{path}") as database:
            filters = LiveFilters(names=[(("task_id",), tasks)])
            rows = database.ask(filters, ("task_id", "attempt", "status")).rows
            return {(task, attempt): status for task, attempt, status in rows}

    def sound_crates(self, tasks: list[str], crates: Path | None = None) -> dict[str, StepCrate]:
        """The crates of these tasks, all there and all without findings."""
        folder = crates or self.crates
        missing = until(lambda: not [task for task in tasks if not (folder / f"{task}.crate").exists()])
        assert missing, [task for task in tasks if not (folder / f"{task}.crate").exists()]
        step_crates = {task: StepCrate.open(folder / f"{task}.crate") for task in tasks}
        assert [finding for crate in step_crates.values() for finding in check_crate(crate.path)] == []
        return step_crates


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, up and well, with a client; taken away at the end, volumes and image included."""
    for image in IMAGES:
        inspection = subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False)
        need(not inspection.returncode, f"the image {image} is missing (scripts/base-images.sh {image})")
    project, port = f"{PROJECT}-{os.getpid()}", free_port()
    crates, work = tmp_path_factory.mktemp("crates"), tmp_path_factory.mktemp("work")
    data = tmp_path_factory.mktemp("data")
    work.chmod(0o755)
    for name in ("workload.py", "transfer_flow.py"):
        shutil.copy(HERE / name, work)
        (work / name).chmod(0o644)
    write_collections(data)
    values = {
        "COMPOSE_PROJECT_NAME": project,
        "PROV_STACK_PORT": f"{port}",
        "PROV_STACK_CRATES": f"{crates}",
        "PROV_STACK_FLOWS": "1",
        "PROV_STACK_COLLECTIONS": f"{data}",
        "PROV_STACK_STREAM": "sqlite:/crates/live.sqlite jsonl:/crates/events.jsonl",
        "PROV_STACK_TAG": project,
    }
    if os.getuid():
        values |= {"PROV_STACK_UID": f"{os.getuid()}", "PROV_STACK_GID": f"{os.getgid()}"}
    else:
        # As `make demo` of root leaves it: the endpoint's user can neither read nor write there.
        (crates / ".spool").mkdir(mode=0o700)
        (crates / ".spool" / "elsewhere-1-2.jsonl").touch(mode=0o600)
    env_file = tmp_path_factory.mktemp("env") / ".env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in values.items()))

    with pytest.MonkeyPatch.context() as patch:
        # The reaper is one more image that a machine without a container registry cannot get.
        patch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
        # The shell's variables would go before those of the file; other tests of this process keep theirs.
        own = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
        for name in own | {name for name in os.environ if name.startswith("COMPOSE_")}:
            patch.delenv(name, raising=False)
        from testcontainers.compose import DockerCompose
        from testcontainers.core.config import testcontainers_config
        from testcontainers.core.container import DockerContainer

        patch.setattr(testcontainers_config, "ryuk_disabled", True)
        image = f"prov-worker-endpoint:{project}"
        composed = DockerCompose(
            context=str(ROOT), compose_file_name="docker-compose.yml", build=True, wait=True, env_file=str(env_file)
        )
        try:
            with composed:
                it = Stack(composed, project, image, port, crates, values)
                it.data = data
                client = (
                    DockerContainer(image)
                    .with_command(["sleep", "infinity"])
                    .with_envs(
                        HOME="/tmp",
                        GLOBUS_SDK_ENVIRONMENT="local",
                        **{
                            f"GLOBUS_SDK_SERVICE_URL_{name}": "http://127.0.0.1:5000/"
                            for name in ("AUTH", "FLOWS", "TRANSFER")
                        },
                        PROV_STACK_IDENTITIES="/run/identity/identities.json",
                    )
                    .with_volume_mapping(f"{project}_identity", "/run/identity", "ro")
                    .with_volume_mapping(str(work), "/work", "ro")
                    .with_kwargs(
                        network_mode=f"container:{it.container('net')}",
                        read_only=True,
                        user=f"{os.getuid()}:{os.getgid()}" if os.getuid() else "1000:1000",
                        labels={"prov-worker.test": str(ROOT)},
                    )
                )
                client.tmpfs.update({"/tmp": "size=64m,mode=1777", "/run/prov": "size=1m,mode=1777"})
                with client:
                    it.client = client.get_wrapped_container().id
                    ask = ("endpoint", "cat /var/lib/prov/globus_compute/local/endpoint.json")
                    it.endpoint_id = json.loads(it.shell(*ask))["endpoint_id"]
                    yield it
        finally:
            docker("image", "rm", "--force", image, check=False)
