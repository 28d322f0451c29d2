"""What the documentation says is tried: its Python runs, its links lead somewhere, its commands and files exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from prov_worker.cli.main import COMMANDS
from prov_worker.model import Column, Series, TaskSeries, Value
from prov_worker.testing import CrateFactory, make_run
from support.command_lines import parse

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
SNIPPETS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "crates.md").read_text(), re.DOTALL)
TASK = "3f2b7b0e-5f0c-4c58-9a43-0d2f4a6f1c01"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A directory with a directory ``crates``, and the crate in it."""
    home = tmp_path_factory.mktemp("docs")
    columns = {"cpu_percent": Column("percent", [1.0, 99.0]), "rss_bytes": Column("byte", [1 << 20, None])}
    crates = CrateFactory(home / "crates")
    crate = crates.add(
        1,
        "simulate",
        task_id=TASK,
        wall_s=0.1,
        arguments=[Value("steps", "int")],
        series=TaskSeries(Series(0.05, [0.0, 0.05], columns, 2, 2, 0.05)),
    )
    return home, crate


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_the_python_of_the_page_on_crates_runs(published: tuple[Path, Path], number: int) -> None:
    home, crate = published
    if "rocrate" in SNIPPETS[number]:
        pytest.importorskip("rocrate")
    code = SNIPPETS[number].replace("<task id>", TASK)
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for text in ("simulate", "steps" if "rocrate" in code else "1048576 bytes at most"):
        assert text in done.stdout
    assert crate.is_dir()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_are_named_exist(page: Path) -> None:
    named = set(re.findall(r"prov-worker (?!is\b|are\b)([a-z]+)\b", re.sub(r"\[[^]]*\]", "", page.read_text())))
    assert named - {module.rpartition(".")[2] for module in COMMANDS} <= {"cannot"}


def command_lines(page: Path) -> list[str]:
    """Lines of blocks of code that call ``prov-worker``, but for those with words left out or to be put in."""
    text = re.sub(r"\\\n\s+", "", page.read_text())
    lines = re.findall(r"^(?:    |\$ )?(?:\.venv/bin/)?(prov-worker [^\n]*)$", text, re.MULTILINE)
    return [line for line in lines if not re.search(r"…|\.\.\.|[][<]|   \d", line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_command_lines_are_taken_by_their_parser(page: Path) -> None:
    for line in command_lines(page):
        try:
            parse(line)
        except (click.ClickException, LookupError) as error:
            pytest.fail(f"{line}: {error}")


def test_the_first_screen_of_the_readme_fits_a_terminal() -> None:
    """What it is, a picture, one command, and where to go on: 40 lines of 80 columns."""
    screen = (ROOT / "README.md").read_text().splitlines()[:40]
    assert [line for line in screen if len(line) > 80] == []
    assert "    make demo" in "\n".join(screen)
    assert any(line.startswith("![") for line in screen)
    assert sum(line.startswith("| ") and "](docs/" in line for line in screen) >= 8


def test_tutorials_have_command_lines() -> None:
    assert all(command_lines(page) for page in (ROOT / "docs" / "tutorials").glob("*.md"))


RUNS = (ROOT / "docs" / "runs.md").read_text()


def runs_commands() -> list[str]:
    """The commands of the page on runs, but for the one that logs in elsewhere and the one between collections."""
    blocks = re.findall(r"```sh\n(.*?)```", RUNS, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if not re.search("@login|_COLLECTION:", line)]


def test_the_page_on_runs_can_be_followed_from_top_to_bottom(tmp_path: Path) -> None:
    """Its commands as they stand, in its order; then its Python."""
    for module in ("duckdb", "pandas", "pyarrow", "jinja2"):
        pytest.importorskip(module)
    make_run(tmp_path / "crates", 30, nodes=1, workers=2)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    commands = runs_commands()
    assert len(commands) >= 8
    for command in commands:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), command
    assert {"RUN.crate", "crates.index", "report.html", "samples.csv"} <= {path.name for path in tmp_path.iterdir()}
    for code in re.findall(r"```python\n(.*?)```", RUNS, re.DOTALL):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), code
