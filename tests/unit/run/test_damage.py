"""Damaged and hostile input: each crate is named, the rest is assembled, nothing is written outside the target."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import shutil
import stat
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prov_worker.run.api import open_run
from prov_worker.run.assembly.assemble import assemble
from prov_worker.run.assembly.model import Options
from prov_worker.run.assembly.verify import verify
from support.commands import run_program

METADATA = "ro-crate-metadata.json"


def truncate(crate: Path) -> None:
    path = crate / METADATA
    path.write_bytes(path.read_bytes()[:1000])


def no_metadata(crate: Path) -> None:
    (crate / METADATA).unlink()


def missing_file(crate: Path) -> None:
    (crate / "data" / "hardware.json").unlink()


def wrong_hash(crate: Path) -> None:
    path = crate / "data" / "hardware.json"
    data = path.read_bytes()
    path.write_bytes(data.replace(b"EPYC", b"XEON"))


def wrong_size(crate: Path) -> None:
    with (crate / "data" / "hardware.json").open("ab") as stream:
        stream.write(b" ")


def huge_file(crate: Path) -> None:
    with (crate / "huge.bin").open("wb") as stream:
        stream.truncate(5 << 30)


def huge_metadata(crate: Path) -> None:
    with (crate / METADATA).open("r+b") as stream:
        stream.truncate(5 << 30)


def a_link(crate: Path) -> None:
    (crate / "secret").symlink_to("/etc/passwd")


def linked_metadata(crate: Path) -> None:
    (crate / METADATA).rename(crate.parent / ".elsewhere.json")
    (crate / METADATA).symlink_to(crate.parent / ".elsewhere.json")


def a_pipe(crate: Path) -> None:
    os.mkfifo(crate / "pipe")


def a_pipe_for_metadata(crate: Path) -> None:
    (crate / METADATA).unlink()
    os.mkfifo(crate / METADATA)


def an_odd_name(crate: Path) -> None:
    (crate / "two\nlines").write_text("x")


def no_step(crate: Path) -> None:
    document = json.loads((crate / METADATA).read_text())
    for item in document["@graph"]:
        if item["@id"] == "./":
            item["mainEntity"] = {"@id": "#attempt"}
    (crate / METADATA).write_text(json.dumps(document))


def outside(crate: Path) -> None:
    document = json.loads((crate / METADATA).read_text())
    document["@graph"].append({"@id": "../../victim.txt", "@type": "File"})
    (crate / METADATA).write_text(json.dumps(document))


def entity(document: Any, identifier: str) -> Any:
    return next(item for item in document["@graph"] if item["@id"] == identifier)


def rewritten(crate: Path, identifier: str, key: str, value: Any) -> None:
    document = json.loads((crate / METADATA).read_text())
    entity(document, identifier)[key] = value
    (crate / METADATA).write_text(json.dumps(document))


def no_number(crate: Path) -> None:
    rewritten(crate, "#usage-cpu", "value", float("nan"))


def beyond_all_numbers(crate: Path) -> None:
    rewritten(crate, "#usage-cpu", "value", "BIG")
    (crate / METADATA).write_text((crate / METADATA).read_text().replace('"BIG"', "1e999"))


def half_a_character(crate: Path) -> None:
    rewritten(crate, "#usage-cpu", "name", "\ud800")


def a_number_for_a_type(crate: Path) -> None:
    rewritten(crate, "#usage-cpu", "@type", 7)


def a_time_beyond_the_calendar(crate: Path) -> None:
    rewritten(crate, "#distributed_step", "endTime", "9999-12-31T23:59:59Z")


def a_time_before_the_calendar(crate: Path) -> None:
    rewritten(crate, "#distributed_step", "startTime", "0001-01-01T00:00:00+14:00")


def two_roots(crate: Path) -> None:
    document = json.loads((crate / METADATA).read_text())
    document["@graph"].append({**entity(document, "./"), "name": "another"})
    (crate / METADATA).write_text(json.dumps(document))


def a_huge_attempt(crate: Path) -> None:
    rewritten(crate, "#attempt", "value", 2**70)


DAMAGE = [
    no_number,
    beyond_all_numbers,
    half_a_character,
    a_number_for_a_type,
    a_time_beyond_the_calendar,
    a_time_before_the_calendar,
    a_huge_attempt,
    two_roots,
    truncate,
    no_metadata,
    missing_file,
    wrong_hash,
    wrong_size,
    huge_file,
    huge_metadata,
    a_link,
    linked_metadata,
    a_pipe,
    a_pipe_for_metadata,
    an_odd_name,
    no_step,
    outside,
]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda function: function.__name__)
def test_a_damaged_crate_is_named_and_left_out(damage: Callable[[Path], None], crates: Any, tmp_path: Path) -> None:
    crates.add(1)
    bad = crates.add(2)
    crates.add(3)
    damage(bad)
    result = assemble([crates.directory], tmp_path / "R.crate")
    assert result.steps == 2
    assert [problem.where for problem in result.problems] == [str(bad)]
    assert str(bad) in str(result.problems[0])
    assert "\n" not in str(result.problems[0])
    assert verify(tmp_path / "R.crate").changes == []
    assert len(list((tmp_path / "R.crate/steps").iterdir())) == 2


def test_a_file_without_the_right_to_read_it_leaves_the_others(crates: Any, tmp_path: Path) -> None:
    crates.add(1)
    bad = crates.add(2)
    (bad / "data" / "hardware.json").chmod(0)
    code = (
        "import sys; from pathlib import Path\n"
        "from prov_worker.run.assembly.assemble import assemble\n"
        "result = assemble([Path(sys.argv[1])], Path(sys.argv[2]))\n"
        "print(result.steps, *result.problems)"
    )
    command = [sys.executable, "-c", code, str(crates.directory), str(tmp_path / "R.crate")]
    if os.geteuid() == 0:  # root reads everything, unless it lets that right go
        if shutil.which("setpriv") is None:
            pytest.skip("as root this needs setpriv (util-linux)")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    done = run_program(*command)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"1 {bad}: data/hardware.json: cannot be read: Permission denied\n"
    assert verify(tmp_path / "R.crate").changes == []


def test_a_crate_that_changes_while_it_is_read_is_left_out(
    crates: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prov_worker.run.assembly import draft as module

    crates.add(1)
    bad = crates.add(2)

    def after_a_change(source: Any, *arguments: Any) -> Any:
        if source.path == bad:
            with (bad / METADATA).open("a") as stream:
                stream.write(" ")
        return copy_crate(source, *arguments)

    copy_crate = module.copy_crate
    monkeypatch.setattr(
        module, "copy_crate", after_a_change
    )  # between reading and copying: no test comes there in time
    result = assemble([crates.directory], tmp_path / "R.crate")
    assert (result.steps, [str(problem) for problem in result.problems]) == (1, [f"{bad}: changed while it was read"])
    assert verify(tmp_path / "R.crate").changes == []


def test_a_crate_that_cannot_be_read_leaves_the_others_to_open_run(crates: Any) -> None:
    crates.add(1)
    truncate(crates.add(2))
    run = open_run(crates.directory)
    assert len(list(run.steps())) == 1
    assert len(run.problems) == 1


def test_a_name_that_is_no_text_costs_its_own_crate_alone(crates: Any, tmp_path: Path) -> None:
    from prov_worker.run.collect.rsync import collect

    crates.add(1)
    bad = os.fsdecode(os.fsencode(crates.directory) + b"/bad\xff.crate")
    shutil.move(crates.add(2), bad)
    result = assemble([crates.directory], tmp_path / "R.crate")
    assert (result.steps, [problem.where for problem in result.problems]) == (1, [bad])
    run = open_run(crates.directory)
    assert (len(list(run.steps())), [problem.where for problem in run.problems]) == (1, [bad])
    if importlib.util.find_spec("pyarrow"):
        from prov_worker.run.index.build import index

        indexed = index([crates.directory])
        assert (indexed.read, [problem.where for problem in indexed.problems]) == (1, [bad])
    if importlib.util.find_spec("jinja2"):
        from prov_worker.run.report.page import write_report

        data, _ = write_report(open_run(crates.directory), tmp_path / "report.html")
        assert "bad\\udcff.crate" in data.problems[0]
    if shutil.which("rsync"):
        done = collect([str(crates.directory)], tmp_path / "home")
        assert (len(done.new), done.problems) == (2, [])  # names are bytes to it


def test_a_run_crate_among_step_crates_is_passed_over(crates: Any) -> None:
    crates.add(1)
    assemble([crates.directory], crates.directory / "R.crate")
    again = assemble([crates.directory], crates.directory / "R2.crate")
    assert (again.steps, again.problems) == (1, [])
    run = open_run(crates.directory)
    assert (len(list(run.steps())), run.problems) == (1, [])


def test_a_zip_beside_its_directory_is_counted_once(crates: Any, tmp_path: Path) -> None:
    crate = crates.add(1)
    shutil.make_archive(str(crate), "zip", crate)
    result = assemble([crates.directory], tmp_path / "R.crate")
    assert (result.steps, result.duplicates, result.problems) == (1, 1, [])
    run = open_run(crates.directory)
    assert (len(list(run.steps())), run.problems) == (1, [])


@pytest.mark.parametrize(
    "content", [b'{"x', b"[1]", b"\xff\xfe", b'{"source": 7}', b'{"source": "a"}', b'{"source": [], "via": {}}']
)
def test_a_damaged_list_of_links_is_named_and_the_rest_is_told(
    workflow_crates: Any, tmp_path: Path, content: bytes
) -> None:
    from prov_worker.run.export.flowcept import write_flowcept

    assemble([workflow_crates.directory], tmp_path / "R.crate", Options(copy=True))
    path = tmp_path / "R.crate/links.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + content + b"\n" + b"".join(lines[1:]))
    run = open_run(tmp_path / "R.crate")
    assert len(list(run.links())) == 1
    assert [problem.where for problem in run.problems] == [str(path)]
    assert write_flowcept(run, tmp_path / "run.jsonl") == 7
    assert [problem.where for problem in run.problems] == [str(path)]
    if importlib.util.find_spec("jinja2"):
        from prov_worker.run.report.page import write_report

        data, _ = write_report(open_run(tmp_path / "R.crate"), tmp_path / "report.html")
        assert len(data.rows) == 6
        assert "links.jsonl: line 2: no link" in data.problems[0]


def test_two_crates_of_one_attempt_that_differ(make_crates: Any, tmp_path: Path) -> None:
    make_crates(tmp_path / "a").add(1, wall_s=1.0)
    make_crates(tmp_path / "b").add(1, wall_s=2.0)
    result = assemble([tmp_path / "a", tmp_path / "b"], tmp_path / "R.crate")
    assert result.steps == 1
    assert "another crate of this very attempt" in str(result.problems[0])


def test_two_crates_of_one_id_that_ran_apart_are_named_and_kept(make_crates: Any, tmp_path: Path) -> None:
    make_crates(tmp_path / "a").add(1)
    make_crates(tmp_path / "b", host="node02").add(1, offset_s=5)
    result = assemble([tmp_path / "a", tmp_path / "b"], tmp_path / "R.crate")
    assert (result.tasks, result.steps) == (1, 2)
    assert "two crates of task" in str(result.problems[0])


def zipped(crate: Path, target: Path, **names: Any) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED)
    for path in sorted(crate.rglob("*")):
        archive.write(path, path.relative_to(crate))
    shutil.rmtree(crate)
    return archive


def parent_path(archive: zipfile.ZipFile) -> None:
    archive.writestr("../../escaped.txt", "x")


def absolute_path(archive: zipfile.ZipFile) -> None:
    archive.writestr("/tmp/escaped-by-absolute-path.txt", "x")  # refused before anything is written


def backslashes(archive: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("data/x")
    info.filename = "..\\..\\escaped.txt"
    archive.writestr(info, "x")


def link_member(archive: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("data/link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(info, "/etc/passwd")


def twice(archive: zipfile.ZipFile) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(METADATA, "{}")


def bomb(archive: zipfile.ZipFile) -> None:
    with archive.open("zeros.bin", "w", force_zip64=True) as stream:
        for _ in range(96):
            stream.write(bytes(1 << 20))


def bomb_of_small_members(archive: zipfile.ZipFile) -> None:
    for number in range(16):
        archive.writestr(f"data/zeros-{number}.bin", bytes(8 << 20))


def many_members(archive: zipfile.ZipFile) -> None:
    for number in range(10_001):
        archive.writestr(f"data/{number}", "")


def shared_bytes(archive: zipfile.ZipFile) -> None:
    archive.writestr("data/zeros-0.bin", os.urandom(1 << 20))
    for number in range(1, 10):
        info = copy.copy(archive.getinfo("data/zeros-0.bin"))
        info.filename = f"data/zeros-{number}.bin"
        archive.filelist.append(info)


@pytest.mark.parametrize(
    "attack",
    [
        parent_path,
        absolute_path,
        backslashes,
        link_member,
        twice,
        bomb,
        bomb_of_small_members,
        many_members,
        shared_bytes,
    ],
)
def test_a_hostile_zip_is_refused_whole(attack: Callable[[zipfile.ZipFile], None], crates: Any, tmp_path: Path) -> None:
    crates.add(1)
    bad = crates.add(2)
    path = crates.directory / f"{bad.name}.zip"
    with zipped(bad, path) as archive:
        attack(archive)
    before = {str(path) for path in tmp_path.parent.rglob("*escaped*")}
    result = assemble([crates.directory], tmp_path / "R.crate")
    assert (result.steps, [problem.where for problem in result.problems]) == (1, [str(path)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["R.crate", "crates"]
    assert {str(path) for path in tmp_path.parent.rglob("*escaped*")} == before
    assert not Path("/tmp/escaped-by-absolute-path.txt").exists()


def test_damaged_crates_of_a_zip_of_several_are_named(crates: Any, tmp_path: Path) -> None:
    bad = {}
    for number, damage in enumerate((None, truncate, wrong_hash, no_step, a_huge_attempt)):
        crate = crates.add(number)
        if damage is not None:
            damage(crate)
            bad[crate.name] = damage
    path = tmp_path / "many.zip"
    zipped(crates.directory, path).close()
    result = assemble([path], tmp_path / "R.crate")
    assert result.steps == 1
    assert [problem.where for problem in result.problems] == [f"{path}!{name}" for name in sorted(bad)]
    assert all(str(problem).startswith(problem.where) for problem in result.problems)
    run = open_run(path)
    assert (len(list(run.steps())), len(run.problems)) == (2, 3)


def test_a_zip_cut_short_and_one_with_a_changed_byte(crates: Any, tmp_path: Path) -> None:
    crates.add(1)
    for number in (2, 3):
        bad = crates.add(number)
        zipped(bad, crates.directory / f"{bad.name}.zip").close()
    short, changed = sorted(crates.directory.glob("*.zip"))
    short.write_bytes(short.read_bytes()[:-40])
    with zipfile.ZipFile(changed) as archive:
        info = archive.getinfo("data/hardware.json")
        at = info.header_offset + 30 + len(info.filename) + info.compress_size // 2
    data = bytearray(changed.read_bytes())
    data[at] ^= 0xFF
    changed.write_bytes(data)
    result = assemble([crates.directory], tmp_path / "R.crate")
    assert result.steps == 1
    assert sorted(problem.where for problem in result.problems) == [str(short), str(changed)]


def test_a_large_file_is_streamed(crates: Any, tmp_path: Path) -> None:
    """In a process that may hold no more than half of it."""
    crate = crates.add(1)
    with (crate / "large.bin").open("wb") as stream:
        stream.truncate(1 << 30)
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from prov_worker.run.assembly.assemble import assemble\n"
        "from prov_worker.run.assembly.model import Options\n"
        "resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))\n"
        "result = assemble([Path(sys.argv[1])], Path(sys.argv[2]), Options(copy=False))\n"
        "assert result.steps == 1 and not result.problems, result"
    )
    command = [sys.executable, "-c", code, str(crates.directory), str(tmp_path / "R.crate")]
    done = run_program(*command)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "R.crate/steps" / crate.name / "large.bin").stat().st_size == 1 << 30


def test_all_damaged_writes_nothing(crates: Any, tmp_path: Path) -> None:
    truncate(crates.add(1))
    result = assemble([crates.directory], tmp_path / "R.crate", Options())
    assert result.path is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["crates"]


def test_a_later_attempt_that_is_damaged_leaves_the_earlier_one_its_name(make_crates: Any, tmp_path: Path) -> None:
    make_crates(tmp_path / "a").add(1, attempt=1, error="first")
    bad = make_crates(tmp_path / "b").add(1, attempt=2, offset_s=9)
    wrong_hash(bad)
    result = assemble([tmp_path / "a", tmp_path / "b"], tmp_path / "R.crate")
    assert (result.steps, result.failed, len(result.problems)) == (1, 1, 1)
    assert [path.name for path in (tmp_path / "R.crate/steps").iterdir()] == [bad.name]
