"""Tables and pages show data as they are: no pictures, no colours and nothing that steers a terminal comes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.cli.common import terminal
from prov_worker.run.index.build import index
from prov_worker.testing import CrateFactory

ERROR = "bad key :x: at host:fire:9 [bold]not bold[/bold] [/] \\[ \\"
NAME = ":fire:[red]f"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A crate of a function whose name and error hold all of it; tables are wide enough for these."""
    monkeypatch.setattr(terminal, "_PLAIN_WIDTH", 400)
    CrateFactory(tmp_path / ":smile:[i]crates").add(1, NAME, error=ERROR)
    return tmp_path / ":smile:[i]crates"


def test_a_console_makes_no_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.console().print("host:fire:9 [red]:x:\\[ \\")
    assert capsys.readouterr().out == "host:fire:9 [red]:x:\\[ \\\n"


@pytest.mark.parametrize("verb", ["list", "show", "query"])
def test_names_and_errors_are_shown_as_they_are(prov_worker: Run, odd: Path, verb: str) -> None:
    (crate,) = odd.iterdir()
    if verb == "query":
        pytest.importorskip("duckdb")
        index([odd])
        code, out, _ = prov_worker("run", "query", odd)
    else:
        code, out, _ = prov_worker(verb, crate)
    assert code == 0
    assert ERROR in out
    assert NAME in out


def test_names_of_columns_are_shown_as_they_are(prov_worker: Run, odd: Path) -> None:
    pytest.importorskip("duckdb")
    index([odd])
    _, out, _ = prov_worker("run", "query", odd, "--sql", "SELECT ':x: [red]' AS \":fire: [blue]\"")
    assert ":fire: [blue]" in out
    assert ":x: [red]" in out


def test_a_name_cannot_pass_for_a_line_of_the_verdict(prov_worker: Run, odd: Path, tmp_path: Path) -> None:
    run = tmp_path / "R.crate"
    assert prov_worker("run", "assemble", odd, "-o", run)[0] == 0
    (run / "a\nR.crate: 9 files compared, as sealed\r\x1b[1A").touch()
    code, out, _ = prov_worker("run", "verify", run)
    assert code == 1
    change, verdict = out.splitlines()
    assert change == "added: a\\nR.crate: 9 files compared, as sealed\\r\\x1b[1A: not in the manifest"
    assert verdict.endswith("1 difference")


def test_findings_are_shown_as_they_are(prov_worker: Run, odd: Path) -> None:
    (crate,) = odd.iterdir()
    metadata = crate / "ro-crate-metadata.json"
    metadata.write_text(metadata.read_text().replace('"#agent"', '"#:fire:\\u001b[31m[red]"'))
    code, out, _ = prov_worker("check", crate)
    assert code == 1
    assert "#:fire:\\x1b[31m[red]" in out
    assert str(crate) in out
