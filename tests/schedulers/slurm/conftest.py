"""One Slurm cluster for all tests of this folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from slurm_cluster import Cluster, Endpoint, Tasks, until

from support.containers import need_image

#: Signs of life of the nodes: tests lose some on purpose.
QUICK = {"heartbeat_period": 2, "heartbeat_threshold": 8}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that is up."""
    for image in ("debian:bookworm-slim", "rabbitmq:4.0-management"):
        need_image(image)
    made = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        made.start()
        yield made
    except BaseException:
        sys.stderr.write(made.logs())
        raise
    finally:
        made.stop()


@pytest.fixture(scope="session")
def gpu(cluster: Cluster) -> Endpoint:
    """An endpoint of Perlmutter's GPU nodes."""
    # These nodes have this machine's CPUs, and not those that the site's lists name.
    return cluster.endpoint("gpu", "perlmutter-gpu", idle_time=3, affinity="alternating", **QUICK)


@pytest.fixture(scope="session")
def cpu(cluster: Cluster) -> Endpoint:
    """An endpoint of Perlmutter's CPU nodes."""
    return cluster.endpoint("cpu", "perlmutter-cpu", idle_time=3, workers=2, **QUICK)


@pytest.fixture(scope="session")
def doomed(gpu: Endpoint, cluster: Cluster) -> dict[str, Tasks]:
    """Tasks that run into what takes a minute and more, each in a job of its own, while other tests go on."""
    options = {"workers": 1, "accelerators": ["0"], "gpus_per_node": 1}
    tasks = {
        "walltime": gpu.submit(("hold", ["walltime", 600]), walltime="00:01:00", **options),
        "cancelled": gpu.submit(
            ("hold", ["cancelled", 600]), ("add", [1, 2]), walltime="00:05:00", retries=1, **options
        ),
    }
    job = until(lambda: cluster.run("cat cancelled", check=False).split(), "the task to run")[0]
    cluster.run(f"scancel {job}")
    return tasks
