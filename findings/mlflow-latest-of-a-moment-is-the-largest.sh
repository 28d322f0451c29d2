#!/usr/bin/env bash
# MLflow 3.17.2: of values that were logged for one step in one millisecond, the latest is the largest, not the last.
#
# A metric without a step has the step 0 each time, and times are in milliseconds, so a loop that is quick, and a list
# that is logged at once, have values of one step and moment. What a run shows as its metric, and what searches and
# orders go by, is the largest of them: of a loss that falls, the first. The history in a database is in the order of
# values as well, and a value that was there before is in it once; in a directory of files it keeps the order and the
# repetition. With a step per value all is as logged.
#
# Seen (3.0, 1.0, 2.0, 1.0 in this order):
#   database: latest 3.0, found by loss < 2.5: 0, history 1.0 2.0 3.0
#   files: latest 3.0, found by loss < 2.5: 0, history 3.0 1.0 2.0 1.0
#   database, with steps: latest 1.0, found by loss < 2.5: 1, history 3.0 1.0 2.0 1.0
#   files, with steps: latest 1.0, found by loss < 2.5: 1, history 3.0 1.0 2.0 1.0
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check mlflow==3.17.2
cat >"$work/run.py" <<'PY'
import logging
import os
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
from mlflow import MlflowClient
from mlflow.entities import Metric

logging.disable()
VALUES = 3.0, 1.0, 2.0, 1.0


def show(name: str, client: MlflowClient, steps: bool) -> None:
    experiment = client.create_experiment(name)
    run = client.create_run(experiment).info.run_id
    for number, value in enumerate(VALUES):
        client.log_batch(run, metrics=[Metric("loss", value, 1_700_000_000_000, number if steps else 0)])
    latest = client.get_run(run).data.metrics["loss"]
    below = len(client.search_runs([experiment], "metrics.loss < 2.5"))
    history = " ".join(str(metric.value) for metric in client.get_metric_history(run, "loss"))
    print(f"{name}: latest {latest}, found by loss < 2.5: {below}, history {history}")


database, files = MlflowClient("sqlite:///mlflow.db"), MlflowClient(Path("runs").absolute().as_uri())
for suffix, steps in (("", False), (", with steps", True)):
    show(f"database{suffix}", database, steps)
    show(f"files{suffix}", files, steps)
PY
cd "$work"
HOME=$work venv/bin/python run.py 2>errors | tee output || { cat errors >&2; exit 1; }
diff output - <<'SEEN'
database: latest 3.0, found by loss < 2.5: 0, history 1.0 2.0 3.0
files: latest 3.0, found by loss < 2.5: 0, history 3.0 1.0 2.0 1.0
database, with steps: latest 1.0, found by loss < 2.5: 1, history 3.0 1.0 2.0 1.0
files, with steps: latest 1.0, found by loss < 2.5: 1, history 3.0 1.0 2.0 1.0
SEEN
