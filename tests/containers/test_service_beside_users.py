"""The local service on a machine that another user has an account on, who is not honest."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.accounts import ALICE, MALLORY, PYTHON, Place, User, place_of, product_image
from support.crate_dir import wait_until
from support.marks import WORKER_IMAGE

pytestmark = [pytest.mark.timeout(600), *WORKER_IMAGE, pytest.mark.root]  # the first limit holds

#: Listens at an address until its input ends, and says what comes.
LISTENER = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
listener = socket.socket(family)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
if family == socket.AF_INET6:
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
listener.bind((sys.argv[1], 5000))
listener.listen()
print("listening", flush=True)
sys.stdin.read()
listener.settimeout(0.1)
try:
    print("got", listener.accept()[0].recv(100))
except TimeoutError:
    print("got nothing")
"""
#: What everybody sees of others' processes.
PROCESSES = """
import pathlib
for path in pathlib.Path("/proc").glob("[0-9]*/*"):
    if path.name in ("cmdline", "environ"):
        try:
            print(path.read_bytes())
        except OSError:
            pass
"""
LOGIN = """
import sys, urllib.parse, urllib.request
scope = "https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all"
form = {"grant_type": "client_credentials", "scope": scope, "client_id": sys.argv[1], "client_secret": sys.argv[2]}
try:
    with urllib.request.urlopen(sys.argv[3] + "/v2/oauth2/token", urllib.parse.urlencode(form).encode()) as answer:
        print(answer.status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with place_of(product_image("endpoint")) as started:
        yield started


@pytest.fixture(scope="module")
def alice(place: Place) -> User:
    return place.user(ALICE, "alice")


@pytest.fixture(scope="module")
def mallory(place: Place) -> User:
    return place.user(MALLORY, "mallory")


@contextmanager
def started(user: User, *command: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command of a user's, which ends with its input or with the block."""
    pipe = subprocess.PIPE
    line = user.command(*command)
    process = subprocess.Popen([*line[:2], "--interactive", *line[2:]], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    try:
        yield process
    finally:
        try:
            process.communicate(timeout=60)
        finally:
            process.kill()


def service(user: User, *options: str) -> subprocess.CompletedProcess[str]:
    """Start the service, which ends at once because it is refused."""
    return user.run("prov-worker", "service", "run", *options)


@pytest.fixture(scope="module")
def running(alice: User) -> Iterator[dict[str, str]]:
    """Alice's service, without a broker; what ``service env`` tells her."""
    # ends with its input: of what docker started there, nothing else can be ended from outside
    text = "prov-worker service run >log 2>&1 & cat >/dev/null; kill $!; wait"
    with started(alice, "sh", "-c", text):
        wait_until(lambda: "200" in alice.run(PYTHON, "-c", HEALTH).stdout, "the service")
        exports = alice.run("prov-worker", "service", "env").stdout.split()
        yield dict(word.strip("'").split("=", 1) for word in exports if "=" in word)


HEALTH = """
import urllib.request
try:
    print(urllib.request.urlopen("http://127.0.0.1:5000/health", timeout=5).status)
except urllib.error.HTTPError as error:
    print("200" if error.code == 503 else error.code)
except OSError:
    print("none")
"""


@pytest.mark.parametrize(("address", "shown"), [("::1", "[::1]"), ("127.0.0.1", "127.0.0.1")])
def test_a_service_does_not_start_beside_somebody_elses_ear(
    alice: User, mallory: User, address: str, shown: str
) -> None:
    with started(mallory, PYTHON, "-c", LISTENER, address) as listener:
        assert listener.stdout is not None
        assert listener.stdout.readline() == "listening\n"
        done = service(alice)
        assert done.returncode == 2
        assert f"cannot listen on {shown}: Address already in use" in done.stderr
        assert listener.communicate("", 60)[0] == "got nothing\n"


def test_identities_that_somebody_else_left_are_refused(place: Place, alice: User, mallory: User) -> None:
    """In a directory that is open to both, beside the database."""
    shared = place.directory / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    identity = {"client_id": str(uuid.uuid4()), "client_secret": "known-to-mallory-and-to-nobody-else-here"}
    for mode in ("0600", "0644"):
        mallory.shell(f"echo '{json.dumps([identity])}' >identities.json; chmod {mode} identities.json", shared)
        done = service(alice, "--db", str(shared / "service.sqlite"))
        assert done.returncode == 2
        assert "identities.json" in done.stderr
        assert "known-to-mallory" not in done.stderr + done.stdout


def test_while_it_runs_nobody_else_listens_and_nobody_else_reads(
    alice: User, mallory: User, running: dict[str, str]
) -> None:
    secret = running["GLOBUS_COMPUTE_CLIENT_SECRET"]
    assert len(secret) >= 32
    for address in ("::1", "127.0.0.1"):
        done = mallory.run(PYTHON, "-c", LISTENER, address)
        assert "Address already in use" in done.stderr
    for path in (
        "",
        ".local/state/prov-worker/service/identities.json",
        ".local/state/prov-worker/service/service.sqlite",
    ):
        assert "Permission denied" in mallory.run("cat", alice.home / path).stderr
    seen = mallory.run(PYTHON, "-c", PROCESSES).stdout
    assert "service" in seen
    assert secret not in seen
    # whoever has the secret is let in, by any of the addresses
    for address in ("127.0.0.1", "[::1]"):
        arguments = (LOGIN, running["GLOBUS_COMPUTE_CLIENT_ID"])
        right = alice.run(PYTHON, "-c", *arguments, secret, f"http://{address}:5000")
        wrong = mallory.run(PYTHON, "-c", *arguments, "guessed" * 6, f"http://{address}:5000")
        assert (right.stdout, wrong.stdout) == ("200\n", "401\n"), right.stderr + wrong.stderr
