"""How jobs of the stand-in end, and what qstat and qdel say, against what was recorded of OpenPBS 23.06.06."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pbs_jobs import SOON, finished, script, state, submit

from prov_worker.globus import daemons, orphans, processes
from support.programs import Programs

if TYPE_CHECKING:
    from standin.cluster import Cluster

Make = Callable[..., "Cluster"]
Wait = Callable[..., None]


@pytest.mark.parametrize(
    "text, substate, status, comment",
    [("exit 0", 92, 0, "and finished"), ("exit 7", 93, 7, "and failed"), ("kill -9 $$", 93, 137, "and failed")],
)
def test_a_job_ends_by_itself(
    cluster_of: Make, wait_for: Wait, text: str, substate: int, status: int, comment: str
) -> None:
    cluster = cluster_of()
    attributes = finished(cluster, submit(cluster, text), wait_for)
    assert (attributes["substate"], attributes["Exit_status"]) == (substate, status)
    assert attributes["comment"].endswith(comment)


def test_qdel_of_a_running_job(cluster_of: Make, wait_for: Wait) -> None:
    cluster = cluster_of()
    job = submit(cluster, "sleep 600")
    wait_for(lambda: state(cluster, job) == ("R", 42), "the job to run")
    done = cluster.run("qdel", job)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    attributes = finished(cluster, job, wait_for)
    assert (attributes["substate"], attributes["Exit_status"]) == (91, 271)
    assert re.search(r"and terminated by \w+@pbs1$", attributes["comment"])


def test_qdel_where_sigterm_is_ignored(cluster_of: Make, wait_for: Wait) -> None:
    cluster = cluster_of(**SOON | {"qdel_kill_s": 5.0})  # two commands come before, also on a busy machine
    job = submit(cluster, "trap '' TERM; touch ready; while :; do sleep 0.1; done")
    wait_for((cluster.home / "ready").exists, "the trap")
    assert cluster.run("qdel", job).returncode == 0
    assert cluster.run("qdel", job).returncode == 0, "again, while it is dying"
    assert state(cluster, job)[0] == "R"
    assert finished(cluster, job, wait_for)["Exit_status"] == 271


def test_walltime_ends_the_session_alone(cluster_of: Make, wait_for: Wait) -> None:
    """SIGTERM to every process of the job's session, SIGKILL later; one that called setsid outlives it."""
    cluster = cluster_of(**SOON)
    text = (
        "trap 'touch shell-was-told' TERM\n"
        "setsid bash -c 'echo $BASHPID > outside; exec sleep 60' &\n"
        "(trap 'touch child-was-told' TERM; touch ready; while :; do sleep 0.1; done) &\n"
        "while :; do wait; sleep 0.1; done"
    )
    job = submit(cluster, text, "-l", "walltime=1")
    attributes = finished(cluster, job, wait_for)
    outside = int((cluster.home / "outside").read_text())
    try:
        assert (cluster.home / "shell-was-told").exists()
        assert (cluster.home / "child-was-told").exists()
        assert (attributes["substate"], attributes["Exit_status"]) == (93, -29)
        assert attributes["comment"].endswith("and exceeded resource walltime")
        last = (cluster.home / f"job.sh.e{job.partition('.')[0]}").read_text().splitlines()
        assert any(re.fullmatch(r"=>> PBS: job killed: walltime \d+ exceeded limit 1", line) for line in last)
        assert Path(f"/proc/{outside}").exists()
    finally:
        os.kill(outside, 9)


