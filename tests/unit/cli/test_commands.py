from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import prov_worker as package
from prov_worker.cli.common.examples import HEADING
from prov_worker.cli.main import COMMANDS
from prov_worker.model import OutputFile
from prov_worker.testing import CrateFactory
from support.command_lines import VERBS, parse

DONE = "3f2b7b0e-5f0c-4c58-9a43-0d2f4a6f1c01.crate"
BROKEN = "3f2b7b0e-5f0c-4c58-9a43-0d2f4a6f1c02.crate"
Run = Callable[..., tuple[int, str, str]]
NAMES = [module.rpartition(".")[2] for module in COMMANDS]


def test_help_names_every_verb(prov_worker: Run) -> None:
    code, out, err = prov_worker("--help")
    assert (code, err) == (0, "")
    for verb in NAMES:
        assert f"  {verb} " in out


@pytest.mark.parametrize("verb", NAMES)
def test_every_verb_has_help_that_begins_like_its_line_in_the_list(prov_worker: Run, verb: str) -> None:
    code, out, _ = prov_worker(verb, "--help")
    assert code == 0
    assert out.startswith(f"Usage: prov-worker {verb} ")
    first = " ".join(out.split("\n\n")[1].split())
    assert first[0].isupper()


def test_version(prov_worker: Run) -> None:
    assert prov_worker("--version")[1] == f"prov-worker, version {package.__version__}\n"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["lst"], "No such command 'lst'; did you mean 'list'?"),
        (["run", "assmble"], "No such command 'assmble'; did you mean 'assemble'?"),
        (["show"], "Missing argument 'CRATE'"),
        (["check"], "Missing argument 'CRATE...'"),
        (["show", "/nowhere/x.crate"], "prov-worker: /nowhere/x.crate: no such crate"),
        (["check", "/nowhere"], "prov-worker: /nowhere: no such crate or directory"),
        (["recover", "/nowhere"], "prov-worker: /nowhere: no such directory"),
        (["probe", "--mount", "data"], "prov-worker: --mount: expected an absolute path, got 'data'"),
        (["demo", "--poll-interval", "0"], "prov-worker: --poll-interval: expected 0.01 to 60 seconds"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
    ],
)
def test_bad_input_is_exit_code_2_and_says_what(prov_worker: Run, arguments: list[str], message: str) -> None:
    code, out, err = prov_worker(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_show_tells_a_completed_task(prov_worker: Run, crates: Path) -> None:
    code, out, err = prov_worker("show", crates / DONE)
    assert (code, err) == (0, "")
    for text in (
        "simulate  completed",
        "Simulate [bold]something[/bold].",
        "attempt 2",
        "2.00 s",
        "node01",
        "EPYC 7543P, 64 logical",
        "512 GiB",
        "150 MiB",
        "40 of 40 expected",
        "plot left out: matplotlib is not installed",
        "data/hardware.json",
    ):
        assert text in out
    curve = next(line for line in out.splitlines() if "task cpu_percent" in line or "  cpu_percent" in line)
    assert "▁" in curve
    assert "█" in curve
    assert "0 % to 100 %" in curve


def test_show_tells_a_failed_task(prov_worker: Run, crates: Path) -> None:
    _, out, _ = prov_worker("show", crates / BROKEN)
    assert "divide  failed" in out
    assert "division by zero" in out
    assert "  [red]line" in out


def test_show_as_json(prov_worker: Run, crates: Path) -> None:
    code, out, _ = prov_worker("show", "--json", crates / DONE)
    data = json.loads(out)
    assert code == 0
    assert (data["function"], data["status"], data["samples"]) == ("simulate", "completed", 40)
    assert data["cpu_percent"] == 75.0
    assert data["peak_rss_bytes"] == 150 << 20
    assert data["usage"]["cpu"] == {"value": 1.5, "unit": "second"}
    assert [argument["name"] for argument in data["arguments"]] == ["steps"]


def test_show_tells_what_the_code_noted(prov_worker: Run, tmp_path: Path) -> None:
    used, made = OutputFile("/data/in.csv", 2048, "0" * 64), OutputFile("/data/out.csv", 12, "1" * 64)
    crate = CrateFactory(tmp_path).add(1, annotations={"rows": 3, "model": "linear"}, used=[used], generated=[made])
    code, out, _ = prov_worker("show", crate)
    assert code == 0
    lines = [line.split(maxsplit=2) for line in out.splitlines() if "annotation" in line or " file " in line]
    assert lines == [
        ["file", "used", "/data/in.csv (2.0 KiB)"],
        ["file", "generated", "/data/out.csv (12 B)"],
        ["annotation", "rows", "3"],
        ["annotation", "model", "linear"],
    ]
    data = json.loads(prov_worker("show", "--json", crate)[1])
    assert data["annotations"] == {"rows": 3, "model": "linear"}
    assert [argument["path"] for argument in data["arguments"]] == ["/data/in.csv"]


def test_show_of_a_directory_that_is_no_crate(prov_worker: Run, tmp_path: Path) -> None:
    code, _, err = prov_worker("show", tmp_path)
    assert code == 2
    assert "ro-crate-metadata.json is missing" in err


def test_check_of_sound_crates(prov_worker: Run, crates: Path) -> None:
    code, out, err = prov_worker("check", "--no-validator", crates)
    assert (code, err) == (0, "")
    assert out == "2 crates checked (own rules): no finding\n"


def test_check_tells_what_is_wrong_where(prov_worker: Run, own_crates: Path) -> None:
    (own_crates / DONE / "data" / "hardware.json").write_text("{}")
    code, out, _ = prov_worker("check", "--no-validator", own_crates / DONE, own_crates / BROKEN)
    assert code == 1
    assert "data/hardware.json" in out
    assert "2 crates checked (own rules): 1 with findings" in out
    code, out, _ = prov_worker("check", "--no-validator", "--json", own_crates)
    findings = json.loads(out)
    assert code == 1
    assert findings[str(own_crates / BROKEN)] == []
    assert {"level", "rule", "where", "message"} == set(findings[str(own_crates / DONE)][0])


def test_check_without_any_crate(prov_worker: Run, tmp_path: Path) -> None:
    code, _, err = prov_worker("check", tmp_path)
    assert code == 2
    assert "not a step crate" in err


def test_plot_adds_one_and_refuses_without_samples(prov_worker: Run, own_crates: Path) -> None:
    code, out, err = prov_worker("plot", "--format", "svg", own_crates)
    assert code == 1
    assert out.strip().endswith(f"{DONE}/images/cpu_usage.svg")
    assert Path(out.strip()).is_file()
    assert BROKEN in err
    assert prov_worker("check", "--no-validator", own_crates)[0] == 0


def test_probe_as_table_and_as_json(prov_worker: Run, tmp_path: Path) -> None:
    code, out, _ = prov_worker("probe", "--probe", "cpu", "--probe", "storage", "--mount", tmp_path / "gone")
    assert code == 0
    assert "logical CPUs" in out
    assert "absent" in out
    code, out, _ = prov_worker("probe", "--json", "--probe", "memory")
    data = json.loads(out)
    assert data["probes"]["memory"]["data"]["total_bytes"] > 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(prov_worker: Run, shell: str) -> None:
    code, out, _ = prov_worker("completion", shell)
    assert code == 0
    assert "_PROV_WORKER_COMPLETE" in out


@pytest.mark.parametrize(
    "arguments", ["show ", "list ", "run report ", "run report x -o ", "run assemble a b ", "check "]
)
def test_shells_complete_paths(prov_worker: Run, monkeypatch: pytest.MonkeyPatch, arguments: str) -> None:
    line = f"prov-worker {arguments}"
    monkeypatch.setenv("_PROV_WORKER_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split())))
    done = subprocess.run(command(), capture_output=True, text=True, check=False)
    assert done.stdout == "file,\n"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "prov_worker", *arguments]


def test_a_reader_that_has_seen_enough_is_no_error(crates: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        command("show", "--json", str(crates / DONE)), stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_interrupted_is_exit_code_130(tmp_path: Path) -> None:
    """Ctrl-C while the demo's tasks run."""
    process = subprocess.Popen(
        command("demo", "--quick", "--workers", "1", "--crates", str(tmp_path / "crates")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a run in the background of a shell has the signal ignored, and hands that on
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        while not (tmp_path / "crates").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=180)
    finally:
        process.kill()
    # A shell gives 130 for both. The second where Python was in `exec` of a string (a dataclass in the making): it
    # keeps in mind that it was interrupted there, and ends by the signal whatever the exit code.
    assert process.returncode in (130, -signal.SIGINT)
    assert err.endswith("prov-worker: interrupted\n")
    assert "Traceback" not in err


def test_without_click_the_command_says_what_to_install(tmp_path: Path) -> None:
    source = Path(package.__file__).parents[1]
    code = f"import sys; sys.path.insert(0, {str(source)!r}); from prov_worker.__main__ import main; sys.exit(main([]))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'prov-worker[cli]'" in done.stderr


def test_check_says_when_there_is_no_validator(
    prov_worker: Run, crates: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PROV_WORKER_VALIDATOR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    code, out, err = prov_worker("check", crates)
    assert (code, out) == (0, "2 crates checked (own rules): no finding\n")
    assert err.startswith("prov-worker: profiles are not checked: there is no roc-validator")
    code, out, err = prov_worker("check", "--validator", crates)
    assert (code, out) == (1, "")
    assert err.startswith("prov-worker: roc-validator was not found")


@pytest.mark.parametrize("arguments", [["completion"], ["run", "query"]], ids=" ".join)
def test_examples_in_help_stand_as_lines(prov_worker: Run, arguments: list[str]) -> None:
    _, text, _ = prov_worker(*arguments, "--help")
    assert "\\b" not in text
    assert [line for line in text.splitlines() if line.startswith(("    prov-worker run query crates", "    eval "))]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_examples_that_its_parser_takes(verb: str) -> None:
    lines = (VERBS[verb].epilog or "").partition(f"{HEADING}\n")[2].splitlines()
    assert any(f"{verb} " in f"{line} ".replace(")", " ") for line in lines)
    for line in lines:
        parse(line)


_INTERRUPTED = """\
import os, signal, sys

class Finder:
    def find_spec(name, *_):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
from prov_worker.__main__ import main
sys.meta_path.insert(0, Finder)
sys.exit(main(["list", "crates"]))
"""


@pytest.mark.parametrize("module", ["click", "rich", "prov_worker.cli.main", "prov_worker.cli.crates.list"])
def test_an_interruption_while_modules_are_imported_is_one_line(module: str) -> None:
    command = [sys.executable, "-c", _INTERRUPTED, module]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stderr.strip(), done.returncode) == ("prov-worker: interrupted", 130)
