"""The stand-in against what was recorded of OpenPBS 23.06.06: words, exit codes, states, signals, environment."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from prov_worker.globus import daemons, orphans, processes
from support.programs import Programs

if TYPE_CHECKING:
    from standin.cluster import Cluster

Make = Callable[..., "Cluster"]
Wait = Callable[..., None]
#: Signals come soon, for tests of what they do; the defaults are the recorded times.
SOON = {"mom_poll_s": 0.1, "walltime_kill_s": 1.0, "qdel_kill_s": 1.0}


def script(cluster: Cluster, text: str, name: str = "job.sh") -> str:
    (cluster.home / name).write_text(f"#!/bin/bash\n{text}\n")
    return name


def submit(cluster: Cluster, text: str, *options: str) -> str:
    done = cluster.run("qsub", *options, script(cluster, text))
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"\d+\.pbs1\n", done.stdout)
    return done.stdout.strip()


def state(cluster: Cluster, job: str) -> tuple[str, int]:
    attributes = cluster.jobs()[job]
    return attributes["job_state"], attributes["substate"]


def finished(cluster: Cluster, job: str, wait_for: Wait) -> dict[str, Any]:
    wait_for(lambda: cluster.jobs()[job]["job_state"] == "F", f"the end of {job}")
    return cluster.jobs()[job]


# -- qsub -------------------------------------------------------------------------------------------------------------


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


# -- ends -------------------------------------------------------------------------------------------------------------


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


# -- qstat and qdel ---------------------------------------------------------------------------------------------------


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


# -- mpiexec ----------------------------------------------------------------------------------------------------------


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
