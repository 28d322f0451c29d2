"""Whatever a person names on the command line: one line that says what is wrong with it, exit code 2, no traceback."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.programs import Programs

DONE = "3f2b7b0e-5f0c-4c58-9a43-0d2f4a6f1c01.crate"
BROKEN = "3f2b7b0e-5f0c-4c58-9a43-0d2f4a6f1c02.crate"
Run = Callable[..., tuple[int, str, str]]


def cut(crate: Path) -> None:
    metadata = crate / "ro-crate-metadata.json"
    metadata.write_bytes(metadata.read_bytes()[:300])


def replace(name: str, content: str | bytes) -> Callable[[Path], None]:
    def damage(crate: Path) -> None:
        data = content if isinstance(content, bytes) else content.encode()
        (crate / name).write_bytes(data)

    return damage


def make_pipe(crate: Path) -> None:
    (crate / "data" / "hardware.json").unlink()
    os.mkfifo(crate / "data" / "hardware.json")


def make_giant(crate: Path) -> None:
    os.truncate(crate / "ro-crate-metadata.json", 3 << 30)


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "torn": (cut, "ro-crate-metadata.json: invalid JSON"),
    "empty": (replace("ro-crate-metadata.json", ""), "ro-crate-metadata.json: invalid JSON"),
    "not UTF-8": (replace("ro-crate-metadata.json", b"\xff\xfe{"), "ro-crate-metadata.json: invalid JSON"),
    "a list": (replace("ro-crate-metadata.json", "[]"), "@graph: expected a list of entities"),
    "no hardware": (lambda crate: (crate / "data/hardware.json").unlink(), "data/hardware.json: no such file"),
    "strange hardware": (replace("data/hardware.json", '{"probes": [1]}'), "probes: expected a JSON object"),
    "strange probe": (replace("data/hardware.json", '{"probes": {"cpu": 3}}'), "probes.cpu: expected the report"),
    "strange series": (replace("data/resource_usage.json", '{"series": {"task": 4}}'), "task: expected a JSON object"),
    "a pipe": (make_pipe, "data/hardware.json: not a regular file"),
    "a giant": (make_giant, "larger than 33,554,432 bytes"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_show_of_a_damaged_crate(prov_worker: Run, own_crates: Path, damage: str) -> None:
    do, message = DAMAGES[damage]
    do(own_crates / DONE)
    code, out, err = prov_worker("show", own_crates / DONE)
    assert (code, out) == (2, "")
    assert err.startswith(f"prov-worker: {own_crates / DONE}/")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_check_of_a_damaged_crate_is_a_finding(prov_worker: Run, own_crates: Path, damage: str) -> None:
    DAMAGES[damage][0](own_crates / DONE)
    code, out, err = prov_worker("check", "--no-validator", own_crates)
    assert (code, err) == (1, "")
    assert "2 crates checked (own rules): 1 with findings" in out


def test_plot_goes_on_after_a_damaged_crate(prov_worker: Run, own_crates: Path) -> None:
    cut(own_crates / BROKEN)
    code, out, err = prov_worker("plot", "--format", "svg", own_crates)
    assert code == 2
    assert err.startswith(f"prov-worker: {own_crates / BROKEN}/ro-crate-metadata.json: invalid JSON")
    assert out == f"{own_crates / DONE}/images/cpu_usage.svg\n"


@pytest.mark.parametrize("verb", ["show", "check", "plot", "recover"])
def test_a_file_in_place_of_a_directory(prov_worker: Run, tmp_path: Path, verb: str) -> None:
    (tmp_path / "file").write_text("x")
    code, out, err = prov_worker(verb, tmp_path / "file")
    assert (code, out) == (2, "")
    assert err.startswith(f"prov-worker: {tmp_path / 'file'}: is a file; ")


def test_show_of_a_directory_of_crates_names_one(prov_worker: Run, crates: Path) -> None:
    code, _, err = prov_worker("show", crates)
    assert code == 2
    assert err == f"prov-worker: {crates}: a directory of crates; name one, such as {crates / DONE}\n"


def test_a_wrong_option_is_one_line(prov_worker: Run) -> None:
    code, out, err = prov_worker("demo", "--nonsense")
    assert (code, out) == (2, "")
    assert re.fullmatch(r"prov-worker demo: No such option.*--nonsense.*\(see 'prov-worker demo --help'\)\n", err)


@pytest.mark.parametrize(
    "arguments", [("list", "crates", "--status"), ("run", "query", "x", "--sort"), ("list", "--long=x")]
)
def test_what_is_wrong_with_an_option_names_the_commands_own_help(prov_worker: Run, arguments: tuple[str, ...]) -> None:
    code, out, err = prov_worker(*arguments)
    command = "list" if arguments[0] == "list" else "run query"
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.endswith(f"(see 'prov-worker {command} --help')\n")


@pytest.mark.parametrize("path", ["{0}/none/x", "{0}", "/proc/x/y"])
@pytest.mark.parametrize("scheme", ["jsonl", "sqlite"])
@pytest.mark.parametrize("option", ["--once", "--dry-run"])
def test_a_stream_to_where_no_file_can_be(
    prov_worker: Run, tmp_path: Path, scheme: str, path: str, option: str
) -> None:
    place = path.format(tmp_path)
    code, out, err = prov_worker("stream", tmp_path, f"{scheme}:{place}", option)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith(f"prov-worker: {place}: ")


def test_demo_into_a_file(prov_worker: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    code, out, err = prov_worker("demo", "--quick", "--crates", tmp_path / "file" / "crates")
    assert (code, out) == (2, "")
    assert err == f"prov-worker: {tmp_path}/file/crates: cannot make this directory: Not a directory\n"


ODD = os.fsdecode(b"n\xff\nn")


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "prov_worker", *map(os.fspath, arguments)],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


def test_names_that_are_no_text(own_crates: Path, tmp_path: Path) -> None:
    odd = tmp_path / ODD
    shutil.copytree(own_crates, odd)
    shown = run("show", odd / DONE)
    assert (shown.returncode, shown.stderr) == (0, b"")
    as_json = json.loads(run("show", "--json", odd / DONE).stdout)
    assert as_json["crate"] == str(odd / DONE)
    plotted = run("plot", "--format", "svg", odd / DONE)
    assert plotted.stdout == os.fsencode(odd / DONE / "images" / "cpu_usage.svg") + b"\n"
    assert run("recover", odd).returncode == 0
    wrong = run("show", odd / "none")
    assert wrong.returncode == 2
    assert wrong.stderr.count(b"\n") == 1
    assert b"/n\xff\\nn/none: no such crate" in wrong.stderr


def test_a_terminal_without_the_signs(crates: Path) -> None:
    done = run("show", crates / DONE, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"0 % to 100 %" in done.stdout


def on_terminal(programs: Programs, columns: int, *arguments: str | Path) -> str:
    """What a command writes on a terminal of so many columns."""
    pty = pytest.importorskip("pty")
    main, terminal = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "prov_worker", *map(str, arguments)]
    process = programs.start(command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment)
    os.close(terminal)
    output = b""
    try:
        while part := os.read(main, 4096):
            output += part
    except OSError:  # Linux' way to say that the other end is closed
        pass
    os.close(main)
    assert process.wait(90) == 0
    return output.decode()


def test_a_narrow_terminal(crates: Path, programs: Programs) -> None:
    output = on_terminal(programs, 40, "show", crates / DONE)
    lines = re.sub(r"\x1b\[[0-9;]*m|\r", "", output).splitlines()
    assert "  wall time: 2.00 s" in lines
    assert all(len(line) <= 40 for line in lines if "█" in line and " to " not in line)
    assert "\x1b[32m" not in output


@pytest.mark.parametrize("columns, is_narrow", [(80, True), (160, False)])
def test_a_list_cuts_neither_time_nor_id_nor_status(
    crates: Path, programs: Programs, columns: int, is_narrow: bool
) -> None:
    output = re.sub(r"\x1b\[[0-9;]*m|\r", "", on_terminal(programs, columns, "list", crates))
    assert max(map(len, output.splitlines())) <= columns
    assert (
        len(re.findall(r"│ \d{4}-\d\d-\d\d \d\d:\d\d:\d\d │ [^│]+│ [0-9a-f]{8} │ (?:completed|failed +) │", output))
        == 2
    )
    assert ("samples" in output) is not is_narrow


def test_a_crate_cannot_steer_the_terminal(prov_worker: Run, own_crates: Path) -> None:
    metadata = own_crates / DONE / "ro-crate-metadata.json"
    metadata.write_text(metadata.read_text().replace('"simulate"', '"simulate\\u001b]0;owned\\u0007"'))
    code, out, _ = prov_worker("show", own_crates / DONE)
    assert code == 0
    assert "\x1b" not in out
    assert r"simulate\x1b]0;owned\x07" in out


def without_rights(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command that may do what its files' modes say; root alone may do more, until it gives that up."""
    command = [sys.executable, "-m", "prov_worker", *map(os.fspath, arguments)]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root has every right, and there is no setpriv to give them up")
        command = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", *command]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


