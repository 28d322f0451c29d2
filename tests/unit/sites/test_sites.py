"""Every site: its template rendered and loaded by Globus Compute's own code, and the script that Parsl would submit."""

from __future__ import annotations

import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("globus_compute_endpoint")

import yaml

from prov_worker.cli.main import run as cli
from prov_worker.errors import InputError
from prov_worker.globus import template
from prov_worker.sites.catalog import directory, names, site
from prov_worker.sites.install import files_of, template_of
from prov_worker.sites.worker_init import snippet
from support.commands import run_program
from support.marks import PARSL_SOCKET
from support.sites import complete, read_me

pytestmark = PARSL_SOCKET

GOLDEN = Path(__file__).parent / "golden"
SITES = ("aurora", "local", "perlmutter-cpu", "perlmutter-gpu", "polaris")
DIGEST = "sha256:" + "0123456789abcdef" * 4


def must_be_set(name: str) -> list[str]:
    """Options without a default, as a command takes them."""
    values = {"account": "X", "submit_dir": "/flare/X"}
    return [
        word
        for key, value in values.items()
        if key in site(name).options and "default" not in site(name).options[key]
        for word in ("--set", f"{key}={value}")
    ]


def rendered(name: str, user_options: dict[str, Any] | None = None, **values: Any) -> str:
    full = complete(name, **values)
    return template.render(template_of(site(name), full), site(name).schema(full), user_options)


def loaded(name: str, user_options: dict[str, Any] | None = None, **values: Any) -> dict[str, Any]:
    text = rendered(name, user_options, **values)
    engine = template.load(text, any_interface=True)
    assert engine.encrypted, "an interchange that another endpoint left behind could take tasks"
    engine.shutdown(block=False)
    config: dict[str, Any] = yaml.safe_load(text)
    return config["engine"]


def as_written(path: Path, text: str) -> None:
    """Compare with a file; PROV_TEST_WRITE_GOLDEN=1 writes it again."""
    if os.environ.get("PROV_TEST_WRITE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def test_the_sites_are_these() -> None:
    assert tuple(names()) == SITES


@pytest.mark.parametrize("role", ["preflight", "endpoint"])
def test_the_roll_out_takes_these(role: str) -> None:
    """A role knows them by a list of its own: the package is not on a bare node yet."""
    file = Path(__file__).parents[3] / "ansible" / "roles" / role / "meta" / "argument_specs.yml"
    option = yaml.safe_load(file.read_text())["argument_specs"]["main"]["options"]["endpoint_site"]
    assert option["choices"] == names()


@pytest.mark.parametrize("name", SITES)
def test_scripts_are_those_that_were_looked_at(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["sites", "render", name, "--script", *must_be_set(name)]) == 0
    as_written(GOLDEN / f"{name}.batch", capsys.readouterr().out)


CHANGES: dict[str, list[dict[str, Any]]] = {
    "runtime": [
        {},
        {"runtime": "container", "image": "/images/w.sif"},
        {"runtime": "container", "image": "/images/w.sif", "image_digest": DIGEST},
    ],
    "recording": [{}, {"crate_dir": "/eagle/p/crates", "mount_points": ["/eagle/p", "/tmp"]}, {"plots": "none"}],
    "scaling": [{}, {"init_blocks": 1, "min_blocks": 1, "max_blocks": 3}],
    "text": [{}, {"worker_init": 'module load x\nexport A="b c"\\d # {{ 7 }}'}],
    "network": [{}, {"interface": ""}],
    "workers": [{}, {"workers": 2, "affinity": "none", "accelerators": []}],
}


@pytest.mark.parametrize("name", SITES)
@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.long)], ids=["some", "every"])
def test_combinations_of_options_are_loaded(name: str, step: int) -> None:
    # 7 divides no number of choices: each pair of them is met.
    for combination in itertools.islice(itertools.product(*CHANGES.values()), 0, None, step):
        values = {key: value for change in combination for key, value in change.items()}
        engine = loaded(name, **values)
        assert engine["type"] == "ProvenanceEngine"
        assert ("container_uri" in engine) == (values.get("runtime") == "container")
        assert ("address" in engine) == (values.get("interface") != "")
        assert engine["provenance"].get("crate_dir") == values.get("crate_dir")
        assert engine["provenance"].get("mount_points") == values.get("mount_points")
        assert engine["provider"]["max_blocks"] == values.get("max_blocks", 1)
        if "worker_init" in values:
            assert values["worker_init"] in engine["provider"]["worker_init"]
        if values.get("runtime") == "container" and "image_digest" in values:
            assert DIGEST in engine["container_cmd_options"]


