"""Traps of Globus Compute, Parsl and the sites: each seen to be one, and that no template steps into it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("globus_compute_endpoint")

import yaml

from prov_worker.cli.main import run as cli
from prov_worker.errors import InputError
from prov_worker.globus import template
from prov_worker.sites.catalog import names, site
from prov_worker.sites.install import files_of, template_of
from support.commands import run_program
from support.marks import PARSL_SOCKET
from support.sites import complete

pytestmark = PARSL_SOCKET

SITES = names()
COMMAND = str(Path(sys.executable).parent / "globus-compute-endpoint")
#: What the daemon writes to a user endpoint goes through a pipe of this capacity, with credentials beside it.
PIPE_BYTES = 65536
BY_HAND = "engine:\n  type: GlobusComputeEngine\n  address: 127.0.0.1\n  provider: {type: LocalProvider}\n"


def rendered(name: str, user_options: dict[str, Any] | None = None, identity: str | None = None, **values: Any) -> str:
    full = complete(name, **values)
    return template.render(template_of(site(name), full), site(name).schema(full), user_options, identity)


def config(name: str, **values: Any) -> dict[str, Any]:
    return dict(yaml.safe_load(rendered(name, **values)))


def installed(name: str, tmp_path: Path, **values: Any) -> dict[str, str]:
    return files_of(site(name), "ep", complete(name, **values), tmp_path)


def globus(*arguments: str | Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GLOBUS_COMPUTE_USER_DIR": str(tmp_path / "gc")}
    return run_program(COMMAND, *arguments, env=environment)


def told_by_job(init: str, line: str) -> list[str]:
    """Words that a line prints after `worker_init`, in an environment that knows nothing, as a batch job's."""
    done = run_program("bash", "-euc", f"{init}\n{line}", env={"PATH": "/usr/bin:/bin"}, check=True)
    return done.stdout.split()


# -- configuration that loads, or does not ---------------------------------------------------------------------------


