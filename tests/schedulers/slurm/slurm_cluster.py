"""A Slurm cluster in containers, with the endpoint's daemon on its login node and a broker beside it.

The login node runs the local web service that stands for Globus' own, the stock daemon and the stock SDK; what it
submits is run by real ``sbatch``, ``srun`` and ``slurmd`` on nodes with the names, features and sizes of Perlmutter's.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from support.containers import CHECKOUT, LABEL, ROOT, docker

HERE = Path(__file__).parent
TAG = f"prov-slurm-{CHECKOUT}"
NODES = ("nid001", "nid002", "nid003", "nid004")
#: Where workers in an image run: a node with rights and images of its own. Without cgroups a job's end does not reach
#: all that podman has started, so nothing else runs there.
PODMAN_NODE = "nid004"
HOME = "/home/compute"
#: How stock software finds the local service, as `prov-worker service env` says it.
LOCAL = {"GLOBUS_SDK_ENVIRONMENT": "local", "GLOBUS_SDK_SERVICE_URL_AUTH": "http://127.0.0.1:5000/"}


def until(condition: Callable[[], Any], event: str, *, timeout_s: float = 300, pause_s: float = 0.3) -> Any:
    """Wait for something to become true; what it is."""
    end = time.monotonic() + timeout_s
    while not (outcome := condition()):
        assert time.monotonic() < end, f"waited in vain for {event}"
        time.sleep(pause_s)
    return outcome


class Tasks:
    """Tasks of one client: a process with the stock SDK on the login node."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise AssertionError(process.communicate()[1][-4000:])
        self.ids: list[str] = json.loads(line)

    def outcomes(self, timeout_s: float = 300) -> list[dict[str, Any]]:
        """``result`` or ``error`` of each, in the order of submission."""
        out, err = self._process.communicate(timeout=timeout_s)
        assert self._process.returncode == 0, err[-4000:]
        outcomes: list[dict[str, Any]] = json.loads(out.splitlines()[-1])
        return outcomes

    def close(self) -> None:
        """End the client, where its outcomes were not asked for."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


class Cluster:
    """Controller, accounting, three nodes and what an endpoint needs.

    Args:
        directory: for files on this machine.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.name = f"{TAG}-{uuid.uuid4().hex[:6]}"
        self.identity = {
            "GLOBUS_COMPUTE_CLIENT_ID": str(uuid.uuid4()),
            "GLOBUS_COMPUTE_CLIENT_SECRET": uuid.uuid4().hex,
        }
        self._clients: list[Tasks] = []

    # -- start and end -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Build the images (cached), start all containers, the service, and wait until the nodes are idle."""
        docker("build", "--quiet", "--target", "endpoint", "--label", LABEL, "--tag", f"{TAG}:product", str(ROOT))
        docker("build", "--quiet", "--label", LABEL, "--add-host", "head:127.0.0.1", "--build-arg",
               f"PRODUCT={TAG}:product", "--tag", f"{TAG}:cluster", str(HERE / "cluster"))  # fmt: skip
        docker("network", "create", "--internal", "--label", LABEL, self.name)
        docker("volume", "create", "--label", LABEL, self.name)
        self._run("broker", "rabbitmq:4.0-management",
                  options=["--env", "RABBITMQ_DEFAULT_USER=prov", "--env", "RABBITMQ_DEFAULT_PASS=prov"])  # fmt: skip
        home = ["--volume", f"{self.name}:{HOME}"]
        self._run("head", f"{TAG}:cluster", "cluster-head", options=home)
        # Podman without root mounts its images in a name space of its own.
        inner = ["--privileged", "--volume", "/var/lib/containers"]
        for node in NODES:
            options = home + inner if node == PODMAN_NODE else home
            self._run(node, f"{TAG}:cluster", "cluster-node", options=options)
        identities = [{"client_id": self.identity["GLOBUS_COMPUTE_CLIENT_ID"], "name": "tests",
                       "client_secret": self.identity["GLOBUS_COMPUTE_CLIENT_SECRET"]}]  # fmt: skip
        self.write(f"{HOME}/identities.json", json.dumps(identities))
        self.write(f"{HOME}/client.py", (HERE / "client.py").read_text())
        until(lambda: "prov" in docker("exec", self.part("broker"), "rabbitmqctl", "-q", "list_users", check=False),
              "the broker", pause_s=1)  # fmt: skip
        self.background(
            "chmod 600 identities.json; export PROV_SERVICE_AMQP_URL=amqp://prov:prov@broker:5672/%2F; "
            "exec prov-worker service run --identities identities.json --db state/s.sqlite "
            "--amqp-advertise service >service.log 2>&1"
        )
        ask = "import urllib.request as u; print(u.urlopen('http://localhost:5000/health').read().decode())"
        until(lambda: '"ok"' in self.run(f'python -c "{ask}"', check=False), "the service")
        self.nodes_idle()

    def stop(self) -> None:
        """Take everything away."""
        for client in self._clients:
            client.close()
        for container in docker("ps", "--all", "--quiet", "--filter", f"network={self.name}").split():
            docker("rm", "--force", "--volumes", container, check=False)
        docker("volume", "rm", "--force", self.name, check=False)
        docker("network", "rm", self.name, check=False)

    def _run(self, part: str, image: str, *command: str, options: list[str]) -> None:
        docker("run", "--detach", "--label", LABEL, "--network", self.name, "--name", self.part(part), "--hostname",
               part, "--network-alias", part, *options, image, *command)  # fmt: skip

    def part(self, name: str) -> str:
        """The container of a node, or of the broker."""
        return f"{self.name}-{name}"

    # -- commands ----------------------------------------------------------------------------------------------------

    def _exec(self, where: str, user: str, environment: Mapping[str, str], detach: bool = False) -> list[str]:
        variables = [word for key, value in environment.items() for word in ("--env", f"{key}={value}")]
        options = ["--interactive", *(["--detach"] if detach else [])]
        folder = HOME if user == "compute" else "/"
        return ["exec", *options, "--user", user, "--workdir", folder, "--env", f"HOME={HOME}", *variables,
                self.part(where)]  # fmt: skip

    def run(self, script: str, *, where: str = "head", user: str = "compute", check: bool = True) -> str:
        """Run a shell script on a node; standard output."""
        return docker(*self._exec(where, user, LOCAL | self.identity), "bash", "-c", script, check=check)

    def background(self, script: str) -> None:
        """Start a shell script on the login node."""
        docker(*self._exec("head", "compute", LOCAL | self.identity, detach=True), "bash", "-c", script)

    def write(self, path: str, text: str) -> None:
        """Write a file of the cluster's user."""
        command = [*self._exec("head", "compute", {}), "bash", "-c", f"umask 077; cat >{path}"]
        subprocess.run(["docker", *command], input=text, text=True, check=True, capture_output=True)

    def nodes_idle(self) -> None:
        """Wait until every node takes jobs."""
        until(lambda: self.run("sinfo -h -N -o %T", check=False).split() == ["idle"] * len(NODES), "idle nodes")

    def jobs(self) -> list[str]:
        """Ids of the jobs that wait or run."""
        return self.run("squeue -h -o %A").split()

    def states(self) -> dict[str, str]:
        """State of every job so far, by id, as accounting has it."""
        rows = [line.split("|") for line in self.run("sacct -X -n -P -o JobID,State").splitlines()]
        return {row[0]: row[1].split()[0] for row in rows}

    def logs(self) -> str:
        """What is worth reading after a failure."""
        ask = "tail -n 60 service.log .globus_compute/*/endpoint.log console.* 2>&1; squeue; sacct -X -P; sinfo -N -l"
        scripts = "tail -n 30 .globus_compute/*/*/submit_scripts/*.std* .globus_compute/*/submit_scripts/*.std* 2>&1"
        return self.run(f"{ask}; {scripts}", check=False)

    def load_worker_image(self) -> tuple[str, str]:
        """Build the product's image for workers, and hand it to podman on its node; name and digest."""
        name = f"{TAG}:worker"
        docker("build", "--quiet", "--target", "worker", "--label", LABEL, "--tag", name, str(ROOT))
        self.run("mkdir -p /var/lib/containers && chmod 1777 /var/lib/containers", where=PODMAN_NODE, user="root")
        archive = self.directory / "worker.tar"
        docker("save", "--output", str(archive), name)
        with archive.open("rb") as file:
            command = [*self._exec(PODMAN_NODE, "compute", {}), "podman", "load", "--quiet"]
            subprocess.run(["docker", *command], stdin=file, check=True, capture_output=True)
        return name, docker("image", "inspect", "--format", "{{.Id}}", name).strip()

    # -- endpoints and tasks -----------------------------------------------------------------------------------------

    def endpoint(self, name: str, site: str, **options: Any) -> Endpoint:
        """Install a site on the login node, and start its daemon."""
        made = Endpoint(self, name)
        values = {"account": "m0000", "interface": "eth0", "strategy_period": 0.5, "email": "someone@example.org"}
        self.write(f"{HOME}/{name}.yaml", json.dumps(values | {"crate_dir": made.crate_dir} | options))
        self.run(f"prov-worker sites install {site} {name} -f {name}.yaml")
        self.background(f"exec globus-compute-endpoint start {name} >console.{name} 2>&1")
        ask = f"python client.py status $(python -c \"import json; print(json.load(open('.globus_compute/{name}/"
        ask += "endpoint.json'))['endpoint_id'])\")"
        until(lambda: "online" in self.run(ask, check=False), f"endpoint {name}", pause_s=0.5)
        made.id = json.loads(self.run(f"cat .globus_compute/{name}/endpoint.json"))["endpoint_id"]
        return made

    def submit(self, endpoint: str, options: Mapping[str, Any], calls: list[tuple[str, list[Any]]]) -> Tasks:
        """Submit tasks by a client of their own."""
        request = json.dumps({"endpoint": endpoint, "options": options, "calls": calls})
        process = subprocess.Popen(
            ["docker", *self._exec("head", "compute", LOCAL | self.identity), "python", "client.py", "submit", request],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        tasks = Tasks(process)
        self._clients.append(tasks)
        return tasks


class Endpoint:
    """An endpoint on the login node."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.id = ""
        self.crate_dir = f"{HOME}/crates-{name}"

    def submit(self, *calls: tuple[str, list[Any]], **options: Any) -> Tasks:
        """Submit functions of ``client.py`` with their arguments, under options of the site's."""
        return self.cluster.submit(self.id, options, list(calls))

    def crate(self, task: str, *, attempt: int | None = None) -> Path:
        """The crate of a task, as a copy on this machine; of an earlier attempt where asked for."""
        name = f"{task}.crate" if attempt is None else f"{task}.attempt-{attempt}.crate"
        until(lambda: name in self.cluster.run(f"ls {self.crate_dir}", check=False).split(), f"{name} of {self.name}")
        target = self.cluster.directory / name
        if target.exists():
            shutil.rmtree(target)
        archive = docker_bytes(self.cluster.part("head"), f"{self.crate_dir}/{name}")
        subprocess.run(["tar", "-x", "-C", self.cluster.directory, "--no-same-owner"], input=archive, check=True)
        return target


def docker_bytes(container: str, path: str) -> bytes:
    """A folder of a container as a tar archive."""
    return subprocess.run(["docker", "cp", f"{container}:{path}", "-"], check=True, capture_output=True).stdout
