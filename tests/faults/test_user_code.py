"""What users do to the process that runs their code; none of it may cost a result or a crate, here or later."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from support.crate_dir import CrateDir, task_series
from support.direct import Call, Start


def after(crate_dir: CrateDir, start: Start, *calls: Call, **options: Any) -> list[Any]:
    """Run these calls and one more in one worker; all return, all have completed crates."""
    last = Call("add", (20, 22))
    worker = start(*calls, last, **options)
    assert worker.wait() == 0, worker.text()
    values = [worker.value(number) for number in range(len(calls) + 1)]
    assert values.pop() == 42
    crates = crate_dir.wait_for([call.task for call in (*calls, last)])
    assert [crate.status for crate in crates] == ["completed"] * len(crates)
    assert [crate.function_name for crate in crates] == [call.function for call in (*calls, last)]
    return values


def test_chdir(crate_dir: CrateDir, start: Start, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    assert after(crate_dir, start, Call("chdir", (str(tmp_path / "elsewhere"),))) == [str(tmp_path / "elsewhere")]


def test_closed_stdio(crate_dir: CrateDir, start: Start) -> None:
    assert after(crate_dir, start, Call("close_stdio")) == ["closed"]


def test_all_descriptors_closed_and_their_numbers_taken_by_files_of_the_user(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    files = tmp_path / "user"
    files.mkdir()
    first = Call("add", (1, 2))  # the recorder has its files open before they are closed
    names, more, still = after(
        crate_dir, start, first, Call("close_all_and_write", (str(files), 40)), Call("burn", (0.2,)), Call("still_open")
    )[1:]
    assert more == 0.2
    assert len(names) == 70
    for name in names:
        number = Path(name).stem.partition("-")[2]
        assert Path(name).read_text() == f"mine {number}\n"
    assert still == [True] * len(still)


def test_forked_children_that_outlive_the_task_are_not_the_next_tasks(crate_dir: CrateDir, start: Start) -> None:
    outlived, idle = Call("fork_and_outlive", (1.5,)), Call("sleep", (0.8,))
    after(crate_dir, start, Call("add", (1, 2)), outlived, Call("sleep", (0.05,)), idle, await_agent=True)
    series = task_series(crate_dir.crate(idle.task))
    assert series is not None
    assert len(series) >= 8
    low_high = series.columns["cpu_percent"].extremes()
    assert low_high is not None
    # the child is busy all the time: 100 percent of a core, were it counted
    assert low_high[1] < 40
    assert series.columns["children"].extremes() == (0, 0)


def test_a_busy_child_is_counted_in_its_own_task(crate_dir: CrateDir, start: Start) -> None:
    call = Call("fork_and_outlive", (0.4,))
    sleeping = Call("sleep", (0.05,))
    after(crate_dir, start, call, sleeping, Call("fork_and_wait"))
    assert crate_dir.crate(call.task).status == "completed"


def test_a_function_that_returns_twice(crate_dir: CrateDir, start: Start) -> None:
    twice = Call("return_twice")
    last = Call("add", (20, 22))
    worker = start(twice, last)
    assert worker.wait() == 0
    assert worker.value(0) in ("parent", "child")  # the two race for one file, as they would for one pipe
    assert worker.value(1) == 42
    crates = crate_dir.wait_for([twice.task, last.task])
    assert [crate.status for crate in crates] == ["completed", "completed"]
    crate_dir.wait_for_end_of_agent()
    ends = [line["task"] for line in crate_dir.lines("end")]
    # the child of the fork must not close its parent's task a second time; its own next task is an execution more
    assert ends.count(twice.task) == 1
    assert ends.count(last.task) == 2


def test_threads(crate_dir: CrateDir, start: Start) -> None:
    call = Call("threads", (3, 0.5))
    assert after(crate_dir, start, Call("add", (1, 2)), call, await_agent=True) == [3, 3]
    series = task_series(crate_dir.crate(call.task))
    assert series is not None
    assert series.columns["threads"].extremes()[1] >= 4  # type: ignore[index]


def test_children_ignored(crate_dir: CrateDir, start: Start) -> None:
    assert after(crate_dir, start, Call("ignore_children"), Call("add", (1, 1)), Call("burn", (0.05,)))[0] == "ignored"


def test_waiting_for_any_child_finds_none_of_ours(crate_dir: CrateDir, start: Start) -> None:
    assert after(crate_dir, start, Call("wait_for_any_child"), Call("burn", (0.1,)), Call("wait_for_any_child")) == [
        "no child",
        0.1,
        "no child",
    ]


@pytest.mark.parametrize("name, soft", [("RLIMIT_NOFILE", 16), ("RLIMIT_FSIZE", 1 << 20), ("RLIMIT_CORE", 0)])
def test_limits(crate_dir: CrateDir, start: Start, name: str, soft: int) -> None:
    calls = Call("add", (0, 0)), Call("limit", (name, soft)), Call("burn", (0.05,)), Call("nothing")
    before, (limited, _), burned, nothing = after(crate_dir, start, *calls)
    assert (before, limited, burned, nothing) == (0, soft, 0.05, None)


def test_a_file_size_limit_of_nothing_whose_signal_kills(crate_dir: CrateDir, start: Start, tmp_path: Path) -> None:
    # results cannot be files here: the worker would be killed by its own harness, as stock would by its log
    calls = [Call("add", (0, 0)), Call("limit_file_size_and_die_of_it"), Call("add", (1, 1)), Call("burn", (0.05,))]
    worker = start(*calls, catch=False, results_at_end=True)
    assert worker.wait() == 0, worker.text()
    assert [worker.value(number) for number in range(4)] == [0, "limited", 2, 0.05]
    crates = crate_dir.wait_for([call.task for call in calls])
    assert [crate.status for crate in crates] == ["completed"] * 4


@pytest.mark.parametrize("mask", [0o777, 0])
def test_umask(crate_dir: CrateDir, start: Start, mask: int) -> None:
    after(crate_dir, start, Call("umask", (mask,)), Call("burn", (0.05,)), Call("umask", (0o022,)))
    for path in crate_dir.spool.rglob("*.jsonl"):
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.getuid() != 0, reason="becoming another user needs root")
def test_another_user(crate_dir: CrateDir, start: Start) -> None:
    calls = [Call("add", (1, 2)), Call("become", (54321,)), Call("burn", (0.1,)), Call("add", (20, 22))]
    with tempfile.TemporaryDirectory() as public:
        os.chmod(public, 0o755)  # the results of the other user, who cannot enter pytest's directories
        worker = start(*calls, folder=Path(public))
        assert worker.wait() == 0, worker.text()
        assert [worker.value(number) for number in range(4)] == [3, 54321, 0.1, 42]
    assert {crate.status for crate in crate_dir.wait_for([call.task for call in calls])} == {"completed"}


@pytest.mark.parametrize("seconds", [-86400.0, 86400.0])
def test_a_clock_that_steps_for_the_worker_alone(crate_dir: CrateDir, start: Start, seconds: float) -> None:
    step, during = Call("step_clock", (seconds,)), Call("burn", (0.3,))
    after(crate_dir, start, Call("add", (1, 2)), step, during, await_agent=True)
    crate = crate_dir.crate(during.task)
    assert 0.25 < crate.wall_time_s < 20  # type: ignore[operator]
    assert crate.start is not None
    assert crate.end >= crate.start
    series = task_series(crate)
    assert series is not None
    assert len(series) >= 3


def test_a_crate_directory_deleted_under_the_worker(crate_dir: CrateDir, start: Start) -> None:
    first, gone = Call("add", (1, 2)), Call("remove_tree", (str(crate_dir.crates),))
    rest = [Call("add", (n, n)) for n in range(3)]
    worker = start(first, Call("sleep", (1.0,)), gone, *rest)
    assert worker.wait() == 0
    assert [worker.value(number) for number in range(3, 6)] == [0, 2, 4]
    crate_dir.wait_for([call.task for call in rest])


@pytest.mark.parametrize("kind", ["own", "TimeoutError"])
def test_a_time_limit_by_a_signal_passes_through_annotations(crate_dir: CrateDir, start: Start, kind: str) -> None:
    assert after(crate_dir, start, Call("add", (1, 2)), Call("note_past_a_time_limit", (kind,)))[1] == "passed on"


def test_the_time_limit_of_globus_compute_passes_through_annotations(crate_dir: CrateDir, start: Start) -> None:
    calls = [Call("note_for", (20,)) for _ in range(3)]
    worker = start(*calls, environment={"GC_TASK_TIMEOUT": "0.5"})
    assert worker.wait() == 0, worker.text()
    assert [crate.status for crate in crate_dir.wait_for([call.task for call in calls])] == ["failed"] * 3
    for call in calls:
        assert crate_dir.crate(call.task).error == "parsl.app.errors.AppTimeout: the time limit of 0.5 s was reached"


def test_a_text_that_fails_costs_its_annotation_alone(crate_dir: CrateDir, start: Start) -> None:
    assert after(crate_dir, start, Call("note_what_has_no_text")) == ["went on"]


def test_clocks_that_user_code_replaces(crate_dir: CrateDir, start: Start) -> None:
    last = Call("add", (3, 4))
    after(crate_dir, start, Call("add", (1, 2)), Call("replace_clocks"), last)
    crate = crate_dir.crate(last.task)
    assert crate.start is not None
    assert crate.start.year > 2000
