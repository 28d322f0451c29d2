"""What two executions of a call have in common, part by part."""

from __future__ import annotations

from typing import Any

import pytest

from prov_worker.crate.summary import GENERATED, USED, FileRef, RunStep, StepValue
from prov_worker.rerun.comparison import DIFFERS, INCOMPARABLE, SAME, compare


def step(**values: Any) -> RunStep:
    return RunStep(**{"key": "t", "crate": "t.crate", "crate_id": "t/", "task_id": "t", "attempt": 1,
                      "status": "completed", "end_ns": 2, "function": "f", "function_id": "f",
                      "results": [returned("int", 4, "aa")], **values})  # fmt: skip


def returned(type_name: str | None, value: Any = None, sha256: str | None = None, recorded: bool = True) -> StepValue:
    return StepValue("#r", "return", value, type_name, sha256=sha256, recorded=recorded)


def made(path: str, size: int | None = 1, sha256: str | None = "aa", **values: Any) -> FileRef:
    return FileRef(path, path, GENERATED, size, sha256, **values)


def failed(kind: str = "exception", error: str = "ValueError: no", **values: Any) -> RunStep:
    return step(status="failed", error=error, failure_kind=kind, results=[], **values)


def part(name: str, first: RunStep, second: RunStep) -> tuple[str, list[str]]:
    """Verdict and details of one part."""
    (only,) = [part for part in compare(first, second).parts if part.name == name]
    return only.verdict, only.details


def test_the_same_is_the_same_in_all_parts() -> None:
    comparison = compare(step(), step())
    assert comparison.to_dict() == {
        "verdict": SAME,
        "parts": {"outcome": {"verdict": SAME, "details": []}, "result": {"verdict": SAME, "details": []}},
    }


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        (returned("int", 4, "aa"), returned("int", 5, "bb"), DIFFERS),
        (returned("int", 4, "aa"), returned("str", "4", "aa"), DIFFERS),
        (returned("NoneType"), returned("NoneType"), SAME),
        # No digest: that two objects are of one type says nothing of what is in them.
        (returned("a.B"), returned("a.B"), INCOMPARABLE),
        (returned("a.B", sha256="aa"), returned("a.B"), INCOMPARABLE),
        (returned(None), returned("int", 4, "aa"), INCOMPARABLE),
    ],
)
def test_a_result_is_compared_by_its_digest(first: StepValue, second: StepValue, verdict: str) -> None:
    comparison = compare(step(results=[first]), step(results=[second]))
    assert comparison.verdict == verdict


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (returned("float", 2.0, "aa"), returned("float", 3.0, "bb"), "2.0, now 3.0 (+0.5 of it)"),
        (returned("float", -2.0, "aa"), returned("float", -3.0, "bb"), "-2.0, now -3.0 (-0.5 of it)"),
        (returned("int", 0, "aa"), returned("int", 3, "bb"), "0, now 3"),
        (returned("bool", True, "aa"), returned("bool", False, "bb"), "True, now False"),
        (returned("int", "<int>", "aa" * 32, recorded=False), returned("int", 3, "bb" * 32),
         "sha256 aaaaaaaaaaaa…, now bbbbbbbbbbbb…"),
    ],
)  # fmt: skip
def test_how_a_result_differs_is_said(before: StepValue, after: StepValue, text: str) -> None:
    assert part("result", step(results=[before]), step(results=[after])) == (DIFFERS, [text])


def test_a_failure_is_compared_by_what_repeats_itself() -> None:
    assert compare(failed(), failed()).verdict == SAME
    assert part("outcome", failed(), failed(error="ValueError: other")) == (
        DIFFERS, ["error: ValueError: no, now ValueError: other"],
    )  # fmt: skip
    # The message of a signal names a process, which is another one each time.
    died = {"kind": "signal", "failure_signal": "SIGKILL"}
    assert compare(failed(error="worker 7 died", **died), failed(error="worker 8 died", **died)).verdict == SAME
    assert part("outcome", failed(), step()) == (DIFFERS, ["failed, now completed: ValueError: no"])


def test_results_of_failures_are_not_compared() -> None:
    assert [part.name for part in compare(failed(), step()).parts] == ["outcome"]


def test_another_version_of_the_function_is_named() -> None:
    assert part("code", step(function_sha256="a" * 64), step(function_sha256="b" * 64))[0] == DIFFERS
    assert [part.name for part in compare(step(function_sha256="a"), step()).parts] == ["outcome", "result"]


@pytest.mark.parametrize(
    ("before", "after", "verdict", "details"),
    [
        ([made("x")], [made("x")], SAME, []),
        ([made("x")], [made("x", 2, "bb")], DIFFERS, ["x: other content (1 byte, now 2 bytes)"]),
        ([made("x", 1, None)], [made("x", 2, "bb")], DIFFERS, ["x: 1 byte, now 2 bytes"]),
        ([made("x", 1, None)], [made("x", 1, "bb")], INCOMPARABLE, ["x: no digest"]),
        ([made("x"), made("y")], [made("x"), made("z")], DIFFERS, ["y: missing", "z: only this time"]),
        ([], [made("x")], INCOMPARABLE, ["the first crate lists none, this one 1"]),
    ],
)
def test_files_are_compared_by_their_paths(
    before: list[FileRef], after: list[FileRef], verdict: str, details: list[str]
) -> None:
    assert part("files", step(files=before), step(files=after)) == (verdict, details)


def test_files_that_were_used_or_lie_in_the_crate_are_none_that_were_made() -> None:
    used = FileRef("x", "x", USED, 1, "aa")
    first, second = step(files=[used]), step(files=[made("data/plot.png", 1, "bb", inside=True)])
    assert [part.name for part in compare(first, second).parts] == ["outcome", "result"]


def test_of_many_differences_some_are_listed() -> None:
    verdict, details = part("files", step(files=[made(f"{n:02}") for n in range(30)]), step(files=[made("x")]))
    assert (verdict, len(details), details[-1]) == (DIFFERS, 21, "and 11 more")


def test_numbers_are_what_was_annotated_and_measured() -> None:
    first = step(annotations={"loss": 2.0, "model": "linear", "done": True}, metrics={"loss": 1.0})
    second = step(annotations={"loss": 2.0, "model": "cubic", "done": False}, metrics={"loss": 1.5, "acc": 1.0})
    assert part("numbers", first, second) == (
        DIFFERS, ["metric acc: only this time", "metric loss: 1.0, now 1.5 (+0.5 of it)"],
    )  # fmt: skip
    assert part("numbers", first, first) == (SAME, [])
