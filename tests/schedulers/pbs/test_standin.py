"""The stand-in's qsub and mpiexec against what was recorded of OpenPBS 23.06.06: words, exit codes, environment."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pbs_jobs import finished, script, state, submit

if TYPE_CHECKING:
    from standin.cluster import Cluster

Make = Callable[..., "Cluster"]
Wait = Callable[..., None]


@pytest.mark.parametrize(
    "arguments, message, code",
    [
        (["-q", "nope", "job.sh"], "qsub: Unknown queue", 170),
        (["missing.sh"], "qsub: script file:: No such file or directory", 1),
        (["-l", "select=1:ncpus=1:ngpus=4", "job.sh"], "qsub: Unknown resource: ngpus", 187),
        (["-l", "filesystems=home", "job.sh"], "qsub: Unknown resource Resource_List.filesystems", 187),
        (["-l", "walltime=abc", "job.sh"], "qsub: Illegal attribute or resource value Resource_List.walltime", 166),
        (["-l", "walltime=01:00:01", "job.sh"], "qsub: Job violates queue and/or server resource limits", 188),
        (["-l", "select=1:place=scatter", "job.sh"], 'qsub: Resource invalid in "select" specification: place', 4),
        (["-l", "select=1:ncpus=x", "job.sh"], "qsub: Illegal attribute or resource value select.ncpus", 166),
        (["-N", "a b", "job.sh"], "qsub: illegal -N value", 2),
        (["-N", "n" * 231, "job.sh"], "qsub: Job name is too long", 2),
        (["-J", "3", "job.sh"], "stand-in for PBS: qsub -J 3 is not in it", 64),
        (["-t", "1-3", "job.sh"], "stand-in for PBS: qsub -t is not in it", 64),
    ],
)
def test_what_qsub_refuses(cluster_of: Make, arguments: list[str], message: str, code: int) -> None:
    cluster = cluster_of(queues={"workq": 3600})
    script(cluster, "true")
    done = cluster.run("qsub", *arguments)
    assert (done.stdout, done.stderr, done.returncode) == ("", f"{message}\n", code)
    assert cluster.jobs() == {}


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["-A", "P", "-l", "filesystems=home:eagle"], None),
        (["-A", "P"], "qsub: Resource: filesystems is required to be set."),
        (["-A", "P", "-l", "filesystems=home:grand"], "qsub: Invalid filesystem identifiers grand"),
        (["-l", "filesystems=home"], "qsub: Account_Name is required to be set."),
        (
            ["-A", "Q", "-l", "filesystems=home"],
            "qsub: Request rejected.  Reason: No active allocation found for project Q and resource pbs1.",
        ),
    ],
)
def test_rules_of_alcf(cluster_of: Make, arguments: list[str], message: str | None) -> None:
    cluster = cluster_of(resources=["filesystems"], file_systems=["home", "eagle"], projects=["P"])
    done = cluster.run("qsub", *arguments, script(cluster, "true"))
    assert (done.stderr, done.returncode) == (("", 0) if message is None else (f"{message}\n", 32))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be refused as root")
def test_root_is_refused_where_it_is_not_allowed(cluster_of: Make) -> None:
    cluster = cluster_of(acl_roots=False)
    done = cluster.run("qsub", script(cluster, "true"))
    assert (done.stderr, done.returncode) == ("qsub: Bad UID for job execution\n", 175)


def test_a_bare_number_is_a_walltime_of_seconds_in_silence(cluster_of: Make, wait_for: Wait) -> None:
    cluster = cluster_of()
    job = submit(cluster, "true", "-l", "walltime=3600")
    assert finished(cluster, job, wait_for)["Resource_List"]["walltime"] == "01:00:00"


def test_too_many_cpus_are_taken_and_wait_for_ever(cluster_of: Make, wait_for: Wait) -> None:
    cluster = cluster_of()
    job = submit(cluster, "true", "-l", "select=1:ncpus=64")
    never = "Can Never Run: Insufficient amount of resource: ncpus (R: 64 A: 4 T: 4)"
    wait_for(lambda: cluster.jobs()[job].get("comment") == never, "the comment")
    assert state(cluster, job) == ("Q", 10)
    assert not {"resources_used", "exec_host", "stime"} & set(cluster.jobs()[job])
    assert cluster.run("qdel", job).returncode == 0
    attributes = cluster.jobs()[job]
    assert (attributes["job_state"], attributes["substate"], attributes.get("Exit_status")) == ("F", 91, None)
    assert attributes["comment"].endswith("and terminated")


def test_directives_end_at_the_first_command(cluster_of: Make, wait_for: Wait) -> None:
    cluster = cluster_of()
    text = "\n# a comment\n#PBS -N first -l walltime=00:01:00\n#PBS -o out\n\necho hello\n#PBS -N second\n#PBS -e err"
    attributes = finished(cluster, submit(cluster, text), wait_for)
    assert attributes["Job_Name"] == "first"
    assert attributes["Resource_List"]["walltime"] == "00:01:00"
    assert (cluster.home / "out").read_text() == "hello\n"
    assert not (cluster.home / "err").exists()


def test_the_command_line_goes_before_directives(cluster_of: Make, wait_for: Wait) -> None:
    cluster = cluster_of(queues={"workq": None, "debug": None})
    attributes = finished(cluster, submit(cluster, "#PBS -q workq", "-q", "debug"), wait_for)
    assert attributes["queue"] == "debug"


def test_the_script_is_a_copy_and_outputs_appear_after_the_end(cluster_of: Make, wait_for: Wait) -> None:
    cluster = cluster_of()
    work = cluster.directory / "work"
    work.mkdir()
    (work / "job.sh").write_text("#!/bin/bash\necho $0 $PWD\nwhile [ ! -e go ]; do sleep 0.1; done\n")
    job = cluster.run("qsub", "job.sh", cwd=work).stdout.strip()
    (work / "job.sh").write_text("#!/bin/bash\necho another\n")
    wait_for(lambda: state(cluster, job) == ("R", 42), "the job to run")
    assert sorted(path.name for path in work.iterdir()) == ["job.sh"]
    (cluster.home / "go").touch()
    assert finished(cluster, job, wait_for)["substate"] == 92
    out = work / f"job.sh.o{job.partition('.')[0]}"
    copied, where = out.read_text().split()
    assert copied.endswith(f"mom_priv/jobs/{job}.SC")
    assert where == str(cluster.home)
    assert out.stat().st_mode & 0o777 == 0o600


def test_k_doe_writes_to_the_final_place_at_once(cluster_of: Make, wait_for: Wait) -> None:
    cluster = cluster_of()
    job = submit(cluster, "echo early; while [ ! -e go ]; do sleep 0.1; done", "-k", "doe")
    out = cluster.home / f"job.sh.o{job.partition('.')[0]}"
    wait_for(lambda: out.exists() and out.read_text() == "early\n", "the output")
    assert state(cluster, job)[0] == "R"
    (cluster.home / "go").touch()
    finished(cluster, job, wait_for)


def test_a_job_whose_output_cannot_be_opened_is_held(cluster_of: Make, wait_for: Wait) -> None:
    cluster = cluster_of()
    job = submit(cluster, "true", "-o", "/nonexistent/dir/out", "-k", "doe")
    wait_for(lambda: state(cluster, job) == ("H", 20), "the job to be held")
    attributes = cluster.jobs()[job]
    assert attributes["comment"] == "job held, too many failed attempts to run"
    assert (attributes["run_count"], attributes["Exit_status"], attributes["Hold_Types"]) == (21, -3, "s")
    assert finished(cluster, submit(cluster, "true"), wait_for)["Exit_status"] == 0, "the server lives"


def test_of_directives_the_last_output_and_the_first_resource_hold(cluster_of: Make, wait_for: Wait) -> None:
    cluster = cluster_of()
    text = "#PBS -o first\n#PBS -o second\n#PBS -l walltime=00:01:00\n#PBS -l walltime=00:02:00\necho hello"
    attributes = finished(cluster, submit(cluster, text), wait_for)
    assert attributes["Resource_List"]["walltime"] == "00:01:00"
    assert (cluster.home / "second").read_text() == "hello\n"
    assert not (cluster.home / "first").exists()


def test_a_script_runs_below_a_login_shell(cluster_of: Make, wait_for: Wait) -> None:
    cluster = cluster_of()
    with (cluster.home / ".bash_profile").open("a") as profile:
        profile.write("export PROFILE=read\n")
    job = submit(cluster, "echo $SHLVL $PROFILE $0; umask; touch left")
    finished(cluster, job, wait_for)
    level, profile_read, name, mask = (cluster.home / "job.sh.o0").read_text().split()
    assert (level, profile_read, mask) == ("2", "read", "0077")
    assert name.endswith(f"{job}.SC")
    assert (cluster.home / "left").stat().st_mode & 0o777 == 0o600


def test_chunks_say_how_many_are_on_their_node(cluster_of: Make, wait_for: Wait) -> None:
    cluster = cluster_of(nodes={"n1": {"ncpus": 8, "ngpus": 4}}, chunk_resources=["ngpus"])
    waits = "while [ ! -e go ]; do sleep 0.1; done"
    first = submit(cluster, waits, "-l", "select=1:ncpus=2:ngpus=1")
    wait_for(lambda: state(cluster, first)[0] == "R", "the first to run")
    second = submit(cluster, waits)
    wait_for(lambda: state(cluster, second)[0] == "R", "the second to run")
    jobs = cluster.jobs()
    assert [jobs[job]["exec_host"] for job in (first, second)] == ["n1/0*2", "n1/1"]
    assert jobs[first]["exec_vnode"] == "(n1:ncpus=2)"
    assert jobs[first]["Resource_List"]["ngpus"] == 1
    (cluster.home / "go").touch()
    finished(cluster, second, wait_for)


def test_a_held_job_waits(cluster_of: Make) -> None:
    cluster = cluster_of()
    job = submit(cluster, "true", "-h")
    time.sleep(0.3)
    attributes = cluster.jobs()[job]
    assert (attributes["job_state"], attributes["substate"], attributes["Hold_Types"]) == ("H", 20, "u")
    assert not {"exec_vnode", "session_id", "jobdir", "etime", "comment", "run_count"} & set(attributes)


def test_the_environment_is_the_jobs_own(cluster_of: Make, wait_for: Wait) -> None:
    cluster = cluster_of()
    name = script(cluster, "env -0 > told; cat $PBS_NODEFILE > hosts")
    done = cluster.run("qsub", "-l", "select=2:ncpus=1:mpiprocs=2", name, LEAKED="yes")
    finished(cluster, done.stdout.strip(), wait_for)
    variables = dict(line.split("=", 1) for line in (cluster.home / "told").read_text().split("\0") if line)
    assert "LEAKED" not in variables
    assert (variables["PBS_ENVIRONMENT"], variables["ENVIRONMENT"]) == ("PBS_BATCH", "BATCH")
    assert (variables["PBS_JOBID"], variables["PBS_JOBNAME"], variables["PBS_QUEUE"]) == ("0.pbs1", "job.sh", "workq")
    assert (variables["PBS_NODENUM"], variables["PBS_TASKNUM"], variables["PBS_JOBDIR"]) == (
        "0",
        "1",
        variables["HOME"],
    )
    assert variables["PBS_O_WORKDIR"] == str(cluster.home)
    assert (variables["NCPUS"], variables["OMP_NUM_THREADS"]) == ("1", "1")
    assert len(variables["PBS_JOBCOOKIE"]) == 32
    assert str(Path(sys.executable).parent) not in variables["PATH"]
    assert (cluster.home / "hosts").read_text().split() == ["pbs1"] * 4


def test_jobs_wait_for_room(cluster_of: Make, wait_for: Wait) -> None:
    cluster = cluster_of(nodes={"n1": {"ncpus": 2}})
    first = submit(cluster, "while [ ! -e go ]; do sleep 0.1; done", "-l", "select=1:ncpus=2")
    second = submit(cluster, "true", "-l", "select=1:ncpus=1")
    wait_for(lambda: state(cluster, first)[0] == "R", "the first to run")
    assert state(cluster, second) == ("Q", 10)
    (cluster.home / "go").touch()
    assert finished(cluster, second, wait_for)["Exit_status"] == 0


def test_mpiexec_starts_a_rank_on_each_host(cluster_of: Make, wait_for: Wait) -> None:
    cluster = cluster_of(nodes={"n1": {"ncpus": 2}, "n2": {"ncpus": 2}})
    ranks = (
        "export FORWARDED=yes\nmpiexec --cpu-bind none --depth=64 --ppn 1 --env TMPDIR=/tmp -n 2 "
        "--hostfile $PBS_NODEFILE /bin/sh -c 'echo $PALS_RANKID $FORWARDED $TMPDIR'\n"
        "mpiexec -n 2 --ppn 2 sh -c 'exit 3'; echo $?; mpiexec -n 3 --ppn 1 --hostfile $PBS_NODEFILE true; echo $?"
    )
    job = submit(cluster, ranks, "-l", "select=2:ncpus=2", "-l", "place=scatter")
    attributes = finished(cluster, job, wait_for)
    assert attributes["exec_host"] == "n1/0*2+n2/0*2"
    lines = (cluster.home / "job.sh.o0").read_text().splitlines()
    assert sorted(lines[:2]) == ["0 yes /tmp", "1 yes /tmp"]
    assert lines[2:] == ["3", "64"]
