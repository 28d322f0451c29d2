"""Workers that are threads of the endpoint: Globus Compute's ``ThreadPoolEngine``.

Nobody can end one task of a process that runs several, so limits and cancellation say that they do nothing there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from endpoint_daemon import Daemon

from prov_worker import jobs
from prov_worker.crate.sources import source_of
from prov_worker.crate.summary_reader import open_step
from prov_worker.jobs import Cancellation, State

if TYPE_CHECKING:
    from service_stack import Stack

pytestmark = [pytest.mark.xdist_group("jobs"), pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(400)]
LIMIT_S = 200
TEMPLATE = "engine: {type: ThreadPoolEngine, max_workers: 2}\n"


def go_on(path: str) -> int:
    """Say by a file that it runs, and run until there is another one; return the thread."""
    import os
    import pathlib
    import threading
    import time

    pathlib.Path(f"{path}-{threading.get_ident()}").touch()
    while not os.path.exists(path):
        time.sleep(0.02)
    return threading.get_ident()


@pytest.fixture
def threads(stack: Stack, tmp_path: Path, crate_dir: Path) -> Iterator[Daemon]:
    """An endpoint whose tasks are threads, recorded as its environment asks for it."""
    assert stack.daemon is not None
    recorded = {**stack.daemon.environment, "PROV_WORKER": "1", "PROV_WORKER_CRATE_DIR": str(crate_dir)}
    daemon = Daemon(tmp_path / "gc", recorded)
    daemon.configure()
    (daemon.user_dir / "ep" / "user_config_template.yaml.j2").write_text(TEMPLATE)
    daemon.start()
    yield daemon
    daemon.stop()


def test_limits_and_cancellation_say_that_they_do_nothing(
    threads: Daemon, tmp_path: Path, crate_dir: Path, wait_for: Callable[..., None]
) -> None:
    with jobs.open(threads.id, store=tmp_path / "jobs.jsonl", crates=crate_dir, settle_s=3.0) as session:
        running = [session.submit(go_on, str(tmp_path / "go")) for _ in range(2)]
        wait_for(lambda: len(list(tmp_path.glob("go-*"))) == 2, "both threads")
        limited = session.options(time_limit=0.5).submit(go_on, str(tmp_path / "go"))
        with pytest.raises(
            jobs.JobFailedError, match="time_limit, run, once: the endpoint's engine is not one of prov-worker"
        ):
            limited.result(LIMIT_S)
        assert running[0].cancel() is Cancellation.DROPPED
        with pytest.raises(jobs.JobCancelledError, match="cancelled; its result is dropped"):
            running[0].result()
        (tmp_path / "go").touch()
        thread = running[1].result(LIMIT_S)
        session.wait(LIMIT_S)
        assert running[0].state is State.CANCELLED
        with pytest.raises(jobs.JobCancelledError, match="it ended as completed, and its result was dropped"):
            running[0].result()
        begun = {int(path.name.partition("-")[2]) for path in tmp_path.glob("go-*")}
        assert len(begun) == 2
        assert thread in begun
        tasks = [job.task_id for job in running]
        wait_for(lambda: all((crate_dir / f"{task}.crate").exists() for task in tasks), "the crates")
    for task in tasks:
        step = open_step(source_of(crate_dir / f"{task}.crate"))[0]
        assert (step.status, step.failure_kind) == ("completed", None), "what was not ended is not said to be"
