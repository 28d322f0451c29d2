"""A broker, the local service with its rehearsal of Globus Flows, and an endpoint, on this machine."""

from __future__ import annotations

import http.client
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

BIN = Path(sys.executable).parent
#: Debian's wrapper in the PATH changes the user; this is the script behind it.
_SCRIPTS = ("/usr/lib/rabbitmq/bin/rabbitmq-server", shutil.which("rabbitmq-server"))
#: At which stock software looks for a local service.
PORT = 5000
_LIMIT_S = 240.0
#: Open MPI refuses root, and more ranks than there are cores, unless variables say that this is meant.
_OPEN_MPI = [
    "OMPI_MCA_rmaps_base_oversubscribe=1",
    *(() if os.getuid() else ("OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1")),
]


@contextmanager
def local_globus(out: Path, collections: Path, crates: Path, mpi: str = "none") -> Iterator[dict[str, str]]:
    """Run all of it until the block ends; yields the environment of programs that use it.

    Args:
        out: directory of state and logs.
        collections: file of directories that stand for collections.
        crates: directory of the endpoint's crates.
        mpi: launcher of the endpoint's MPI tasks: ``none``, ``mpiexec`` or ``openmpi``.
    """
    with ExitStack() as stack:
        url = os.environ.get("PROV_SERVICE_AMQP_URL") or stack.enter_context(_broker(out / "broker"))
        environment = stack.enter_context(_service(out / "service", url, collections))
        environment["GLOBUS_COMPUTE_USER_DIR"] = str(out / "globus_compute")
        stack.enter_context(_endpoint(out, environment, crates, mpi))
        yield environment


def launcher() -> str:
    """Return the launcher of MPI tasks that is here, as ``sites install --set mpi=`` names it; ``none`` for none."""
    if shutil.which("mpiexec") is None:
        return "none"
    version = subprocess.run(["mpiexec", "--version"], capture_output=True, text=True, check=False).stdout
    return "openmpi" if any(name in version for name in ("OpenRTE", "Open MPI", "PRRTE")) else "mpiexec"


def endpoint_id(environment: Mapping[str, str]) -> str:
    """Return the id of the endpoint."""
    path = Path(environment["GLOBUS_COMPUTE_USER_DIR"]) / "frib" / "endpoint.json"
    return str(json.loads(path.read_text())["endpoint_id"])


@contextmanager
def program(command: list[str], log: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a session of its own, and end it with the block."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(60)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until something holds; a program that ends before is the end of this one."""
    deadline = time.monotonic() + _LIMIT_S
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"{' '.join(process.args[:3])} does not come up; see {log}")  # type: ignore[index,str-bytes-safe]
        time.sleep(0.1)


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    try:
        return [listener.getsockname()[1] for listener in sockets]
    finally:
        for listener in sockets:
            listener.close()


@contextmanager
def _broker(directory: Path) -> Iterator[str]:
    script = next((path for path in _SCRIPTS if path and Path(path).exists()), None)
    if script is None:
        sys.exit("RabbitMQ is not installed (apt-get install rabbitmq-server), and PROV_SERVICE_AMQP_URL names none")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    port, dist, epmd = _free_ports(3)
    (directory / "plugins").write_text("[].\n")
    environment = {
        **os.environ, "HOME": str(directory), "RABBITMQ_NODENAME": "frib@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1", "RABBITMQ_NODE_PORT": str(port), "RABBITMQ_DIST_PORT": str(dist),
        "RABBITMQ_MNESIA_BASE": str(directory / "data"), "RABBITMQ_LOG_BASE": str(directory / "log"),
        "RABBITMQ_PID_FILE": str(directory / "pid"), "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(directory / "none"), "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": str(epmd),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }  # fmt: skip

    def listens() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                connection.settimeout(5)
                return bool(connection.recv(1))
        except OSError:
            return False

    try:
        with program([str(script)], directory / "console", environment) as process:
            wait_for(listens, process, directory / "console")
            yield f"amqp://guest:guest@127.0.0.1:{port}/%2F"
    finally:
        subprocess.run(["epmd", "-kill"], env=environment, capture_output=True, check=False)


@contextmanager
def _service(directory: Path, broker: str, collections: Path) -> Iterator[dict[str, str]]:
    database = str(directory / "state" / "service.sqlite")
    command = [sys.executable, "-m", "prov_worker", "service"]
    options = ["--db", database, "--flows", "--collections", str(collections)]
    log = directory / "log"
    with program([*command, "run", *options], log, {**os.environ, "PROV_SERVICE_AMQP_URL": broker}) as process:

        def answers() -> bool:
            connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
            try:
                connection.request("GET", "/health")
                return bool(json.load(connection.getresponse())["status"] == "ok")
            except OSError:
                return False
            finally:
                connection.close()

        wait_for(answers, process, log)
        line = subprocess.run([*command, "env", "--db", database], capture_output=True, text=True, check=True).stdout
        exports = dict(word.split("=", 1) for word in shlex.split(line)[1:])
        yield {**os.environ, **exports, "PATH": f"{BIN}:{os.environ['PATH']}"}


@contextmanager
def _endpoint(out: Path, environment: Mapping[str, str], crates: Path, mpi: str) -> Iterator[None]:
    options = out / "endpoint.yaml"
    # A crate is complete when its task's result is there: the flow transfers it right after.
    settings: dict[str, object] = {
        "crate_dir": str(crates),
        "email": "you@example.org",
        "provenance": {"write": "before_result"},
        "mpi": mpi,
    }
    if mpi == "openmpi":
        settings["worker_init"] = f"export {' '.join(_OPEN_MPI)}"
    options.write_text(json.dumps(settings))
    install = [sys.executable, "-m", "prov_worker", "sites", "install", "local", "frib", "--file", str(options)]
    subprocess.run(install, env=environment, stdout=subprocess.DEVNULL, check=True)
    log = out / "endpoint.log"
    with program([str(BIN / "globus-compute-endpoint"), "start", "frib"], log, environment) as process:
        registered = Path(environment["GLOBUS_COMPUTE_USER_DIR"]) / "frib" / "endpoint.json"
        wait_for(registered.exists, process, log)
        yield
