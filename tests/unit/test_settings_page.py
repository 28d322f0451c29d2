"""``docs/settings.md`` lists the options that there are, with their defaults."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from prov_worker.settings import CAPTURE_ARGUMENTS, PLOTS, PREFIX, PROBES, WRITE, Settings

PAGE = (Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip("` "): [cell.strip() for cell in cells[1:]]
    for cells in (line.strip("|").split(" | ") for line in PAGE.splitlines() if line.startswith("| `"))
}
OPTIONS = {name: row for name, row in ROWS.items() if not name.startswith("PROV_WORKER")}


def test_options_are_exactly_the_fields() -> None:
    assert list(OPTIONS) == [field.name for field in fields(Settings)]


def test_variables_are_exactly_the_fields() -> None:
    variables = re.findall(r"^\| `(PROV_WORKER_\w+)` \| `(\w+)`", PAGE, re.MULTILINE)
    assert variables == [(PREFIX + field.name.upper(), field.name) for field in fields(Settings)]


def test_defaults_are_those_of_the_code() -> None:
    default = Settings()
    for name in (
        "enabled",
        "poll_interval",
        "plots",
        "plot_min_duration",
        "preview",
        "write",
        "capture_arguments",
        "capture_outputs",
        "ring_limit",
    ):
        value = getattr(default, name)
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        assert OPTIONS[name][0] == f"`{shown}`", name


def test_choices_are_all_named() -> None:
    for name, choices in (
        ("probes", PROBES.names()),
        ("plots", PLOTS),
        ("write", WRITE),
        ("capture_arguments", CAPTURE_ARGUMENTS),
    ):
        text = " ".join(OPTIONS[name])
        assert [choice for choice in choices if f"`{choice}`" not in text] == [], name
