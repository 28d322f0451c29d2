"""The four stages: one function each, as a worker gets it. All they need is imported inside, as Globus Compute asks.

Each says which files it read and wrote, and what it found, to the crate of its task; if no task is being recorded,
these calls do nothing.
"""

from __future__ import annotations


def fetch(archive: str, member: str, target: str) -> str:
    """Take one member out of an archive; its checksum is verified on the way. Returns the file's path."""
    import os
    import zipfile

    import prov_worker

    prov_worker.used(archive)
    prov_worker.annotate(series=member.split("/")[0], member=member)
    with zipfile.ZipFile(archive) as opened:
        data = opened.read(member)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:
        file.write(data)
    prov_worker.generated(target)
    return target


def transform(source: str, target: str) -> dict[str, int]:
    """Drop gaps, average weeks to months, and count time in years. Returns how many values came and went."""
    import csv
    import os

    import prov_worker

    prov_worker.used(source)
    with open(source, newline="") as file:
        header, *rows = csv.reader(file)
    buckets: dict[str, list[float]] = {}
    for when, value in rows:
        if value:
            # A week belongs to its month; years and months stand for themselves.
            buckets.setdefault(when[:7], []).append(float(value))
    points = []
    for when, values in sorted(buckets.items()):
        year, _, month = when.partition("-")
        middle = (int(month) - 0.5) / 12 if month else 0.5
        points.append((int(year) + middle, sum(values) / len(values)))
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("year", header[1]))
        writer.writerows((f"{year:.4f}", f"{value:.4f}") for year, value in points)
    prov_worker.generated(target)
    counts = {"rows": len(rows), "gaps": sum(not value for _, value in rows), "points": len(points)}
    prov_worker.annotate(**counts)
    return counts


def fit(
    source: str, model: str, target: str, seed: int, draws: int, lose_worker: str | None = None
) -> dict[str, float]:
    """Fit a trend, or a trend and a cycle, by least squares; intervals by bootstrap of the residuals.

    ``lose_worker`` names a file: if it does not exist yet, the task makes it and kills its worker, as a node does
    that is lost. The engine then tries again.
    """
    import csv
    import json
    import math
    import os
    import random
    import signal
    import time

    import prov_worker

    prov_worker.used(source)
    prov_worker.annotate(model=model, draws=draws)
    if lose_worker is not None and not os.path.exists(lose_worker):
        with open(lose_worker, "w"):
            pass
        time.sleep(0.5)  # in the middle of its work: results that the worker sent before this task are on their way
        os.kill(os.getpid(), signal.SIGKILL)
    with open(source, newline="") as file:
        reader = csv.reader(file)
        name = next(reader)[1]
        points = [(float(year), float(value)) for year, value in reader]
    cycle = {"number": 11.0, "volume": 7.0}.get(name, 1.0)
    origin = points[0][0] if points else 0.0

    def terms(year: float) -> list[float]:
        row = [1.0, year - origin]
        if model == "cycle":
            angle = 2 * math.pi * year / cycle
            row += [math.sin(angle), math.cos(angle)]
        return row

    rows = [terms(year) for year, _ in points]
    values = [value for _, value in points]
    size = len(terms(0.0))
    if len(points) <= size:
        raise ValueError(f"{len(points)} points are too few for {size} coefficients ({source})")

    def solve(observed: list[float]) -> list[float]:
        """Coefficients by the normal equations, eliminated with pivots."""
        table = [
            [sum(row[i] * row[j] for row in rows) for j in range(size)]
            + [sum(row[i] * value for row, value in zip(rows, observed, strict=True))]
            for i in range(size)
        ]
        for column in range(size):
            best = max(range(column, size), key=lambda at: abs(table[at][column]))
            table[column], table[best] = table[best], table[column]
            pivot = table[column][column]
            table[column] = [value / pivot for value in table[column]]
            for other in range(size):
                if other != column:
                    factor = table[other][column]
                    table[other] = [a - factor * b for a, b in zip(table[other], table[column], strict=True)]
        return [row[-1] for row in table]

    coefficients = solve(values)
    fitted = [sum(c * x for c, x in zip(coefficients, row, strict=True)) for row in rows]
    residuals = [value - guess for value, guess in zip(values, fitted, strict=True)]
    chance = random.Random(seed)  # noqa: S311 - a seed for each task, so that a run can be repeated
    trends = sorted(solve([guess + chance.choice(residuals) for guess in fitted])[1] for _ in range(draws))
    parameters = {
        "points": float(len(points)),
        "trend_per_year": coefficients[1],
        "low": trends[int(0.025 * draws)],
        "high": trends[int(0.975 * draws)],
        "rms": math.sqrt(sum(residual * residual for residual in residuals) / len(residuals)),
    }
    if model == "cycle":
        parameters["amplitude"] = math.hypot(coefficients[2], coefficients[3])
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "w") as file:
        json.dump(
            {"source": os.path.basename(source), "quantity": name, "from": origin, "model": model, **parameters}, file
        )
    prov_worker.generated(target)
    prov_worker.annotate(rms=parameters["rms"], trend_per_year=parameters["trend_per_year"])
    return parameters


def merge(sources: list[str], table: str, figure: str | None = None) -> int:
    """Put fits, or tables of them, into one table; with ``figure``, draw their trends. Returns the number of rows."""
    import csv
    import json
    import os

    import prov_worker

    rows: list[dict[str, object]] = []
    for source in sources:
        prov_worker.used(source)
        with open(source, newline="") as file:
            rows += [json.load(file)] if source.endswith(".json") else list(csv.DictReader(file))
    columns = list(dict.fromkeys(key for row in rows for key in row))
    os.makedirs(os.path.dirname(table), exist_ok=True)
    with open(table, "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    prov_worker.generated(table)
    prov_worker.annotate(rows=len(rows), tables=len(sources))
    if figure is not None:
        import matplotlib

        matplotlib.use("svg")
        from matplotlib import pyplot

        quantities = list(dict.fromkeys(str(row["quantity"]) for row in rows))
        drawing, axes = pyplot.subplots(len(quantities), figsize=(8, 2 * len(quantities)), layout="constrained")
        for quantity, axis in zip(quantities, axes, strict=True):
            for model in ("trend", "cycle"):
                some = [row for row in rows if row["quantity"] == quantity and row["model"] == model]
                middle = [float(str(row["trend_per_year"])) for row in some]
                below = [value - float(str(row["low"])) for value, row in zip(middle, some, strict=True)]
                above = [float(str(row["high"])) - value for value, row in zip(middle, some, strict=True)]
                bars = [[max(0.0, value) for value in side] for side in (below, above)]
                when = [float(str(row["from"])) + (0.6 if model == "cycle" else 0.0) for row in some]
                axis.errorbar(when, middle, bars, fmt="o", markersize=3, label=model)
            axis.axhline(0, color="grey", linewidth=0.5)
            axis.set_ylabel(f"{quantity} per year")
            axis.legend(loc="upper right", fontsize="small")
        axes[-1].set_xlabel("decade beginning")
        drawing.savefig(figure)
        prov_worker.generated(figure)
    return len(rows)
