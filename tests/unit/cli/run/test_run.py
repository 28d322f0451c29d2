from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.cli.run import COMMANDS
from prov_worker.crate.validator.client import find_validator

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_verb_has_help(prov_worker: Run, verb: str) -> None:
    code, out, _ = prov_worker("run", verb, "--help")
    assert code == 0
    assert out.startswith(f"Usage: prov-worker run {verb} ")


def test_help_names_every_verb(prov_worker: Run) -> None:
    code, out, _ = prov_worker("run", "--help")
    assert code == 0
    for verb in COMMANDS:
        assert f"  {verb} " in out


def test_assemble_verify_and_a_change(prov_worker: Run, crates: Path, tmp_path: Path) -> None:
    target = tmp_path / "RUN.crate"
    code, out, err = prov_worker("run", "assemble", crates, "-o", target, "--name", "Two tasks")
    assert (code, err) == (0, "")
    assert "2 tasks, 1 failed" in out
    code, out, _ = prov_worker("run", "verify", target)
    assert code == 0
    assert "as sealed" in out
    (target / "README.md").write_text("other")
    code, out, _ = prov_worker("run", "verify", target)
    assert code == 1
    assert "changed: README.md: sealed with" in out
    code, out, _ = prov_worker("run", "verify", target, "--json")
    assert [change["path"] for change in json.loads(out)["changes"]] == ["README.md"]


@pytest.mark.validator
def test_check_validates_a_run_crate_and_its_steps(prov_worker: Run, crates: Path, tmp_path: Path) -> None:
    if find_validator() is None:
        pytest.skip("no interpreter has roc-validator; set PROV_WORKER_VALIDATOR")
    target = tmp_path / "RUN.crate"
    prov_worker("run", "assemble", crates, "-o", target)
    verdicts = json.loads(prov_worker("check", "--validator", "--json", target)[1])
    assert verdicts[str(target)] == []
    assert len(verdicts) == 3
    metadata = target / "ro-crate-metadata.json"
    whole = metadata.read_text()
    bare = json.loads(whole)
    for entity in bare["@graph"]:
        if entity["@type"] == "CreateAction":
            del entity["description"]  # recommended, not required
    metadata.write_text(json.dumps(bare))
    code, out, _ = prov_worker("check", "--validator", "--json", target)
    assert (code, {verdict["level"] for verdict in json.loads(out)[str(target)]}) == (1, {"warning"})
    assert prov_worker("check", "--validator", "--level", "required", "--json", target)[0] == 0
    metadata.write_text(whole.replace('"ComputationalWorkflow"', '"HowTo"'))
    code, out, _ = prov_worker("check", "--validator", "--json", target)
    assert code == 1
    assert json.loads(out)[str(target)] != []


def test_damage_is_named_and_the_exit_code_is_1(prov_worker: Run, own_crates: Path, tmp_path: Path) -> None:
    bad = sorted(own_crates.iterdir())[0]
    (bad / "ro-crate-metadata.json").write_text('{"@context"')
    code, out, err = prov_worker("run", "assemble", own_crates, "-o", tmp_path / "R.crate", "--json")
    assert code == 1
    assert err.startswith(f"prov-worker: {bad}: ro-crate-metadata.json: invalid JSON")
    summary = json.loads(out)
    assert (summary["tasks"], [problem["where"] for problem in summary["problems"]]) == (1, [str(bad)])
    assert prov_worker("run", "verify", tmp_path / "R.crate")[0] == 0


def test_nothing_is_replaced_without_force(prov_worker: Run, crates: Path, tmp_path: Path) -> None:
    target = tmp_path / "R.crate"
    assert prov_worker("run", "assemble", crates, "-o", target)[0] == 0
    code, out, err = prov_worker("run", "assemble", crates, "-o", target)
    assert (code, out) == (2, "")
    assert err.startswith(f"prov-worker: {target}: already exists")
    assert prov_worker("run", "assemble", crates, "-o", target, "--overwrite")[0] == 0


