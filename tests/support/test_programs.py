"""The plugin that ends what tests leave, on small runs of pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

TESTS = Path(__file__).parents[1]
SLEEP = "import time; time.sleep(600)"
HEAD = f"""
import os, signal, subprocess, sys, time
import pytest
import support.programs

support.programs.GRACE_S = 0.3
support.programs.SLACK_S = 1.0
COMMAND = [sys.executable, "-c", {SLEEP!r}, "MARK"]


def leave(**options):
    process = subprocess.Popen(COMMAND, **options)
    process.returncode = 0  # nobody is to wait for it
    return process.pid


"""

needs_own_network = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes networks of their own")


def run(folder: Path, *texts: str) -> tuple[int, str]:
    """Exit status and output of a run of pytest, with a module per text; nothing of it may run after it."""
    folder.mkdir(exist_ok=True)
    for number, text in enumerate(texts):
        (folder / f"test_it{number or ''}.py").write_text((HEAD + text).replace("MARK", str(folder / "left")))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "support.ending", "-p", "no:cacheprovider"),
            *("-c", os.devnull, "--rootdir", folder, "--basetemp", folder / "base", folder),
        ],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
            "PYTHONPATH": f"{TESTS}:{TESTS / 'integration' / 'service'}",
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    sign = str(folder / "left")
    lines = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert [line for line in lines if sign in line] == []
    return done.returncode, done.stdout + done.stderr


LEAVES = [
    # A child, one in a session of its own, one that is known by its folder, and one by its environment.
    *(
        f"def test_leaves(tmp_path):\n    leave({options})\n"
        for options in (
            "", "start_new_session=True", "env={}, cwd=tmp_path", "env={'HOME': str(tmp_path / 'home')}, cwd='/'",
        )
    ),
    # A daemon that lost its parent.
    ("def test_leaves():\n    subprocess.run([sys.executable, '-c', 'import subprocess, sys; "
    "subprocess.Popen(sys.argv[1:], start_new_session=True)', *COMMAND])\n"),
]  # fmt: skip
#: Programs that are killed on purpose, that belong to the whole module, and that fixtures end.
LEAVES_NOTHING = [
    (
        "PIDS = []\n\n@pytest.mark.faults\ndef test_leaves():\n    PIDS.append(leave())\n\n"
        "def test_next():\n    assert os.waitpid(PIDS[0], os.WNOHANG) == (PIDS[0], signal.SIGKILL)\n"
    ),
    (
        "@pytest.fixture(scope='module')\ndef parts():\n    parts = [subprocess.Popen(COMMAND)]\n    yield parts\n"
        "    parts[-1].kill()\n    parts[-1].wait()\n\n"
        "@pytest.mark.faults\ndef test_restarts(parts):\n    parts[0].kill()\n    parts[0].wait()\n"
        "    parts.append(subprocess.Popen(COMMAND))\n\n"
        "@pytest.mark.faults\ndef test_next(parts):\n    assert parts[-1].poll() is None\n"
    ),
    (
        "@pytest.fixture(scope='session')\ndef of_session():\n    leave()\n\n"
        "@pytest.fixture(scope='module')\ndef of_module():\n    process = subprocess.Popen(COMMAND)\n    yield\n"
        "    process.kill()\n    process.wait()\n\n"
        "def test_all(of_session, of_module, programs):\n    programs.start(COMMAND)\n"
        "    programs.start(['sh', '-c', '\"$@\"; true', '-', *COMMAND], start_new_session=True)\n"
    ),
]


def test_what_a_module_leaves_is_named_and_killed(tmp_path: Path) -> None:
    """Run together, as each run of pytest takes seconds to begin."""
    code, text = run(tmp_path / "it", *LEAVES)
    assert code == 0, text
    for number in range(len(LEAVES)):
        assert f"test_it{number or ''}.py left programs behind:" in text


def test_what_ends_with_its_test_its_module_or_the_run_is_left_by_none(tmp_path: Path) -> None:
    code, text = run(tmp_path / "it", *LEAVES_NOTHING)
    assert (code, "left programs behind" in text) == (0, False), text


def test_what_ran_before_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "it" / "base"
    held = tmp_path / "held"
    held.touch()
    code = "import sys, time; file = open(sys.argv[1]); time.sleep(600)"
    start = "import subprocess as s, sys; print(s.Popen(sys.argv[1:], stdout=s.DEVNULL, stderr=s.DEVNULL).pid)"
    command = [sys.executable, "-c", start, sys.executable, "-c", code, str(held)]
    daemon = psutil.Process(int(subprocess.run(command, capture_output=True, check=True).stdout))
    try:
        body = f"import os\n\ndef test_takes_it(tmp_path):\n    os.rename({str(held)!r}, tmp_path / 'held')\n"
        status, text = run(tmp_path / "it", body)
        assert (status, "left programs behind" in text) == (0, False), text
        assert any(str(folder) in file.path for file in daemon.open_files())
    finally:
        daemon.kill()


@needs_own_network
@pytest.mark.parametrize(("scope", "ended"), [("module", True), ("session", False)])
def test_a_network_of_its_own_ends_with_its_folder(tmp_path: Path, scope: str, ended: bool) -> None:
    body = (
        f"from pathlib import Path\n\nfrom own_network import own_network\n\n\n@pytest.fixture(scope='{scope}')\n"
        "def apart(tmp_path_factory):\n    with own_network(Path('lock')):\n        yield\n\n"
        "def test_it(apart):\n    pass\n"
    )
    after = tmp_path / "it" / "zone" / "test_after.py"
    after.parent.mkdir(parents=True)
    after.write_text("def test_after():\n    pass\n")
    code, text = run(tmp_path / "it", body)
    assert (code == 0, "in a network of its own" in text) == (ended, not ended), text


@pytest.mark.parametrize("where", ["test", "fixture"])
def test_a_test_that_waits_for_its_program_after_its_limit_ends(tmp_path: Path, where: str) -> None:
    wait = "    with subprocess.Popen(COMMAND):\n        time.sleep(600)\n"
    body = f"@pytest.fixture\ndef waits():\n    yield\n{wait}\n\n" if where == "fixture" else ""
    limit = "@pytest.mark.timeout(1)\n"
    body += f"{limit}def test_it(waits):\n    pass\n" if where == "fixture" else f"{limit}def test_it():\n{wait}"
    code, text = run(tmp_path / "it", body)
    assert code == 1, text
    assert "test_it outlives its limit; its programs are killed:" in text


def test_a_test_that_waits_for_nothing_is_interrupted(tmp_path: Path) -> None:
    body = (
        "@pytest.mark.timeout(1)\ndef test_it():\n    signal.setitimer(signal.ITIMER_REAL, 0)\n"
        "    time.sleep(600)\n\n\ndef test_next():\n    pass\n"
    )
    code, text = run(tmp_path / "it", body)
    assert (code, "1 failed, 1 passed" in text, "outlived its limit" in text) == (1, True, True), text


def test_a_test_that_nothing_can_interrupt_ends_the_run(tmp_path: Path) -> None:
    body = (
        "@pytest.mark.timeout(1)\ndef test_it():\n    leave()\n    signal.setitimer(signal.ITIMER_REAL, 0)\n"
        "    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n    time.sleep(600)\n"
    )
    code, text = run(tmp_path / "it", body)
    assert code == 70, text
    assert "test_it outlives its limit; the run is ended" in text
