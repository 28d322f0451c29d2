"""Numbers, times and counts as people read them; the same on the terminal and on the page of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone

#: What stands for a value that is not known.
ABSENT = "–"
_BARS = "▁▂▃▄▅▆▇█"


def duration(seconds: float | None) -> str:
    """Return a span of time, in three digits below a minute; a dash for None.

    ``200 µs``, ``12.3 ms``, ``4.83 s``, ``5 min 03 s``, ``3 h 12 min``, ``2 d 4 h``.
    """
    if seconds is None:
        return ABSENT
    # A value that would be rounded up to the next unit is given in that unit.
    for limit, factor, unit in ((0.9995e-3, 1e6, "µs"), (0.9995, 1e3, "ms"), (59.95, 1.0, "s")):
        if abs(seconds) < limit:
            value = seconds * factor
            digits = 0 if abs(value) >= 99.95 or unit == "µs" else 1 if abs(value) >= 9.995 else 2
            return f"{value:.{digits}f} {unit}" if value else "0 s"
    whole = round(abs(seconds))
    sign = "-" if seconds < 0 else ""
    if whole < 3600:
        return f"{sign}{whole // 60} min {whole % 60:02d} s"
    if whole < 86_400:
        return f"{sign}{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{sign}{whole // 86_400} d {whole % 86_400 // 3600} h"


def size(count: float | None) -> str:
    """Return a number of bytes: ``12 B``, ``1.5 KiB``, ``200 MiB``; a dash for None."""
    if count is None:
        return ABSENT
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" or abs(value) >= 99.95 else f"{value:.1f} {unit}"


def number(value: float | None) -> str:
    """Return three significant digits, thousands separated by commas; a dash for None."""
    if value is None:
        return ABSENT
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.01 else f"{value:.2g}"


def quantity(value: float | str | None, unit: str | None) -> str:
    """Return a value with its unit; a dash for None.

    Args:
        value: a text is returned as it is.
        unit: as in :attr:`prov_worker.model.Column.unit`, or ``second``; None for none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ABSENT if value is None else str(value)
    if unit == "byte":
        return size(value)
    if unit == "second":
        return duration(value)
    text = f"{value:.1f}".rstrip("0").rstrip(".") if isinstance(value, float) else f"{value:,}"
    symbol = {"percent": " %", "watt": " W", "joule": " J", "celsius": " °C", "count": ""}
    return text + symbol.get(unit or "", f" {unit}" if unit else "")


def percent(ratio: float | None) -> str:
    """Return a ratio as a percentage; a dash for None."""
    if ratio is None:
        return ABSENT
    value = 100 * ratio
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.1f} %"


def moment(time_ns: int) -> str:
    """Return a time, in nanoseconds since the epoch, in UTC and to the second."""
    return f"{datetime.fromtimestamp(time_ns // 1_000_000_000, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def plural(count: int, singular: str, many: str | None = None) -> str:
    """Return ``1 task``, ``1,200 tasks``; ``many`` is the plural, unless it is formed by an s."""
    return f"{count:,} {singular if count == 1 else many or singular + 's'}"


def clipped(text: str, limit: int) -> str:
    """Return text of at most ``limit`` characters: what is cut off is one ``…``."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def sparkline(values: Sequence[float | None], width: int = 60, top: float | None = None) -> str:
    """Return values as one line of bars, with a space for values that are absent.

    Args:
        values: one per reading, in their order.
        width: most columns; each shows the largest of the values that fall into it.
        top: value of the highest bar; None takes the largest value.
    """
    if not values:
        return ""
    width = min(width, len(values))
    columns: list[float | None] = []
    for column in range(width):
        part = [v for v in values[column * len(values) // width : (column + 1) * len(values) // width] if v is not None]
        columns.append(max(part) if part else None)
    scale = top if top else max((v for v in columns if v is not None), default=0.0)
    if not scale:
        return "".join(" " if v is None else _BARS[0] for v in columns)
    steps = len(_BARS) - 1
    return "".join(" " if v is None else _BARS[max(0, min(steps, round(v / scale * steps)))] for v in columns)


def nearest(name: str, names: Iterable[str], *, likeness: float = 0.6, shown: Mapping[str, str] | None = None) -> str:
    """Return ``did you mean 'start_time'?`` for a name that there is not; empty if none is like it.

    Args:
        name: as it was given; upper and lower case do not matter.
        names: those that there are.
        likeness: least ratio of characters that both have, 0 to 1.
        shown: what to propose in the place of one of the names, if that is not the name itself.
    """
    from difflib import get_close_matches

    by_folded = {candidate.casefold(): candidate for candidate in names}
    near = get_close_matches(name.casefold(), by_folded, n=1, cutoff=likeness)
    if not near:
        return ""
    match = by_folded[near[0]]
    return f"did you mean {match if shown is None else shown[match]!r}?"
