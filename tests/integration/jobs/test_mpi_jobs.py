"""Jobs of several ranks at an endpoint with an MPI engine, by Debian's Open MPI and MPICH."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from endpoint_daemon import Daemon

from prov_worker import diagnose, jobs
from prov_worker.crate.reader import StepCrate
from prov_worker.sites.catalog import site
from prov_worker.sites.install import template_of
from support.diagnosis import lines
from support.sites import complete

if TYPE_CHECKING:
    from service_stack import Stack

pytestmark = [pytest.mark.xdist_group("jobs"), pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(600)]
PROGRAM = Path(__file__).with_name("mpi_rank.py")
LIMIT_S = 200


def rank_variables(name: str) -> str:
    """What a function itself can start, by the launcher that Parsl names."""
    import os
    import subprocess

    command = f"{os.environ['PARSL_MPI_PREFIX']} sh -c 'echo ${name}'"
    return subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout


def worker_init(directory: Path, launcher: str) -> str:
    """Commands that put this MPI first on PATH, as a site's module does.

    Debian has both side by side, each under a name of its own.
    """
    directory.mkdir()
    program = directory / "mpiexec"
    program.write_text(f'#!/bin/sh\nexec {launcher} "$@"\n')
    program.chmod(0o755)
    commands = [f"export PATH={directory}:$PATH"]
    if os.getuid() == 0:
        commands.append("export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1")
    return "\n".join(commands)


@pytest.fixture(params=["openmpi", "mpich"])
def launcher(request: pytest.FixtureRequest) -> str:
    """The launcher of one MPI."""
    name = f"mpiexec.{request.param}"
    if shutil.which(name) is None:
        pytest.skip(f"no {name}; apt-get install {'openmpi-bin' if request.param == 'openmpi' else 'mpich'}")
    return name


def test_two_ranks(stack: Stack, launcher: str, tmp_path: Path, crate_dir: Path, wait_for: Callable[..., None]) -> None:
    from globus_compute_sdk import MPIFunction

    assert stack.daemon is not None
    options = {
        "mpi": "openmpi" if "openmpi" in launcher else "mpiexec",
        "worker_init": worker_init(tmp_path / "bin", launcher),
        "mpi_ranks": 2,
        "crate_dir": str(crate_dir),
        "plots": "none",
        "heartbeat_period": 2,
        "heartbeat_threshold": 6,
    }
    daemon = Daemon(tmp_path / "gc", stack.daemon.environment)
    daemon.configure()
    (daemon.user_dir / "ep" / "user_config_template.yaml.j2").write_text(
        template_of(site("local"), complete("local", **options))
    )
    daemon.start()
    try:
        with jobs.open(daemon.id, store=tmp_path / "jobs.jsonl", crates=crate_dir) as session:
            two = session.options(ranks=2, name="two")
            program = two.submit(MPIFunction(f"{sys.executable} {PROGRAM}", walltime=60))
            called = two.submit(rank_variables, "OMPI_COMM_WORLD_RANK" if "openmpi" in launcher else "PMI_RANK")
            beyond = session.options(ranks=2, nodes=2).submit(rank_variables, "PATH")
            more = session.options(ranks=3).submit(rank_variables, "PATH")
            without = session.submit(rank_variables, "PATH")
            ranks = [json.loads(line) for line in program.result(LIMIT_S).stdout.splitlines()]
            assert sorted((rank["rank"], rank["size"], rank["sum"]) for rank in ranks) == [(0, 2, 3), (1, 2, 3)]
            assert sorted(called.result(LIMIT_S).split()) == ["0", "1"]
            for job, problem in {
                beyond: "num_nodes: 2, and a block of this endpoint has 1 node",
                more: "ranks_per_node: 3, and a node of this endpoint takes 2 ranks of a task",
                without: "num_nodes: must be set for an endpoint with an MPI engine",
            }.items():
                with pytest.raises(jobs.JobFailedError, match=f"resource_specification: {problem}"):
                    job.result(LIMIT_S)
            batch = session.batch(rank_variables, ["HOME"], ranks=2, nodes=1)
            assert batch.results(LIMIT_S) == [f"{Path.home()}\n" * 2]
            wait_for(lambda: program.crate is not None, "the program's crate")
            assert program.crate is not None
            crate = StepCrate.open(program.crate)
        report = diagnose.endpoint(daemon.id, ["mpi", "crates"], ranks=2, timeout=LIMIT_S)
    finally:
        daemon.stop()
    value: Callable[[str], Any] = lambda key: crate.entities[key]["value"]  # noqa: E731
    assert value("#command-launcher").split() == ["mpiexec", "-n", "2", "-ppn", "2", "-hosts", "localhost"]
    assert (value("#env-PARSL_NUM_RANKS"), value("#env-PARSL_MPI_NODELIST")) == ("2", "localhost")
    findings = lines(report)
    assert any(f"2 on {socket.gethostname()} (" in text for text in findings if text.startswith("pass ranks: 2 by")), (
        report.to_text()
    )
    assert report.counts()["fail"] == 0, report.to_text()
    print("\n".join(findings))