def test_qstat_in_its_three_forms(cluster_of: Make, wait_for: Wait) -> None:
    cluster = cluster_of()
    assert (cluster.run("qstat").stdout, cluster.run("qstat").returncode) == ("", 0)
    job = submit(cluster, "exit 7", "-N", "parsl.GlobusComputeEngine", "-A", "P")
    finished(cluster, job, wait_for)
    table = cluster.run("qstat", "-x", job).stdout.splitlines()
    assert table[0] == "Job id            Name             User              Time Use S Queue"
    assert table[1] == "----------------  ---------------- ----------------  -------- - -----"
    assert re.fullmatch(r"0\.pbs1            parsl\.GlobusCom\* \w+ +00:00:0\d F workq {11}", table[2])
    text = cluster.run("qstat", "-x", "-f", "-F", "json", job).stdout
    assert re.search(r'^\t\t"0.pbs1":\t\{$', text, re.MULTILINE), "tabs indent, and one follows each colon"
    document = json.loads(text)
    assert (document["pbs_version"], document["pbs_server"]) == ("23.06.06", "pbs1")
    attributes = document["Jobs"][job]
    assert (attributes["job_state"], attributes["Exit_status"], attributes["Account_Name"]) == ("F", 7, "P")
    assert (attributes["Rerunable"], attributes["exec_host"]) == ("True", "pbs1/0")
    lines = cluster.run("qstat", "-x", "-f", job).stdout.splitlines()
    assert lines[0] == "Job Id: 0.pbs1"
    assert "    Resource_List.ncpus = 1" in lines
    assert lines[-1] == ""


def test_time_use_is_cpu_time_of_the_jobs_session(cluster_of: Make, wait_for: Wait) -> None:
    """Not of what left it, such as ranks of hydra: seen of a real block."""
    cluster = cluster_of()
    burn = f"{sys.executable} -S -c 'import time\nwhile time.process_time() < {{}}: pass'"
    job = submit(cluster, f"setsid {burn.format(3)} &\n{burn.format(1.2)}\nexec sleep 60")
    wait_for(lambda: cluster.jobs()[job].get("resources_used", {}).get("cput") == "00:00:01", "a second of CPU time")
    assert re.search(r" 00:00:01 R workq", cluster.run("qstat").stdout)
    assert int(cluster.jobs()[job]["resources_used"]["mem"].removesuffix("kb")) > 1000
    cluster.run("qdel", job)


def test_qsub_leaves_a_process_that_is_no_endpoints(cluster_of: Make) -> None:
    """It has the caller's environment, secrets too, and no pipe that its caller would wait for."""
    cluster = cluster_of(qsub_stays_s=30.0)
    done = cluster.run(
        "qsub", "-h", script(cluster, "true"), GLOBUS_COMPUTE_CLIENT_SECRET="hush", MARK=str(cluster.home)
    )
    assert done.returncode == 0
    marked = [
        process for process in processes.mine() if processes.environment(process).get("MARK") == str(cluster.home)
    ]
    try:
        [left] = marked
        assert processes.arguments(left)[0] == "qsub"
        assert processes.environment(left)["GLOBUS_COMPUTE_CLIENT_SECRET"] == "hush"
        assert os.getsid(left.pid) == left.pid
        assert left.pid not in {part.process.pid for part in orphans.pool_processes()}
        assert not daemons.is_user_endpoint(left)
        assert not daemons.is_core(left, "qsub")
    finally:
        for process in marked:
            process.kill()


def test_a_manager_is_told_more_of_a_job(cluster_of: Make) -> None:
    cluster = cluster_of(manager=True)
    job = submit(cluster, "true", "-h", "-l", "select=1:ncpus=2")
    attributes = cluster.jobs()[job]
    assert (attributes["hashname"], attributes["queue_type"]) == (job, "E")
    assert attributes["schedselect"] == "1:ncpus=2"
    assert {"euser", "egroup", "queue_rank"} <= set(attributes)
    plain = cluster_of()
    job = submit(plain, "true", "-h")
    assert "euser" not in plain.jobs()[job]


