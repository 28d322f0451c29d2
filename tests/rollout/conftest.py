"""Login nodes as containers, with a broker and a local service on a private network, and Ansible beside them."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from login_nodes import BASES, BIN, KINDS, LABEL, LOCAL, ROOT, SITES, TAG, VERSION, Node, Site, missing

from support.containers import docker, until

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def wheelhouses(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Wheels of the package and of all that it needs, for a version of Python; what is not ours is kept."""
    if not (BIN / "ansible-playbook").exists():
        missing("no ansible-playbook (make ansible)")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]

    def make(python: str) -> Path:
        command = [ROOT / "scripts" / "node-wheels.sh", python]
        environment = {**os.environ, "PIP_PYTHON": sys.executable}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            missing(f"the wheels of the nodes cannot be fetched: {done.stderr[-300:]}")
        target = tmp_path_factory.mktemp("wheels")
        for wheel in Path(done.stdout.strip()).iterdir():
            (target / wheel.name).symlink_to(wheel)
        subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", target, ROOT], check=True, capture_output=True)
        return target

    return functools.cache(make)


@pytest.fixture(scope="session")
def wheelhouse(wheelhouses: Callable[[str], Path]) -> Path:
    """Those of Debian 12's Python."""
    return wheelhouses("3.11")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Broker and service on a private network."""
    for image in ("debian:bookworm-slim", "rabbitmq:4.0-management"):
        if not docker("image", "ls", "--quiet", image).strip():
            missing(f"the image {image} is missing (scripts/base-images.sh {image})")
    name = f"{TAG}-{uuid.uuid4().hex[:6]}"
    site = Site(name, tmp_path_factory.mktemp("site"), str(uuid.uuid4()), f"planted-{uuid.uuid4().hex}",
                Path(tempfile.mkdtemp(prefix="rollout-")))  # fmt: skip
    identities = site.directory / "identities"
    identities.mkdir()
    content = [{"client_id": site.client_id, "client_secret": site.client_secret, "name": "endpoint"}]
    (identities / "identities.json").write_text(json.dumps(content))
    shutil.copy(ROOT / "docker" / "rabbitmq.conf", identities / "10-broker.conf")
    # Read in the containers by users that this machine does not know.
    for path in (*identities.iterdir(), identities):
        path.chmod(0o755)
    (identities / "identities.json").chmod(0o600)
    docker("build", "--quiet", "--target", "endpoint", "--label", LABEL, "--tag", f"{TAG}-service", str(ROOT))
    docker("network", "create", "--internal", "--label", LABEL, name)
    try:
        options = ["--detach", "--label", LABEL, "--network", name]
        docker("run", *options, "--name", f"{name}-broker", "--network-alias", "broker", "--hostname", "broker",
               "--env", "RABBITMQ_DEFAULT_USER=prov", "--env", "RABBITMQ_DEFAULT_PASS=prov",
               "rabbitmq:4.0-management")  # fmt: skip
        docker("run", *options, "--name", site.service, "--network-alias", "service",
               "--volume", f"{identities}:/identities:ro", "--env", "HOME=/tmp", "--tmpfs", "/run/prov",
               "--user", f"{os.getuid()}:{os.getgid()}", "--env", "PROV_SERVICE_AMQP_URL=amqp://prov:prov@broker:5672/%2F",
               f"{TAG}-service", "prov-worker", "service", "run", "--host", "0.0.0.0", "--db", "/tmp/state/s.sqlite",
               "--identities", "/identities/identities.json", "--amqp-advertise", "service")  # fmt: skip
        ask = "import urllib.request as u; print(u.urlopen('http://localhost:5000/health').read().decode())"
        assert until(lambda: '"ok"' in docker("exec", site.service, "python", "-c", ask, check=False), timeout_s=240), (
            docker("logs", site.service, check=False)[-3000:]
        )
        yield site
    finally:
        for container in docker("ps", "--all", "--quiet", "--filter", f"network={name}").split():
            docker("rm", "--force", "--volumes", container, check=False)
        docker("network", "rm", name, check=False)
        shutil.rmtree(site.home)


@pytest.fixture(scope="session")
def start_node(site: Site, wheelhouses: Callable[[str], Path]) -> Iterator[Callable[[str], Node]]:
    """Start login nodes; the user's key is the only way in."""
    key = site.directory / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    started: list[str] = []

    def start(kind: str) -> Node:
        image = f"{TAG}-{kind}"
        base, python = BASES[kind]
        if not docker("image", "ls", "--quiet", base).strip():
            missing(f"the image {base} is missing (scripts/base-images.sh {base})")
        build = ["--build-arg", f"BASE={base}", "--target", kind, "--label", LABEL, "--tag", image]
        docker("build", "--quiet", *build, str(HERE / "nodes"))
        name = f"{site.name}-{kind}-{uuid.uuid4().hex[:4]}"
        node = Node(name, kind, site)
        run = ["run", "--detach", "--label", LABEL, "--network", site.name, *KINDS[kind]]
        # A volume: in layers of an image ten thousands of files are written and removed at half the speed.
        run += ["--volume", f"{name}-home:/home"]
        started.append(name)
        if kind == "scrontab":
            # What runs batch jobs has the name by which tasks are known; people log in to the other.
            login, node.batch = f"{kind}-login", f"{name}-batch"
            run += ["--volume", f"{name}-munge:/etc/munge"]
            started.append(node.batch)
            docker(*run, "--name", name, "--hostname", login, "--network-alias", login,
                   image, "login", login, f"{kind}-node")  # fmt: skip
            docker(*run, "--cap-add", "SYS_ADMIN", "--name", node.batch, "--hostname", f"{kind}-node",
                   "--network-alias", f"{kind}-node", image, "batch", login, f"{kind}-node")  # fmt: skip
        else:
            docker(*run, "--name", name, "--hostname", f"{kind}-node", image)
        public = key.with_suffix(".pub").read_text().strip()
        node.shell(f"umask 077; echo '{public}' >.ssh/authorized_keys")
        ssh = "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR"
        node.variables = {
            "ansible_user": "alice",
            "ansible_ssh_private_key_file": str(key),
            "ansible_ssh_common_args": ssh,
            "prov_worker_source": "wheelhouse",
            "prov_worker_wheelhouse_src": str(wheelhouses(python)),
            "prov_worker_version": VERSION,
            "endpoint_client_id": site.client_id,
            "endpoint_client_secret": site.client_secret,
            "endpoint_environment": LOCAL,
            "preflight_urls": ["http://localhost:5000/health"],
            "service_cron_minutes": 1,
            "service_online_timeout": 60,
            "collect_command": str(Path(sys.executable).parent / "prov-worker"),
            **SITES[kind],
        }
        ready = [
            "ssh",
            *ssh.split(),
            "-o",
            "BatchMode=yes",
            "-o",
            "ConnectTimeout=20",
            "-i",
            str(key),
            f"alice@{node.address}",
            "true",
        ]
        answers: list[subprocess.CompletedProcess[str]] = []

        def logs_in() -> bool:
            answers.append(subprocess.run(ready, capture_output=True, text=True))
            return answers[-1].returncode == 0

        assert until(logs_in, timeout_s=300), (
            f"no login to {name} ({node.address}): {answers[-1].stderr}\n{node.console()}"
        )
        return node

    yield start
    for name in started:
        docker("rm", "--force", "--volumes", name, check=False)
    for volume in docker("volume", "ls", "--quiet", "--filter", f"name={site.name}-").split():
        docker("volume", "rm", volume, check=False)
