#!/usr/bin/env bash
# Snakemake 9.27.1: the CPU time of a benchmark is that of processes that were met alive, not that of the job.
#
# `benchmark:` promises CPU time per job (cpu_time, mean_load). A thread looks at the processes that there are, now
# and then, and adds what it sees of each; what a process used after the last look, or whole if it came and went
# between two, is in no sum. A job that starts many short programs, as shell pipelines do, has next to none. Nothing
# in the file says so. getrusage(2) of waited-for children has all of it: `/usr/bin/time` within the rule is right.
#
# Seen (60 programs of 0.02 s after each other; one program of 2 s):
#   short: children used 1.2 s or more, the benchmark says less than half of that
#   one: children used 1.2 s or more, the benchmark says more than half of that
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check snakemake==9.27.1
cat >"$work/burn.py" <<'PY'
"""Run so many programs that burn so many seconds each; write what they used together."""

import os
import subprocess
import sys

count, seconds, path = sys.argv[1:]
for _ in range(int(count)):
    subprocess.run(
        [sys.executable, "-S", "-c", f"import time\nwhile time.process_time() < {seconds}: pass"], check=True
    )
used = os.times()
with open(path, "w") as file:
    file.write(str(used.children_user + used.children_system))
PY
cat >"$work/Snakefile" <<'RULES'
rule all:
    input: "short.txt", "one.txt"
rule short:
    output: "short.txt"
    benchmark: "short.tsv"
    shell: "python burn.py 60 0.02 {output}"
rule one:
    output: "one.txt"
    benchmark: "one.tsv"
    shell: "python burn.py 1 2 {output}"
RULES
cd "$work"
PATH=$work/venv/bin:$PATH HOME=$work venv/bin/snakemake --cores 1 >log 2>&1 || { cat log >&2; exit 1; }
cat >show.py <<'PY'
for name in "short", "one":
    with open(f"{name}.tsv") as table, open(f"{name}.txt") as file:
        measured, used = float(table.read().split()[-1]), float(file.read())
    part = "less than half" if measured < used / 2 else "more than half"
    print(f"{name}: children used {'1.2 s or more' if used >= 1.19 else used}, the benchmark says {part} of that")
PY
venv/bin/python show.py | tee output
diff output - <<'SEEN'
short: children used 1.2 s or more, the benchmark says less than half of that
one: children used 1.2 s or more, the benchmark says more than half of that
SEEN
