#!/usr/bin/env bash
# psij-python 0.9.11 with Slurm: an array is COMPLETED while it runs, and a job that waits hides the state of all others.
#
# An attribute `slurm.array` reaches sbatch, which gives the array one id. The executor then looks for that id in
# `squeue -O JobArrayID,StateCompact,Reason`, which lists the tasks (1_0, 1_1, …) and never the id. What squeue does not
# list has ended, so at the first look the job is COMPLETED, without an exit code, and is asked after no more.
#
# Each line has to have three words. The reason `ReqNodeNotAvail, UnavailableNodes:…` of any job of the user's (one that
# needs a node which is drained) is two: no line of that answer is read, and none of the next ones while that job waits.
# Nor does the threshold of errors count them, since it counts from 0 each time that squeue itself works.
#
# The answers below were given by Slurm 22.05.8, of a running array whose first task had ended, and of that beside a job
# for a drained node; a program of that name repeats them here.
#
# Seen:
#   a job of its own: ACTIVE
#   an array that runs: COMPLETED
#   a job that runs, beside one that waits for its node: QUEUED
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check psij-python==0.9.11
mkdir "$work/bin"
printf '#!/bin/sh\necho Submitted batch job 1\n' >"$work/bin/sbatch"
printf '#!/bin/sh\ncat "%s/answer"\n' "$work" >"$work/bin/squeue"
chmod +x "$work/bin/"*
cat >"$work/run.py" <<'PY'
import logging
import time
from pathlib import Path

from psij import Job, JobAttributes, JobExecutor, JobSpec
from psij.executors.batch.slurm import SlurmExecutorConfig

logging.disable()
LOOKS = 5


def line(*words: str) -> str:
    return "".join(f"{word:<20}" for word in words) + "\n"


HEAD = line("JOBID", "ST", "REASON")
ONE = line("1", "R", "None")
ARRAY = line("1_0", "CD", "None") + "".join(line(f"1_{number}", "R", "None") for number in (1, 2, 3))
WAITS = line("5", "PD", "ReqNodeNotAvail, Una")


def state(answer: str, **attributes: str) -> str:
    """Submit a job; return its state after some looks at the queue."""
    Path("answer").write_text(HEAD + answer)
    config = SlurmExecutorConfig(work_directory=Path("work"), queue_polling_interval=1, initial_queue_polling_delay=0)
    executor = JobExecutor.get_instance("slurm", config=config)
    job = Job(JobSpec("/bin/sleep", ["600"], attributes=JobAttributes(custom_attributes=attributes)))
    executor.submit(job)
    time.sleep(LOOKS + 0.5)
    return job.status.state.name


print("a job of its own:", state(ONE))
print("an array that runs:", state(ARRAY, **{"slurm.array": "0-3"}))
print("a job that runs, beside one that waits for its node:", state(WAITS + ONE))
PY
cd "$work"
PATH=$work/bin:$PATH venv/bin/python run.py 2>errors | tee output || { cat errors >&2; exit 1; }
diff output - <<'SEEN'
a job of its own: ACTIVE
an array that runs: COMPLETED
a job that runs, beside one that waits for its node: QUEUED
SEEN