CASES = [(verb, 0o000) for verb in ("show", "check", "plot", "recover", "demo")] + [("recover", 0o500), ("demo", 0o500)]


@pytest.mark.parametrize("verb, mode", CASES)
def test_a_directory_without_rights(own_crates: Path, verb: str, mode: int) -> None:
    own_crates.chmod(mode)
    try:
        done = without_rights(verb, *(["--quick", "--crates"] if verb == "demo" else []), own_crates)
    finally:
        own_crates.chmod(0o700)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"prov-worker: {own_crates}")
    assert done.stderr.count("\n") == 1


def test_a_plot_that_cannot_be_added_leaves_the_crate_as_it_was(own_crates: Path) -> None:
    crate = own_crates / DONE
    before = (crate / "ro-crate-metadata.json").read_bytes()
    crate.chmod(0o500)
    try:
        done = without_rights("plot", "--format", "svg", crate)
    finally:
        crate.chmod(0o700)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"prov-worker: {crate}: cannot add a plot: Permission denied\n"
    assert (crate / "ro-crate-metadata.json").read_bytes() == before
    assert not (crate / "images").exists()


def test_a_full_disk(crates: Path) -> None:
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "prov_worker", "show", str(crates / DONE)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (2, b"prov-worker: No space left on device\n")
