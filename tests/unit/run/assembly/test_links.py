from __future__ import annotations

import hashlib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from prov_worker.crate.summary import FileRef, RunStep, StepValue
from prov_worker.errors import CrateError
from prov_worker.run.assembly.links import LinkFinder, is_trivial, link_line, read_links
from prov_worker.run.assembly.staging import StagingDb
from prov_worker.run.model import Link
from prov_worker.testing import pickled_sha256

SECOND = 1_000_000_000


def digest(data: str) -> str:
    return hashlib.sha256(data.encode()).hexdigest()


def step(key: str, start_s: float, *, task: str | None = None, **changes: Any) -> RunStep:
    start = int(start_s * SECOND)
    values: dict[str, Any] = {
        "crate": f"{key}.crate",
        "crate_id": f"steps/{key}.crate/",
        "task_id": task or key,
        "attempt": 1,
        "status": "completed",
        "start_ns": start,
        "end_ns": start + SECOND,
        "function": "f",
        "function_id": "https://example.org/f",
        **changes,
    }
    return RunStep(key, **values)


def made(content: str, path: str = "out.csv", *, declared: bool = False) -> FileRef:
    return FileRef(f"#output-file-{path}", path, "generated", len(content), digest(content), declared=declared)


def used(content: str | None, path: str = "in.csv", *, declared: bool = True) -> FileRef:
    sha = None if content is None else digest(content)
    size = None if content is None else len(content)
    return FileRef(f"#input-file-{path}", path, "used", size, sha, declared=declared)


def value(content: Any, name: str = "return", kind: str = "list") -> StepValue:
    return StepValue(f"#x-{name}", name, None, kind, None, 3, pickled_sha256(content), recorded=False)


def links(*steps: RunStep, after: dict[str, tuple[str, ...]] | None = None) -> list[Link]:
    with closing(StagingDb()) as staging:
        finder = LinkFinder(staging, after)
        for each in steps:
            finder.add(staging.add(each), each)
        return list(finder.links())


def ends(links: list[Link]) -> list[tuple[str, str, str]]:
    return [(link.source, link.target, link.via) for link in links]


def test_a_declared_file_is_a_stated_link() -> None:
    a = step("a", 0, files=[made("rain", "/data/x.csv", declared=True)])
    b = step("b", 5, files=[used("rain", "/data/x.csv")])
    (link,) = links(b, a)
    assert (link.source, link.target, link.via, link.inferred) == ("a", "b", "declared", False)
    assert link.what == "/data/x.csv"


def test_the_last_writer_before_the_start_is_the_source() -> None:
    first = step("first", 0, files=[made("one", "/x", declared=True)])
    second = step("second", 3, files=[made("two", "/x", declared=True)])
    late = step("late", 20, files=[made("three", "/x", declared=True)])
    assert ends(links(first, second, late, step("b", 5, files=[used(None, "/x")]))) == [("second", "b", "declared")]


def test_a_declared_file_of_other_content_is_no_link() -> None:
    a = step("a", 0, files=[made("old", "/x", declared=True)])
    assert links(a, step("b", 5, files=[used("new", "/x")])) == []


def test_equal_files_are_inferred() -> None:
    a = step("a", 0, files=[made("rain", "out.csv")])
    (link,) = links(a, step("b", 5, files=[used("rain", "/elsewhere/in.csv")]))
    assert (link.via, link.inferred, link.what) == ("file", True, "out.csv")


def test_equal_values_are_inferred() -> None:
    a = step("a", 0, results=[value([1, 2, 3])])
    (link,) = links(a, step("b", 5, arguments=[value([1, 2, 3], "table")]))
    assert (link.via, link.what, link.inferred) == ("value", "table", True)


def test_nothing_flows_back_in_time_nor_within_a_task() -> None:
    result = [value([1, 2, 3])]
    argument = [value([1, 2, 3], "table")]
    assert links(step("late", 9, results=result), step("early", 0, arguments=argument)) == []
    assert links(step("t", 0, results=result), step("t.2", 5, task="t", arguments=argument)) == []


