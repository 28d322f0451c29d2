#!/usr/bin/env bash
# Parsl 2026.10.26: ranks_per_node that it works out itself is a fraction.
#
# A task of the MPIExecutor may name num_nodes and num_ranks and leave ranks_per_node to Parsl (its documentation, "MPI
# apps"). validate_resource_spec (parsl/executors/high_throughput/mpi_prefix_composer.py) divides by "/" and keeps the
# text: "2.0". The prefix for srun is then "--ntasks-per-node 2.0", where srun(1) has a number of tasks; with 3 ranks on 2
# nodes it is "1.5", without a word. num_ranks that it works out from the other two is a whole number.
#
# Seen:
#   4 ranks, 2 nodes: srun --ntasks 4 --ntasks-per-node 2.0 --nodelist a,b --nodes 2
#   3 ranks, 2 nodes: srun --ntasks 3 --ntasks-per-node 1.5 --nodelist a,b --nodes 2
#   2 per node, 2 nodes: srun --ntasks 4 --ntasks-per-node 2 --nodelist a,b --nodes 2
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check parsl==2026.10.26
cat >"$work/run.py" <<'PY'
from parsl.executors.high_throughput.mpi_prefix_composer import compose_srun_launch_cmd, validate_resource_spec

for title, specification in {
    "4 ranks, 2 nodes": {"num_ranks": 4, "num_nodes": 2},
    "3 ranks, 2 nodes": {"num_ranks": 3, "num_nodes": 2},
    "2 per node, 2 nodes": {"ranks_per_node": 2, "num_nodes": 2},
}.items():
    validate_resource_spec(specification)
    words = compose_srun_launch_cmd(specification, ["a", "b"])[1].split()
    print(f"{title}:", *words)
PY
cd "$work"
venv/bin/python run.py | tee output
diff output - <<'SEEN'
4 ranks, 2 nodes: srun --ntasks 4 --ntasks-per-node 2.0 --nodelist a,b --nodes 2
3 ranks, 2 nodes: srun --ntasks 3 --ntasks-per-node 1.5 --nodelist a,b --nodes 2
2 per node, 2 nodes: srun --ntasks 4 --ntasks-per-node 2 --nodelist a,b --nodes 2
SEEN