def test_a_name_of_a_zip_makes_one(prov_worker: Run, crates: Path, tmp_path: Path) -> None:
    assert prov_worker("run", "assemble", crates, "-o", tmp_path / "R.zip")[0] == 0
    assert zipfile.is_zipfile(tmp_path / "R.zip")
    assert prov_worker("run", "verify", tmp_path / "R.zip")[0] == 0


def test_what_is_no_crate_is_named(prov_worker: Run, own_crates: Path, tmp_path: Path) -> None:
    (own_crates / "gone.crate").symlink_to(own_crates / "nothing")
    (own_crates / "gone.zip").symlink_to(own_crates / "nothing")
    (own_crates / "file.crate").write_text("no crate")
    os.mkfifo(own_crates / "pipe.zip")
    code, out, err = prov_worker("run", "assemble", own_crates, "-o", tmp_path / "R.crate")
    assert code == 1
    assert err.splitlines() == [
        f"prov-worker: {own_crates}/file.crate: is a file; expected a crate directory or a zip",
        f"prov-worker: {own_crates}/gone.crate: a link that leads nowhere",
        f"prov-worker: {own_crates}/gone.zip: a link that leads nowhere",
        f"prov-worker: {own_crates}/pipe.zip: not a regular file",
    ]
    assert "2 tasks, 1 failed" in out


def test_one_is_one(prov_worker: Run, own_crates: Path, tmp_path: Path) -> None:
    shutil.rmtree(min(own_crates.iterdir()))
    target = tmp_path / "R.crate"
    assert f"{target}: 1 task, 1 failed; " in prov_worker("run", "assemble", own_crates, "-o", target)[1]
    assert (
        "a run of 1 task, 1 of which failed, assembled from 1 step crate"
        in (target / "ro-crate-metadata.json").read_text()
    )
    assert "A run of 1 task in 1 attempt; 1 failed in the end." in (target / "README.md").read_text()
    assert "1 crate collected, 0 were there" in prov_worker("run", "collect", own_crates, tmp_path / "home")[1]
    assert "0 crates collected, 1 was there" in prov_worker("run", "collect", own_crates, tmp_path / "home")[1]


