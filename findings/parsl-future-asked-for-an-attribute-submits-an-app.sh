#!/usr/bin/env bash
# Parsl 2026.10.26: to ask a future for an attribute that it lacks submits an app, and the answer is always yes.
#
# AppFuture.__getattr__ (parsl/dataflow/futures.py) makes an app of the look-up. So hasattr is true for any name, getattr
# with a default never gives the default, and each is one more task: what looks at values by their attributes (a library
# that asks for `nbytes` or `parent`) fills the flow. `vars(future)` asks for nothing.
#
# Seen: hasattr True, default given False, tasks 3, AttributeError: 'int' object has no attribute 'nbytes'
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check parsl==2026.10.26
cat >"$work/run.py" <<'PY'
import sys

import parsl
from parsl.config import Config
from parsl.executors import ThreadPoolExecutor


@parsl.python_app
def one():
    return 1


with parsl.load(Config(executors=[ThreadPoolExecutor()], run_dir=sys.argv[1], strategy="none")) as kernel:
    future = one()
    there = hasattr(future, "nbytes")
    answer = getattr(future, "nbytes", None)
    error = answer.exception()
    text = f"hasattr {there}, default given {answer is None}, tasks {kernel.task_count}, {type(error).__name__}: {error}"
print(text)
PY
seen=$("$work/venv/bin/python" "$work/run.py" "$work/runs")
echo "$seen"
[[ $seen == "hasattr True, default given False, tasks 3, AttributeError: 'int' object has no attribute 'nbytes'" ]]
