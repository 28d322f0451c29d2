#!/usr/bin/env bash
# MLflow 3.17.2: two processes that begin their first run in one directory at the same moment; most often one of them raises.
#
# Since 3.7 the default store is `sqlite:///mlflow.db` in the current directory. Who finds none makes it by migrations, and
# nothing keeps a second process from doing the same: it meets half of the first one's tables. So a script that works by itself
# fails when a pool of workers runs it for the first time, and works the second time. If a run was begun there once before,
# two processes at a time do no harm.
#
# Seen:
#   an empty directory, 6 times: one of two or both raised sqlalchemy's OperationalError (such as: table
#   _alembic_tmp_tags already exists) at least once
#   a directory with a store, 6 times: nobody raised
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${MLFLOW_PYTHON:-}
if [[ -z $python ]]; then
    "${PYTHON:-python3}" -m venv "$work/venv"
    "$work/venv/bin/pip" --quiet --disable-pip-version-check install mlflow==3.17.2 2>/dev/null
    python=$work/venv/bin/python
fi

cat >"$work/run.py" <<'PY'
import sys
import time
from pathlib import Path

import mlflow

# Both have imported it by then.
Path(f"ready-{sys.argv[1]}").touch()
while len(list(Path().glob("ready-*"))) < 2:
    time.sleep(0.001)
with mlflow.start_run():
    mlflow.log_metric("loss", 0.5)
PY

raised() { # raised DIRECTORY: how many of two processes raise
    cd "$1"
    rm -f ready-*
    local failures=0 pids=()
    for number in 1 2; do
        "$python" "$work/run.py" "$number" >"$number.log" 2>&1 &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || ((++failures)); done
    cat [12].log >>"$work/all.log"
    echo "$failures"
}

fresh=0 again=0
for round in 1 2 3 4 5 6; do
    mkdir "$work/$round"
    ((fresh += $(raised "$work/$round"))) || true
done
(cd "$work/1" && rm -f ready-* mlflow.db && touch ready-2 && "$python" "$work/run.py" 1 >/dev/null 2>&1)
for _ in 1 2 3 4 5 6; do ((again += $(raised "$work/1"))) || true; done
echo "$("$python" -c 'from importlib.metadata import version; print("mlflow", version("mlflow"))'): in empty directories $fresh of 12 raised" \
    "($(grep -c '^sqlalchemy.exc.OperationalError' "$work/all.log") OperationalError); with a store $again of 12"
[[ $fresh -gt 0 && $again == 0 ]]
