"""The community's verdict: every variant of our crates is clean, and every seeded fault is seen."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from prov_worker.crate.add_plot import add_plot
from prov_worker.crate.check import ProfileValidator, check_crate, validate_profiles
from prov_worker.crate.validator.client import (
    ValidatorMissingError,
    _interpreter_of,
    find_validator,
    install_validator,
    private_validator,
)
from prov_worker.crate.writer import CrateWriter, Plot
from prov_worker.errors import InputError, ProvWorkerError
from prov_worker.model import Failure, Function, ProbeReport, Value, Worker
from prov_worker.settings import Settings
from support.crate_faults import FAULTS, action_with

ORCID = "https://orcid.org/0000-0002-1825-0097"
ROR = "https://ror.org/05gq02987"
CC_BY = "https://spdx.org/licenses/CC-BY-4.0"
PNG = Plot("cpu_usage.png", b"\x89PNG\r\n\x1a\n")


@pytest.fixture
def validator():
    python = find_validator()
    if python is None:
        pytest.skip("no interpreter has roc-validator; set PROV_WORKER_VALIDATOR")
    return python


def _without(name, **fields):
    def change(snapshot):
        snapshot.probes[name] = ProbeReport(name, **fields)

    return change


def _all_unknown(snapshot):
    snapshot.probes = {}


#: Name: changes of the record, series, plot, settings, change of the node.
VARIANTS = {
    "default": ({}, {}, PNG, {}, None),
    "without plot": ({}, {}, None, {}, None),
    "svg plot": ({}, {}, Plot("cpu_usage.svg", b"<svg/>"), {}, None),
    "without any sample": ({}, None, None, {}, None),
    "all series, with band": ({}, {"gpu": True, "node": True, "band": True}, PNG, {}, None),
    "one column without a value": ({}, "empty", None, {}, None),
    "failed with traceback": (
        {
            "status": "failed",
            "result": None,
            "outputs": [],
            "failure": Failure("exception", "boom", "ValueError", "Tr"),
        },
        {},
        None,
        {},
        None,
    ),
    "killed": (
        {"status": "failed", "result": None, "outputs": [], "failure": Failure("signal", "killed", signal="SIGKILL")},
        {},
        None,
        {},
        None,
    ),
    "failed, nobody knows why": ({"status": "failed", "result": None, "outputs": []}, None, None, {}, None),
    "never began": (
        {"status": "failed", "result": None, "outputs": [], "failure": Failure("lost", "lost")},
        None,
        None,
        {},
        None,
    ),
    "nothing known": (
        {
            "endpoint_id": None,
            "endpoint_name": None,
            "function": Function("f"),
            "worker": Worker("", 0),
            "arguments": [],
            "result": None,
            "outputs": [],
            "notes": [],
        },
        None,
        None,
        {},
        None,
    ),
    "endpoint without id": ({"endpoint_id": None}, {}, None, {}, None),
    "endpoint without name": ({"endpoint_name": None}, {}, None, {}, None),
    "function by its hash": (
        {"function": Function("f", "m", doc="D.", sha256="ab" * 32, sha256_of="code", size_bytes=3)},
        {},
        None,
        {},
        None,
    ),
    "function by its name": ({"function": Function("<lambda>", "my module")}, {}, None, {}, None),
    "function without source": (
        {"function": Function("f", id="0b1bd6fe-5c3f-4a52-9d2b-1f0a6f6a8c01")},
        {},
        None,
        {},
        None,
    ),
    "docker image": ({"worker": Worker("n", 1, container="ghcr.io/o/i:1.0@sha256:" + "ab" * 32)}, {}, None, {}, None),
    "docker image by its short name": ({"worker": Worker("n", 1, container="python")}, {}, None, {}, None),
    "singularity image": ({"worker": Worker("n", 1, container="/images/a b.sif")}, {}, None, {}, None),
    "empty environment variable": (
        {"worker": Worker("n", 1, environment={"CUDA_VISIBLE_DEVICES": ""})},
        {},
        None,
        {},
        None,
    ),
    "identifiers for people": ({}, {}, None, {"license": CC_BY, "author": ORCID, "publisher": ROR}, None),
    "names for people": ({}, {}, None, {"license": "CC-BY-4.0", "author": "J. Carberry", "publisher": "Brown"}, None),
    "one identifier for all": ({}, {}, None, {"license": ROR, "author": ROR, "publisher": ROR}, None),
    "with a page": ({}, {}, PNG, {"preview": True}, None),
    "author alone": ({}, {}, None, {"author": ORCID}, None),
    "publisher alone": ({}, {}, None, {"publisher": ROR}, None),
    "no probe at all": ({}, {"gpu": True}, None, {}, _all_unknown),
    "failed probes": (
        {},
        {},
        None,
        {},
        _without("storage", success=False, duration_s=5.0, error="timed out after 5 s"),
    ),
    "no GPU": ({}, {}, None, {}, _without("gpu", success=True, duration_s=0.0, absent="no driver")),
    "captured values": (
        {
            "arguments": [
                Value("a", "int", value=-1),
                Value("a", "bool", value=True),
                Value("b", "str", value="x" * 99_999),
            ]
        },
        {},
        None,
        {},
        None,
    ),
    "hostile text": (
        {
            "task_id": "task 1/../2",
            "status": "failed",
            "function": Function('a "b"\n', "\ud800", doc="\x00", source="\ud800"),
            "worker": Worker(
                "ho st", 1, rank="é", environment={"A B": "\n"}, versions={"python": "3.13.0rc1+x", "a b": "1 2"}
            ),
            "arguments": [Value("ключ", "日本", value="🧪")],
            "failure": Failure("exception", "two\nlines", 'T"', "\x1b[31m"),
            "notes": ["a\nnote"],
        },
        {},
        None,
        {},
        None,
    ),
}


@pytest.mark.validator
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_variant_is_clean(validator, snapshot, make_record, make_series, tmp_path):
    names: dict[Path, str] = {}
    for number, (name, (changes, series, plot, settings, node)) in enumerate(VARIANTS.items()):
        own = type(snapshot).from_dict(snapshot.to_dict())
        if node is not None:
            node(own)
        taken = make_series(**series) if isinstance(series, dict) else None
        if series == "empty":
            taken = make_series(3)
            taken.task.columns["cpu_percent"].mean = [None] * 3
        writer = CrateWriter(own, Settings(**settings))
        names[writer.publish(make_record(**changes), taken, plot, tmp_path / str(number))] = name
    later = CrateWriter(snapshot, Settings()).publish(make_record(), make_series(), None, tmp_path / "later")
    add_plot(later, "svg")
    names[later] = "plot added later"
    reported: list[Path] = []
    verdicts = validate_profiles(list(names), "recommended", lambda path, _: reported.append(path), jobs=2)
    assert {names[path]: findings for path, findings in verdicts.items() if findings} == {}
    assert {names[path]: problems for path in names if (problems := check_crate(path))} == {}
    assert sorted(reported) == sorted(names)
    assert len(verdicts) == len(VARIANTS) + 1


@pytest.mark.validator
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_seeded_fault_is_seen(validator, writer, make_record, make_series, tmp_path, edit):
    crates = {}
    for number, (name, (fault, _)) in enumerate(FAULTS.items()):
        crate = writer.publish(make_record(), make_series(2), None, tmp_path / str(number))
        edit(crate, fault)
        crates[name] = crate
    verdicts = validate_profiles(list(crates.values()), jobs=2)
    unseen = {
        name: sorted({verdict.rule for verdict in verdicts[crate]})
        for name, crate in crates.items()
        if FAULTS[name][1] not in {verdict.rule for verdict in verdicts[crate]}
    }
    assert unseen == {}


@pytest.mark.validator
def test_levels_and_broken_crates(validator, writer, make_record, tmp_path, edit):
    crate = writer.publish(make_record(), None, None, tmp_path)
    edit(crate, action_with(endTime="2026-11-20T23:26:56.565Z"))
    broken = tmp_path / "broken.crate"
    broken.mkdir()
    (broken / "ro-crate-metadata.json").write_text("{torn")
    nowhere = tmp_path / "nowhere.crate"
    verdicts = validate_profiles([crate, broken, nowhere, crate], "required")
    assert list(verdicts) == [crate, broken, nowhere]
    assert verdicts[crate] == []
    assert {verdict.level for verdict in verdicts[broken]} == {"error"}
    assert {verdict.level for verdict in verdicts[nowhere]} == {"error"}
    (finding,) = validate_profiles([crate], "recommended")[crate]
    assert (finding.level, finding.rule) == ("warning", "process-run-crate-0.5_8.4")
    assert "#distributed_step" in finding.where
    assert validate_profiles([crate], skip_checks=["process-run-crate-0.5_8.4"]) == {crate: []}


@pytest.mark.validator
def test_a_validator_lives_until_its_block_ends(validator, writer, make_record, tmp_path, edit, monkeypatch):
    """Requests of several profiles and levels; a crate by two names; whatever is printed besides answers."""
    crate = writer.publish(make_record(), None, None, tmp_path)
    edit(crate, action_with(endTime="2026-11-20T23:26:56.565Z"))
    wrapper = _program(
        tmp_path / "python",
        f"#!/bin/sh\necho started >>{tmp_path}/starts\n"
        f'echo \'Loading a module\'; echo \'{{"path": "x"}}\'; echo 3\nexec {validator} "$@"\n',
    )
    monkeypatch.setenv("PROV_WORKER_VALIDATOR", str(wrapper))
    monkeypatch.chdir(tmp_path)
    with ProfileValidator() as living:
        by_name = living.validate([crate, crate.relative_to(tmp_path)])
        assert list(by_name) == [crate, crate.relative_to(tmp_path)]
        assert [[verdict.rule for verdict in some] for some in by_name.values()] == [["process-run-crate-0.5_8.4"]] * 2
        assert living.validate([crate], "required") == {crate: []}
        assert living.validate([crate], profile="ro-crate-1.1") == {crate: []}
        assert [verdict.rule for verdict in living.validate([crate])[crate]] == ["process-run-crate-0.5_8.4"]
    assert (tmp_path / "starts").read_text() == "started\n"


@pytest.mark.validator
@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_crate_that_kills_the_validator_has_its_verdict_and_so_have_the_others(
    validator, writer, make_record, tmp_path, monkeypatch, jobs
):
    crates = [writer.publish(make_record(), None, None, tmp_path / str(number)) for number in range(3)]
    killer = crates[1].rename(crates[1].with_name("kills.crate"))
    site = tmp_path / "site"
    site.mkdir()
    (site / "kill.py").write_text(
        "import os, signal\nfrom rocrate_validator.models import Validator\nvalidate = Validator.validate\n"
        "def killed(self, path):\n"
        "    print('not an answer', flush=True)\n"
        "    if os.path.realpath(path).endswith('kills.crate'):\n        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return validate(self, path)\nValidator.validate = killed\n"
    )
    wrapper = _program(
        tmp_path / "python",
        "#!/bin/sh\nshift\n"
        f'exec {validator} -c \'import runpy, sys; sys.path.insert(0, "{site}"); import kill;'
        ' sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name="__main__")\' "$@"\n',
    )
    monkeypatch.setenv("PROV_WORKER_VALIDATOR", str(wrapper))
    verdicts = validate_profiles([crates[0], killer, crates[2]], jobs=jobs)
    assert [verdicts[crate] for crate in (crates[0], crates[2])] == [[], []]
    (finding,) = verdicts[killer]
    assert (finding.level, finding.rule, finding.where) == ("error", "validator", str(killer))
    assert "was killed" in finding.message


def test_no_paths_need_no_validator(monkeypatch):
    monkeypatch.setenv("PROV_WORKER_VALIDATOR", "/nowhere/python")
    assert validate_profiles([]) == {}


def test_unknown_level(tmp_path):
    with pytest.raises(InputError, match="level: expected one of required, recommended, optional"):
        validate_profiles([tmp_path], "perfect")


def _program(path, text="#!/bin/sh\nexit 3\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o700)
    return path


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """Neither a variable, a private environment nor a command leads to a validator."""
    monkeypatch.delenv("PROV_WORKER_VALIDATOR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


@pytest.mark.skipif("rocrate_validator" in sys.modules, reason="this interpreter has the validator")
def test_search_for_the_validator(bare, monkeypatch):
    assert find_validator() is None
    with pytest.raises(ValidatorMissingError, match="PROV_WORKER_VALIDATOR"):
        validate_profiles([bare])
    python = _program(bare / "env" / "python")
    _program(bare / "bin" / "rocrate-validator", f"#!{python}\n")
    assert find_validator() == python
    private = _program(private_validator() / "bin" / "python")
    assert private == bare / "cache" / "prov-worker" / "validator" / "bin" / "python"
    assert find_validator() == private
    named = _program(bare / "named" / "python")
    monkeypatch.setenv("PROV_WORKER_VALIDATOR", str(named))
    assert find_validator() == named
    monkeypatch.setenv("PROV_WORKER_VALIDATOR", str(bare / "nowhere"))
    with pytest.raises(InputError, match="PROV_WORKER_VALIDATOR: .*nowhere is not a program"):
        find_validator()


def test_validator_that_dies_is_an_error_and_no_verdict(bare, monkeypatch, tmp_path):
    python = _program(bare / "python", "#!/bin/sh\necho 'no such module' >&2\nexit 3\n")
    monkeypatch.setenv("PROV_WORKER_VALIDATOR", str(python))
    with pytest.raises(ProvWorkerError, match="0 of 1 verdict: no such module"):
        validate_profiles([tmp_path])


@pytest.mark.slow
def test_installation_that_fails_leaves_nothing_behind(bare, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(bare))
    with pytest.raises(ProvWorkerError, match=r"roc-validator==0\.13\.\* could not be installed: ERROR"):
        install_validator()
    assert list(private_validator().parent.iterdir()) == []


@pytest.mark.parametrize("form", ["#!{}\n", "#!{} -I\n", '#!/bin/sh\n\'\'\'exec\' "{}" "$0" "$@"\n'])
def test_interpreter_behind_a_script(tmp_path, form):
    python = _program(tmp_path / "python")
    assert _interpreter_of(_program(tmp_path / "script", form.format(python))) == python


def test_interpreter_behind_env_and_none(tmp_path, monkeypatch):
    python = _program(tmp_path / "bin" / "some-python")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert _interpreter_of(_program(tmp_path / "script", "#!/usr/bin/env some-python\n")) == python
    assert _interpreter_of(_program(tmp_path / "binary", "\x7fELF")) is None
    assert _interpreter_of(tmp_path / "nowhere") is None