def test_a_full_disk_is_said_alike_by_all(
    prov_worker: Run, crates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    for function in ("os.replace", "os.rename", "prov_worker.files._renameat2"):
        monkeypatch.setattr(function, full)  # a full disk cannot be had in a test
    for arguments in (["assemble"], ["assemble", "--zip"], ["export", "--format", "csv"]):
        code, out, err = prov_worker("run", *arguments, crates, "-o", tmp_path / "out")
        assert (code, out) == (2, "")
        assert err == f"prov-worker: {tmp_path / 'out'}: cannot be written: No space left on device\n"


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
def test_sign_and_verify(prov_worker: Run, crates: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    target = tmp_path / "R.zip"
    assert prov_worker("run", "assemble", crates, "-o", target, "--zip", "--sign", key)[0] == 0
    signers = tmp_path / "signers"
    signers.write_text(f"me@example.org {key.with_suffix('.pub').read_text()}")
    code, out, _ = prov_worker("run", "verify", target, "--allowed-signers", signers)
    assert code == 0
    assert "signed by me@example.org (an allowed signer)" in out


def test_index_and_query(prov_worker: Run, own_crates: Path) -> None:
    pytest.importorskip("duckdb")
    code, out, err = prov_worker("run", "index", own_crates)
    assert (code, err) == (0, "")
    assert "2 attempts; 2 read, 0 known" in out
    assert json.loads(prov_worker("run", "index", own_crates, "--json")[1])["unchanged"] == 2
    code, out, _ = prov_worker("run", "query", own_crates, "--status", "failed", "--error", "zero", "--json")
    (row,) = json.loads(out)
    assert (row["function"], row["failure_type"], row["start"]) == (
        "divide",
        "ZeroDivisionError",
        "2026-09-21T14:13:20+00:00",
    )
    code, out, _ = prov_worker("run", "query", own_crates, "--csv", "--columns", "function,wall_s", "--sort=-wall_s")
    assert out == "function,wall_s\nsimulate,2.0\ndivide,0.001\n"
    code, out, _ = prov_worker("run", "query", own_crates, "--min-duration", "1s")
    assert "simulate" in out
    assert "divide" not in out
    code, out, _ = prov_worker("run", "query", own_crates, "--sql", "SELECT count(*) AS n FROM tasks", "--json")
    assert json.loads(out) == [{"n": 2}]
    code, out, _ = prov_worker("run", "query", own_crates, "--sql", "SELECT {'a': [1, NULL]} AS nested", "--json")
    assert json.loads(out) == [{"nested": {"a": [1, None]}}]
    refused = {"": "no statement in it", "SELEC 1": "Parser Error"}
    for query, message in refused.items():
        code, out, err = prov_worker("run", "query", own_crates, "--sql", query)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert message in err
    code, out, _ = prov_worker("run", "query", own_crates, "--csv", "--columns", "function", "--sort=-status,function")
    assert out == "function\ndivide\nsimulate\n"
    assert prov_worker("run", "query", own_crates, "--host", "none")[1] == "no row\n"
    code, out, _ = prov_worker("run", "query", own_crates, "--limit", "1")
    assert "there are more" not in out


def test_a_damaged_file_of_an_index_is_named(prov_worker: Run, own_crates: Path) -> None:
    pytest.importorskip("duckdb")
    prov_worker("run", "index", own_crates)
    part = next(own_crates.with_name(f"{own_crates.name}.index").glob("arguments/*/*/part-*.parquet"))
    part.write_bytes(b"")
    code, out, err = prov_worker("run", "query", own_crates)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert str(part) in err
    assert f"prov-worker run index {own_crates}" in err
    code, out, err = prov_worker("run", "index", own_crates)
    assert (code, err) == (0, f"prov-worker: {part}: was gone or damaged; its crates were read again\n")
    assert "2 attempts; 1 read, 1 known" in out
    assert prov_worker("run", "query", own_crates)[0] == 0


def test_crates_that_are_there_twice_are_said_to_count_once(prov_worker: Run, own_crates: Path, tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    shutil.rmtree(min(own_crates.iterdir()))
    shutil.copytree(own_crates, tmp_path / "copy")
    code, out, _ = prov_worker("run", "index", own_crates, tmp_path / "copy")
    assert code == 0
    assert "1 attempt; 2 read, 0 known" in out
    assert "1 crate is there more than once, byte for byte, and counted once" in out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["assemble"], "Missing argument 'DIR...'"),
        (["assemble", "/nowhere", "-o", "/tmp/x.crate"], "prov-worker: /nowhere: cannot be listed: No such file"),
        (["verify", "/nowhere"], "prov-worker: /nowhere: no such run crate"),
        (["verify", "/nowhere", "--allowed-signers", "/no/list"], "prov-worker: /no/list: no such list of allowed sig"),
        (["query", "/nowhere"], "prov-worker: /nowhere: no such index"),
        (
            ["query", __file__],
            f"prov-worker: {__file__}: is a file; expected an index, or a run",
        ),
        (["query", "x", "--min-duration", "soon"], "expected a duration"),
        (["query", "x", "--min-rss", "big"], "expected a size"),
        (["query", "x", "--since", "noon"], "expected a time"),
        (["query", "x", "--json", "--csv"], "exclude each other"),
        (["query", "x", "--sql", "SELECT 1", "--host", "a"], "--sql stands alone"),
        (["index", "x", "--jobs", "2", "--parsl", "c.py"], "exclude each other"),
        (["index", "/nowhere", "--parsl", "/nowhere/config.py"], "/nowhere/config.py: no such file"),
        (["nonsense"], "No such command 'nonsense'"),
    ],
)
def test_bad_input_is_exit_code_2(prov_worker: Run, arguments: list[str], message: str) -> None:
    pytest.importorskip("duckdb")
    code, out, err = prov_worker("run", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
