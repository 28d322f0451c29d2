#!/usr/bin/env bash
# Parsl 2026.10.26: the walltime of a python_app does not end it; it raises an exception inside of it, which may come
# late or never have an effect.
#
# The documentation says that an app which exceeds its walltime raises AppTimeout. A timer asks the interpreter to
# raise it in the app's thread (PyThreadState_SetAsyncExc). That happens between two instructions of Python: an app
# that waits within C (a sleep, a read, a library's computation) goes on until it is through, and then its finished
# work is thrown away. An app whose loop handles exceptions, as those do that try again, handles this one too: it goes
# on without a limit and completes. What has to stop needs a process of its own that can be ended, or a limit of the
# scheduler.
#
# Seen (walltime 1 s, work for 4 s):
#   computes: AppTimeout, over in time: True
#   waits in C: AppTimeout, over in time: False
#   handles exceptions: completed with 1 of them, over in time: False
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check parsl==2026.10.26
cat >"$work/run.py" <<'PY'
import logging
import time

import parsl
from parsl import Config, python_app
from parsl.executors import ThreadPoolExecutor

logging.disable()
WORK_S, IN_TIME_S = 4, 3.5


@python_app
def computes(seconds, walltime=1):
    import time

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return "completed"


@python_app
def waits_in_c(seconds, walltime=1):
    import time

    time.sleep(seconds)
    return "completed"


@python_app
def handles_exceptions(seconds, walltime=1):
    import time

    end, handled = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        try:
            time.sleep(0.01)
        except Exception:
            handled += 1
    return f"completed with {handled} of them"


parsl.load(Config(executors=[ThreadPoolExecutor(max_threads=1)], run_dir="runinfo"))
for name, app in (("computes", computes), ("waits in C", waits_in_c), ("handles exceptions", handles_exceptions)):
    began = time.monotonic()
    try:
        outcome = app(WORK_S).result()
    except Exception as error:
        outcome = type(error).__name__
    print(f"{name}: {outcome}, over in time: {time.monotonic() - began < IN_TIME_S}")
parsl.dfk().cleanup()
PY
cd "$work"
HOME=$work venv/bin/python run.py 2>errors | tee output || { cat errors >&2; exit 1; }
diff output - <<'SEEN'
computes: AppTimeout, over in time: True
waits in C: AppTimeout, over in time: False
handles exceptions: completed with 1 of them, over in time: False
SEEN
