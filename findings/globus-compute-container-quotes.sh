#!/usr/bin/env bash
# globus-compute-endpoint 4.19.0: quotes in the options of a container are lost, so that a path with a blank is two words.
#
# GlobusComputeEngine.containerized_launch_cmd puts container_cmd_options, image and run directory into one command,
# and gives back " ".join(shlex.split(command)): each quote is taken off. A mount point or a run directory with a blank
# cannot be given, whether a template quotes it or not.
#
# Seen:
#   docker run -v /data/a b:/data/a b -v /run dir:/run dir -t image worker
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check globus-compute-endpoint==4.19.0
cat >"$work/run.py" <<'PY'
import shlex
from types import SimpleNamespace

from globus_compute_endpoint.engines import GlobusComputeEngine

options = f"-v {shlex.quote('/data/a b:/data/a b')}"
engine = SimpleNamespace(
    executor=SimpleNamespace(launch_cmd="worker"),
    container_type="docker",
    container_uri="image",
    container_cmd_options=options,
    run_dir="/run dir",
)
print(GlobusComputeEngine.containerized_launch_cmd(engine))
PY
cd "$work"
venv/bin/python run.py 2>errors | tee output || { cat errors >&2; exit 1; }
diff output - <<'SEEN'
docker run -v /data/a b:/data/a b -v /run dir:/run dir -t image worker
SEEN
