"""Completion in the shells themselves: sites, keys of options, values."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from support.commands import run_program

pytest.importorskip("click")

PROGRAMS = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def in_bash(*arguments: str, environment: dict[str, str] | None = None) -> list[str]:
    """What bash would offer for the last of these words, as it breaks them; a mark where it would add no space."""
    script = (
        'eval "$(prov-worker completion bash)"; compopt() { local IFS=" "; echo "compopt $*"; }; '
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _prov_worker_completion prov-worker; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = run_program(
        "bash",
        "-c",
        script,
        "bash",
        "prov-worker",
        *arguments,
        env={**os.environ, "PATH": PROGRAMS, **(environment or {})},
        check=True,
    )
    return done.stdout.split("\n")[:-1]


def test_sites_are_completed() -> None:
    assert in_bash("sites", "install", "per") == ["perlmutter-cpu", "perlmutter-gpu"]


def test_keys_of_options_are_those_of_the_site_and_get_no_space() -> None:
    assert in_bash("sites", "render", "polaris", "--set", "filesy") == ["compopt -o nospace", "filesystems="]
    assert in_bash("sites", "render", "aurora", "--set", "max_") == ["compopt -o nospace", "max_blocks="]
    assert in_bash("sites", "render", "perlmutter-gpu", "--set", "filesy") == [""]


def test_values_of_an_option_as_bash_breaks_words() -> None:
    assert in_bash("sites", "check", "local", "--set", "runtime", "=") == ["venv", "container"]
    assert in_bash("sites", "check", "local", "--set", "runtime", "=", "con") == ["container"]
    assert in_bash("sites", "check", "perlmutter-cpu", "--set", "exclusive", "=", "f") == ["false"]


def test_sites_and_states_of_jobs_and_checks_of_an_endpoint() -> None:
    assert in_bash("jobs", "submit", "--site", "per") == ["perlmutter-cpu", "perlmutter-gpu"]
    assert in_bash("jobs", "list", "--state", "fai") == ["failed"]
    assert in_bash("diagnose", "e", "conn") == ["connectivity"]
    assert in_bash("run", "deposit", "r.crate", "--to", "work") == ["workflowhub"]


def test_endpoints_that_are_installed(tmp_path: Path) -> None:
    for name in ("mine", "theirs"):
        (tmp_path / name).mkdir()
    (tmp_path / "mine" / "prov_worker.json").write_text("{}")
    assert in_bash("sites", "check", "local", "--name", "", environment={"GLOBUS_COMPUTE_USER_DIR": str(tmp_path)}) == [
        "mine"
    ]


def test_zsh_is_told_whole_words_with_their_meaning() -> None:
    done = run_program(
        "prov-worker",
        env={
            **os.environ,
            "PATH": PROGRAMS,
            "COMP_WORDS": "prov-worker\nsites\nrender\nlocal\n--set\nruntime=c",
            "COMP_CWORD": "5",
            "_PROV_WORKER_COMPLETE": "zsh_complete",
        },
        check=True,
    )
    assert done.stdout.splitlines()[:2] == ["plain", "runtime=container"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_in_a_terminal_completes_a_key_without_a_space() -> None:
    """A real interactive shell, by zsh's own pseudo terminal."""
    script = """
    zmodload zsh/zpty
    until_seen() { repeat 200 { zpty -r -t shell part && all+=$part; [[ $all == *$1* ]] && return; sleep 0.1 } }
    zpty -b shell 'zsh -f -i'
    zpty -w shell 'PS1=; autoload -Uz compinit; compinit -u -D'
    zpty -w shell 'eval "$(prov-worker completion zsh)"; print READY-$((1+1))'
    until_seen READY-2
    zpty -w -n shell $'prov-worker sites render polaris --set filesy\\t'
    until_seen 'filesystems='
    zpty -w -n shell X
    until_seen 'filesystems=X'
    print -r -- $all
    zpty -d shell
    """
    done = run_program("zsh", "-f", "-c", script, env={**os.environ, "PATH": PROGRAMS}, timeout=180)
    assert "--set filesystems=X" in done.stdout, done.stderr
