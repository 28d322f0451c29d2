"""The stack as it stands: what its containers may do, what a host reaches, what a task sees, what the demo leaves."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING

import pika
import pytest
from stack_collections import COLLECTIONS

from prov_worker.crate.check import validate_profiles
from prov_worker.crate.validator.client import find_validator
from support.commands import run_program

if TYPE_CHECKING:
    from conftest import Stack  # of this folder

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("stack")]

RUNNING = ("broker", "net", "service", "endpoint")


@pytest.mark.parametrize("service", [*RUNNING, "setup"])
def test_containers_have_no_rights(stack: Stack, service: str) -> None:
    details = stack.inspect(service)
    host = details["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["Privileged"] is False
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert not [option for option in host["SecurityOpt"] if "unconfined" in option]
    assert host["PidsLimit"] > 0
    assert host["Memory"] > 0
    assert host["PidMode"] == ""
    assert host["IpcMode"] == "private"
    assert not [bind for bind in host["Binds"] or () if "docker.sock" in bind]
    if service == "setup":
        # Root, to be the owner of what it makes; and nothing else, not even a network.
        assert host["NetworkMode"] == "none"
        assert details["State"] == details["State"] | {"Status": "exited", "ExitCode": 0}
    else:
        uid, gid = details["Config"]["User"].split(":")
        assert int(uid)
        assert int(gid)


@pytest.mark.parametrize("service", RUNNING)
def test_processes_have_no_capability(stack: Stack, service: str) -> None:
    for status in stack.shell(service, "cat /proc/[0-9]*/status").split("Name:")[1:]:
        facts = dict(line.split(":\t", 1) for line in status.splitlines()[1:] if ":\t" in line)
        assert {facts[key].strip("0") for key in ("CapEff", "CapPrm", "CapBnd", "CapInh")} == {""}
        assert facts["NoNewPrivs"] == "1"
        assert facts["Seccomp"] == "2"
        assert "0" not in facts["Uid"].split()
    for path in ("/x", "/opt/prov/x", "/usr/local/bin/x", "/etc/x"):
        assert stack.shell(service, f"touch {path} 2>/dev/null && echo written || true") == ""


def test_one_port_is_published_on_both_loopbacks(stack: Stack) -> None:
    published = {service: stack.inspect(service)["HostConfig"]["PortBindings"] or {} for service in RUNNING}
    bindings = [{"HostIp": address, "HostPort": str(stack.port)} for address in ("127.0.0.1", "::1")]
    assert published.pop("net") == {"5000/tcp": bindings}
    assert not any(published.values())
    back = json.loads(stack.docker("network", "inspect", f"{stack.project}_back"))[0]
    assert back["Internal"] is True


def test_tasks_reach_the_broker_by_its_protocol_and_its_management_alone(stack: Stack) -> None:
    """And not its counters (15692), its nodes' names (4369) and their own protocol (25672)."""
    ports = (4369, 5672, 15672, 15692, 25672)
    ask = f"import socket; [print(p) for p in {ports} if not socket.socket().connect_ex(('broker', p))]"
    assert stack.shell("endpoint", f'/opt/prov/bin/python -W ignore -c "{ask}"').split() == ["5672", "15672"]


def test_a_host_reaches_both_protocols_through_it(stack: Stack) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{stack.port}/health", timeout=60) as answer:
        assert json.load(answer)["status"] == "ok"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{stack.port}/v2/endpoints", timeout=60)
    with refused.value:
        assert refused.value.code == 401
    url = stack.shell("service", "cat /run/broker/amqp-url").strip()
    there = pika.URLParameters(url.replace("broker:5672", f"127.0.0.1:{stack.port}"))
    connection = pika.BlockingConnection(there)
    assert connection.is_open
    connection.close()
    wrong = pika.URLParameters(f"amqp://prov:prov@127.0.0.1:{stack.port}/%2F")
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        pika.BlockingConnection(wrong)


def test_what_is_handed_out_at_the_broker_reaches_ones_own_queues_alone(stack: Stack) -> None:
    ask = "import globus_compute_sdk as s; print(s.Client().get_result_amqp_url()['connection_url'])"
    done = run_program(*stack.in_client("python", "-c", ask), check=True)
    url = done.stdout.strip().replace("127.0.0.1:5000", f"127.0.0.1:{stack.port}")
    identity = json.loads(stack.shell("endpoint", "cat /run/identity/identities.json"))[0]
    assert identity["client_id"] in pika.URLParameters(url).credentials.username
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"):
            connection.channel().basic_get("results")
        own = f"{identity['client_id']}.{stack.endpoint_id}.commands"
        assert connection.channel().basic_get(own)[0] is None
    finally:
        connection.close()


