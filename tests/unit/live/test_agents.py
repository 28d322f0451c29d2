"""Live files of all kinds in a crate directory: what is shown of them, and what is named and left alone."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from prov_worker.cli.live.top import command
from prov_worker.errors import InputError
from prov_worker.live.agents import Agents, ask_agent
from prov_worker.live.model import DEAD, LATE, LIVE
from prov_worker.spool.launch import open_lock
from prov_worker.spool.live import live_path, write_live
from prov_worker.spool.paths import runtime_dir, spool_dir


def said_by(host: str, **changes: Any) -> dict[str, Any]:
    """What an agent of another node says."""
    tasks = [{"task": host}]
    return {"v": 1, "host": host, "place": "0" * 12, "written": time.time(), "renew_s": 2, "tasks": tasks, **changes}


def leave(crates: Path, host: str, **changes: Any) -> Path:
    """Write the live file of another node."""
    path = Path(spool_dir(str(crates)), f"{host}~000000000000.live")
    write_live(str(path), said_by(host, **changes))
    return path


def test_agents_of_other_nodes_are_known_by_their_files(tmp_path: Path) -> None:
    leave(tmp_path, "nid1")
    leave(tmp_path, "nid2", written=time.time() - 300)
    view = Agents(tmp_path).look()
    assert {node.host: node.state for node in view.nodes} == {"nid1": LIVE, "nid2": LATE}
    assert [task.task for task in view.tasks] == ["nid1", "nid2"]
    assert view.problems == ()


def test_an_agent_of_this_node_that_was_killed_is_dead_whatever_its_file_says(tmp_path: Path) -> None:
    runtime = runtime_dir(str(tmp_path))
    os.close(open_lock(runtime))
    path = live_path(spool_dir(str(tmp_path)), runtime)
    name, _, place = Path(path).stem.rpartition("~")
    write_live(path, said_by(name, place=place))
    [node] = Agents(tmp_path).look().nodes
    assert (node.host, node.state) == (name, DEAD)


def test_before_the_first_crate_the_agents_of_this_node_are_asked(tmp_path: Path) -> None:
    crates = tmp_path / "crates"
    runtime = runtime_dir(str(crates))
    try:
        os.close(open_lock(runtime))
        assert not crates.exists()
        assert Agents(crates).look().problems == ()
    finally:
        shutil.rmtree(runtime)


def test_what_cannot_be_read_is_named_and_the_rest_shown(tmp_path: Path) -> None:
    good = leave(tmp_path, "good")
    for name, data in (("torn", b'{"v":1,'), ("later", b'{"v":99}'), ("large", b" " * (3 << 20))):
        (good.parent / f"{name}~000000000000.live").write_bytes(data)
    os.mkfifo(good.parent / "fifo~000000000000.live")
    (good.parent / "link~000000000000.live").symlink_to(good)
    view = Agents(tmp_path).look()
    assert [node.host for node in view.nodes] == ["good"]
    assert sorted(Path(problem.partition(": ")[0]).name.partition("~")[0] for problem in view.problems) == [
        "fifo", "large", "later", "link", "torn",
    ]  # fmt: skip
    assert any("version 99" in problem for problem in view.problems)


@pytest.mark.root
def test_files_of_other_users_are_not_believed(tmp_path: Path) -> None:
    path = leave(tmp_path, "nid1")
    os.chown(path, 65534, 65534)
    view = Agents(tmp_path).look()
    assert view.nodes == ()
    assert len(view.problems) == 1
    os.chown(path.parent, 65534, 65534)
    view = Agents(tmp_path).look()
    assert view.nodes == ()
    assert view.problems == (f"{path.parent}: is of user 65534, whose tasks only that user is shown",)


@pytest.mark.root
def test_users_with_a_spool_of_their_own_see_whose_tasks_are_not_shown(tmp_path: Path) -> None:
    path = leave(tmp_path, "nid1")
    other = tmp_path / ".spool-65534"
    other.mkdir(mode=0o700)
    os.chown(other, 65534, 65534)
    problem = f"{other}: is of user 65534, whose tasks only that user is shown"
    assert Agents(tmp_path).look().problems == ()  # the user's own agent answers

    leave(tmp_path, "nid1", written=time.time() - 300)
    assert Agents(tmp_path).look().problems == (problem,)
    path.unlink()
    assert Agents(tmp_path).look().problems == (problem,)
    done = CliRunner().invoke(command, [str(tmp_path), "--once"], standalone_mode=False)
    assert (done.stdout, done.return_value) == ("", 1)
    assert problem in done.stderr

    os.utime(other, (0, time.time() - 300))  # nobody has written there for long
    assert Agents(tmp_path).look().problems == ()
    done = CliRunner().invoke(command, [str(tmp_path), "--once"], standalone_mode=False)
    assert "No agent serves" in done.stdout


@pytest.mark.root
def test_a_socket_of_another_user_is_not_asked(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(PermissionError, match="alone"):
        ask_agent(str(tmp_path))


def test_printed_tables_leave_out_columns_without_any_value(tmp_path: Path) -> None:
    ended = [{"task": "aaaaaaaa-1", "function": "work", "status": "completed"}]
    leave(tmp_path, "nid1", tasks=[{"task": "bbbbbbbb-1", "cpu_joules": 2.0}], ended=ended, job="4711")
    lines = CliRunner().invoke(command, [str(tmp_path), "--once"], standalone_mode=False).stdout.splitlines()
    heads = [line.split() for line in lines if line.split()[:1] in (["node"], ["task"], ["ended"])]
    assert heads == [
        ["node", "agent", "busy", "job"],
        ["task", "function", "node", "energy"],
        ["ended", "function", "node", "status"],
    ]


def test_looking_changes_nothing(tmp_path: Path) -> None:
    assert Agents(tmp_path).look().nodes == ()
    assert os.listdir(tmp_path) == []


def test_a_directory_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(json.dumps({}))
    for name in ("none", "file"):
        with pytest.raises(InputError, match="no such directory"):
            Agents(tmp_path / name)