def test_clocks_may_differ_a_little() -> None:
    a = step("a", 0.5, results=[value([1, 2, 3])], host="one")
    argument = [value([1, 2, 3], "table")]
    assert len(links(a, step("b", 1.0, arguments=argument, host="two"))) == 1
    assert links(a, step("b", 1.0, arguments=argument, host="one")) == []
    quick = step("b", 0.0, arguments=argument, host="two", end_ns=SECOND // 10)
    assert links(a, quick) == []  # it had ended before the other began


def test_what_many_tasks_made_is_a_constant() -> None:
    makers = [step(f"m{number}", number, results=[value(["ok", "fine", "done"])]) for number in range(9)]
    assert links(*makers, step("b", 99, arguments=[value(["ok", "fine", "done"], "x")])) == []


@pytest.mark.parametrize(
    "described",
    [
        StepValue("#r", "return", None, "NoneType", sha256=pickled_sha256(None)),
        StepValue("#r", "return", True, "bool", sha256=pickled_sha256(True)),
        StepValue("#r", "return", 7, "int", sha256=pickled_sha256(7)),
        StepValue("#r", "return", None, "int", sha256=pickled_sha256(65_535)),
        StepValue("#r", "return", 0.0, "float", sha256=pickled_sha256(0.0)),
        StepValue("#r", "return", None, "list", length=0, sha256=pickled_sha256([])),
        StepValue("#r", "return", None, "dict", length=0, sha256=pickled_sha256({})),
        StepValue("#r", "return", "ok", "str", size_bytes=2, sha256=digest("ok")),
        StepValue("#r", "return", None, "bytes", size_bytes=0, sha256=digest("")),
        StepValue("#r", "return", None, "numpy.ndarray", size_bytes=800),
    ],
)
def test_trivial_values_make_no_link(described: StepValue) -> None:
    assert is_trivial(described)
    assert links(step("a", 0, results=[described]), step("b", 5, arguments=[described])) == []


@pytest.mark.parametrize(
    "described",
    [
        StepValue("#r", "return", None, "int", sha256=pickled_sha256(10**9)),
        StepValue("#r", "return", None, "float", sha256=pickled_sha256(0.7312)),
        StepValue("#r", "return", None, "str", size_bytes=20, sha256=digest("twenty characters ..")),
    ],
)
def test_telling_values_do(described: StepValue) -> None:
    assert not is_trivial(described)


def test_empty_files_make_no_link() -> None:
    empty = FileRef("#output-file-x", "x", "generated", 0, digest(""))
    assert links(step("a", 0, files=[empty]), step("b", 5, files=[used("", "y")])) == []


def test_a_traceback_is_no_data() -> None:
    log = FileRef("logs/traceback.txt", "logs/traceback.txt", "generated", 4, digest("rain"), inside=True)
    assert links(step("a", 0, files=[log]), step("b", 5, files=[used("rain")])) == []


def test_a_stated_order_comes_first_and_forbids_other_guesses() -> None:
    a = step("a", 0, results=[value([1, 2, 3])])
    b = step("b", 2, results=[value([1, 2, 3])])
    c = step("c", 9, arguments=[value([1, 2, 3], "x")])
    assert ends(links(a, b, c)) == [("b", "c", "value")]
    assert ends(links(a, b, c, after={"c": ("a",)})) == [("a", "c", "workflow"), ("a", "c", "value")]
    assert ends(links(a, b, c, after={"c": ()})) == []
    assert ends(links(a, c, after={"c": ("unknown",)})) == []


def test_a_stated_order_names_the_latest_attempt() -> None:
    early, late = step("a.attempt-1", 0, task="a"), step("a", 3, task="a")
    assert ends(links(early, late, step("b", 9), after={"b": ("a",)})) == [("a", "b", "workflow")]


def test_a_task_that_no_worker_began_used_nothing() -> None:
    a = step("a", 0, results=[value([1, 2, 3])])
    assert links(a, step("b", 5, start_ns=None, arguments=[value([1, 2, 3], "x")])) == []


def test_lines_are_read_back(tmp_path: Path) -> None:
    written = [
        Link("a", "b", "value", "x", "0" * 64, "#output-return", "#input-x"),
        Link("a", "c", "workflow", "order"),
    ]
    path = tmp_path / "links.jsonl"
    path.write_text("".join(map(link_line, written)))
    assert list(read_links(path)) == written
    path.write_text('{"source": "a"}\n')
    with pytest.raises(CrateError, match="line 1"):
        list(read_links(path))


def test_a_renamed_step_keeps_its_links() -> None:
    with closing(StagingDb()) as staging:
        finder = LinkFinder(staging)
        for each in (step("a", 0, results=[value([1, 2, 3])]), step("b", 5, arguments=[value([1, 2, 3], "x")])):
            finder.add(staging.add(each), each)
        staging.rename("a", "a.attempt-1")
        assert ends(list(finder.links())) == [("a.attempt-1", "b", "value")]
