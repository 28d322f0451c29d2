"""Functions that workers run: they use libraries, or leave what libraries would leave."""

from __future__ import annotations

import sqlite3
from typing import Any


def log_scalars(source: str) -> str:
    """Leave an event file in the task's sandbox."""
    import os
    import shutil

    os.mkdir("run")
    return shutil.copy(source, "run/events.out.tfevents.1795949077.node-1.1.0")


def track(stores: list[str], status: str = "FINISHED") -> str:
    """Leave a run with this task's tags in a store, as MLflow does, and say where it is."""
    from prov_worker.capture.reading.mlflow_values import START_TAG, TASK_TAG
    from prov_worker.recorder.current_task import current_task
    from prov_worker.spool.captures import write_capture

    task = current_task()
    assert task is not None
    with sqlite3.connect(stores[0].removeprefix("sqlite:///")) as store:
        run = f"run of {task.attempt.task_id}"
        row = (run, "first", status, "me", 1000, 2000, "s3://b", 1)
        store.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        for tag, text in ((TASK_TAG, task.attempt.task_id), (START_TAG, str(task.attempt.start_ns))):
            store.execute("INSERT INTO tags VALUES (?, ?, ?)", (tag, text, run))
        store.execute("INSERT INTO metrics VALUES ('loss', 0.25, 7, ?, 3, 0)", (run,))
    store.close()
    write_capture(task.runtime, task.attempt, "mlflow", stores)
    return task.attempt.task_id


def use_a_cluster(count: int) -> list[Any]:
    """Have a Dask cluster of one process work."""
    from distributed import Client, LocalCluster

    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
    with LocalCluster(processes=True, **options) as cluster, Client(cluster) as client:
        return list(client.gather(client.map(abs, range(-count, 0), pure=False)))


def use_a_flow(number: int) -> int:
    """Have two apps of Parsl's work, one after the other."""
    import parsl
    from parsl.config import Config
    from parsl.executors import ThreadPoolExecutor

    @parsl.python_app
    def double(x: int) -> int:
        return 2 * x

    with parsl.load(Config(executors=[ThreadPoolExecutor(max_threads=1)], run_dir="runinfo", strategy="none")):
        return int(double(double(number)).result())
