"""What runs, by the service: for its owner alone, on the page and for ``prov-worker top``."""

from __future__ import annotations

import json
import sys
import time
import uuid
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from web_client import ALICE, BOB, Web

from prov_worker.crate.writer import CrateWriter, Plot
from prov_worker.errors import InputError
from prov_worker.live.service import ServiceAgents
from prov_worker.localservice.identities import Identity
from prov_worker.localservice.records import Endpoint, Function, NewTask, Submission, UserEndpoint
from prov_worker.model import Failure, HardwareSnapshot, TaskRecord, Worker
from prov_worker.model import Function as TaskFunction
from prov_worker.settings import Settings
from prov_worker.spool.live import write_live
from prov_worker.spool.paths import spool_dir
from support.commands import run_program

CORE, USER, FUNCTION, GROUP, MINE, OTHERS, DONE = (str(uuid.UUID(int=number)) for number in range(31, 38))


@pytest.fixture
def web(start: Callable[[], Web], tmp_path: Path) -> Web:
    """A service whose crate directory has a task of Alice and one of somebody else."""
    crates = tmp_path / "crates"
    crates.mkdir()
    document = {
        "v": 1,
        "host": "nid7",
        "place": "0" * 12,
        "written": time.time(),
        "renew_s": 3600,
        "more": 3,
        "tasks": [{"task": task, "function": f"f<{task[-2:]}>", "elapsed_s": 5.0} for task in (MINE, OTHERS)],
        "ended": [{"task": DONE, "status": "failed", "crate": f"{DONE}.crate", "ended": 1.0}],
    }
    write_live(f"{spool_dir(str(crates))}/nid7~000000000000.live", document)
    served = start()
    storage = served.service.storage
    owner = ALICE.client_id
    storage.save_endpoint(Endpoint(CORE, owner, "e", time.time(), {}))
    storage.save_user_endpoint(UserEndpoint(USER, CORE, owner, {}, {}))
    storage.save_function(Function(FUNCTION, owner, "f", "code", time.time()))
    tasks = [NewTask(task, FUNCTION, "x") for task in (MINE, DONE)]
    storage.add_tasks(tasks, Submission(owner, USER, GROUP), time.time())
    return served


def login(identity: Identity) -> dict[str, str]:
    text = f"{identity.client_id}:{identity.client_secret}"
    return {"Authorization": "Basic " + b64encode(text.encode()).decode()}


def get(web: Web, path: str, identity: Identity) -> str:
    with urlopen(Request(f"http://127.0.0.1:{web.port}{path}", headers=login(identity)), timeout=30) as answer:
        text: str = answer.read().decode()
    return text


def environment(identity: Identity) -> dict[str, str]:
    return {"GLOBUS_COMPUTE_CLIENT_ID": identity.client_id, "GLOBUS_COMPUTE_CLIENT_SECRET": identity.client_secret}


def test_an_identity_is_told_of_its_own_tasks_alone(web: Web) -> None:
    answer: dict[str, Any] = json.loads(get(web, "/live", ALICE))
    [entry] = answer["agents"]
    assert [task["task"] for task in entry["document"]["tasks"]] == [MINE]
    assert entry["document"]["more"] == 0
    assert json.loads(get(web, "/live", BOB)) == {"agents": [], "problems": []}


def test_the_page_shows_what_runs_and_where_crates_are(web: Web, tmp_path: Path) -> None:
    page = get(web, "/", ALICE)
    assert MINE in page
    assert OTHERS not in page
    assert "nid7" in page
    assert f"f&lt;{MINE[-2:]}&gt;" in page
    assert f'<a href="/crates/{DONE}" title="{tmp_path / "crates" / DONE}.crate">{DONE}.crate</a>' in page
    assert "Nothing at this moment." in get(web, "/", BOB)


@pytest.fixture
def crate(web: Web, tmp_path: Path) -> Path:
    """The crate of the task of Alice's that has ended; its function's name is no name for a page."""
    function = TaskFunction("<script>alert(1)</script>")
    record = TaskRecord(DONE, 1, "failed", 10**18, 10**18 + 5 * 10**9, function, Worker("nid7", 1))
    record.failure = Failure("exception", "no <b>", "ValueError")
    plot = Plot("cpu_usage.png", b"\x89PNG")
    return CrateWriter(HardwareSnapshot("nid7", 0), Settings()).publish(record, None, plot, tmp_path / "crates")