def test_an_interface_that_is_not_there_fails_when_the_configuration_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the daemon with an error number; by `sites install` with the key and what there is, and nothing is written."""
    with pytest.raises(InputError, match="No such device"):
        template.load(rendered("polaris", interface="nope0"))
    arguments = ["sites", "install", "polaris", "ep", "--no-check", "--user-dir", str(tmp_path), "--set", "account=X"]
    assert cli([*arguments, "--set", "interface=nope0"]) == 2
    error = capsys.readouterr().err
    assert "interface: nope0 is not on this host" in error
    assert "lo" in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text, message",
    [
        (BY_HAND.replace("GlobusComputeEngine", "HighThroughputEngine"), "not a valid engine"),
        (BY_HAND.replace("  provider", "  container_type: shifter\n  provider"), "(?i)container_type|shifter"),
    ],
)
def test_what_old_recipes_have_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        template.load(text)
    template.load(BY_HAND).shutdown(block=False)


@pytest.mark.parametrize("name", SITES)
@pytest.mark.parametrize("runtime", ["venv", "container"])
def test_no_template_has_what_old_recipes_have(name: str, runtime: str) -> None:
    engine = config(name, runtime=runtime, image="/images/w.sif" if runtime == "container" else "")["engine"]
    assert engine["type"] == "ProvenanceEngine"
    assert engine.get("container_type") in ("apptainer", "podman-hpc", "docker", None)
    assert "strategy" not in engine, "a mapping there ends Parsl's poller with a TypeError"


def test_a_strategy_as_a_mapping_ends_parsls_poller() -> None:
    from parsl.jobs.strategy import Strategy

    with pytest.raises(TypeError, match="unhashable"):
        Strategy(strategy={"type": "SimpleStrategy"}, max_idletime=120.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SITES)
def test_the_daemons_own_file_has_no_engine_and_loads(name: str, tmp_path: Path) -> None:
    """An `engine:` in config.yaml ends the start with exit code 1."""
    config = yaml.safe_load(installed(name, tmp_path)["config.yaml"])
    assert "engine" not in config
    assert config["display_name"] == "ep"


@pytest.mark.parametrize("name", SITES)
def test_the_daemons_own_command_renders_the_same(name: str, tmp_path: Path) -> None:
    for file, text in installed(name, tmp_path).items():
        (tmp_path / file).write_text(text)
    (tmp_path / "asked.json").write_text(json.dumps({"poll_interval": 1}))
    done = globus(
        "render-user-config", "-t", tmp_path / "user_config_template.yaml.j2",
        "-s", tmp_path / "user_config_schema.json", "-o", tmp_path / "asked.json", tmp_path=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # its command maps nobody, to this identity
    same = rendered(name, {"poll_interval": 1}, identity="00000000-0000-0000-0000-000000000000")
    assert yaml.safe_load(done.stdout) == yaml.safe_load(same)


def test_options_of_configure_are_those_of_today(tmp_path: Path) -> None:
    """`--endpoint-config` of old recipes is gone: `sites install` writes the directory by itself."""
    output = globus("configure", "--help", tmp_path=tmp_path).stdout
    assert "--template-config" in output
    assert "--endpoint-config" not in output


@pytest.mark.parametrize("name", SITES)
@pytest.mark.parametrize("text", ['say "hi"', "back\\slash", "{{ 7 * 7 }}", "a: b # c", "two\nlines", "über"])
def test_a_clients_text_arrives_as_it_is(name: str, text: str) -> None:
    """The daemon renders text as JSON, in quotes: a template that adds quotes of its own breaks it."""
    full = complete(name)
    user_options = {"worker_init": text}
    config = yaml.safe_load(template.render(template_of(site(name), full), site(name).schema(full), user_options))
    assert text in config["engine"]["provider"]["worker_init"]


@pytest.mark.parametrize("name", SITES)
def test_what_goes_to_a_user_endpoint_fits_its_pipe(name: str) -> None:
    assert len(rendered(name).encode()) < PIPE_BYTES / 8


# -- environment -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SITES)
def test_user_endpoints_are_given_a_path_and_a_directory_and_no_more(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No secret, no directory or log that every user endpoint would take as its own, no proxy on the login node."""
    for variable in ("GLOBUS_COMPUTE_CLIENT_SECRET", "GLOBUS_COMPUTE_ENDPOINT_DIR", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "must-not-appear")
    files = installed(name, tmp_path)
    assert set(yaml.safe_load(files["user_environment.yaml"])) == (
        {"PATH", "GLOBUS_COMPUTE_USER_DIR"} | ({"CWD"} if name == "aurora" else set())
    )
    assert not any("must-not-appear" in text for text in files.values())


def test_auroras_jobs_can_be_submitted_from_the_projects_directory(tmp_path: Path) -> None:
    """From home they are not allowed; the daemon starts user endpoints, which submit, in its ``CWD``."""
    files = installed("aurora", tmp_path, submit_dir="/flare/Perseus/my-runs")
    assert yaml.safe_load(files["user_environment.yaml"])["CWD"] == "/flare/Perseus/my-runs"
    assert "submit_dir" not in json.loads(files["user_config_schema.json"])["properties"]


@pytest.mark.parametrize("name", ["polaris", "aurora"])
def test_proxies_are_for_compute_nodes_alone(name: str, tmp_path: Path) -> None:
    files = installed(name, tmp_path)
    assert "proxy" not in files["user_environment.yaml"] + files["config.yaml"]
    init = config(name)["engine"]["provider"]["worker_init"]
    code = f"{init}\necho $HTTP_PROXY $HTTPS_PROXY $http_proxy $https_proxy $no_proxy"
    done = run_program("bash", "-euc", code, env={"PATH": "/usr/bin:/bin"}, check=True)
    assert done.stdout.split() == ["http://proxy.alcf.anl.gov:3128"] * 4 + ["localhost,127.0.0.1,.alcf.anl.gov"]


def test_auroras_masks_are_those_of_its_hierarchy() -> None:
    engine = config("aurora")["engine"]
    assert all(re.fullmatch(r"[0-5]\.[01]", accelerator) for accelerator in engine["available_accelerators"])
    assert "ZE_FLAT_DEVICE_HIERARCHY=COMPOSITE" in engine["provider"]["worker_init"]