def test_no_export_is_printed_that_cannot_work(stack: Stack) -> None:
    """The port of this test is not the one that the SDK looks at; where it is, the line is that of the installation."""
    ask = ["docker", "exec", stack.container("service"), "prov-worker", "service", "env"]
    done = run_program(*ask)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"port {stack.port}: stock software looks" in done.stderr
    line = stack.docker("exec", stack.container("service"), "prov-worker", "service", "env", "--published", "5000")
    assert line.startswith("export ")
    assert line.count("\n") == 1
    variables = dict(word.split("=", 1) for word in line.split()[1:])
    assert variables["GLOBUS_SDK_ENVIRONMENT"] == "local"
    assert variables["GLOBUS_SDK_SERVICE_URL_AUTH"] == "http://127.0.0.1:5000/"
    identity = json.loads(stack.shell("endpoint", "cat /run/identity/identities.json"))[0]
    assert variables["GLOBUS_COMPUTE_CLIENT_ID"] == identity["client_id"]
    assert variables["GLOBUS_COMPUTE_CLIENT_SECRET"] == identity["client_secret"]


def test_what_an_agent_complains_of_is_in_the_log(stack: Stack) -> None:
    line = json.dumps({"level": "ERROR", "kind": "a complaint", "text": "a complaint of a test"})
    stack.shell("endpoint", f"d=/dev/shm/prov-worker-$(id -u)/test; mkdir -pm 700 $d; echo '{line}' >$d/agent.log")
    wanted = "prov-worker agent: a complaint of a test"
    assert stack.until(lambda: wanted in stack.compose("logs", "--no-color", "endpoint"))
    stack.shell("endpoint", "rm -r /dev/shm/prov-worker-$(id -u)/test")


def test_a_flow_copies_between_collections(stack: Stack) -> None:
    data = os.urandom(100_000)
    (stack.data / "beam" / "run.dat").write_bytes(data)
    (stack.data / "beam" / "run.dat").chmod(0o644)
    command = stack.in_client("python", "/work/transfer_flow.py", COLLECTIONS["beam"], COLLECTIONS["home"])
    done = run_program(*command, timeout=180)
    assert done.returncode == 0, done.stderr
    ended = json.loads(done.stdout.splitlines()[-1])
    assert ended["status"] == "SUCCEEDED", ended
    assert (stack.data / "home" / "run.dat").read_bytes() == data


def test_the_demo_ends_with_a_table_of_sound_crates(stack: Stack) -> None:
    out = stack.compose("run", "--rm", "--no-deps", "--no-TTY", "demo")
    assert "5 + 10 = 15" in out
    assert "ZeroDivisionError" in out
    assert "9 crates" in out
    tasks = [word.strip("(),") for word in out.split() if len(word.strip("(),")) == 36 and word.count("-") == 4]
    # The first of them is the id of the registered function, which the demo prints twice.
    tasks = [task for task in dict.fromkeys(tasks) if (stack.crates / f"{task}.crate").exists()]
    crates = stack.sound_crates(tasks)
    assert len(crates) == 9
    assert sorted(crate.function_name for crate in crates.values()) == [
        *("add", "affinity", "affinity", "affinity", "affinity", "count_lines", "invert", "read_crate", "work")
    ]
    assert [crate.function_name for crate in crates.values() if crate.status == "failed"] == ["invert"]
    if find_validator() is not None:
        verdicts = validate_profiles(sorted(crate.path for crate in crates.values()), "recommended")
        assert not any(verdicts.values())


def test_the_status_page_shows_what_runs_and_leads_to_crates(stack: Stack) -> None:
    identity = json.loads(stack.shell("endpoint", "cat /run/identity/identities.json"))[0]
    login = b64encode(f"{identity['client_id']}:{identity['client_secret']}".encode()).decode()

    def page(path: str) -> str:
        address = f"http://127.0.0.1:{stack.port}{path}"
        with urllib.request.urlopen(
            urllib.request.Request(address, headers={"Authorization": f"Basic {login}"}), timeout=60
        ) as answer:
            return str(answer.read().decode())

    work = stack.submit("pause", count=1, seconds=8.0)
    (task,) = work.tasks
    row = f"<code>{task}</code></th><td>pause</td>"
    assert stack.until(lambda: row in page("/").partition("Latest tasks")[0])
    assert set(work.endings()) == {task}
    assert stack.until(lambda: f'href="/crates/{task}"' in page("/"))
    assert "pause" in page(f"/crates/{task}")
    assert json.loads(page(f"/crates/{task}/ro-crate-metadata.json"))["@graph"]