def test_a_crate_is_a_page_with_its_files_for_its_owner(web: Web, crate: Path) -> None:
    (crate / "page.html").write_text("<script>alert(2)</script>")
    status, page, headers = web.ask("GET", f"/crates/{DONE}", headers=login(ALICE))
    assert status == 200
    assert "&lt;script&gt;alert(1)" in page
    assert "no &lt;b&gt;" in page
    assert "<script" not in page
    assert "script-src" not in headers["content-security-policy"]
    assert f'href="/crates/{DONE}/ro-crate-metadata.json"' in page
    status, metadata, headers = web.ask("GET", f"/crates/{DONE}/ro-crate-metadata.json", headers=login(ALICE))
    assert metadata == json.loads((crate / "ro-crate-metadata.json").read_text())
    _, text, headers = web.ask("GET", f"/crates/{DONE}/page.html", headers=login(ALICE))
    assert text == "<script>alert(2)</script>"
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["content-security-policy"].startswith("sandbox;")


@pytest.mark.parametrize(
    "path",
    ["../crates/x", "..%2f..%2fweb%2fservice.sqlite", "%2fetc%2fpasswd", "none.json", "link", ".", ""],
)
def test_only_files_of_the_crate_are_given(web: Web, crate: Path, path: str) -> None:
    (crate / "link").symlink_to("/etc/passwd")
    status, content, _ = web.ask("GET", f"/crates/{DONE}/{path}", headers=login(ALICE))
    assert status in (307, 404), content
    assert "root:" not in str(content)


@pytest.mark.parametrize(
    ("path", "who", "status"),
    [(DONE, BOB, 404), (MINE, ALICE, 404), (OTHERS, ALICE, 404), ("x", ALICE, 422), (DONE, None, 401)],
)
@pytest.mark.parametrize("name", ["", "/ro-crate-metadata.json"])
def test_crates_of_others_are_not_there(
    web: Web, crate: Path, path: str, who: Identity | None, status: int, name: str
) -> None:
    headers = {} if who is None else login(who)
    assert web.ask("GET", f"/crates/{path}{name}", headers=headers)[0] == status


def test_a_damaged_crate_is_named(web: Web, crate: Path) -> None:
    (crate / "ro-crate-metadata.json").write_text("{")
    status, content, _ = web.ask("GET", f"/crates/{DONE}", headers=login(ALICE))
    assert (status, "ro-crate-metadata.json" in str(content)) == (404, True)


def test_top_asks_the_service(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    view = ServiceAgents(f"http://localhost:{web.port}", environment(ALICE)).look()
    assert [(task.task, task.host) for task in view.tasks] == [(MINE, "nid7")]
    for name, value in environment(ALICE).items():
        monkeypatch.setenv(name, value)
    url = f"http://127.0.0.1:{web.port}/"
    done = run_program(sys.executable, "-m", "prov_worker", "top", url, "--once", "--json")
    assert done.returncode == 0, done.stderr
    assert MINE in done.stdout
    assert ALICE.client_secret not in done.stdout + done.stderr


def test_a_wrong_secret_and_other_addresses_are_refused(web: Web) -> None:
    wrong = {**environment(ALICE), "GLOBUS_COMPUTE_CLIENT_SECRET": "wrong"}
    with pytest.raises(InputError, match="does not know"):
        ServiceAgents(f"http://127.0.0.1:{web.port}", wrong).look()
    with pytest.raises(InputError, match="are not set"):
        ServiceAgents(f"http://127.0.0.1:{web.port}", {})
    for url in ("http://example.org:5000/", "https://127.0.0.1/", "http://127.0.0.1.example.org/", "ftp://localhost"):
        with pytest.raises(InputError, match="is not this machine"):
            ServiceAgents(url, environment(ALICE))


def test_what_is_no_service_is_named() -> None:
    with pytest.raises(InputError, match="nothing answers there"):
        ServiceAgents("http://127.0.0.1:9", environment(ALICE)).look()