MPI = [
    *((name, launcher) for name in SITES for launcher in ("mpiexec", "openmpi")),
    *((name, "srun") for name in SITES if name.startswith("perlmutter")),
]


@pytest.mark.parametrize("name, launcher", MPI)
def test_an_engine_for_mpi(name: str, launcher: str) -> None:
    """Loaded by Globus Compute, which refuses the options of other workers and any other launcher of Parsl."""
    several: dict[str, Any] = {} if name == "local" else {"nodes_per_block": 4, "mpi_tasks": 2, "mpi_ranks": 64}
    engine = loaded(name, mpi=launcher, worker_init="module load x", interface="", **several)
    assert (engine["type"], engine["mpi_launcher"]) == (
        "ProvenanceMPIEngine",
        "srun" if launcher == "srun" else "mpiexec",
    )
    assert engine["max_workers_per_block"] == several.get("mpi_tasks", 1)
    assert engine.get("max_ranks_per_node") == several.get("mpi_ranks")
    assert engine["provider"]["launcher"] == {"type": "SimpleLauncher"}
    lines = engine["provider"]["worker_init"].splitlines()
    own = [number for number, line in enumerate(lines) if "prov_worker.globus.openmpi" in line]
    assert own == ([lines.index("module load x") + 1] if launcher == "openmpi" else []), lines


@pytest.mark.parametrize(
    "name, values, problem",
    [
        ("polaris", {"mpi": "srun"}, "mpi: srun is Slurm's, and polaris has PBS; take mpiexec or openmpi"),
        ("local", {"mpi": "srun"}, "mpi: srun is Slurm's, and local has no scheduler"),
        ("aurora", {"mpi": "mpiexec", "mpi_tasks": 2}, "mpi_tasks: 2 for 1 node of a block"),
        (
            "polaris",
            {"mpi": "mpiexec", "runtime": "container", "image": "/i.sif"},
            "mpi: a launcher inside a container",
        ),
        ("polaris", {"mpi": "mpirun"}, 'mpi: "mpirun" is not allowed; expected: one of none, mpiexec, srun, openmpi'),
    ],
)
def test_mpi_that_cannot_be(name: str, values: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=f"^test: {problem}"):
        complete(name, **values)


@pytest.mark.parametrize("name", SITES)
def test_what_a_client_asks_for_goes_first_and_within_the_schema(name: str) -> None:
    assert loaded(name, {"poll_interval": 1, "crate_dir": "/a-b/c"})["provenance"] == {
        "poll_interval": 1,
        "plots": "png",
        "crate_dir": "/a-b/c",
    }
    with pytest.raises(Exception, match="unknown_key"):
        rendered(name, {"unknown_key": 1})
    with pytest.raises(Exception, match="does not match"):
        rendered(name, {"crate_dir": '/x"\nengine: {}'})


@pytest.mark.parametrize("name", SITES)
def test_the_identity_that_an_endpoint_of_many_users_mapped_is_recorded(name: str) -> None:
    full, identity = complete(name), "4f1c2f2e-0000-4000-8000-0000000000aa"
    definition = template_of(site(name), full), site(name).schema(full)
    mapped = yaml.safe_load(template.render(*definition, identity=identity))
    assert mapped["engine"]["provenance"]["submitter"] == identity
    assert "submitter" not in yaml.safe_load(template.render(*definition))["engine"]["provenance"]