@pytest.mark.parametrize("name", ["polaris", "aurora"])
def test_a_job_of_pbs_is_told_its_project_and_its_end(name: str) -> None:
    init = config(name, account="Perseus", walltime="01:02:03")["engine"]["provider"]["worker_init"]
    code = f"{init}\necho $PBS_ACCOUNT $((PBS_JOB_END_TIME - $(date +%s)))"
    done = run_program("bash", "-euc", code, env={"PATH": "/usr/bin:/bin"}, check=True)
    account, left = done.stdout.split()
    assert account == "Perseus"
    assert 3600 < int(left) <= 3723


# -- scheduler -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["polaris", "aurora"])
def test_file_systems_are_those_that_are_there(name: str) -> None:
    """`grand` is in older public configurations, and gone; without `home` the run directory is."""
    named = complete(name)["filesystems"].split(":")
    assert named[0] == "home"
    assert "grand" not in named
    lines = config(name)["engine"]["provider"]["scheduler_options"].splitlines()
    assert f"#PBS -l filesystems={':'.join(named)}" in lines
    assert "#PBS -l place=scatter" in lines, "in select, where it is no resource of chunks, qsub refuses it"


@pytest.mark.parametrize("name", ["polaris", "aurora"])
def test_the_launcher_binds_nothing(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Parsl's MpiExecLauncher puts `none` behind bind_cmd; without it a pool would be bound to one core."""
    given = ["--set", "account=X", *(["--set", "submit_dir=/flare/X"] if name == "aurora" else [])]
    assert cli(["sites", "render", name, "--script", *given]) == 0
    output = capsys.readouterr().out
    assert re.search(r"^mpiexec --cpu-bind none .*--ppn 1 --env TMPDIR=/tmp", output, re.MULTILINE)
    assert "--cpu-affinity list:" in output, "workers bind themselves"


@pytest.mark.parametrize(
    "user_options, message",
    [
        ({"workers": 2}, "engine.cpu_affinity: 4 lists for 2 workers"),
        ({"affinity": "list:0:1"}, "engine.cpu_affinity: 2 lists for 4 workers"),
        ({"accelerators": ["0", "1"]}, "engine.cpu_affinity: 4 lists for 2 workers"),
        ({"workers": 2, "affinity": "list:0:1"}, None),
        ({"workers": 8}, None),
        ({"workers": 2, "affinity": "none"}, None),
    ],
)
def test_a_client_cannot_ask_for_workers_without_cpus(user_options: dict[str, Any], message: str | None) -> None:
    """Parsl's workers would end with a ValueError, each again and again, while the task waits."""
    text = rendered("polaris", user_options, interface="lo")
    if message is None:
        template.load(text).shutdown(block=False)
        return
    with pytest.raises(InputError, match=message):
        template.load(text)


@pytest.mark.parametrize(
    "installed, user_options, message",
    [
        ({}, {"workers": 300}, "workers: 300 is greater than the maximum of 256"),
        ({}, {"workers": 300, "affinity": "block"}, "workers: 300 is greater than the maximum of 256"),
        ({}, {"workers": 300, "affinity": "none"}, None),
        ({}, {"workers": 256}, None),
        ({"affinity": "none"}, {"workers": 300}, None),
        ({"affinity": "none"}, {"workers": 300, "affinity": "block"}, "maximum of 256"),
    ],
)
def test_a_client_cannot_bind_more_workers_than_a_node_has_cpus(
    installed: dict[str, Any], user_options: dict[str, Any], message: str | None
) -> None:
    """Parsl's workers would end with an AssertionError, and each block with them."""
    if message is None:
        assert f"max_workers_per_node: {user_options['workers']}\n" in rendered(
            "perlmutter-cpu", user_options, **installed
        )
        return
    with pytest.raises(InputError, match=message):
        rendered("perlmutter-cpu", user_options, **installed)
