"""Images and containers for tests on other systems than this one; everything made here is taken away again."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.commands import run_python
from support.containers import CHECKOUT, LABEL, ROOT, docker, need_image

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer


@dataclass(frozen=True)
class Done:
    """How a command in a container ended."""

    code: int
    out: str
    err: str


class Machine:
    """A running container, seen as a machine with a shell."""

    def __init__(self, container: DockerContainer) -> None:
        self._container: Any = container.get_wrapped_container()

    @property
    def id(self) -> str:
        """Of the container."""
        return str(self._container.id)

    def _execute(self, *command: str) -> subprocess.CompletedProcess[bytes]:
        """Run a program there.

        By Docker's client: `exec_run` of the SDK loses what the daemon sends together with the head of its answer
        (https://github.com/docker/docker-py/issues/3332).
        """
        return subprocess.run(
            ["docker", "exec", self.id, *command], stdin=subprocess.DEVNULL, capture_output=True, check=False
        )

    def run(self, command: str, *, timeout_s: int = 450) -> Done:
        """Run a shell command; code 124 where it took too long."""
        done = self._execute("timeout", str(timeout_s), "bash", "-c", command)
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def fetch(self, directory: str, target: Path) -> None:
        """Copy a directory from there; also from a tmpfs, which `docker cp` does not see."""
        done = self._execute("tar", "-C", directory, "-c", ".")
        assert done.returncode == 0, done.stderr
        target.mkdir()
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            # The filter came to Python 3.11 with 3.11.4; the archive is of a container that this test started.
            archive.extractall(target, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # type: ignore[arg-type]

    def put(self, path: Path, target: str) -> None:
        """Copy a file there."""
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as archive:
            archive.add(path, path.name)
        assert self._container.put_archive(target, data.getvalue())


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it is published, built from this checkout."""
    target = tmp_path_factory.mktemp("wheel")
    done = run_python("-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(target), str(ROOT))
    assert done.returncode == 0, done.stderr
    return next(target.glob("*.whl"))


@pytest.fixture(scope="session")
def image(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str, str], str]]:
    """Build a stage of the Dockerfile on a base image, once a session. Removed at the end; the layers stay cached."""
    built: dict[tuple[str, str], str] = {}

    def build(base: str, stage: str) -> str:
        if (base, stage) not in built:
            need_image(base)
            context = tmp_path_factory.mktemp("context")
            shutil.copy(Path(__file__).with_name("Dockerfile"), context)
            if stage == "installed":
                shutil.copy(request.getfixturevalue("wheel"), context)
            tag = f"prov-worker-test:{uuid.uuid4().hex[:12]}"
            options = ["--quiet", "--label", LABEL, "--build-arg", f"BASE={base}", "--target", stage]
            docker("build", *options, "--tag", tag, str(context))
            built[base, stage] = tag
        return built[base, stage]

    yield build
    for tag in built.values():
        docker("image", "rm", "--force", tag)


@pytest.fixture(scope="session")
def worker_image() -> Iterator[tuple[str, str]]:
    """Name and digest of the product's own image for workers."""
    need_image("debian:bookworm-slim")
    name = f"prov-worker-of-{CHECKOUT}:{uuid.uuid4().hex[:8]}"
    docker("build", "--quiet", "--target", "worker", "--label", LABEL, "--tag", name, str(ROOT))
    yield name, docker("image", "inspect", "--format", "{{.Id}}", name).strip()
    docker("image", "rm", "--force", name, check=False)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Machine]]:
    """Start containers that end with the test."""
    # The reaper is one more image that a machine without a container registry cannot get; containers end here.
    monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.core.config import testcontainers_config
    from testcontainers.core.container import DockerContainer

    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)
    with ExitStack() as stack:

        def start(name: str, *, env: Mapping[str, str] = {}, tmpfs: Mapping[str, str] = {}, **options: Any) -> Machine:
            if name.startswith("debian:"):
                need_image(name)
            container = DockerContainer(name).with_command(["sleep", "infinity"]).with_envs(**env)
            container.tmpfs.update(tmpfs)
            container = container.with_kwargs(labels=dict([LABEL.split("=", 1)]), init=True, **options)
            return Machine(stack.enter_context(container))

        yield start