RECORDING = {"capture_arguments": "values", "telemetry": {"gpu": 1, "per_cpu": False}, "author": 'A "B" {{ 7 }}\n%}'}


@pytest.mark.parametrize("name", SITES)
def test_every_setting_of_the_recording_can_be_given(name: str) -> None:
    assert loaded(name, provenance=RECORDING)["provenance"] == {"poll_interval": 0.05, "plots": "png", **RECORDING}
    with pytest.raises(InputError, match="provenance"):
        rendered(name, {"provenance": {"author": "somebody else"}})


@pytest.mark.parametrize(
    "values, message",
    [
        ({"provenance": {"plots": "svg"}}, 'test: provenance: "plots" is not allowed; expected: More settings'),
        ({"provenance": ["write"]}, r'test: provenance: \["write"\] is not allowed; expected: .* a mapping'),
        ({"provenance": {"captured": 1}}, "test: provenance.captured: unknown option; known are author"),
        ({"provenance": {"write": "never"}}, "test: provenance.write: "),
        (
            {"poll_interval": 2, "provenance": {"telemetry": {"cpu": 1}}},
            "test: provenance.telemetry.cpu: 1 seconds are less than the poll interval of 2",
        ),
    ],
)
def test_a_wrong_setting_of_the_recording_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        complete("local", **values)


def test_heartbeats_to_the_service_are_those_of_endpoint_and_user_endpoint() -> None:
    full = complete("local", service_heartbeat=7, idle_heartbeats=0, display_name='Lab "1"')
    config = yaml.safe_load(files_of(site("local"), "mine", full, Path("/u"))["config.yaml"])
    assert config == {"display_name": 'Lab "1"', "heartbeat_period": 7}
    user = yaml.safe_load(rendered("local", service_heartbeat=7, idle_heartbeats=0))
    assert (user["heartbeat_period"], user["idle_heartbeats_soft"]) == (7, 0)
    with pytest.raises(InputError, match="service_heartbeat"):
        rendered("local", {"service_heartbeat": 5})


@pytest.mark.parametrize("encrypted", [True, False])
def test_encryption_is_an_option_of_this_machine_and_not_of_a_client(encrypted: bool) -> None:
    engine = template.load(rendered("local", encrypted=encrypted))
    assert engine.encrypted is encrypted
    engine.shutdown(block=False)
    with pytest.raises(InputError, match="encrypted"):
        rendered("local", {"encrypted": False})


@pytest.mark.parametrize("name", SITES)
def test_the_schema_is_one_and_describes_every_option(name: str) -> None:
    from jsonschema import Draft202012Validator

    schema = site(name).schema()
    Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    for option, rules in schema["properties"].items():
        assert len(rules["description"]) > 10, option
        if "default" in rules:
            assert Draft202012Validator(rules).is_valid(rules["default"]), option


@pytest.mark.parametrize("name", SITES)
def test_the_read_me_is_that_of_the_options(name: str) -> None:
    as_written(directory() / name / "README.md", read_me(site(name)))


