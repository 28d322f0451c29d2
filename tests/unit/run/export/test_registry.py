"""Formats register themselves in the file that writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prov_worker.cli.main import run as prov_worker
from prov_worker.errors import InputError
from prov_worker.run.api import open_run
from prov_worker.run.export import EXPORTERS, Exporter, chosen_steps


def test_a_format_needs_nothing_but_its_own_file(crates: Path, tmp_path: Path) -> None:
    def write_names(run: Any, target: Path, *, tasks: set[str] | None = None, advance: Any = None) -> int:
        names = [step.function for step in chosen_steps(run, tasks, advance)]
        target.write_text("\n".join(names))
        return len(names)

    names = Exporter("names", "names.txt", "names", "names of functions", write_names)
    with EXPORTERS.temporary("names", names):
        written = EXPORTERS["names"].write(open_run(crates), tmp_path / "names.txt")
    assert written == len((tmp_path / "names.txt").read_text().splitlines()) > 20


@pytest.mark.parametrize("name", EXPORTERS.names())
def test_a_task_that_is_not_there_is_named(name: str, crates: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "file"
    target.parent.mkdir()
    with pytest.raises(InputError, match="no attempt matches"):
        EXPORTERS[name].write(open_run(crates), target, tasks={"no-such-task"})
    assert list(target.parent.iterdir()) == []


def test_the_help_lists_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    assert prov_worker(["run", "export", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name}" in out and entry.summary in out for name, entry in EXPORTERS.items())


def test_the_old_name_of_an_option_works_with_a_warning(
    crates: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "series.csv"
    assert prov_worker(["run", "export", str(crates), "--to=csv", "-o", str(target)]) == 0
    assert capsys.readouterr().err == "prov-worker: --to is now --format; the old name works in this release only\n"
    assert target.stat().st_size > 0
