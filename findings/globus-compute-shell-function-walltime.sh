#!/usr/bin/env bash
# globus-compute-sdk 4.19.0: the walltime of a ShellFunction ends the wait for the command, not the command.
#
# After `walltime` seconds the result has returncode 124, as of timeout(1), which ends what it runs. Here the command
# goes on, beside the worker's next tasks, until it ends by itself. A command that has to stop needs a limit of its own,
# such as `timeout 60 command`.
#
# Seen:
#   sleep 47.5: returncode 124, still running: 1
#   timeout 1 sleep 47.5: returncode 124, still running: 0
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check globus-compute-sdk==4.19.0 psutil
cat >"$work/run.py" <<'PY'
import psutil
from globus_compute_sdk import ShellFunction

for command, walltime in (("sleep 47.5", 1), ("timeout 1 sleep 47.5", 20)):
    result = ShellFunction(command, walltime=walltime)()
    left = [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == ["sleep", "47.5"]]
    print(f"{command}: returncode {result.returncode}, still running: {len(left)}")
    for process in left:
        process.kill()
PY
cd "$work"
venv/bin/python run.py | tee output
diff output - <<'SEEN'
sleep 47.5: returncode 124, still running: 1
timeout 1 sleep 47.5: returncode 124, still running: 0
SEEN
