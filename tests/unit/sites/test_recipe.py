"""The steps from nothing to a first task: what they say is what the commands take."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

pytest.importorskip("globus_compute_endpoint")

from prov_worker.cli.main import run as cli
from prov_worker.errors import InputError
from prov_worker.sites.catalog import names, site
from prov_worker.sites.recipe import recipe_of
from support.commands import run_program
from support.marks import PARSL_SOCKET

pytestmark = PARSL_SOCKET
SITES = [name for name in names() if site(name).recipe]


def test_every_machine_of_a_facility_has_one() -> None:
    assert [name for name in names() if name not in SITES] == ["local"]
    with pytest.raises(InputError, match=r"^local: has no recipe: docs/local-endpoint.md has its steps"):
        recipe_of(site("local"))


@pytest.mark.parametrize("name", SITES)
def test_its_commands_are_those_of_a_shell_and_its_endpoint_can_be_installed(
    name: str, private: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli(["sites", "recipe", name, "mine", "--project", "m1234", "--environment", "/shared/my venv"]) == 0
    text = capsys.readouterr().out
    assert not re.search("PROJECT|ENVIRONMENT|NAME", text)
    assert run_program("bash", "-n", "-c", text).returncode == 0
    start = text.index("prov-worker sites install")
    command = shlex.split(text[start : text.index("prov-worker sites check")].replace("\\\n", ""))
    assert cli([*command[1:], "--no-check", "--set", "interface=", "--user-dir", str(private)]) == 0
    assert "start it with" in capsys.readouterr().out
    template = (private / "mine" / "user_config_template.yaml.j2").read_text()
    assert "/shared/my venv/bin/activate" in template
    # What the recipe says, the shell of a batch job takes: modules, then the environment.
    assert cli(["sites", "recipe", name, "--environment", "/v", "--worker-init"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "source /v/bin/activate"
    assert lines[0].startswith("module ")
    noted = run_program(
        "bash", "-c", 'module() { echo "module $*"; }; source() { echo "source $*"; }\n' + "\n".join(lines)
    )
    assert noted.stdout.count("module load") >= 1


def test_the_workflow_qos_starts_the_daemon_of_perlmutter() -> None:
    text = recipe_of(site("perlmutter-gpu"), project="m1234", name="mine", environment="/v").text()
    for line in ("#SCRON -q workflow", "#SCRON -C cron", "#SCRON -A m1234", "#SCRON --dependency=singleton"):
        assert f"#   {line}\n" in text
    assert "0 * * * * /v/bin/globus-compute-endpoint start mine" in text
    assert "--unbound-host" in text


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"project": "a b"}, "--project: 'a b': expected letters"),
        ({"name": "$(x)"}, r"NAME: '\$\(x\)': expected letters"),
        ({"environment": "venv"}, "--environment: venv: expected an absolute path"),
        ({"crate_dir": "crates"}, "--crate-dir: crates: expected an absolute path"),
    ],
)
def test_what_a_shell_would_take_otherwise_is_refused(options: dict[str, str], problem: str) -> None:
    with pytest.raises(InputError, match=f"^{problem}"):
        recipe_of(site("polaris"), **options)


def test_install_says_at_once_what_this_host_lacks(private: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A newcomer installs first: without an environment for workers, blocks would end again and again in silence."""
    where = ["--set", "account=P", "--set", "interface=", "--user-dir", str(private)]
    assert cli(["sites", "install", "polaris", "mine", "--set", "worker_init=export PATH=/nowhere", *where]) == 0
    captured = capsys.readouterr()
    assert re.search(
        r"^fail: versions at the workers: the environment of worker_init has no globus-", captured.err, re.M
    )
    assert re.search(r"^fail: .*qsub.* -> ", captured.err, re.M), captured.err
    assert "once that is put right, start it with: " in captured.out
    assert (private / "mine" / "prov_worker.json").exists()
    assert cli(["sites", "install", "aurora", "other"]) == 2
    error = capsys.readouterr().err
    assert "aurora: account, submit_dir: must be set: --set account=... --set submit_dir=..., or in a file; " in error
    assert len(error.splitlines()) == 1


def test_show_begins_with_what_a_user_has_to_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["sites", "show", "aurora"]) == 0
    options = re.findall(r"^(\w+): ", capsys.readouterr().out, re.M)
    assert options[:5] == ["account", "submit_dir", "queue", "walltime", "worker_init"]
    assert len(options) == len(set(options)) == len(site("aurora").options)