def test_what_qstat_and_qdel_say_of_wrong_ids(cluster_of: Make, wait_for: Wait) -> None:
    cluster = cluster_of()
    job = submit(cluster, "true")
    finished(cluster, job, wait_for)
    as_json = ["-f", "-F", "json"]
    done = cluster.run("qstat", "-x", *as_json, "9999.pbs1")
    assert "Jobs" not in json.loads(done.stdout)
    assert (done.stderr, done.returncode) == ("qstat: Unknown Job Id 9999.pbs1\n", 153)
    done = cluster.run("qstat", "-x", *as_json, job, "9999.pbs1")
    assert (list(json.loads(done.stdout)["Jobs"]), done.returncode) == ([job], 153)
    done = cluster.run("qstat", *as_json, job)
    assert "Jobs" not in json.loads(done.stdout)
    message = "qstat: 0.pbs1 Job has finished, use -x or -H to obtain historical job information\n"
    assert (done.stderr, done.returncode) == (message, 35)
    done = cluster.run("qstat", "xyz")
    assert (done.stdout, done.stderr, done.returncode) == ("", "qstat: Unknown queue destination xyz\n", 170)
    done = cluster.run("qdel", job)
    assert (done.stdout, done.stderr, done.returncode) == ("", "qdel: Job has finished 0.pbs1\n", 35)
    done = cluster.run("qdel", "9999.pbs1")
    assert (done.stdout, done.stderr, done.returncode) == ("", "qdel: Unknown Job Id 9999.pbs1\n", 153)
    done = cluster.run("qdel", "9998", "9999")
    assert (done.stderr, done.returncode) == ("qdel: Unknown Job Id 9998.pbs1\n", 153)
    waiting = submit(cluster, "true", "-h")
    done = cluster.run("qdel", "9998", waiting, "9999")
    assert done.stderr == "qdel: Unknown Job Id 9998.pbs1\nqdel: Unknown Job Id 9999.pbs1\n"
    assert state(cluster, waiting) == ("F", 91)
    done = cluster.run("qdel", "notajob")
    assert done.stderr == "qdel: illegally formed job identifier: notajob\n"


def test_without_history(cluster_of: Make, wait_for: Wait) -> None:
    cluster = cluster_of(history=False)
    job = submit(cluster, "while [ ! -e go ]; do sleep 0.1; done")
    done = cluster.run("qstat", "-x", "-f", "-F", "json", job)
    assert "Jobs" not in json.loads(done.stdout), "even while it runs"
    message = f"qstat: PBS is not configured to maintain job history {job}\n"
    assert (done.stderr, done.returncode) == (message, 0)
    (cluster.home / "go").touch()
    wait_for(lambda: cluster.run("qstat", job).returncode == 153, "the job to be forgotten")
    assert cluster.run("qdel", job).returncode == 153


def test_without_a_server(cluster_of: Make) -> None:
    cluster = cluster_of()
    name = script(cluster, "true")
    cluster.stop()
    down = "Connection refused\n{}: cannot connect to server pbs1 (errno=15010)\n"
    done = cluster.run("qsub", name)
    assert (done.stdout, done.stderr, done.returncode) == ("", down.format("qsub"), 162)
    done = cluster.run("qstat", "-x", "-f", "-F", "json", "0.pbs1")
    assert (done.stderr, done.returncode) == (down.format("qstat"), 255)
    assert "Jobs" not in json.loads(done.stdout)
    done = cluster.run("qdel", "0.pbs1")
    message = "Connection refused\nCouldn't connect to cluster: pbs1\n"
    assert (done.stdout, done.stderr, done.returncode) == ("", message, 162)


def test_the_cluster_ends_with_who_started_it(programs: Programs, tmp_path: Path, wait_for: Wait) -> None:
    """A test run that is killed leaves no server and no job behind."""
    code = (
        "import sys, time; from pathlib import Path; from standin.cluster import Cluster; "
        "one = Cluster(Path(sys.argv[1])); one.start(); (one.home / 'job.sh').write_text('sleep 600'); "
        "print(one.run('qsub', 'job.sh').stdout, flush=True); time.sleep(600)"
    )
    starter = programs.start(
        [sys.executable, "-c", code, str(tmp_path / "pbs")],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout is not None
    assert starter.stdout.readline() == "0.pbs1\n"
    sign = str(tmp_path / "pbs" / "server").encode()

    def of_the_cluster() -> list[str]:
        pids = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if sign in path.read_bytes():
                    pids.append(path.parent.name)
        return pids

    wait_for(lambda: len(of_the_cluster()) == 3, "the server, the login shell and the script")
    starter.kill()
    wait_for(lambda: of_the_cluster() == [], "their end")
