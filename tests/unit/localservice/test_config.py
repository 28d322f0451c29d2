"""Options, and the command line."""

from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra 'service' is not installed")
pytest.importorskip("pika", reason="the extra 'service' is not installed")
from prov_worker.errors import InputError
from prov_worker.localservice.config import Config
from prov_worker.localservice.identities import load


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    kept = {name: value for name, value in os.environ.items() if not name.startswith("PROV_SERVICE_")}
    return subprocess.run(
        [sys.executable, "-m", "prov_worker", "service", *arguments],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env={**kept, **environment},
        stdin=subprocess.DEVNULL,
    )


def test_env_prints_one_line(tmp_path: Path) -> None:
    load(None, tmp_path / "identities.json", {})
    done = run("env", "--db", str(tmp_path / "s.sqlite"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    fields = shlex.split(done.stdout)
    variables = dict(word.split("=", 1) for word in fields[1:])
    assert fields[0] == "export"
    assert variables["GLOBUS_SDK_ENVIRONMENT"] == "local"
    assert variables["GLOBUS_SDK_SERVICE_URL_AUTH"] == "http://localhost:5000/"
    again = run("env", PROV_SERVICE_DB=str(tmp_path / "s.sqlite"))
    assert again.stdout == done.stdout


def test_env_knows_of_no_client_before_a_service_has_run(tmp_path: Path) -> None:
    done = run("env", "--db", str(tmp_path / "s.sqlite"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"prov-worker: {tmp_path / 'identities.json'}: no service has run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--port", "--published"])
def test_env_prints_no_export_that_cannot_work(tmp_path: Path, option: str) -> None:
    load(None, tmp_path / "identities.json", {})
    done = run("env", "--db", str(tmp_path / "s.sqlite"), option, "5001")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("prov-worker: port 5001: stock software looks for a local service on port 5000")
    assert done.stderr.count("\n") == 1


def test_env_for_one_of_several(tmp_path: Path) -> None:
    ids = ["00000000-0000-0000-0000-00000000000" + end for end in "12"]
    file = tmp_path / "i.json"
    file.write_text(json.dumps([{"client_id": each, "client_secret": f"it's secret {each}"} for each in ids]))
    done = run("env", "--identities", str(file), "--identity", ids[1])
    assert f"it's secret {ids[1]}" in " ".join(shlex.split(done.stdout))
    done = run("env", "--identities", str(file), "--identity", "x")
    assert (done.returncode, done.stderr) == (2, "prov-worker: --identity x: no such identity\n")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--amqp-url", "http://user:hidden@x"], "--amqp-url: must look like"),
        (["--amqp-url", "amqp://user:hidden@x:abc"], "--amqp-url: must look like"),
        (["--amqp-advertise", "somewhere"], "--amqp-advertise: must look like"),
        (["--retain-hours", "0"], "--retain-hours"),
        (["--port", "70000"], "--port"),
        (["--host", "192.0.2.1"], "--host 192.0.2.1"),
        (["--identities", "/nowhere/i.json"], "/nowhere/i.json"),
        (["--log-level", "loud"], "--log-level"),
    ],
)
def test_bad_options_end_with_2_and_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    port = [] if "--port" in arguments else ["--port", str(_free_port())]
    done = run("run", "--db", str(tmp_path / "s.sqlite"), *port, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "hidden" not in done.stderr


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("run", "--db", str(tmp_path / "s.sqlite"), "--port", str(port))
    assert done.returncode == 2
    assert re.fullmatch(rf"prov-worker: --host 127.0.0.1 --port {port}: cannot listen there: .*\n", done.stderr)


def test_status_of_nothing() -> None:
    done = run("status", "--json", "--port", str(_free_port()))
    assert done.returncode == 1
    assert json.loads(done.stdout)["status"] == "unreachable"


def test_the_brokers_url_for_others() -> None:
    url = "amqp://u:p@broker:5672/%2F"
    assert Config(amqp_url=url).client_amqp_url == url
    assert Config(amqp_url=url, amqp_advertise="amqp://x/").client_amqp_url == "amqp://x/"
    through = Config(amqp_url=url, amqp_advertise="service", port=5001)
    assert (through.client_amqp_url, through.carries_amqp) == ("amqp://u:p@localhost:5001/%2F", True)


@pytest.mark.parametrize(
    "host, url",
    [
        ("127.0.0.1", "http://localhost:5000/"),
        ("0.0.0.0", "http://localhost:5000/"),
        ("::1", "http://localhost:5000/"),
        ("example.org", "http://example.org:5000/"),
        ("2001:db8::1", "http://[2001:db8::1]:5000/"),
    ],
)
def test_own_url(host: str, url: str) -> None:
    assert Config(host=host).url == url


def test_a_url_never_shows_its_password() -> None:
    with pytest.raises(InputError) as caught:
        Config(amqp_url="ftp://user:hidden@host")
    assert "hidden" not in str(caught.value)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_service_says_why_there_is_no_broker(tmp_path: Path) -> None:
    with socket.socket() as nobody, socket.socket() as own:
        for each in (nobody, own):
            each.bind(("127.0.0.1", 0))
        broker, port = nobody.getsockname()[1], own.getsockname()[1]
        own.close()
        arguments = ["--port", str(port), "--db", str(tmp_path / "s.sqlite")]
        arguments += ["--amqp-url", f"amqp://guest:guest@127.0.0.1:{broker}/%2F"]
        process = subprocess.Popen(
            [sys.executable, "-m", "prov_worker", "service", "run", *arguments],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stderr is not None
            line = next(line for line in process.stderr if "broker: " in line)
        finally:
            process.terminate()
            process.communicate(timeout=180)
    assert line.rstrip().endswith("broker: ConnectionRefusedError: [Errno 111] Connection refused")
