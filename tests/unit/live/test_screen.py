"""The full screen: what is on it in terminals of all sizes, and what keys do."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from prov_worker.live.model import DEAD, LATE, LIVE, EndedTask, Node, Task, View
from prov_worker.live.screen import BAD, CHOSEN, FAINT, Screen
from prov_worker.live.table import ORDERS, matching, ordered

NOW = 1_795_000_000.0
FIT = Task("nid1", "aaaaaaaa-1", function="fit", rank="3", block="0", elapsed_s=60, cpu_percent=99.0, rss_bytes=1 << 30)
SIMULATE = Task("nid2", "bbbbbbbb-1", function="simulate", pid=77, elapsed_s=5, cpu_percent=350.0, cpu_joules=12.0)
LOST = Task("nid2", "cccccccc-1", elapsed_s=700)


def view(**changes: object) -> View:
    ended = EndedTask("nid2", "dddddddd")
    nodes = (
        Node("nid1", "p1", LIVE, 1.0, "socket", tasks=(FIT,), workers=2, load=(1.5,), cpu_percent=640.0, cpus=64),
        Node("nid2", "p2", LATE, 42.0, "file", tasks=(SIMULATE, LOST), workers=4, ended=(ended,)),
    )
    return View(**{"nodes": nodes, "time": NOW, **changes})  # type: ignore[arg-type]


@pytest.fixture
def screen() -> Screen:
    made = Screen("prov-worker top crates", "No agent serves crates.\nOne comes.")
    made.show(view())
    return made


def texts(screen: Screen, width: int = 140, height: int = 24, now: float = NOW) -> list[str]:
    return [line.text.rstrip() for line in screen.lines(width, height, now)]


def task_ids(screen: Screen) -> list[str]:
    ids = [task.task[:8] for task in (FIT, SIMULATE, LOST)]
    return [text[:8] for text in texts(screen) if text[:8] in ids]


def test_tasks_nodes_and_what_ended_are_there(screen: Screen) -> None:
    shown = texts(screen)
    assert shown[1] == "2 nodes · 3 running · 6 workers · 1 without a sign"
    rows = "\n".join(shown)
    assert "late 42.0 s" in rows
    assert "0/3" in rows  # block and rank
    assert "1.0 GiB" in rows
    assert "12 J" in rows
    assert "10 % of 64" in rows
    assert shown[-1].startswith("q quit")


def test_gpus_are_shown_if_there_are_any(screen: Screen) -> None:
    assert "GPU" not in "\n".join(texts(screen, width=200)[:-1])
    busy = Task("nid1", "aaaaaaaa-1", gpus=(0, 1), gpu_percent=130.0, gpu_memory_bytes=3 << 30, gpu_power_watts=420.4)
    idle = {"utilization_percent": 0.0, "memory_used_bytes": float(1 << 30), "power_watts": 60.0}
    gpus = ({**idle, "utilization_percent": 65.0}, idle, idle, {})
    screen.show(view(nodes=(Node("nid1", "p1", LIVE, 1.0, "socket", tasks=(busy,), gpus=gpus),)))
    shown = "\n".join(texts(screen, width=200))
    assert "16 % of 4 3.0 GiB 180 W" in shown
    assert all(text in shown for text in ("GPU memory", "GPU W", " 130 ", " 3.0 GiB ", " 420"))
    screen.press("enter")
    details = "\n".join(texts(screen))
    assert all(text in details for text in ("GPU use     130 %", "GPU memory  3.0 GiB", "GPU power   420 W"))


@pytest.mark.parametrize("key", ORDERS)
def test_each_order_of_tasks_is_a_key(screen: Screen, key: str) -> None:
    screen.press(key)
    expected = [task.task[:8] for task in ordered([FIT, SIMULATE, LOST], key)]
    assert task_ids(screen) == expected
    screen.press("r")
    assert set(task_ids(screen)) == set(expected)
    assert texts(screen)[-1].count("[") == 1


def test_orders_can_be_gone_through(screen: Screen) -> None:
    seen = set()
    for _ in ORDERS:
        screen.press("s")
        seen.add(texts(screen)[-1].partition("[")[2][:1])
    assert seen == set(ORDERS)


def test_what_has_no_value_is_last(screen: Screen) -> None:
    screen.press("c")
    assert task_ids(screen) == ["bbbbbbbb", "aaaaaaaa", "cccccccc"]


def test_a_filter_is_typed_kept_and_cleared(screen: Screen) -> None:
    for key in ("/", "S", "i", "x", "backspace", "m"):
        screen.press(key)
    assert task_ids(screen) == ["bbbbbbbb"]
    assert texts(screen)[-1].startswith("filter: Sim")
    screen.press("enter")
    assert task_ids(screen) == ["bbbbbbbb"]
    assert "'Sim'" in texts(screen)[-1]
    screen.press("escape")
    assert len(task_ids(screen)) == 3
    for key in ("/", "z", "z"):
        screen.press(key)
    assert "no running task matches the filter" in texts(screen)
    screen.press("escape")
    assert len(task_ids(screen)) == 3
    assert matching([FIT], "0/3") == [FIT]


def test_a_task_is_chosen_and_stays_chosen_when_others_come(screen: Screen) -> None:
    screen.press("down")
    screen.press("down")
    screen.press("down")  # no further
    [chosen] = [line.text for line in screen.lines(140, 24, NOW) if line.style == CHOSEN]
    assert chosen.startswith(SIMULATE.task[:8])
    late = Task("nid3", "eeeeeeee", elapsed_s=10_000)
    screen.show(view(nodes=(*view().nodes, Node("nid3", "p3", LIVE, 0.1, "file", tasks=(late,)))))
    [chosen] = [line.text for line in screen.lines(140, 24, NOW) if line.style == CHOSEN]
    assert chosen.startswith(SIMULATE.task[:8])
    screen.press("enter")
    shown = texts(screen)
    assert any("bbbbbbbb-1" in text for text in shown)
    assert any("its share of the CPUs'" in text for text in shown)
    assert screen.press("q")
    assert len(task_ids(screen)) == 3
    screen.press("home")
    assert not screen.press("q")


def test_details_of_a_task_that_has_ended_are_not_kept(screen: Screen) -> None:
    screen.press("enter")
    screen.show(View((), (), NOW))
    assert "No agent serves crates." in texts(screen)
    screen.press("escape")
    screen.press("enter")
    assert "One comes." in texts(screen)


def test_that_no_agent_is_there_is_not_said_of_what_could_not_be_read(screen: Screen) -> None:
    screen.show(View((), ("crates/.spool: is of user 1",), NOW))
    shown = "\n".join(texts(screen))
    assert "is of user 1" in shown
    assert "No agent serves" not in shown


def test_tasks_of_an_agent_without_a_sign_are_faint_and_its_node_stands_out(screen: Screen) -> None:
    styles = {line.text.split(" ")[0]: line.style for line in screen.lines(140, 24, NOW)}
    assert styles[SIMULATE.task[:8]] == FAINT
    assert styles["nid2"] == BAD
    screen.show(View((Node("nid9", "p", DEAD, 10.0, "file"),), (), NOW))
    assert "nothing runs at this moment" in texts(screen)


def test_looks_that_do_not_end_are_told(screen: Screen) -> None:
    assert "seen 1 min 00 s ago" in texts(screen, now=NOW + 60)[1]
    assert texts(Screen("top", "none"))[1] == "looking …"


def test_many_tasks_are_scrolled_through() -> None:
    tasks = tuple(Task("n", f"{number:08}", elapsed_s=1000.0 - number) for number in range(500))
    screen = Screen("top", "none")
    screen.show(View((Node("n", "p", LIVE, 0.0, "file", tasks=tasks, more=7),), (), NOW))
    assert "00000000" in "\n".join(texts(screen))
    screen.press("end")
    shown = screen.lines(100, 20, NOW)
    assert len(shown) == 20
    assert [line.text[:8] for line in shown if line.style == CHOSEN] == ["00000499"]
    screen.press("page-up")
    assert [line.text[:8] for line in screen.lines(100, 20, NOW) if line.style == CHOSEN] == ["00000489"]
    assert "507 running" in texts(screen)[1]


@pytest.mark.parametrize("width", [1, 2, 9, 20, 40, 79, 80, 133, 400])
@pytest.mark.parametrize("height", [1, 2, 3, 5, 8, 24, 100])
def test_every_size_is_kept(width: int, height: int) -> None:
    hostile = Task("n\x1b[2J\u202e", "aaaaaaaa", function="宽" * 80 + "\n\x1b]0;x\x07", rank="é\t", elapsed_s=1.0)
    nodes = tuple(Node(f"n{n}", "p", LIVE, 0.0, "file", tasks=(hostile,), job="j\r") for n in range(30))
    screen = Screen("top " + "宽" * 100, "none")
    screen.show(View(nodes, ("a problem\x1b[0m", "another", "and another"), NOW))
    for key in ("", "enter", "escape", "/"):
        screen.press(key)
        shown = screen.lines(width, height, NOW)
        assert len(shown) <= height
        assert {cell_len(line.text) for line in shown} == {width}
        assert all(line.text.isprintable() for line in shown)
