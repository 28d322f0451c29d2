"""Options that go into commands: refused by the schema, and by the template alone; and what programs really get."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("globus_compute_endpoint")

from prov_worker.errors import InputError
from prov_worker.globus import template
from prov_worker.sites import options
from prov_worker.sites.catalog import Site, names, site
from prov_worker.sites.install import template_of

# Parsl's address_by_interface leaves its socket to the collector of garbage.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

EVIL = [
    "a b",
    "a -v /:/host --privileged",
    "a;touch pwned",
    "$(touch pwned)",
    "`touch pwned`",
    "a'b",
    'a"b',
    "a\nb",
    "a\n",
    "a>b",
    "a{b}",
    "a\\b",
    "a*",
    "é",
]
#: Shell, and directives of the scheduler, by what they are for.
BY_DESIGN = {"worker_init", "scheduler_options"}
DIGEST = "sha256:" + "0123456789abcdef" * 4
CRATES, DATA, IMAGE = "/data/a-b@c+d.e_f/crates", "/data/more", "registry.example:5000/a/image@" + DIGEST
RUNTIMES = {"docker": "-v", "podman-hpc": "-v", "apptainer": "-B"}


def complete(definition: Site, **values: Any) -> dict[str, Any]:
    given = {"account": "X", "submit_dir": "/flare/X"}
    values = {key: value for key, value in given.items() if key in definition.options} | values
    options.check(definition, values, "test")
    return options.complete(definition, values, "test")


def container(definition: Site, **values: Any) -> dict[str, Any]:
    given = {"runtime": "container", "image": IMAGE, "image_digest": DIGEST}
    return complete(definition, **given, crate_dir=CRATES, mount_points=[DATA], **values)


def of_clients(definition: Site) -> dict[str, dict[str, Any]]:
    """Options of text that a client may ask for."""
    kinds = {name: option.get("items", option) for name, option in definition.options.items()}
    return {
        name: definition.options[name]
        for name, kind in kinds.items()
        if kind.get("type") == "string" and not definition.options[name].get("daemon") and name not in BY_DESIGN
    }


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("layer", ["schema", "template"])
def test_what_means_something_to_a_shell_is_refused(name: str, layer: str) -> None:
    definition = site(name)
    values = container(definition)
    text = template_of(definition, values)
    schema = definition.schema(values) if layer == "schema" else {}
    accepted = []
    for option, kind in of_clients(definition).items():
        for evil in [*EVIL, "--privileged"]:
            path = "/" if "path" in option or (option in ("crate_dir", "mount_points") and evil[0] != "-") else ""
            value = [path + evil] if kind["type"] == "array" else path + evil
            try:
                template.render(text, schema, {option: value})
            except InputError:
                continue
            accepted.append((option, value))
    assert accepted == []


@pytest.mark.parametrize("name", names())
def test_every_pattern_is_one_of_the_whole_text(name: str) -> None:
    """``$`` is also before a line end at the end, for Python's regular expressions."""
    for option, kind in of_clients(site(name)).items():
        pattern = kind.get("items", kind)["pattern"]
        assert pattern.endswith(("(?!\n)$", r"(?!\n)$")), option
        assert pattern.startswith("^"), option


def programs_of(folder: Path) -> Path:
    """Programs that note what they get; launchers run what they are given."""
    folder.mkdir()
    code = (
        f"#!{sys.executable}\n"
        "import json, os, subprocess, sys\n"
        "with open(os.environ['NOTES'], 'a') as notes:\n"
        "    notes.write(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]) + '\\n')\n"
        "if sys.argv[0].endswith(('srun', 'mpiexec')):\n"
        "    subprocess.run(['bash', sys.argv[-1]], check=False)\n"
    )
    for program in (*RUNTIMES, "srun", "mpiexec", "process_worker_pool.py", "module"):
        (folder / program).write_text(code)
        (folder / program).chmod(0o755)
    return folder


@pytest.mark.parametrize("name", names())
def test_what_shell_and_runtime_get(name: str, tmp_path: Path) -> None:
    definition = site(name)
    directives = {
        "PBSProProvider": "#PBS -N $(touch pwned);`touch pwned`",
        "SlurmProvider": "#SBATCH --comment=$(touch pwned);`touch pwned`",
    }
    mark = "PBSProProvider" if "PBSProProvider" in definition.template else "SlurmProvider"
    more = {"scheduler_options": directives[mark]} if "scheduler_options" in definition.options else {}
    values = container(definition, **more)
    work = tmp_path / "work"
    work.mkdir()
    text = template.render(template_of(definition, values), definition.schema(values))
    _, script = template.batch_script(text, str(work))
    (tmp_path / "script").write_text(script)
    environment = {
        **os.environ,
        "PATH": f"{programs_of(tmp_path / 'bin')}:{os.environ['PATH']}",
        "NOTES": str(tmp_path / "notes"),
        "JOBNAME": "job",
        "SLURM_JOB_NUM_NODES": "1",
        "PBS_NODEFILE": "/dev/null",
    }
    subprocess.run(["bash", tmp_path / "script"], cwd=work, env=environment, capture_output=True, timeout=120)
    assert not list(tmp_path.rglob("pwned"))
    calls = [json.loads(line) for line in (tmp_path / "notes").read_text().splitlines()]
    (call,) = [call for call in calls if call[0] in RUNTIMES]
    assert call[1] == "run"
    given = call[2 : call.index(IMAGE)]
    bind = RUNTIMES[call[0]]
    bound = [value for option, value in itertools.pairwise(given) if option == bind]
    wanted = [DATA, CRATES] if bind == "-B" else [f"{path}:{path}" for path in (DATA, CRATES)]
    assert [path for path in bound if path.startswith("/data")] == wanted
    assert f"PROV_WORKER_IMAGE_DIGEST={DIGEST}" in given
    assert call[call.index(IMAGE) + 1] == "globus-compute-endpoint"
    assert "--privileged" not in given
    if bind == "-B":  # no_new_privs is Apptainer's own, always
        assert "--no-privs" in given
        assert "--fakeroot" not in given
    else:
        assert {"--cap-drop=ALL", "--security-opt=no-new-privileges"} <= set(given)
        assert given[given.index("--user") + 1] == f"{os.getuid()}:{os.getgid()}"
