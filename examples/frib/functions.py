"""What runs on the endpoint: each function by itself, with what it imports. Arguments and results are JSON.

They are registered as source, so annotations name what is built in alone.

A segment is a file of events: eight bytes of mark and number, then the energy of each event in keV, 32-bit floats.
"""


def fit(workdir: str, segment: int) -> dict[str, object]:
    """Fit the peak in a segment's energies, each rank of MPI its share; returns where the fit was written.

    With an MPI engine the task's ranks are started by the launcher that Parsl composes for it (PARSL_MPI_PREFIX).
    """
    import json
    import os
    import shlex
    import subprocess
    import sys
    import tempfile
    from pathlib import Path

    program = """
import array, json, math, os, struct, sys
source, target = sys.argv[1:]
names = ("PMI_RANK", "PMI_SIZE"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")
rank, size = next(([int(os.environ[name]) for name in pair] for pair in names if pair[0] in os.environ), (0, 1))
data = open(source, "rb").read()
mark, number = struct.unpack_from("<4sI", data)
energies = array.array("f")
energies.frombytes(data[8 : 8 + (len(data) - 8) // 4 * 4])
if mark != b"EVT1" or number != len(energies):
    sys.exit(f"{os.path.basename(source)}: {len(energies)} events of {number}")
share = energies[rank::size]
centre, width = 661.7, 60.0
for _ in range(20):  # mean and width of what lies within two widths
    near = [energy for energy in share if abs(energy - centre) < 2 * width]
    centre = sum(near) / len(near)
    width = max(1.0, 1.13 * math.sqrt(sum((energy - centre) ** 2 for energy in near) / len(near)))
with open(os.path.join(target, str(rank)), "w") as stream:
    json.dump({"events": len(share), "near": len(near), "centre": centre, "width": width}, stream)
"""
    source = Path(workdir, "raw", f"segment-{segment:02}.evt")
    target = Path(workdir, "fits", f"segment-{segment:02}.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    launcher = shlex.split(os.environ.get("PARSL_MPI_PREFIX", ""))
    with tempfile.TemporaryDirectory(dir=target.parent) as parts:
        command = [*launcher, sys.executable, "-c", program, str(source), parts]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ValueError(done.stderr.strip() or f"exit status {done.returncode}")
        shares = [json.loads(path.read_text()) for path in sorted(Path(parts).iterdir())]
    near = sum(share["near"] for share in shares)
    means = {key: sum(share[key] * share["near"] for share in shares) / near for key in ("centre", "width")}
    events = sum(share["events"] for share in shares)
    target.write_text(json.dumps({"segment": segment, "events": events, "ranks": len(shares), **means}))
    return {"fit": str(target), "events": events, "ranks": len(shares)}


def convert(workdir: str) -> dict[str, object]:
    """Put the fits of all segments into one table."""
    import csv
    import json
    from pathlib import Path

    fits = [json.loads(path.read_text()) for path in sorted(Path(workdir, "fits").glob("*.json"))]
    target = Path(workdir, "results", "fits.csv")
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["segment", "events", "ranks", "centre", "width"])
        writer.writeheader()
        writer.writerows(fits)
    return {"table": str(target), "segments": len(fits)}


def analyse(workdir: str) -> dict[str, object]:
    """Say how the peak drifts from segment to segment, by least squares."""
    import csv
    import json
    from pathlib import Path

    with Path(workdir, "results", "fits.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    rows = [(int(row["segment"]), float(row["centre"])) for row in table]
    mean_x, mean_y = (sum(column) / len(rows) for column in zip(*rows, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in rows)
    drift = sum((x - mean_x) * (y - mean_y) for x, y in rows) / spread if spread else 0.0
    ranks = max(int(row["ranks"]) for row in table)
    kev = {"centre_kev": round(mean_y, 2), "drift_kev_per_segment": round(drift, 3)}
    summary = {"segments": len(rows), "ranks_per_fit": ranks, **kev}
    Path(workdir, "results", "summary.json").write_text(json.dumps(summary))
    return summary
