"""What runs on the endpoint: each function by itself, with what it imports. Arguments and results are JSON.

They are registered as source, so annotations name what is built in alone.

A segment is a file of events: eight bytes of mark and number, then the energy of each event in keV, 32-bit floats.
"""


def fit(workdir: str, segment: int) -> dict[str, object]:
    """Fit the peak in a segment's energies; returns where the fit was written, with its events."""
    import array
    import json
    import math
    import struct
    from pathlib import Path

    path = Path(workdir, "raw", f"segment-{segment:02}.evt")
    data = path.read_bytes()
    mark, number = struct.unpack_from("<4sI", data)
    energies = array.array("f")
    energies.frombytes(data[8:])
    if mark != b"EVT1" or number != len(energies):
        raise ValueError(f"{path.name}: {len(energies)} events of {number}")
    centre, width = 661.7, 60.0
    for _ in range(20):  # mean and width of what lies within two widths
        near = [energy for energy in energies if abs(energy - centre) < 2 * width]
        centre = sum(near) / len(near)
        width = max(1.0, 1.13 * math.sqrt(sum((energy - centre) ** 2 for energy in near) / len(near)))
    target = Path(workdir, "fits", f"segment-{segment:02}.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"segment": segment, "events": number, "centre": centre, "width": width}))
    return {"fit": str(target), "events": number}


def convert(workdir: str) -> dict[str, object]:
    """Put the fits of all segments into one table."""
    import csv
    import json
    from pathlib import Path

    fits = [json.loads(path.read_text()) for path in sorted(Path(workdir, "fits").glob("*.json"))]
    target = Path(workdir, "results", "fits.csv")
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["segment", "events", "centre", "width"])
        writer.writeheader()
        writer.writerows(fits)
    return {"table": str(target), "segments": len(fits)}


def analyse(workdir: str) -> dict[str, object]:
    """Say how the peak drifts from segment to segment, by least squares."""
    import csv
    import json
    from pathlib import Path

    with Path(workdir, "results", "fits.csv").open(newline="") as stream:
        rows = [(int(row["segment"]), float(row["centre"])) for row in csv.DictReader(stream)]
    mean_x, mean_y = (sum(column) / len(rows) for column in zip(*rows, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in rows)
    drift = sum((x - mean_x) * (y - mean_y) for x, y in rows) / spread if spread else 0.0
    summary = {"segments": len(rows), "centre_kev": round(mean_y, 2), "drift_kev_per_segment": round(drift, 3)}
    Path(workdir, "results", "summary.json").write_text(json.dumps(summary))
    return summary