@pytest.mark.parametrize("name", SITES)
def test_the_schema_that_lies_with_the_template_is_that_of_the_options(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """For a person, and for editors that check a file of values."""
    assert cli(["sites", "schema", name]) == 0
    as_written(directory() / name / "user_config_schema.json", capsys.readouterr().out)


@pytest.mark.parametrize("name", SITES)
def test_each_value_names_its_source(name: str) -> None:
    definition = site(name)
    assert [option for option, rules in definition.options.items() if not rules.get("$comment")] == []
    texts = [rendered(name), rendered(name, runtime="container", image="/images/w.sif")]
    output = "\n".join(text + "\n".join(template.batch_script(text, "RUN_DIR")) for text in texts)
    assert [row["value"] for row in definition.fixed if row["value"] not in output] == []
    assert all(row["source"] for row in definition.fixed)


# -- traps ---------------------------------------------------------------------------------------------------------


def ranks(name: str) -> list[set[int]]:
    cpu_sets = []
    for rank in complete(name)["affinity"].removeprefix("list:").split(":"):
        cpus: set[int] = set()
        for part in rank.split(","):
            low, _, high = part.partition("-")
            cpus |= set(range(int(low), int(high or low) + 1))
        cpu_sets.append(cpus)
    return cpu_sets


def test_polaris_shares_out_every_cpu_once_nearest_gpu_first() -> None:
    lists = ranks("polaris")
    assert len(lists) == 4
    assert sorted(itertools.chain(*lists)) == list(range(64))
    assert min(lists[0]) == 24, "GPU 0 is next to the last cores"


def test_aurora_has_twelve_tiles_and_leaves_the_systems_cores_alone() -> None:
    lists = ranks("aurora")
    assert len(lists) == 12 == len(complete("aurora")["accelerators"])
    cpus = list(itertools.chain(*lists))
    assert len(cpus) == len(set(cpus)) == 192
    assert not {0, 52, 104, 156} & set(cpus)


@pytest.mark.parametrize("name", ["polaris", "aurora"])
def test_pbs_jobs_name_the_file_system_of_home(name: str) -> None:
    engine = loaded(name, scheduler_options="#PBS -l foo=1")
    lines = engine["provider"]["scheduler_options"].splitlines()
    assert lines[0].startswith("#PBS -l filesystems=home:")
    assert lines[-1] == "#PBS -l foo=1", "options of one's own do not take the place of these"


@pytest.mark.parametrize("name, word", [("polaris", "PBS"), ("aurora", "PBS"), ("perlmutter-cpu", "SBATCH")])
def test_directives_of_ones_own_are_directives(name: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A line that is none would end the scheduler's look at what follows, or be run on the node."""
    assert loaded(name, scheduler_options=f'#{word} -p "x y"\n#{word} -b\n')
    for wrong in ("-l foo=1", f"#{word} -b\nrm -r x", f"#{word.lower()} -b", f"#{word}"):
        given = [*must_be_set(name), "--set", f"scheduler_options={wrong}"]
        assert cli(["sites", "render", name, *given]) == 2
        assert f"scheduler_options: {json.dumps(wrong)} is not allowed" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name, directive",
    [
        ("polaris", "#PBS -o /home/x/out"),
        ("polaris", "#PBS -l foo=1 -e err"),
        ("aurora", "#PBS -k oe\n#PBS -joe"),
        ("aurora", "#PBS -J 1-3"),
        ("perlmutter-cpu", "#SBATCH --output=out"),
        ("perlmutter-cpu", "#SBATCH --exclusive --array=1-3"),
        ("perlmutter-gpu", "#SBATCH -e err"),
    ],
)
def test_directives_do_not_take_the_place_of_parsls(
    name: str, directive: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last -o of a script holds (OpenPBS 23.06.06, sbatch): Parsl looks for a block's output where it said."""
    given = [*must_be_set(name), "--set", f"scheduler_options={directive}"]
    assert cli(["sites", "render", name, *given]) == 2
    assert "scheduler_options: " in capsys.readouterr().err
    harmless = {"#PBS": "#PBS -k doe\n#PBS -l foo=a-o", "#SBATCH": "#SBATCH --exclusive --open-mode=append"}
    assert loaded(name, scheduler_options=harmless[directive.split()[0]])


@pytest.mark.parametrize("name", SITES)
def test_an_endpoint_without_tasks_holds_no_nodes(name: str) -> None:
    engine = loaded(name)
    assert (engine["provider"]["init_blocks"], engine["provider"]["min_blocks"]) == (0, 0)
    assert engine["job_status_kwargs"]["max_idletime"] == 300
    assert "strategy" not in engine, "a mapping there ends Parsl's poller"


@pytest.mark.parametrize("name", [name for name in SITES if name != "local"])
def test_one_pool_of_workers_a_node_with_short_paths_for_sockets(name: str) -> None:
    provider = loaded(name)["provider"]
    assert "export TMPDIR=/tmp" in provider["worker_init"]
    if provider["type"] == "PBSProProvider":
        assert provider["launcher"]["type"] == "MpiExecLauncher"
        assert "--ppn 1" in provider["launcher"]["overrides"]
        assert "--env TMPDIR=/tmp" in provider["launcher"]["overrides"]
    else:
        assert provider["launcher"] == {
            "type": "SrunLauncher",
            "overrides": f"-c {complete(name)['cpus_per_task']}",
        }
        assert "partition" not in provider, "NERSC has QOS and constraint"


@pytest.mark.parametrize(
    "arguments, key, remedy",
    [
        ([], "account", "must be set"),
        (["--set", "account=X", "--set", "walltime=3600"], "walltime", "HH:MM:SS"),
        (["--set", "account=X", "--set", "colour=red"], "colour", "no such option"),
        (["--set", "account=X", "--set", "workers=3"], "affinity", "4 lists for 3 workers"),
        (
            ["--set", "account=X", "--set", "affinity=none", "--set", "workers=3"],
            "accelerators",
            "4 for 3 workers",
        ),
        (["--set", "account=X", "--set", "runtime=container"], "image", "must be set"),
        (["--set", "account=X", "--set", "init_blocks=2"], "init_blocks", "between"),
        (["--set", "account=X", "--set", "heartbeat_threshold=5"], "heartbeat_threshold", "below"),
        (["--set", "account=X", "--set", "plots=gif"], "plots", "one of png, svg, none"),
        (["--set", "account=X;rm"], "account", "Project"),
        (["--set", "account"], "account", "KEY=VALUE"),
    ],
)
def test_wrong_options_are_refused_with_key_and_remedy(
    capsys: pytest.CaptureFixture[str], arguments: list[str], key: str, remedy: str
) -> None:
    assert cli(["sites", "render", "polaris", *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    assert key in error
    assert remedy in error


def test_a_walltime_without_quotes_in_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """YAML reads 1:00:00 as 3600; PBS takes that in silence, and Slurm's provider does not."""
    file = tmp_path / "values.yaml"
    file.write_text("account: X\nwalltime: 1:00:00\n")
    assert cli(["sites", "render", "polaris", "-f", str(file)]) == 2
    error = capsys.readouterr().err
    assert f"{file}: walltime: 3600 is not allowed" in error
    assert "quotes" in error


def test_values_of_a_file_and_of_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("account: X\nworkers: 2\naffinity: none\naccelerators: ['0', '1']\n")
    given = ["sites", "render", "polaris", "-f", str(file), "--set", "account=Y", "--set", "accelerators=2,3", "--json"]
    assert cli(given) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["options"]["account"], document["options"]["workers"]) == ("Y", 2)
    assert document["options"]["accelerators"] == ["2", "3"]
    assert document["submit"].startswith("qsub  -q debug -A Y ")


def test_the_snippet_for_a_facilitys_endpoint_switches_recording_on(tmp_path: Path) -> None:
    """Run by bash in an environment that knows nothing, as a batch job does."""
    environment = Path(sys.executable).parents[1]
    crates = tmp_path / "crates of mine"
    text = snippet("polaris", str(environment), str(crates))
    code = (
        "from prov_worker.globus.env_settings import provenance_of_endpoint; "
        "print(provenance_of_endpoint(None)['settings']['crate_dir'])"
    )
    done = run_program(
        "bash", "-euc", f"{text}\npython3 -c {json.dumps(code)}", env={"PATH": "/usr/bin:/bin", "PS1": ""}
    )
    assert (done.returncode, done.stdout.strip()) == (0, str(crates)), done.stderr