def test_tasks_are_in_a_database_while_they_run(stack: Stack) -> None:
    """By ``PROV_STACK_STREAM``, of which :class:`conftest.Stack` names two."""
    work = stack.submit("pause", count=1, seconds=6.0)
    (task,) = work.tasks
    assert stack.until(lambda: stack.live(work.tasks) == {(task, 1): "running"})
    assert {how for how, _ in work.endings().values()} == {"success"}
    assert stack.until(lambda: stack.live(work.tasks) == {(task, 1): "completed"})

    def types() -> list[str]:
        events = map(json.loads, (stack.crates / "events.jsonl").read_text().splitlines())
        return [event["type"] for event in events if event["subject"].startswith(task)]

    assert stack.until(lambda: any(kind.endswith("crate.published") for kind in types())), types()
    assert len([kind for kind in types() if kind.endswith("task.ended")]) == 1


def test_no_secret_reaches_a_task_a_log_or_a_crate(stack: Stack) -> None:
    secret = json.loads(stack.shell("endpoint", "cat /run/identity/identities.json"))[0]["client_secret"]
    password = stack.shell("service", "cat /run/broker/amqp-url").split(":")[2].split("@")[0]
    assert min(len(secret), len(password)) > 20

    work = stack.submit("look", count=2, seconds=0.1)
    for how, seen in work.endings().values():
        assert how == "success", seen
        assert any(line.startswith("GC_TASK_UUID=") for line in seen)
        # PID 1 and the daemon are closed to their own user.
        assert "1: PermissionError" in seen
        assert not [line for line in seen if secret in line or password in line]
        assert not [line for line in seen if "CLIENT_SECRET" in line or "CLIENT_ID" in line]
    crates = stack.sound_crates(work.tasks)
    assert len(crates) == 2

    logs = stack.compose("logs", "--no-color", "service", "endpoint", "net", "setup")
    assert "Core Endpoint begins" in logs
    for text in (secret, password):
        assert text not in logs
        assert text not in stack.docker("inspect", *(stack.container(service) for service in RUNNING))
        leaks = [path for path in stack.crates.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]
        assert not leaks
        # All that the endpoint keeps: its logs, and those of user endpoints, interchange and workers.
        kept = stack.shell("endpoint", f"grep -rlF -- '{text}' /var/lib/prov || true")
        assert kept == ""


def test_options_of_the_user_endpoint_are_checked(stack: Stack) -> None:
    work = stack.submit(count=1, seconds=0.1, options={"workers": "many"})
    ((how, text),) = work.endings().values()
    assert how == "failed"
    assert "workers" in text or "many" in text


def test_an_endpoint_stops_when_it_is_told_to(stack: Stack) -> None:
    stack.compose("stop", "endpoint")
    assert stack.inspect("endpoint")["State"]["ExitCode"] == 0
    stack.compose("start", "endpoint")
    stack.wait_well()
    work = stack.submit(count=2, seconds=0.1)
    assert {how for how, _ in work.endings().values()} == {"success"}
    stack.sound_crates(work.tasks)


def test_keys_and_state_survive_the_containers(stack: Stack) -> None:
    before = stack.shell(
        "endpoint", "cat /run/identity/identities.json /var/lib/prov/globus_compute/local/endpoint.json"
    )
    work = stack.submit(count=2, seconds=0.1)
    work.endings()
    stack.compose("up", "--detach", "--force-recreate", "--no-deps", "--wait", "service", "endpoint")
    after = stack.shell(
        "endpoint", "cat /run/identity/identities.json /var/lib/prov/globus_compute/local/endpoint.json"
    )
    assert after == before
    ask = "import sys, globus_compute_sdk as s; print(s.Client().get_task(sys.argv[1])['status'])"
    for task in work.tasks:
        done = run_program(*stack.in_client("python", "-c", ask, task))
        assert done.stdout.strip() == "success", done.stderr


def test_crates_belong_to_the_folders_group(stack: Stack) -> None:
    """Whoever owns ./crates can read them: the same user, or root."""
    work = stack.submit(count=1, seconds=0.1)
    work.endings()
    (task,) = stack.sound_crates(work.tasks)
    crate = stack.crates / f"{task}.crate"
    uid = int(stack.inspect("endpoint")["Config"]["User"].split(":")[0])
    assert {path.stat().st_uid for path in [crate, *crate.rglob("*")]} == {uid}
    assert Path(crate, "ro-crate-metadata.json").read_text()


@pytest.mark.skipif(os.getuid() != 0, reason="only root's crates are not those of the endpoint's user")
def test_another_owners_spool_is_left_as_it_is(stack: Stack) -> None:
    work = stack.submit(count=1, seconds=0.1)
    work.endings()
    stack.sound_crates(work.tasks)
    spool, journal = stack.crates / ".spool", stack.crates / ".spool" / "elsewhere-1-2.jsonl"
    assert (spool.stat().st_uid, spool.stat().st_mode & 0o777) == (0, 0o700)
    assert [(path, path.stat().st_mode & 0o777) for path in spool.iterdir()] == [(journal, 0o600)]
    own = stack.crates / ".spool-1000"
    assert (own.stat().st_uid, own.stat().st_mode & 0o777) == (1000, 0o700)
