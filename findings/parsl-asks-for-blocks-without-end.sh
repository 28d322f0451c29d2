#!/usr/bin/env bash
# Parsl 2026.10.26: blocks beyond max_blocks, without end, and an error handler that raises at each look.
#
# The scaling strategy counts blocks that run and that wait (parsl/jobs/strategy.py). A block that its batch system holds
# is neither, so another is asked for at each look, whatever max_blocks says; PBS holds a job by itself that it could not
# start 21 times. The error handler (parsl/jobs/error_handlers.py) gives up once all blocks that ever were have failed:
# after one that ran and was scaled in it never does, and blocks that fail at once are asked for without end. If it
# does give up, it sets an exception on every task again at the next look, and concurrent.futures refuses that.
#
# Seen (five looks, max_blocks 1, one task):
#   held: blocks 5, executor bad False
#   one scaled in, the others failed: blocks 6, executor bad False
#   failed: blocks 1, executor bad True, raised InvalidStateError
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check parsl==2026.10.26
cat >"$work/run.py" <<'PY'
import logging
from concurrent.futures import Future
from types import SimpleNamespace

from parsl.executors.status_handling import BlockProviderExecutor
from parsl.jobs.job_status_poller import JobStatusPoller
from parsl.jobs.states import JobState, JobStatus

logging.disable()


class Executor(BlockProviderExecutor):
    label = "x"
    workers_per_node = 1

    def outstanding(self):
        return 1

    def _get_launch_command(self, block_id):
        return "true"

    def submit(self, func, resource_specification, *args, **kwargs): ...

    def shutdown(self): ...


def looks(name, state, scaled_in=()):
    ids = iter(range(100))
    provider = SimpleNamespace(
        init_blocks=0, min_blocks=0, max_blocks=1, nodes_per_block=1, parallelism=1, status_polling_interval=1e-6
    )
    provider.submit = lambda command, tasks, name: f"job{next(ids)}"
    provider.status = lambda jobs: [JobStatus(JobState.SCALED_IN if job in scaled_in else state) for job in jobs]
    executor = Executor(provider=provider, block_error_handler=True)
    executor._tasks = {1: Future()}
    executor.run_id = "run"
    if scaled_in:
        executor.scale_out_facade(1)
    poller = JobStatusPoller(strategy="simple", max_idletime=3600, strategy_period=3600)
    poller.add_executors([executor])
    raised = set()
    for _ in range(5):
        try:
            poller.poll()
        except Exception as error:
            raised.add(type(error).__name__)
    super(JobStatusPoller, poller).close()
    suffix = "".join(f", raised {error}" for error in sorted(raised))
    print(f"{name}: blocks {len(executor.blocks_to_job_id)}, executor bad {executor.bad_state_is_set}{suffix}")


looks("held", JobState.HELD)
looks("one scaled in, the others failed", JobState.FAILED, {"job0"})
looks("failed", JobState.FAILED)
PY
cd "$work"
venv/bin/python run.py | tee output
diff output - <<'SEEN'
held: blocks 5, executor bad False
one scaled in, the others failed: blocks 6, executor bad False
failed: blocks 1, executor bad True, raised InvalidStateError
SEEN
