"""Options, and the command line."""

from __future__ import annotations

import json
import os
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
from prov_worker.localservice.server import listen


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
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
    assert variables["GLOBUS_SDK_SERVICE_URL_AUTH"] == "http://127.0.0.1:5000/"
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
    file.touch(mode=0o600)
    file.write_text(json.dumps([{"client_id": each, "client_secret": f"it's secret {each}"} for each in ids]))
    done = run("env", "--identities", str(file), "--identity", ids[1])
    assert f"it's secret {ids[1]}" in " ".join(shlex.split(done.stdout))
    done = run("env", "--identities", str(file), "--identity", "x")
    assert (done.returncode, done.stderr) == (2, "prov-worker: --identity x: no such identity\n")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--amqp-url", "http://x"], "--amqp-url: must look like"),
        (["--amqp-url", "amqp://user:hidden@x"], "put the URL into the variable PROV_SERVICE_AMQP_URL"),
        (["--amqp-advertise", "amqp://user:hidden@x"], "put the URL into the variable PROV_SERVICE_AMQP_ADVERTISE"),
        (["--amqp-management", "http://user:hidden@x"], "put the URL into the variable PROV_SERVICE_AMQP_MANAGEMENT"),
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


def test_a_bad_url_in_a_variable_keeps_its_password(tmp_path: Path) -> None:
    done = run("run", "--db", str(tmp_path / "s.sqlite"), PROV_SERVICE_AMQP_URL="amqp://user:hidden@x:abc")
    assert (done.returncode, done.stderr.split(":")[1]) == (2, " --amqp-url")
    assert "hidden" not in done.stderr


@pytest.mark.parametrize(
    "family, address, shown", [(socket.AF_INET, "127.0.0.1", "127.0.0.1"), (socket.AF_INET6, "::1", "[::1]")]
)
def test_a_loopback_that_is_taken(tmp_path: Path, family: socket.AddressFamily, address: str, shown: str) -> None:
    """Another user who listens on one of them would be sent what is meant for the service."""
    with socket.socket(family) as taken:
        try:
            taken.bind((address, 0))
        except OSError:
            pytest.skip(f"this machine has no {address}")
        taken.listen()
        port = taken.getsockname()[1]
        done = run("run", "--db", str(tmp_path / "s.sqlite"), "--port", str(port))
    assert done.returncode == 2
    refusal = re.escape(f"prov-worker: --host 127.0.0.1 --port {port}: cannot listen on {shown}: ")
    assert re.fullmatch(rf"{refusal}.*\n", done.stderr)
    assert not (tmp_path / "identities.json").exists()


def test_both_loopbacks_answer(tmp_path: Path) -> None:
    listeners = listen(Config(port=_free_port(), database=tmp_path / "s.sqlite"))
    try:
        for listener in listeners:
            with socket.create_connection(listener.getsockname()[:2], 10):
                pass
        assert listeners[0].getsockname()[0] == "127.0.0.1"
    finally:
        for listener in listeners:
            listener.close()


def test_a_loopback_that_this_machine_has_not_is_left_out(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 2001:db8::/32 is for documentation: no machine has such an address.
    monkeypatch.setattr("prov_worker.localservice.config.LOOPBACK_6", "2001:db8::1")
    with caplog.at_level("INFO"):
        (listener,) = listen(Config(port=_free_port()))
    listener.close()
    assert "this machine has no 2001:db8::1: not listening there" in caplog.text


@pytest.mark.parametrize(
    "host, addresses",
    [
        ("::1", ("127.0.0.1", "::1")),
        ("0.0.0.0", ("0.0.0.0", "::1")),
        ("::", ("::",)),
        ("192.0.2.7", ("192.0.2.7", "127.0.0.1", "::1")),
    ],
)
def test_the_loopbacks_are_always_among_the_addresses(host: str, addresses: tuple[str, ...]) -> None:
    assert Config(host=host).addresses == addresses


def test_status_of_nothing() -> None:
    done = run("status", "--json", "--port", str(_free_port()))
    assert done.returncode == 1
    assert json.loads(done.stdout)["status"] == "unreachable"


def test_the_brokers_url_for_others() -> None:
    url = "amqp://u:p@broker:5672/%2F"
    assert Config(amqp_url=url).client_amqp_url == url
    assert Config(amqp_url=url, amqp_advertise="amqp://x/").client_amqp_url == "amqp://x/"
    through = Config(amqp_url=url, amqp_advertise="service", port=5001)
    assert (through.client_amqp_url, through.carries_amqp) == ("amqp://u:p@127.0.0.1:5001/%2F", True)


@pytest.mark.parametrize(
    "host, url",
    [
        ("127.0.0.1", "http://127.0.0.1:5000/"),
        ("localhost", "http://127.0.0.1:5000/"),
        ("0.0.0.0", "http://127.0.0.1:5000/"),
        ("::1", "http://127.0.0.1:5000/"),
        ("::", "http://127.0.0.1:5000/"),
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
        environment = {**os.environ, "PROV_SERVICE_AMQP_URL": f"amqp://guest:guest@127.0.0.1:{broker}/%2F"}
        process = subprocess.Popen(
            [sys.executable, "-m", "prov_worker", "service", "run", *arguments],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        try:
            assert process.stderr is not None
            line = next(line for line in process.stderr if "broker: " in line)
        finally:
            process.terminate()
            process.communicate(timeout=180)
    assert line.rstrip().endswith("broker: ConnectionRefusedError: [Errno 111] Connection refused")
