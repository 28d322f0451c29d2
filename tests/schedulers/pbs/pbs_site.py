"""A site of PBS that ``prov-worker sites install`` wrote, on a cluster of the stand-in, up to its crates."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "integration" / "service")]

from endpoint_daemon import Daemon  # noqa: E402
from standin.cluster import Cluster  # noqa: E402

from prov_worker.crate.check import check_crate  # noqa: E402
from prov_worker.crate.reader import StepCrate  # noqa: E402
from support.commands import run_program  # noqa: E402

if TYPE_CHECKING:
    from globus_compute_sdk.sdk.asynchronous.compute_future import ComputeFuture
    from service_stack import Stack

PROJECT = "Perseus"


class PBSSite(Daemon):
    """An installed site: names and sizes are adapted by options, all else is the site's own.

    Workers are in an environment that ``worker_init`` reaches; the node has ``node_cpus`` CPUs by name, 0 for those of
    this machine.
    """

    def __init__(
        self, site: str, directory: Path, stack: Stack, cluster: Cluster, node_cpus: int, **options: Any
    ) -> None:
        super().__init__(directory, stack.environment())
        # A login node has PBS's commands, and not what a job finds on its node.
        self.environment["PATH"] = f"{cluster.bin}:{self.environment['PATH']}"
        self.site, self.cluster = site, cluster
        self.options = {
            "account": PROJECT, "crate_dir": self.crates, "email": "someone@example.org", "interface": "lo",
            "idle_time": 3, "strategy_period": 0.5, "poll_interval": 0.02, "plots": "none",
            "worker_init": worker_init(node_cpus), **options,
        }  # fmt: skip

    def configure(self) -> None:
        assigned = [word for key, value in self.options.items() for word in ("--set", f"{key}={value}")]
        command = [
            self.bin / "prov-worker",
            "sites",
            "install",
            self.site,
            self.name,
            "--no-check",
            "--user-dir",
            self.user_dir,
        ]
        done = run_program(*command, *assigned, env=self.environment, timeout=180)  # fmt: skip
        assert done.returncode == 0, done.stderr

    def crate(self, task_id: str) -> Path:
        return self.crates / f"{task_id}.crate"

    def whole(self, task_id: str, wait_for: Callable[..., None]) -> StepCrate:
        """A task's crate, which has no errors."""
        wait_for(self.crate(task_id).is_dir, f"the crate of {task_id}")
        assert [finding for finding in check_crate(self.crate(task_id)) if finding.level == "error"] == []
        return StepCrate.open(self.crate(task_id))

    def facts(self, task_id: str) -> dict[str, Any]:
        """Named values of a task's crate."""
        graph = json.loads((self.crate(task_id) / "ro-crate-metadata.json").read_text())["@graph"]
        return {entity["@id"]: entity["value"] for entity in graph if "value" in entity}


def worker_init(node_cpus: int) -> str:
    """Lines that reach the workers' environment, as a person writes them."""
    folders = [str(HERE), *([str(HERE / "node")] if node_cpus else [])]
    return (
        f"export PATH={Path(sys.executable).parent}:$PATH PYTHONPATH={os.pathsep.join(folders)}"
        f"{f' NODE_CPUS={node_cpus}' if node_cpus else ''}"
    )


def cluster(directory: Path, server: str, node: Mapping[str, int], file_systems: str) -> Cluster:
    """Four nodes of a machine of ALCF's, with its queue for tests."""
    return Cluster(
        directory,
        server=server,
        nodes={f"{server}-{number}": dict(node) for number in range(4)},
        queues={"debug": 3600, "prod": 86400},
        resources=["filesystems"],
        chunk_resources=["ngpus", "system"],
        file_systems=file_systems.split(":"),
        projects=[PROJECT],
        mom_poll_s=0.5,
        first=4711,
    )


@contextmanager
def installed(
    site: str, directory: Path, stack: Stack, node: Mapping[str, int], file_systems: str, **options: Any
) -> Iterator[PBSSite]:
    """A site with a cluster and a daemon of its own, at a broker and a service that are up."""
    made = cluster(directory / "pbs", f"{site}-pbs-01", node, file_systems)
    endpoint = PBSSite(site, directory / "gc", stack, made, node["ncpus"], **options)
    made.start()
    try:
        endpoint.configure()
        endpoint.start()
        yield endpoint
    except BaseException:
        sys.stderr.write(f"{endpoint.log}\n{made.log}")
        raise
    finally:
        endpoint.stop()
        made.stop()


def by_task(futures: Sequence[ComputeFuture[Any]], limit_s: float = 180) -> dict[str, int]:
    """The ranks that tasks gave as their results, by their ids."""
    ranks = [int(future.result(limit_s)) for future in futures]
    return {str(future.task_id): rank for future, rank in zip(futures, ranks, strict=True)}
